"""How sure the figures of a simulation are: resampled test clips, and how seeds differ. Pure.

A curve is the mean over seeds. Two things move it, and every resample moves it by both: which
clips the test set holds, drawn anew (Bisani and Ney, ICASSP 2004), and which seeds were run. Of the
second so few are known that drawing them anew would say too little of it: the mean is moved along
the seeds' own deviations from it instead, by a multivariate t with one degree of freedom less than
there are seeds, so that the interval of any one figure is Student's (Biometrika 6, 1908). The
deviations hold some of the clips' noise too, which makes intervals a bit too wide. With one seed
nothing is known of others, and intervals cover the choice of test clips alone.
"""

from __future__ import annotations

import math

import numpy as np

from al_loop.metrics import HIGH, LOW, Interval, Z


class Draws:
    """Resamples, the same for every strategy, so that differences are paired. Row 0 of each is the
    sample as it is."""

    def __init__(self, seeds: int, utterances: int, samples: int, rng: np.random.Generator) -> None:
        drawn = rng.multinomial(utterances, [1 / utterances] * utterances, samples)
        self.utterances = np.vstack([np.ones(utterances), drawn])
        self.seeds = np.zeros((samples + 1, seeds))
        if seeds > 1:
            normal = rng.standard_normal((samples, seeds))
            normal -= normal.mean(axis=1, keepdims=True)
            scale = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, samples))
            # times the deviations of values it has the variance of their mean, on a t scale
            self.seeds[1:] = normal * scale[:, None] / math.sqrt(seeds * (seeds - 1))

    def moved(self, values: np.ndarray) -> np.ndarray:
        """By how much other seeds would move the mean of values (…, seeds, rounds): (samples + 1,
        …, rounds)."""
        return np.einsum("...kr,bk->b...r", values, self.seeds)

    def of_rates(self, errors: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Mean rates (samples + 1, …, rounds) of counts (…, seeds, rounds, utterances)."""
        rates = (errors @ self.utterances.T) / (words @ self.utterances.T)
        means = np.moveaxis(rates.mean(axis=-3), -1, 0)
        return means + self.moved(rates[..., 0])

    def of_correlations(
        self, value: np.ndarray, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
    ) -> Interval:
        """The mean over seeds of rank correlations (seeds,) that have intervals of their own.

        Within a seed it moves as that interval says, normal on Fisher's z (ours).
        """
        rows = np.clip(np.array([value, low, high], dtype=float), -0.9999, 0.9999)
        centre, lower, upper = np.arctanh(rows)
        spread = (upper - lower) / (2 * Z) * rng.standard_normal(self.seeds.shape)
        spread[0] = 0
        means = np.tanh(centre + spread).mean(axis=1) + self.seeds @ rows[0]
        return interval(np.clip(means, -1, 1))


def interval(values: np.ndarray) -> Interval:
    """The first value, and where the others lie; inf is a value like any other."""
    low, high = np.percentile(values[1:], [LOW, HIGH], method="inverted_cdf")
    return Interval(float(values[0]), float(low), float(high))


def rate(values: np.ndarray) -> Interval:
    """The same of error rates, which are never below zero."""
    return interval(np.maximum(values, 0))


def described(seeds: int) -> str:
    """What intervals cover, in a sentence."""
    covered = "the choice of test clips only, as one seed tells nothing of others"
    if seeds > 1:
        covered = (
            f"the choice of test clips, resampled, and how the {seeds} seeds differ, on a t scale "
            f"({seeds - 1} degrees of freedom)"
        )
    return f"95% intervals cover {covered}; of junk they are Wilson's"
