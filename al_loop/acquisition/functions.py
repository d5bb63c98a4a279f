"""Acquisition functions: what was measured of clips in, one acquisition score each out. Pure.

A larger score means that a label is expected to teach more. Where a measurement is missing (nan),
so is the score. Scores are comparable within one call. Knows neither which clips may be chosen nor
how many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from al_loop.metrics import expected_errors, word_errors
from al_loop.records import Alternatives
from al_loop.text import normalise

if TYPE_CHECKING:
    from al_loop.acquisition.predictor import Predictor

WORST_WER = 2.0
"""No clip counts for more. A looping hypothesis has a WER of 50, and its one label would outweigh
a batch; twice as many errors as words is already as bad as a hypothesis can usefully be. Ours."""

Statistics = Mapping[str, np.ndarray]
Needs = Literal["statistics", "sampled", "perturbed", "gradient", "predictor"]
"""What a function works on: the statistics of decoding, further hypotheses of a kind that `Doubt`
names, or the predictor that was learned from answers."""


# -- from the statistics of decoding ---------------------------------------------------------------


def random(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64 in [0, 1): no preference, the baseline of every comparison."""
    return rng.random(len(statistics["mean_log_prob"]))


def least_confidence(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: minus the length-normalised log-probability of the hypothesis, in nats.

    Culotta and McCallum, "Reducing labeling effort for structured prediction tasks" (AAAI 2005),
    normalised by length as in Shen et al. (arXiv 1707.05928).
    """
    return -_column(statistics, "mean_log_prob")


def mean_token_entropy(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: mean entropy of the token distributions, in nats.

    Malinin and Gales, "Uncertainty estimation in autoregressive structured prediction"
    (arXiv 2002.07650), the token-level total uncertainty of a single model.
    """
    return _column(statistics, "mean_token_entropy")


def top_token_entropy(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: mean of the highest fifth of the token entropies, in nats.

    The mean dilutes a single misheard word in a long clip. Ours; the worst tokens in the place of
    all, as the minimum is one of the aggregations in Laptev and Ginsburg (arXiv 2212.08703).
    """
    return _column(statistics, "top_token_entropy")


def tsallis_entropy(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: mean Tsallis entropy of the token distributions, exponent 1/3.

    Laptev and Ginsburg, "Fast entropy-based methods of word-level confidence estimation for
    end-to-end automatic speech recognition" (arXiv 2212.08703), the measure of NVIDIA's NeMo.
    """
    return _column(statistics, "tsallis_entropy")


def renyi_entropy(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: mean Renyi entropy of the token distributions, exponent 1/3 (2212.08703)."""
    return _column(statistics, "renyi_entropy")


def margin(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64 in [0, 1]: 1 less the mean distance of the two likeliest tokens.

    Scheffer, Decomain and Wrobel, "Active hidden Markov models for information extraction"
    (IDA 2001), averaged over the tokens.
    """
    return 1 - _column(statistics, "mean_margin")


def word_surprisal(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: minus the log-probability of the whole hypothesis, by its words, in nats.

    Whisper cuts a word that it does not know into many tokens; a mean over tokens then hides that
    it is the words that are doubtful. Ours: docs/lab-notes.md has its rank correlations with WER.
    """
    return -_per_word(statistics, "mean_log_prob")


def word_entropy(statistics: Statistics, rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: the sum of the token entropies by the words of the hypothesis, in nats. Ours,
    as `word_surprisal`."""
    return _per_word(statistics, "mean_token_entropy")


def _per_word(statistics: Statistics, name: str) -> np.ndarray:
    """A mean over tokens as a sum over tokens for each word; an empty hypothesis has one."""
    tokens = _column(statistics, "token_count") + 1  # the end token is one of them
    return _column(statistics, name) * tokens / np.maximum(_column(statistics, "word_count"), 1)


def _column(statistics: Statistics, name: str) -> np.ndarray:
    return np.asarray(statistics[name], dtype=np.float64)


# -- from further hypotheses of a clip -------------------------------------------------------------


def capped_error_rate(reference: str, heard: str) -> float:
    """Word errors for each word of the reference, at most `WORST_WER`; both texts normalised."""
    return min(word_errors(reference, heard) / max(len(reference.split()), 1), WORST_WER)


def n_best_risk(answer: str, alternatives: Alternatives, language: str) -> float:
    """The expected WER of `answer` under the posterior of the sampled hypotheses; nan for none.

    Minimum Bayes risk: Goel and Byrne, "Minimum Bayes-risk automatic speech recognition" (Computer
    Speech and Language 14, 2000). Samples are draws from the posterior, so each text weighs as
    often as it was drawn; weighing by probability would count that twice.
    """
    return _mean_error_rate(answer, alternatives, language)


def perturbation_disagreement(answer: str, alternatives: Alternatives, language: str) -> float:
    """The mean WER between `answer` and what perturbed models hear; nan for none.

    As the unsupervised filter of STAR (arXiv 2405.14161), and as dropout's disagreement in
    Khurana et al. (arXiv 2011.13439).
    """
    return _mean_error_rate(answer, alternatives, language)


def gradient_length(alternatives: Alternatives) -> float:
    """The expected length of the gradient that a label would give; nan where it is unknown.

    Huang et al., "Active learning for speech recognition: the power of gradients"
    (arXiv 1612.03226).
    """
    length = alternatives.gradient_length
    return float("nan") if length is None else float(length)


def _mean_error_rate(answer: str, alternatives: Alternatives, language: str) -> float:
    if not alternatives.texts:
        return float("nan")
    texts = [normalise(text, language) for text in alternatives.texts]
    distinct = sorted(set(texts))
    posterior = [texts.count(text) / len(texts) for text in distinct]
    return expected_errors(normalise(answer, language), distinct, posterior, capped_error_rate)


# -- all of them -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that scores may be made of, for N clips in one order.

    statistics: (N,) each. duration_s: (N,) float64. answers, alternatives: N each, None where the
    clip was not decoded again; empty where the function does not need them.
    """

    statistics: Statistics
    duration_s: np.ndarray
    rng: np.random.Generator
    language: str = ""
    answers: Sequence[str | None] = ()
    alternatives: Sequence[Alternatives | None] = ()
    predictor: Predictor | None = None


@dataclass(frozen=True, slots=True)
class AcquisitionFunction:
    """needs: what must be in the evidence; score: evidence of N clips -> (N,) float64."""

    needs: Needs
    score: Callable[[Evidence], np.ndarray]


def _cheap(
    function: Callable[[Statistics, np.random.Generator], np.ndarray],
) -> AcquisitionFunction:
    return AcquisitionFunction("statistics", lambda row: function(row.statistics, row.rng))


def _doubted(
    needs: Needs, function: Callable[[str, Alternatives, str], float]
) -> AcquisitionFunction:
    def score(evidence: Evidence) -> np.ndarray:
        found = [
            float("nan")
            if answer is None or row is None
            else function(answer, row, evidence.language)
            for answer, row in zip(evidence.answers, evidence.alternatives, strict=True)
        ]
        return np.array(found, dtype=np.float64)

    return AcquisitionFunction(needs, score)


def _predicted(evidence: Evidence) -> np.ndarray:
    """(N,) float64: the WER that the clip's hypothesis probably has; ours, see `predictor`."""
    if evidence.predictor is None:
        raise ValueError("a predicted WER needs a predictor: rank by the fallback without one")
    return evidence.predictor.wer(evidence.statistics, evidence.duration_s)


FUNCTIONS: Mapping[str, AcquisitionFunction] = {
    "random": _cheap(random),
    "least_confidence": _cheap(least_confidence),
    "mean_token_entropy": _cheap(mean_token_entropy),
    "top_token_entropy": _cheap(top_token_entropy),
    "tsallis_entropy": _cheap(tsallis_entropy),
    "renyi_entropy": _cheap(renyi_entropy),
    "margin": _cheap(margin),
    "word_surprisal": _cheap(word_surprisal),
    "word_entropy": _cheap(word_entropy),
    "n_best_risk": _doubted("sampled", n_best_risk),
    "perturbation_disagreement": _doubted("perturbed", perturbation_disagreement),
    "gradient_length": _doubted("gradient", lambda _answer, row, _language: gradient_length(row)),
    "predicted_wer": AcquisitionFunction("predictor", _predicted),
}
