"""Error rates and their intervals: pure functions over counts, no I/O.

Intervals are percentile bootstraps over utterances, as Bisani and Ney proposed for speech
recognition (ICASSP 2004, "Bootstrap estimates for confidence intervals in ASR performance
evaluation"); differences resample the same utterances on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np

from al_loop.records import ErrorCounts, Evaluation
from al_loop.text import NORMALISER, normalise

LOW, HIGH = 2.5, 97.5
"""Percentiles of a 95% interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95% interval, all as fractions."""

    value: float
    low: float
    high: float


def count_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Word and character errors of one utterance, both texts normalised.

    Raises ValueError when the reference holds no word.
    """
    expected, heard = normalise(reference), normalise(hypothesis)
    if not expected:
        raise ValueError(f"the reference {reference!r} holds no word to compare with")
    words = jiwer.process_words(expected, heard)
    characters = jiwer.process_characters(expected, heard)
    return ErrorCounts(
        word_errors=words.substitutions + words.deletions + words.insertions,
        words=words.hits + words.substitutions + words.deletions,
        character_errors=characters.substitutions + characters.deletions + characters.insertions,
        characters=characters.hits + characters.substitutions + characters.deletions,
    )


def error_rate(
    errors: np.ndarray, lengths: np.ndarray, rng: np.random.Generator, samples: int
) -> Interval:
    """Errors (N,) over lengths (N,), with a bootstrap interval over the N utterances."""
    draws = _resample(len(errors), rng, samples)
    rates = errors[draws].sum(axis=1) / lengths[draws].sum(axis=1)
    low, high = np.percentile(rates, [LOW, HIGH])
    return Interval(float(errors.sum() / lengths.sum()), float(low), float(high))


def paired_difference(
    before: Sequence[ErrorCounts],
    after: Sequence[ErrorCounts],
    rng: np.random.Generator,
    samples: int,
) -> Interval:
    """WER after minus WER before on the same utterances; below zero is better."""
    words = np.array([row.words for row in before])
    change = np.array([b.word_errors - a.word_errors for a, b in zip(before, after, strict=True)])
    return error_rate(change, words, rng, samples)


def evaluate(
    name: str,
    language: str,
    counts: Sequence[ErrorCounts],
    rng: np.random.Generator,
    samples: int,
) -> Evaluation:
    """One checkpoint's WER and CER on the evaluation set `name`."""
    words = np.array([row.words for row in counts])
    wer = error_rate(np.array([row.word_errors for row in counts]), words, rng, samples)
    cer = error_rate(
        np.array([row.character_errors for row in counts]),
        np.array([row.characters for row in counts]),
        rng,
        samples,
    )
    return Evaluation(
        evaluation_set=name,
        language=language,
        utterances=len(counts),
        words=int(words.sum()),
        wer=wer.value,
        wer_low=wer.low,
        wer_high=wer.high,
        cer=cer.value,
        cer_low=cer.low,
        cer_high=cer.high,
        normaliser=NORMALISER,
    )


def _resample(size: int, rng: np.random.Generator, samples: int) -> np.ndarray:
    """Indices (samples, size) drawn with replacement."""
    return rng.integers(0, size, (samples, size))
