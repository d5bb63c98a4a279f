"""Acquisition functions: statistics of hypotheses in, one acquisition score each out.

A larger score means that a label is expected to teach more. Pure NumPy; `rng` serves only the
functions that draw. Scores are comparable within one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from al_loop.records import Hypothesis

AcquisitionFunction = Callable[[Sequence[Hypothesis], np.random.Generator], np.ndarray]


def mean_token_entropy(hypotheses: Sequence[Hypothesis], rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: mean entropy of the token distributions, in nats.

    Malinin and Gales, "Uncertainty estimation in autoregressive structured prediction"
    (arXiv 2002.07650), the token-level total uncertainty of a single model.
    """
    return np.array([row.mean_token_entropy for row in hypotheses], dtype=np.float64)


def least_confidence(hypotheses: Sequence[Hypothesis], rng: np.random.Generator) -> np.ndarray:
    """(N,) float64: minus the length-normalised log-probability of the best hypothesis.

    Culotta and McCallum, "Reducing labeling effort for structured prediction tasks" (AAAI 2005),
    normalised by length as in Shen et al. (arXiv 1707.05928).
    """
    return -np.array([row.mean_log_prob for row in hypotheses], dtype=np.float64)


def random(hypotheses: Sequence[Hypothesis], rng: np.random.Generator) -> np.ndarray:
    """(N,) float64 in [0, 1): no preference, the baseline of every comparison."""
    return rng.random(len(hypotheses))


FUNCTIONS: Mapping[str, AcquisitionFunction] = {
    "mean_token_entropy": mean_token_entropy,
    "least_confidence": least_confidence,
    "random": random,
}
