"""How long an annotator will need for a clip, learned from how long annotators needed. Pure.

An answer's time is how long its page was open, breaks included, so an hour may mean a minute's
work: such answers must not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from al_loop.metrics import word_errors
from al_loop.records import Answer
from al_loop.text import normalise

FEWEST = 20
"""Answers before the times are believed. Ours."""
BEFORE = (4.0, 2.5, 2.0)
"""Seconds for each clip, second of audio and word error while nobody has been timed. Ours: to open
a task and submit it, to listen twice and think, to retype a word."""
SPREAD = 0.4
"""Of the logarithm of the time, beyond which an answer counts less. Ours."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Seconds: `each_s` for a clip, `audio_factor` for a second of it, `error_s` for a word error.

    answers: how many it was learned from; 0 says that it is a guess.
    """

    each_s: float
    audio_factor: float
    error_s: float
    answers: int

    def seconds(self, duration_s: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """(N,) float64, for clips with so many expected word errors."""
        return self.each_s + self.audio_factor * duration_s + self.error_s * errors


def fit(answers: Sequence[Answer]) -> Effort:
    """The regression of the time on duration and word errors, or the guess for want of answers.

    No coefficient is below 0. Least squares of logarithms with Cauchy's loss, which flattens out:
    what took a hundred times as long as it should pulls with a hundredth of its weight.
    """
    rows = [found for answer in sorted(answers, key=_key) if (found := _row(answer))]
    if len(rows) < FEWEST:
        return Effort(*BEFORE, 0)
    duration_s, errors, taken_s = np.array(rows).T

    def misses(coefficients: np.ndarray) -> np.ndarray:
        each_s, audio_factor, error_s = coefficients
        predicted_s = each_s + audio_factor * duration_s + error_s * errors
        return np.log(np.maximum(predicted_s, 1e-3) / taken_s)

    found = least_squares(misses, BEFORE, bounds=(0, np.inf), loss="cauchy", f_scale=SPREAD)
    each_s, audio_factor, error_s = found.x.tolist()
    return Effort(each_s, audio_factor, error_s, len(rows))


def _key(answer: Answer) -> str:
    return answer.utterance_id


def _row(answer: Answer) -> tuple[float, float, float] | None:
    """(seconds of audio, word errors, seconds taken) of a transcribed clip whose time is known."""
    if answer.text is None or answer.hypothesis is None or not answer.lead_time_s:
        return None
    if answer.lead_time_s <= 0:
        return None
    reference = normalise(answer.text, answer.language)
    heard = normalise(answer.hypothesis.text, answer.language)
    return answer.duration_s, word_errors(reference, heard), answer.lead_time_s
