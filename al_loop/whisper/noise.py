"""How much of a gradient is noise, and how many clips it takes to average it away. Pure.

After McCandlish et al., "An Empirical Model of Large-Batch Training" (arXiv 1812.06162): the
gradient of B clips has the expected squared norm |G|^2 + tr(S)/B, where G is the gradient over all
data and S the covariance of one clip's gradient. Two batch sizes give both terms (appendix A.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MARGIN = 0.9
"""Ours: `accumulation_for` aims below the bound, for the two terms are estimates."""


@dataclass(frozen=True, slots=True)
class GradientNoise:
    """One measurement on `clips` clips.

    measured_norm: norm of their mean gradient, noise included. squared_norm: the estimate of |G|^2,
    with that noise taken off, 0 at least. variance: the estimate of tr(S), 0 at least.
    """

    clips: int
    measured_norm: float
    squared_norm: float
    variance: float

    @property
    def full_norm(self) -> float:
        """The estimate of the full gradient's norm, |G|."""
        return math.sqrt(self.squared_norm)


def gradient_noise(
    sizes: Sequence[int], squared_norms: Sequence[float], full_squared_norm: float
) -> GradientNoise:
    """From the squared gradient norms of parts of `sizes` clips, and that of all of them.

    The parts' mean squared norm is that of a batch of the sizes' harmonic mean. One part alone
    says nothing about noise: the variance is 0 then.
    """
    total = sum(sizes)
    small = len(sizes) / sum(1 / size for size in sizes)
    mean = sum(squared_norms) / len(squared_norms)
    if len(sizes) == 1:
        return GradientNoise(total, math.sqrt(full_squared_norm), full_squared_norm, 0.0)
    squared_norm = (total * full_squared_norm - small * mean) / (total - small)
    variance = (mean - full_squared_norm) / (1 / small - 1 / total)
    return GradientNoise(
        total, math.sqrt(full_squared_norm), max(squared_norm, 0.0), max(variance, 0.0)
    )


def accumulation_for(noise: GradientNoise, bound: float, batch_size: int, most: int) -> int:
    """Batches per optimiser step that keep the expected norm below `bound`, `most` at the most.

    Where the full gradient exceeds the bound nothing keeps it, and the batch is the paper's simple
    noise scale tr(S)/|G|^2: beyond it, accumulating costs steps and removes hardly any noise.
    """
    room = (MARGIN * bound) ** 2 - noise.squared_norm
    if noise.squared_norm >= bound**2:
        clips = noise.variance / noise.squared_norm
    elif room > 0:
        clips = noise.variance / room
    else:  # between the margin and the bound
        return most
    return min(max(math.ceil(clips / batch_size), 1), most)
