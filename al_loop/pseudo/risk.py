"""The text with the least expected errors: minimum Bayes risk over n-best lists. Pure.

The likeliest text is the one that is most often right as a whole; what counts is how many words are
right. Over n-best lists: Stolcke, König and Weintraub, "Explicit word error minimization in n-best
list rescoring" (Eurospeech 1997); Goel and Byrne, "Minimum Bayes-risk automatic speech recognition"
(Computer Speech and Language 14, 2000). Lists of several recognisers are joined as the weighted
mixture of their posteriors: Evermann and Woodland, "Posterior probability decoding, confidence
estimation and system combination" (Speech Transcription Workshop 2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import softmax

from al_loop import metrics
from al_loop.text import normalise

Unit = Literal["word", "character"]
LOSSES = {"word": metrics.word_errors, "character": metrics.character_errors}
TIE = 1e-9
"""A difference below it comes from floating point."""


def expected_errors(
    texts: Sequence[str],
    posterior: Sequence[float] | np.ndarray,
    unit: Unit = "word",
    language: str | None = None,
) -> np.ndarray:
    """(N,) float64: the errors that each text is expected to have if one of them is right.

    posterior: (N,), how likely each is; divided by its sum. language: the texts are normalised as
    its own; None where they are, or are to be compared as written. Raises ValueError for a
    posterior that is none.
    """
    chances = _chances(texts, posterior)
    shown = list(texts) if language is None else [normalise(text, language) for text in texts]
    loss = LOSSES[unit]

    @lru_cache(None)
    def ordered(one: str, other: str) -> float:
        return loss(one, other)

    def between(one: str, other: str) -> float:
        """The distance is the same both ways: each pair is counted once."""
        return ordered(min(one, other), max(one, other))

    found = [metrics.expected_errors(text, shown, chances, between) for text in shown]
    return np.array(found, dtype=np.float64)


def least_risk(
    texts: Sequence[str],
    posterior: Sequence[float] | np.ndarray,
    unit: Unit = "word",
    language: str | None = None,
) -> int:
    """The place of the text with the least expected errors; as `expected_errors`.

    Of equals the likeliest, then the first. Raises ValueError where there is no text.
    """
    if not len(texts):
        raise ValueError("there is no text to choose from")
    risk = expected_errors(texts, posterior, unit, language)
    equal = np.flatnonzero(risk <= risk.min() + TIE)
    return int(equal[np.asarray(posterior, dtype=np.float64)[equal].argmax()])


def pool(
    lists: Sequence[tuple[float, Sequence[str], Sequence[float]]],
    temperature: float = 1.0,
    language: str | None = None,
) -> tuple[list[str], np.ndarray]:
    """The n-best lists of several recognisers as one: texts, the likeliest first, and their (N,)
    float64 posterior.

    lists: for each recogniser its weight, above 0, its K texts, and their log-probabilities, summed
    over the tokens of each, in nats. Each list becomes a posterior, softmax(log_probs /
    temperature), and counts by its weight; one without a text is left out, and so is its weight.
    A list whose log-probabilities are all nan, as those of perturbed models are, counts every text
    as often as it stands there. Equal texts are merged and their probabilities summed; with
    `language`, texts whose words are the same are equal, spelled as the likeliest of them. So a
    list must hold a text twice only where it was decoded in two ways.

    Raises ValueError for weights, temperatures and log-probabilities that are none.
    """
    if not (temperature > 0 and np.isfinite(temperature)):
        raise ValueError(f"the temperature is {temperature}: it must be above 0")
    given = [(float(weight), texts, log_probs) for weight, texts, log_probs in lists if len(texts)]
    total = sum(weight for weight, _, _ in given)
    mass: dict[str, float] = {}
    spellings: dict[str, dict[str, float]] = {}
    for weight, texts, log_probs in given:
        if not (weight > 0 and np.isfinite(weight)):
            raise ValueError(f"a recogniser's weight is {weight}: it must be above 0")
        for text, chance in zip(texts, _posterior(texts, log_probs, temperature), strict=True):
            key = text if language is None else normalise(text, language)
            share = weight / total * float(chance)
            mass[key] = mass.get(key, 0.0) + share
            known = spellings.setdefault(key, {})
            known[text] = known.get(text, 0.0) + share
    order = sorted(mass, key=lambda key: -mass[key])  # stable: ties as given
    texts = [max(spellings[key], key=lambda text: spellings[key][text]) for key in order]
    return texts, np.array([mass[key] for key in order], dtype=np.float64)


def _posterior(texts: Sequence[str], log_probs: Sequence[float], temperature: float) -> np.ndarray:
    """(K,) float64, summing to 1."""
    scores = np.asarray(log_probs, dtype=np.float64)
    if scores.shape != (len(texts),):
        raise ValueError(f"{len(texts)} texts have log-probabilities of shape {scores.shape}")
    if np.isnan(scores).all():
        return np.full(len(texts), 1 / len(texts))
    if np.isnan(scores).any() or (scores == np.inf).any() or np.isneginf(scores).all():
        raise ValueError(f"log-probabilities must be finite, or all nan: {scores.tolist()}")
    return softmax(scores / temperature)


def _chances(texts: Sequence[str], posterior: Sequence[float] | np.ndarray) -> list[float]:
    chances = np.asarray(posterior, dtype=np.float64)
    if chances.shape != (len(texts),):
        raise ValueError(f"{len(texts)} texts have a posterior of shape {chances.shape}")
    if not len(texts):
        return []
    if not (np.isfinite(chances).all() and (chances >= 0).all() and chances.sum() > 0):
        raise ValueError(f"no posterior, from 0 to 1 and not all 0: {chances.tolist()}")
    return [float(chance) for chance in chances / chances.sum()]
