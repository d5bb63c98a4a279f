"""Error rates and their intervals: pure functions over counts, no I/O.

Intervals are percentile bootstraps over utterances, as Bisani and Ney proposed for speech
recognition (ICASSP 2004, "Bootstrap estimates for confidence intervals in ASR performance
evaluation"); differences resample the same utterances on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import jiwer
import numpy as np

from al_loop.records import ErrorCounts, Evaluation
from al_loop.text import FOREIGN_LETTERS, NORMALISER, normalise

LOW, HIGH = 2.5, 97.5
"""Percentiles of a 95% interval."""
Z = NormalDist().inv_cdf(0.975)
"""Standard deviations of a normal distribution that such an interval reaches to either side."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95% interval, all as fractions."""

    value: float
    low: float
    high: float


def wilson(hits: int, total: int) -> Interval:
    """A share with its score interval: E. B. Wilson, JASA 22 (1927), sound at 0 and 1 too.

    It takes what was counted for independent.
    """
    if not total:
        return Interval(math.nan, math.nan, math.nan)
    share, scale = hits / total, 1 + Z**2 / total
    centre = (share + Z**2 / (2 * total)) / scale
    width = Z * math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2)) / scale
    return Interval(share, max(centre - width, 0.0), min(centre + width, 1.0))


def count_errors(reference: str, hypothesis: str, language: str) -> ErrorCounts:
    """Word and character errors of one utterance, both texts normalised.

    Raises ValueError when the reference holds no word.
    """
    expected, heard = normalise(reference, language), normalise(hypothesis, language)
    if not expected:
        raise ValueError(f"the reference {reference!r} holds no word to compare with")
    return _count(expected, heard)


def count_raw_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors in the texts as they were written: case, punctuation and digits count, spaces do not.

    Raises ValueError when the reference is empty.
    """
    if not reference.strip():
        raise ValueError("the reference is empty: there is nothing to compare with")
    return _count(" ".join(reference.split()), " ".join(hypothesis.split()))


def _count(expected: str, heard: str) -> ErrorCounts:
    words = jiwer.process_words(expected, heard)
    characters = jiwer.process_characters(expected, heard)
    return ErrorCounts(
        word_errors=words.substitutions + words.deletions + words.insertions,
        words=words.hits + words.substitutions + words.deletions,
        character_errors=characters.substitutions + characters.deletions + characters.insertions,
        characters=characters.hits + characters.substitutions + characters.deletions,
    )


def word_errors(reference: str, heard: str) -> float:
    """Substituted, missing and added words; both texts normalised. Symmetric."""
    if not reference or not heard:  # jiwer takes no empty reference
        return float(len((reference or heard).split()))
    found = jiwer.process_words(reference, heard)
    return float(found.substitutions + found.deletions + found.insertions)


def character_errors(reference: str, heard: str) -> float:
    """Substituted, missing and added characters; both texts normalised. Symmetric."""
    if not reference or not heard:
        return float(len(reference or heard))
    found = jiwer.process_characters(reference, heard)
    return float(found.substitutions + found.deletions + found.insertions)


def expected_errors(
    answer: str,
    texts: Sequence[str],
    posterior: Sequence[float],
    loss: Callable[[str, str], float] = word_errors,
) -> float:
    """What `answer` is expected to cost if one of `texts` is right, each with its probability."""
    return sum(
        probability * loss(text, answer)
        for text, probability in zip(texts, posterior, strict=True)
        if probability
    )


def error_rate(
    errors: np.ndarray, lengths: np.ndarray, rng: np.random.Generator, samples: int
) -> Interval:
    """Errors (N,) over lengths (N,), with a bootstrap interval over the N utterances."""
    return _rate(errors, lengths, _resample(len(errors), rng, samples))


def _rate(errors: np.ndarray, lengths: np.ndarray, draws: np.ndarray) -> Interval:
    """draws: (samples, N) indices of utterances."""
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
    references: Sequence[str],
    hypotheses: Sequence[str],
    rng: np.random.Generator,
    samples: int,
) -> Evaluation:
    """One checkpoint on the evaluation set `name`: all rates, from the same resamples."""
    draws = _resample(len(references), rng, samples)
    pairs = list(zip(references, hypotheses, strict=True))
    wer, cer = _word_and_character_rate([count_errors(*pair, language) for pair in pairs], draws)
    raw_wer, raw_cer = _word_and_character_rate([count_raw_errors(*pair) for pair in pairs], draws)
    expected, heard = (
        [normalise(text, language) for text in texts] for texts in (references, hypotheses)
    )
    words = jiwer.process_words(expected, heard)
    return Evaluation(
        evaluation_set=name,
        language=language,
        utterances=len(pairs),
        words=words.hits + words.substitutions + words.deletions,
        wer=wer.value,
        wer_low=wer.low,
        wer_high=wer.high,
        cer=cer.value,
        cer_low=cer.low,
        cer_high=cer.high,
        raw_wer=raw_wer.value,
        raw_wer_low=raw_wer.low,
        raw_wer_high=raw_wer.high,
        raw_cer=raw_cer.value,
        raw_cer_low=raw_cer.low,
        raw_cer_high=raw_cer.high,
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        foreign_share=foreign_share(heard, language),
        normaliser=NORMALISER,
    )


def foreign_share(heard: Sequence[str], language: str) -> float | None:
    """The share of the words of normalised texts that hold a foreign letter.

    None for a language without a rule, and where nothing was heard.
    """
    words = [word for text in heard for word in text.split()]
    if language not in FOREIGN_LETTERS or not words:
        return None
    return sum(not FOREIGN_LETTERS[language].isdisjoint(word) for word in words) / len(words)


def _word_and_character_rate(
    counts: Sequence[ErrorCounts], draws: np.ndarray
) -> tuple[Interval, Interval]:
    word_errors, words, character_errors, characters = np.array(
        [(row.word_errors, row.words, row.character_errors, row.characters) for row in counts]
    ).T
    return _rate(word_errors, words, draws), _rate(character_errors, characters, draws)


def _resample(size: int, rng: np.random.Generator, samples: int) -> np.ndarray:
    """Indices (samples, size) drawn with replacement."""
    return rng.integers(0, size, (samples, size))
