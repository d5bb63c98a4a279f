"""One contract, run on every acquisition function; and what each says of evident cases."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from al_loop.acquisition.functions import (
    FUNCTIONS,
    WORST_WER,
    Evidence,
    capped_error_rate,
    gradient_length,
    n_best_risk,
    perturbation_disagreement,
)
from al_loop.acquisition.predictor import Predictor, fit
from al_loop.config import Acquisition, CheapAcquisition
from al_loop.metrics import expected_errors, word_errors
from al_loop.records import Alternatives
from tests.acquisition.rows import HYPOTHESIS_NAMES, answer, clip

SIZE = 7
ANSWER = "бир эки үч төрт"
LESSER = ("эмне", "эмне эмне", "эмне эмне эмне", "эмне эмне эмне эмне")
RISING = {
    "mean_log_prob": -1.0,
    "mean_margin": -0.1,
    "compression_ratio": 0.0,
}
"""How the statistics of the less certain differ; the others grow."""


def predictor() -> Predictor:
    found = fit(
        [answer(clip("easy" if n % 2 else "noisy", n)) for n in range(40)],
        "random",
        np.random.default_rng(0),
    )
    assert found is not None
    return found


def alternatives(doubt: int) -> Alternatives:
    """Five further hypotheses, of which `doubt` have other words."""
    texts = [ANSWER] * (5 - min(doubt, 5)) + ["башка сөз бар бул"] * min(doubt, 5)
    return Alternatives("", texts, [-1.0] * 5, float(doubt))


def evidence(order: list[int] | None = None, missing: int | None = None) -> Evidence:
    """Clips in rising doubt; what was measured of the clip `missing` is not a number."""
    statistics = {
        name: np.linspace(0.1, 0.9, SIZE).astype(np.float32) * RISING.get(name, 1.0)
        + (name == "mean_margin")
        + (name == "compression_ratio")
        for name in HYPOTHESIS_NAMES
    }
    statistics["word_count"] = np.full(SIZE, 4, np.float32)
    further: list[Alternatives | None] = [alternatives(number) for number in range(SIZE)]
    if missing is not None:
        for values in statistics.values():
            values[missing] = np.nan
        further[missing] = None
    order = list(range(SIZE)) if order is None else order
    return Evidence(
        {name: values[order] for name, values in statistics.items()},
        np.full(len(order), 3.0),
        np.random.default_rng(3),
        "ky",
        [ANSWER] * len(order),
        [further[index] for index in order],
        predictor(),
    )


every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_judge = pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "random"])


@every_function
@pytest.mark.parametrize("size", [0, 1, SIZE])
def test_one_float64_for_each_clip(name: str, size: int) -> None:
    found = FUNCTIONS[name].score(evidence(list(range(size))))
    assert (found.shape, found.dtype) == ((size,), np.float64)
    assert np.isfinite(found).all()


@every_function
def test_the_same_generator_gives_the_same_scores(name: str) -> None:
    score = FUNCTIONS[name].score
    assert np.array_equal(score(evidence()), score(evidence()))


@every_judge
def test_a_score_belongs_to_its_clip_wherever_it_stands(name: str) -> None:
    score, order = FUNCTIONS[name].score, [4, 0, 6, 2, 1, 5, 3]
    assert np.allclose(score(evidence(order)), score(evidence())[order])


@every_judge
def test_what_was_not_measured_has_no_score(name: str) -> None:
    found = FUNCTIONS[name].score(evidence(missing=2))
    assert np.flatnonzero(np.isnan(found)).tolist() == [2]


@every_judge
def test_the_less_certain_never_score_lower_and_the_worst_higher(name: str) -> None:
    found = FUNCTIONS[name].score(evidence())
    assert (np.diff(found) >= -1e-12).all()
    assert found[-1] > found[0]


def test_random_prefers_nothing() -> None:
    rng = np.random.default_rng(0)
    rows = replace(evidence(), rng=rng)
    best = [int(FUNCTIONS["random"].score(rows).argmax()) for _ in range(700)]
    assert min(best.count(index) for index in range(SIZE)) > 70


def test_the_settings_name_every_function() -> None:
    assert set(get_args(Acquisition)) == set(FUNCTIONS)
    cheap = {name for name, row in FUNCTIONS.items() if row.needs == "statistics"}
    assert set(get_args(CheapAcquisition)) == cheap


def test_a_prediction_without_a_predictor_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs a predictor"):
        FUNCTIONS["predicted_wer"].score(replace(evidence(), predictor=None))


# -- word errors and risk --------------------------------------------------------------------------


def test_the_expected_errors_of_the_lectures_example() -> None:
    posterior = {
        "салют это ассистент джой": 0.36,
        "салютэто ассистент джой": 0.33,
        "салют это ассистент джо": 0.31,
    }
    texts, chances = list(posterior), list(posterior.values())
    found = [expected_errors(text, texts, chances) for text in texts]
    assert found == pytest.approx([0.97, 1.65, 1.35])


@pytest.mark.parametrize(
    ("reference", "heard", "errors"),
    [("", "", 0), ("бир эки", "", 2), ("", "бир эки үч", 3), ("бир эки", "бир үч эки", 1)],
)
def test_word_errors(reference: str, heard: str, errors: float) -> None:
    assert word_errors(reference, heard) == errors


def test_a_loop_counts_as_twice_its_words_at_most() -> None:
    assert capped_error_rate("бир", "эки " * 50) == WORST_WER


def test_risk_weighs_each_text_as_often_as_it_was_drawn() -> None:
    drawn = Alternatives(
        "", ["бир эки", "Бир, эки!", "бир үч", "бир эки"], [-9.0, -9.0, -0.1, -9.0]
    )
    assert n_best_risk("бир эки", drawn, "ky") == pytest.approx(0.25 * 0.5)


def test_disagreement_is_the_mean_error_rate() -> None:
    heard = Alternatives("", ["бир эки", "үч төрт"], [np.nan, np.nan])
    assert perturbation_disagreement("бир эки", heard, "ky") == pytest.approx(0.5)


def test_nothing_decoded_is_no_score() -> None:
    empty = Alternatives("", [], [])
    assert np.isnan(n_best_risk("бир", empty, "ky"))
    assert np.isnan(gradient_length(empty))
