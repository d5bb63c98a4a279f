import numpy as np
import pytest

from al_loop.metrics import (
    count_errors,
    count_raw_errors,
    error_rate,
    evaluate,
    foreign_share,
    paired_difference,
)
from al_loop.records import ErrorCounts
from al_loop.text import NORMALISER


def counts(errors: list[int], words: int = 10) -> list[ErrorCounts]:
    return [ErrorCounts(value, words, value, 5 * words) for value in errors]


def test_counts_words_and_characters_after_normalising() -> None:
    found = count_errors("Көп уюлдуулукка каршы!", "көп уюлдулукка каршы согуш", "ky")
    assert found == ErrorCounts(word_errors=2, words=3, character_errors=7, characters=21)


def test_an_empty_hypothesis_misses_every_word() -> None:
    assert count_errors("үйдө нан барбы", "", "ky").word_errors == 3


def test_a_reference_without_words_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds no word"):
        count_errors("…", "үйдө", "ky")


def test_digits_and_words_count_the_same() -> None:
    found = count_errors("1991-жылы 5 киши", "миң тогуз жүз токсон биринчи жылы беш киши", "ky")
    assert (found.word_errors, found.words) == (0, 8)


def test_raw_errors_see_case_punctuation_and_digits_but_no_spaces() -> None:
    assert count_raw_errors("Саат  5те,\tэртең ", " Саат 5те, эртең").word_errors == 0
    found = count_raw_errors("Саат 5те, эртең.", "саат беште эртең")
    assert (found.word_errors, found.words) == (3, 3)
    assert found.characters == len("Саат 5те, эртең.")


def test_an_empty_raw_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        count_raw_errors(" ", "үйдө")


def test_error_rate_weighs_utterances_by_their_length() -> None:
    interval = error_rate(np.array([1, 9]), np.array([10, 90]), np.random.default_rng(0), 500)
    assert interval.value == pytest.approx(0.1)
    assert interval.low == interval.high == pytest.approx(0.1)


def test_the_interval_covers_the_true_rate_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        errors = rng.binomial(10, 0.3, size=60)
        interval = error_rate(errors, np.full(60, 10), rng, 300)
        covered += interval.low <= 0.3 <= interval.high
    assert 180 <= covered <= 200


def test_a_paired_difference_is_narrower_than_the_rates_apart() -> None:
    rng = np.random.default_rng(2)
    before = rng.integers(0, 10, size=80)
    after = np.maximum(before - 1, 0)
    change = paired_difference(counts(before.tolist()), counts(after.tolist()), rng, 1000)
    apart = error_rate(before, np.full(80, 10), rng, 1000)
    assert change.low < change.value < change.high < 0
    assert change.high - change.low < (apart.high - apart.low) / 3


REFERENCES = ["Бир эки үч төрт.", "беш алты жети", "Саат 8ден 9га"]
HEARD = ["бир эки төрт", "беш алты жети сегиз", "саат сегизден онго"]


def test_evaluate_gives_every_rate_with_its_interval() -> None:
    result = evaluate("demo_ky", "ky", REFERENCES, HEARD, np.random.default_rng(0), 200)
    assert (result.utterances, result.words, result.normaliser) == (3, 10, NORMALISER)
    assert (result.substitutions, result.deletions, result.insertions) == (1, 1, 1)
    assert result.wer == pytest.approx(0.3)
    assert result.raw_wer == pytest.approx(0.7)
    assert 0 < result.cer < result.raw_cer < 1
    for name in ("wer", "cer", "raw_wer", "raw_cer"):
        low, value, high = (getattr(result, name + end) for end in ("_low", "", "_high"))
        assert low <= value <= high


def test_an_evaluation_follows_from_its_seed() -> None:
    first, second, other = (
        evaluate("demo_ky", "ky", REFERENCES, HEARD, np.random.default_rng(seed), 100)
        for seed in (0, 0, 1)
    )
    assert first == second
    assert (first.wer, first.raw_cer) == (other.wer, other.raw_cer)


def test_the_share_of_words_with_letters_of_another_language() -> None:
    assert foreign_share(["бала қайда", "үйдө"], "ky") == pytest.approx(1 / 3)
    assert foreign_share(["бала кайда"], "ky") == 0
    assert foreign_share(["", ""], "ky") is None
    assert foreign_share(["қайда"], "kk") is None
