"""What every clip of a pool is expected to hold and to cost, as far as answers have shown. Pure.

Knows nothing of gates, or of what is chosen for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from al_loop.acquisition import effort, ranking
from al_loop.acquisition.predictor import Predictor
from al_loop.config import SelectSettings
from al_loop.records import Answer, ScoredPool

PRESUMED_WER = 0.5
"""Of clips in an estimate of working time, while no predictor exists. Ours."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """(N,) float64 each. words: spoken; wer: of the hypothesis, nan where it cannot be told;
    annotator_s: working time. costs: seconds of what `budget` is in, which `budget_of` names."""

    words: np.ndarray
    wer: np.ndarray
    annotator_s: np.ndarray
    costs: np.ndarray
    budget: float
    budget_of: Literal["audio", "annotator"]
    effort: effort.Effort


def forecast(
    pool: ScoredPool,
    answers: Sequence[Answer],
    predictor: Predictor | None,
    settings: SelectSettings,
) -> Forecast:
    """Annotator minutes are the budget where they are set and answers have been timed."""
    words = ranking.spoken_words(pool)
    wer = np.full(len(pool.ids), np.nan)
    if predictor is not None:
        wer = predictor.wer(pool.statistics, pool.duration_s)
    learned = effort.fit(answers)
    errors = words * np.where(np.isfinite(wer), wer, PRESUMED_WER)
    annotator_s = learned.seconds(pool.duration_s, errors)
    if settings.budget_minutes is not None and learned.answers > 0:
        budget = 60 * settings.budget_minutes
        return Forecast(words, wer, annotator_s, annotator_s, budget, "annotator", learned)
    return Forecast(words, wer, annotator_s, pool.duration_s, settings.budget_s, "audio", learned)
