"""The WER that a hypothesis probably has, learned from the labels that annotators returned. Pure.

Every answer tells how wrong the hypothesis was that came with it. With few answers the decoding
statistics are averaged, each as far as it is needed; with many, boosted trees find how they join
forces. Neither may say that doubt is a good sign. Knows not which clips are chosen for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.optimize import nnls
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression
from threadpoolctl import threadpool_limits

from al_loop.acquisition.functions import (
    FUNCTIONS,
    WORST_WER,
    Evidence,
    Statistics,
    capped_error_rate,
)
from al_loop.acquisition.quality import calibration, correlation, lead_over, on_control
from al_loop.records import Answer, Hypothesis
from al_loop.text import normalise

FEWEST = 12
"""Answers below which nothing is fitted. Ours."""
MANY = 200
"""Answers from which on trees are grown. Ours."""
FOLDS = 5
REPEATS = 4
"""Times that few answers are dealt into folds; how they fall would decide otherwise."""
ENOUGH_CONTROL = 30
"""Answers of the control arm from which on they alone decide who ranks. Ours."""
HALF_LIFE = 2.0
"""Rounds after which an answer weighs half: it is about an older checkpoint. Ours."""
STIFFNESS = 10.0
"""Weight of the prior that `TRUSTED` says it all. Ours: of 3, 10, 30 and 100 the best on clips of
the field pool (docs/lab-notes.md)."""
EXTREME = 3.0
"""Standard deviations beyond which a statistic says no more."""

DOUBTS = tuple(
    name for name, row in FUNCTIONS.items() if row.needs == "statistics" and name != "random"
)
"""What is learned from: all cheap acquisition functions but random, and then `HINTS`."""
TRUSTED = ("word_surprisal", "word_entropy")
"""Those that are relied on before answers say otherwise."""
HINTS = ("no_speech_prob", "compression_ratio")
"""Statistics of which more is doubt as well, though often they say nothing."""

Model = Callable[[np.ndarray], np.ndarray]
"""Doubts (N, F) float64, none nan -> WER (N,) float64."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """What was learned. quality: JSON, see `fit`. took_over: it orders clips better than the
    fallback does, beyond doubt, so it is the one to rank by."""

    model: Model
    quality: Mapping[str, Any]
    took_over: bool

    def wer(self, statistics: Statistics, duration_s: np.ndarray) -> np.ndarray:
        """(N,) float64 in 0 .. WORST_WER; nan where a statistic is missing."""
        doubts = _doubts(statistics, duration_s)
        known = np.isfinite(doubts).all(axis=1)
        found = np.full(len(doubts), np.nan)
        if known.any():
            found[known] = self.model(doubts[known])
        return found


def fit(
    answers: Sequence[Answer],
    fallback: str,
    rng: np.random.Generator,
    number: int | None = None,
) -> Predictor | None:
    """The predictor, or None with fewer than `FEWEST` labels whose hypothesis is to be trusted.

    number: the round that is chosen for, by default the one after the newest answer's; an answer's
    weight is by the rounds in between.

    It takes over when the 95% interval of its rank correlation less the fallback's lies above 0: a
    tie stays with the fallback, which nobody had to learn. The interval is a paired bootstrap of
    predictions of folds that an answer was not in. What ranked before chose the acquired arm, and
    so knows no difference there; with `ENOUGH_CONTROL` answers of the control arm, which no score
    chose, they alone decide. Ours.

    quality: {"answers", "method", "rounds": [first, last], "statistics": {name: correlation},
    "out_of_fold": correlation, "mae", "control": the same two on the control arm or None,
    "fallback": its name and correlation, "lead": the difference that decides, {"value", "low",
    "high", "answers", "of": "control arm" or "all arms"}, "took_over", "calibration": [{"answers",
    "predicted", "true"}]}. A correlation is Spearman's with the true WER, {"value", "low", "high",
    "answers"}, with a 95% interval (Bonett and Wright, Psychometrika 65, 2000), or None where it
    does not exist.
    """
    rows = _rows(answers)
    if len(rows) < FEWEST:
        return None
    doubts = np.array([row.doubts for row in rows])
    wer = np.array([row.wer for row in rows])
    rounds = np.array([row.answer.round for row in rows])
    newest = rounds.max() if number is None else number - 1
    weights = 0.5 ** (np.maximum(newest - rounds, 0) / HALF_LIFE)
    learn = _trees if len(rows) >= MANY else _average
    repeats = 1 if len(rows) >= MANY else REPEATS
    held_out = np.zeros(len(rows))
    for fold in [rng.permutation(len(rows)) % FOLDS for _ in range(repeats)]:
        for part in range(FOLDS):
            out = fold == part
            held_out[out] += learn(doubts[~out], wer[~out], weights[~out])(doubts[out]) / repeats

    correlations = {
        name: correlation(doubts[:, column], wer) for column, name in enumerate((*DOUBTS, *HINTS))
    }
    own = correlation(held_out, wer)
    theirs = correlations.get(fallback)  # random has none
    control = np.array([row.answer.arm == "control" for row in rows])
    decides = control if control.sum() >= ENOUGH_CONTROL else np.ones(len(rows), bool)
    names = list(correlations)
    rival = doubts[:, names.index(fallback)] if fallback in names else np.zeros(len(rows))
    lead = lead_over(held_out[decides], rival[decides], wer[decides], rng)
    lead["of"] = "control arm" if decides is control else "all arms"
    quality = {
        "answers": len(rows),
        "method": "boosted trees" if len(rows) >= MANY else "weighted doubts",
        "rounds": [int(rounds.min()), int(rounds.max())],
        "statistics": correlations,
        "out_of_fold": own,
        "mae": float(np.abs(held_out - wer).mean()),
        "control": on_control(held_out[control], wer[control]),
        "fallback": {"name": fallback, "correlation": theirs},
        "lead": lead,
        "took_over": lead["low"] > 0,
        "calibration": calibration(held_out, wer),
    }
    return Predictor(learn(doubts, wer, weights), quality, lead["low"] > 0)


@dataclass(frozen=True, slots=True)
class _Row:
    answer: Answer
    doubts: np.ndarray
    wer: float


def _rows(answers: Sequence[Answer]) -> list[_Row]:
    """The answers that can be learned from, by id."""
    labelled = [
        (row, row.hypothesis, wer)
        for row in sorted(answers, key=lambda row: row.utterance_id)
        if row.hypothesis is not None and row.trusted and (wer := _wer(row)) is not None
    ]
    statistics = {
        name: np.array([getattr(heard, name) for _, heard, _ in labelled], np.float64)
        for name in MEASURED
    }
    words = [len(heard.text.split()) for _, heard, _ in labelled]
    statistics["word_count"] = np.array(words, np.float64)
    duration_s = np.array([row.duration_s for row, _, _ in labelled])
    found = zip(labelled, _doubts(statistics, duration_s), strict=True)
    return [_Row(row, doubts, wer) for (row, _, wer), doubts in found if np.isfinite(doubts).all()]


MEASURED = tuple(row.name for row in fields(Hypothesis) if row.name not in ("utterance_id", "text"))


def _wer(answer: Answer) -> float | None:
    if answer.text is None or answer.hypothesis is None:
        return None
    reference = normalise(answer.text, answer.language)
    if not reference:  # a label without a word
        return None
    return capped_error_rate(reference, normalise(answer.hypothesis.text, answer.language))


def _doubts(statistics: Statistics, duration_s: np.ndarray) -> np.ndarray:
    """(N, F) float64: `DOUBTS` and `HINTS`; the more the more doubtful."""
    evidence = Evidence(statistics, duration_s, np.random.default_rng(0))  # none of them draws
    columns = [FUNCTIONS[name].score(evidence) for name in DOUBTS]
    columns += [np.asarray(statistics[name], np.float64) for name in HINTS]
    return np.stack(columns, axis=1)


def _average(doubts: np.ndarray, wer: np.ndarray, weights: np.ndarray) -> Model:
    """A weighted average of the standardised doubts, made a WER by isotonic regression.

    The weights are those of a ridge regression that is drawn to the mean of `TRUSTED` instead of to
    0, and has none below 0 (ours): with a dozen answers it is nearly that mean, which is hard to
    beat, and more answers may choose among all. Half of it stays as the straight line that
    it was, which keeps the order of what isotonic regression makes equal.
    """
    centre = np.average(doubts, axis=0, weights=weights)
    spread = np.sqrt(np.average((doubts - centre) ** 2, axis=0, weights=weights))
    spread[spread < 1e-9] = np.inf  # what never varies says nothing

    def standardise(values: np.ndarray) -> np.ndarray:
        return np.clip((values - centre) / spread, -EXTREME, EXTREME)

    features = standardise(doubts)
    mean = float(np.average(wer, weights=weights))
    size = features.shape[1]
    trusted = np.array([name in TRUSTED for name in (*DOUBTS, *HINTS)])
    doubt = features[:, trusted].mean(axis=1)
    slope = (weights * doubt) @ (wer - mean) / max(weights @ doubt**2, 1e-9)
    prior = np.where(trusted, max(float(slope), 0.0) / len(TRUSTED), 0.0)
    stiffness = np.sqrt(STIFFNESS * len(wer) ** 0.5)
    root = np.sqrt(weights)
    factors, _ = nnls(
        np.vstack([features * root[:, None], stiffness * np.eye(size)]),
        np.concatenate([(wer - mean) * root, stiffness * prior]),
    )

    def line(values: np.ndarray) -> np.ndarray:
        return np.clip(mean + standardise(values) @ factors, 0, WORST_WER)

    steps = IsotonicRegression(y_min=0, y_max=WORST_WER, out_of_bounds="clip")
    steps.fit(line(doubts), wer, sample_weight=weights)

    def model(values: np.ndarray) -> np.ndarray:
        straight = line(values)
        found: np.ndarray = 0.5 * (steps.predict(straight) + straight)
        return found

    return model


def _trees(doubts: np.ndarray, wer: np.ndarray, weights: np.ndarray) -> Model:
    """Gradient-boosted trees, monotone in every doubt; without a random choice."""
    trees = HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=120,
        max_leaf_nodes=8,
        min_samples_leaf=15,
        monotonic_cst=[1] * doubts.shape[1],
        early_stopping=False,
        random_state=0,
    )
    # so few rows are no work for two threads, which wait for each other at every node
    with threadpool_limits(1, "openmp"):
        trees.fit(doubts, wer, sample_weight=weights)

    def model(values: np.ndarray) -> np.ndarray:
        with threadpool_limits(1, "openmp"):
            found: np.ndarray = np.clip(trees.predict(values), 0, WORST_WER)
        return found

    return model
