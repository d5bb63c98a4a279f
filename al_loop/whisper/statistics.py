"""What the distributions that tokens were taken from say of how sure the model was. Knows no model.

Each step's distribution over 51,866 tokens is reduced to five numbers at once: kept whole, those of
a minute of speech would fill 100 MB.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import torch

TOP_PART = 5
"""Ours: of a clip's tokens one in so many, those of the highest entropy, make the top's mean."""
CUBED = 3
EXPONENT = 1 / CUBED
"""Of the generalised entropies, as in NeMo (Laptev and Ginsburg, arXiv 2212.08703)."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One clip's tokens (without prompt and end) and statistics.

    See `al_loop.records.Hypothesis`. With p the distribution that a token was taken from and
    a = 1/3, its Shannon entropy is -sum p log p, Tsallis' (sum p^a - 1) / (1 - a), and Renyi's
    log(sum p^a) / (1 - a); the two weigh improbable tokens more (arXiv 2212.08703, where they are
    scaled to confidences).
    """

    tokens: list[int]
    mean_log_prob: float
    mean_token_entropy: float
    top_token_entropy: float
    tsallis_entropy: float
    renyi_entropy: float
    mean_margin: float
    no_speech_prob: float


def token_statistics(log_probs: torch.Tensor) -> torch.Tensor:
    """(5, A): log-probability of the likeliest token, entropies (Shannon, Tsallis, Renyi), margin.

    log_probs: (A, V) float32, normalised; finite, also where a token is impossible.
    """
    best = log_probs.topk(2, dim=-1).values
    roots = (log_probs / CUBED).exp_()  # p^(1/3): one exponential for all of them
    powers = roots.sum(-1)
    probabilities = roots.pow_(CUBED)
    return torch.stack(
        [
            best[:, 0],
            -torch.linalg.vecdot(probabilities, log_probs),
            (powers - 1) / (1 - EXPONENT),
            powers.log() / (1 - EXPONENT),
            best[:, 0].exp() - best[:, 1].exp(),
        ]
    )


def summary(tokens: list[int], statistics: torch.Tensor, no_speech_prob: float) -> Decoded:
    """One clip's tokens and statistics; statistics: (5, N) of its N steps, the end's included."""
    log_prob, entropy, tsallis, renyi, margin = statistics.mean(-1).tolist()
    return Decoded(
        tokens=tokens,
        mean_log_prob=log_prob,
        mean_token_entropy=entropy,
        top_token_entropy=top_mean(statistics[1]),
        tsallis_entropy=tsallis,
        renyi_entropy=renyi,
        mean_margin=margin,
        no_speech_prob=no_speech_prob,
    )


def top_mean(values: torch.Tensor) -> float:
    """The mean of the highest fifth of `values` (N,), rounded up to whole values."""
    return float(values.topk(math.ceil(len(values) / TOP_PART)).values.mean())


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes of its zlib form, as openai/whisper defines it; 0 when empty."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0
