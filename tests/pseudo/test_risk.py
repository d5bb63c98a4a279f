"""The choice with the least expected errors, and n-best lists joined."""

from __future__ import annotations

import math

import numpy as np
import pytest

from al_loop.pseudo.risk import expected_errors, least_risk, pool

SALYUT = ["салют это ассистент джой", "салютэто ассистент джой", "салют это ассистент джо"]
CHANCES = [0.36, 0.33, 0.31]


# -- expected errors -------------------------------------------------------------------------------


def test_the_lectures_example() -> None:
    assert expected_errors(SALYUT, CHANCES) == pytest.approx([0.97, 1.65, 1.35], abs=1e-12)
    assert least_risk(SALYUT, CHANCES) == 0


def test_the_likeliest_text_may_be_the_riskier_one() -> None:
    texts = ["абам келди", "бала алма жейт", "бала алма жеди", "бала алма жеп"]
    posterior = [0.4, 0.2, 0.2, 0.2]
    assert expected_errors(texts, posterior) == pytest.approx([1.8, 1.6, 1.6, 1.6])
    assert least_risk(texts, posterior) == 1  # of equals the first


def test_of_equal_risks_the_likelier_is_taken() -> None:
    assert least_risk(["бала", "кыз"], [0.4, 0.6]) == 1
    # either of the two differs from the third alike
    assert least_risk(["а б", "в г", "а б"], [0.25, 0.5, 0.25]) == 1


def test_characters_are_another_unit() -> None:
    texts = ["бала", "кала", "тоого"]
    found = expected_errors(texts, [0.5, 0.25, 0.25], "character")
    assert found == pytest.approx([0.25 * 1 + 0.25 * 5, 0.5 * 1 + 0.25 * 5, 0.5 * 5 + 0.25 * 5])
    assert expected_errors(["бир эки", "бирэки"], [0, 1], "character") == pytest.approx([1, 0])
    assert expected_errors(["бир эки", "бирэки"], [0, 1], "word") == pytest.approx([2, 0])


def test_a_language_compares_words_alone() -> None:
    texts = ["Саат 7де.", "саат жетиде"]
    assert expected_errors(texts, [0.5, 0.5], language="ky") == pytest.approx([0, 0])
    assert expected_errors(texts, [0.5, 0.5]) == pytest.approx([1, 1])


def test_empty_texts_cost_the_words_of_the_others() -> None:
    assert expected_errors(["", "бир эки"], [0.5, 0.5]) == pytest.approx([1, 1])
    assert expected_errors(["", ""], [0.5, 0.5]) == pytest.approx([0, 0])


def test_a_posterior_is_divided_by_its_sum() -> None:
    assert expected_errors(SALYUT, [36, 33, 31]) == pytest.approx([0.97, 1.65, 1.35])


def test_no_text_has_no_risk() -> None:
    assert expected_errors([], []).shape == (0,)
    with pytest.raises(ValueError, match="no text to choose from"):
        least_risk([], [])


@pytest.mark.parametrize("posterior", [[0.5, math.nan], [1.5, -0.5], [0, 0], [math.inf, 0]])
def test_what_is_no_posterior_is_an_error(posterior: list[float]) -> None:
    with pytest.raises(ValueError, match="no posterior"):
        expected_errors(["бир", "эки"], posterior)


def test_lengths_that_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 texts have a posterior of shape"):
        expected_errors(["бир", "эки"], [1.0])


# -- several recognisers' lists --------------------------------------------------------------------


def test_two_lists_are_mixed_by_weight() -> None:
    whisper = (3.0, ["бала алды", "бала алдым"], [math.log(0.6), math.log(0.2)])
    ctc = (1.0, ["бала алдым", "кала алды"], [-5.0, -5.0])
    texts, posterior = pool([whisper, ctc])
    assert texts == ["бала алды", "бала алдым", "кала алды"]
    assert posterior == pytest.approx([0.75 * 0.75, 0.75 * 0.25 + 0.25 * 0.5, 0.25 * 0.5])


def test_together_they_choose_what_neither_thought_likeliest() -> None:
    one = (1.0, ["кала китеп алды", "бала китеп алды"], [math.log(0.55), math.log(0.45)])
    other = (1.0, ["бала кетип алды", "бала китеп алды"], [math.log(0.55), math.log(0.45)])
    texts, posterior = pool([one, other])
    assert texts[least_risk(texts, posterior)] == "бала китеп алды"


def test_a_high_temperature_evens_out() -> None:
    cold, even = (
        pool([(1.0, ["бир", "эки"], [-1.0, -3.0])], temperature)[1] for temperature in (0.01, 1e9)
    )
    assert cold == pytest.approx([1, 0])
    assert even == pytest.approx([0.5, 0.5])
    assert pool([(1.0, ["бир", "эки"], [-1.0, -3.0])], 2.0)[1][0] == pytest.approx(
        math.e / (1 + math.e)
    )


def test_with_a_language_the_same_words_are_one_text() -> None:
    lists = [
        (1.0, ["бала алды", "Бала алды.", "бала"], np.log([0.3, 0.5, 0.2])),
        (1.0, ["Бала алды!"], [-9.0]),
    ]
    texts, posterior = pool(lists, language="ky")
    assert texts == ["Бала алды!", "бала"]
    assert posterior == pytest.approx([0.9, 0.1])
    assert len(pool(lists)[0]) == 4


def test_a_recogniser_that_heard_nothing_loses_its_vote_but_an_empty_text_keeps_it() -> None:
    full = (1.0, ["бир"], [-1.0])
    assert pool([(5.0, [], []), full])[1] == pytest.approx([1.0])
    texts, posterior = pool([(3.0, [""], [-1.0]), full])
    assert texts == ["", "бир"]
    assert posterior == pytest.approx([0.75, 0.25])


def test_without_log_probabilities_every_text_counts_once() -> None:
    texts, posterior = pool([(1.0, ["бир", "эки", "бир", "үч"], [math.nan] * 4)])
    assert texts == ["бир", "эки", "үч"]
    assert posterior == pytest.approx([0.5, 0.25, 0.25])


def test_a_text_that_is_ruled_out_has_no_share() -> None:
    assert pool([(1.0, ["бир", "эки"], [-2.0, -math.inf])])[1] == pytest.approx([1, 0])


def test_nothing_pooled_is_nothing() -> None:
    for lists in ([], [(1.0, [], [])]):
        texts, posterior = pool(lists)
        assert texts == []
        assert posterior.shape == (0,)


@pytest.mark.parametrize(
    ("lists", "complaint"),
    [
        ([(0.0, ["бир"], [-1.0])], "weight is 0.0"),
        ([(math.nan, ["бир"], [-1.0])], "weight is nan"),
        ([(1.0, ["бир"], [-1.0, -2.0])], "1 texts have log-probabilities of shape"),
        ([(1.0, ["бир", "эки"], [-1.0, math.nan])], "finite, or all nan"),
        ([(1.0, ["бир"], [math.inf])], "finite, or all nan"),
        ([(1.0, ["бир"], [-math.inf])], "finite, or all nan"),
    ],
)
def test_what_cannot_be_pooled_is_an_error(lists: list, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        pool(lists)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_none_is_an_error(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        pool([(1.0, ["бир"], [-1.0])], temperature)
