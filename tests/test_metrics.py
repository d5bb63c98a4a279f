import numpy as np
import pytest

from al_loop.metrics import count_errors, error_rate, evaluate, paired_difference
from al_loop.records import ErrorCounts
from al_loop.text import NORMALISER


def counts(errors: list[int], words: int = 10) -> list[ErrorCounts]:
    return [ErrorCounts(value, words, value, 5 * words) for value in errors]


def test_counts_words_and_characters_after_normalising() -> None:
    found = count_errors("Көп уюлдуулукка каршы!", "көп уюлдулукка каршы согуш")
    assert found == ErrorCounts(word_errors=2, words=3, character_errors=7, characters=21)


def test_an_empty_hypothesis_misses_every_word() -> None:
    assert count_errors("үйдө нан барбы", "").word_errors == 3


def test_a_reference_without_words_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds no word"):
        count_errors("…", "үйдө")


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


def test_evaluate_names_its_normaliser() -> None:
    result = evaluate("demo_ky", "ky", counts([1, 2, 3]), np.random.default_rng(0), 200)
    assert (result.utterances, result.words, result.normaliser) == (3, 30, NORMALISER)
    assert result.wer == pytest.approx(0.2)
    assert result.cer == pytest.approx(0.04)
    assert result.wer_low <= result.wer <= result.wer_high
