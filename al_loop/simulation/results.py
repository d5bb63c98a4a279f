"""What the points of a simulation say: curves, areas, what a strategy saves, with intervals. Pure.

Intervals are 95% percentile bootstraps: seeds are resampled, and within them the utterances of the
test set (Bisani and Ney, ICASSP 2004); a resample is the same one for every strategy, so that
differences are paired. Knows nothing of how the points came about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from al_loop.errors import WorkspaceError
from al_loop.metrics import HIGH, LOW, Interval
from al_loop.simulation.points import Point

BASELINE = "random"
Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Step:
    """One strategy after one round, the mean over seeds. chosen_s: audio listened to by then."""

    round: int
    chosen_s: float
    annotator_s: float
    wer: Interval
    spearman: Interval | None


@dataclass(frozen=True, slots=True)
class Result:
    """One strategy. area: mean WER over the seconds that every strategy has spent.

    seconds: audio until the baseline's final WER is reached, interpolated between rounds; inf
    where it never is. share: the same as a share of what the baseline needs. final_difference,
    area_difference: minus the baseline's, below zero is better. junk_share: of the clips chosen.
    """

    strategy: str
    steps: Sequence[Step]
    area: Interval
    seconds: Interval
    share: Interval
    final_difference: Interval
    area_difference: Interval
    junk_share: Interval


def results(
    points: Sequence[Point], rng: np.random.Generator, samples: int, baseline: str = BASELINE
) -> list[Result]:
    """One result a strategy, in the order of names, over the seeds and rounds that all have.

    Raises WorkspaceError where there is no such seed, or no baseline.
    """
    table = {(row.strategy, row.seed, row.round): row for row in points}
    names = sorted({row.strategy for row in points})
    rounds = sorted({row.round for row in points})
    seeds = [
        seed
        for seed in sorted({row.seed for row in points})
        if all((name, seed, number) in table for name in names for number in rounds)
    ]
    if baseline not in names or not seeds:
        raise WorkspaceError(
            f"expected {baseline!r} among the strategies and a seed with all rounds of each, got "
            f"{len(points)} points of {', '.join(names) or 'no strategy'}"
        )

    def cells(value: str) -> np.ndarray:
        """(strategies, seeds, rounds, …)"""
        return np.array(
            [
                [[getattr(table[name, seed, number], value) for number in rounds] for seed in seeds]
                for name in names
            ],
            dtype=float,
        )

    draws = _Draws(len(seeds), len(table[names[0], seeds[0], rounds[0]].words), samples, rng)
    chosen_s = draws.of_seeds(cells("chosen_s"))
    annotator_s = cells("annotator_s").mean(axis=1)
    wer = draws.of_rates(cells("errors"), cells("words"))
    ends = chosen_s[..., -1].min(axis=1)
    areas = np.array(
        [
            [area(x, y, end) for x, y in zip(spent, curves, strict=True)]
            for spent, curves, end in zip(chosen_s, wer, ends, strict=True)
        ]
    )
    base = names.index(baseline)
    seconds = np.array(
        [
            [seconds_to(x, y, curves[base, -1]) for x, y in zip(spent, curves, strict=True)]
            for spent, curves in zip(chosen_s, wer, strict=True)
        ]
    )
    shares = np.array([[_share(row, line[base]) for row in line] for line in seconds])
    found = []
    for index, name in enumerate(names):
        last = [table[name, seed, rounds[-1]] for seed in seeds]
        steps = [
            Step(
                number,
                float(chosen_s[0, index, place]),
                float(annotator_s[index, place]),
                _interval(wer[:, index, place]),
                _correlation([table[name, seed, number] for seed in seeds], draws, rng),
            )
            for place, number in enumerate(rounds)
        ]
        found.append(
            Result(
                name,
                steps,
                _interval(areas[:, index]),
                _interval(seconds[:, index]),
                _interval(shares[:, index]),
                _interval(wer[:, index, -1] - wer[:, base, -1]),
                _interval(areas[:, index] - areas[:, base]),
                wilson(sum(row.junk_tasks for row in last), sum(row.tasks for row in last)),
            )
        )
    return found


class _Draws:
    """Resamples of seeds and of test utterances; row 0 of each is the sample as it is."""

    def __init__(self, seeds: int, utterances: int, samples: int, rng: np.random.Generator) -> None:
        def counts(size: int) -> np.ndarray:
            """(samples + 1, size): how often each one is drawn."""
            return np.vstack([np.ones(size), rng.multinomial(size, [1 / size] * size, samples)])

        self.seeds = counts(seeds) / seeds
        self.utterances = counts(utterances)

    def of_seeds(self, values: np.ndarray) -> np.ndarray:
        """Means (samples + 1, …) of values (…, seeds, rounds), for every resample."""
        return np.einsum("skr,bk->bsr", values, self.seeds)

    def of_rates(self, errors: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Mean rates (samples + 1, …) of counts (…, seeds, rounds, utterances)."""
        rates = (errors @ self.utterances.T) / (words @ self.utterances.T)
        return np.einsum("skrb,bk->bsr", rates, self.seeds)


def area(chosen_s: np.ndarray, wer: np.ndarray, end_s: float) -> float:
    """Mean WER between 0 and `end_s` of the curve through the points (R,), by trapezoids."""
    if end_s <= chosen_s[0]:
        return float(wer[0])
    inside = chosen_s < end_s
    x = np.append(chosen_s[inside], end_s)
    y = np.append(wer[inside], np.interp(end_s, chosen_s, wer))
    return float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


def seconds_to(chosen_s: np.ndarray, wer: np.ndarray, target: float) -> float:
    """Seconds at which the curve through the points (R,) first is at `target` or below; or inf."""
    if wer[0] <= target:
        return float(chosen_s[0])
    for index in range(1, len(wer)):
        if wer[index] <= target:
            part = (wer[index - 1] - target) / (wer[index - 1] - wer[index])
            return float(chosen_s[index - 1] + part * (chosen_s[index] - chosen_s[index - 1]))
    return math.inf


def _share(seconds: float, of: float) -> float:
    """A share of nothing is 1 of nothing: where the baseline gains nothing, nothing is saved."""
    if of == 0:
        return 1.0 if seconds == 0 else math.inf
    return seconds / of


def wilson(hits: int, total: int) -> Interval:
    """A share with its score interval: E. B. Wilson, JASA 22 (1927), sound at 0 and 1 too."""
    if not total:
        return Interval(math.nan, math.nan, math.nan)
    share, scale = hits / total, 1 + Z**2 / total
    centre = (share + Z**2 / (2 * total)) / scale
    width = Z * math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2)) / scale
    return Interval(share, max(centre - width, 0.0), min(centre + width, 1.0))


def _interval(values: np.ndarray) -> Interval:
    """The first value, and where the others lie; inf is a value like any other."""
    low, high = np.percentile(values[1:], [LOW, HIGH], method="inverted_cdf")
    return Interval(float(values[0]), float(low), float(high))


def _correlation(
    points: Sequence[Point], draws: _Draws, rng: np.random.Generator
) -> Interval | None:
    """Mean over seeds; within a seed as its own interval says, normal on Fisher's z. Ours."""
    rows = [(row.spearman, row.spearman_low, row.spearman_high) for row in points]
    if any(value is None for row in rows for value in row):
        return None
    value, low, high = np.arctanh(np.clip(np.array(rows, dtype=float), -0.9999, 0.9999)).T
    spread = (high - low) / (2 * Z) * rng.standard_normal((len(draws.seeds), len(points)))
    spread[0] = 0
    return _interval((np.tanh(value + spread) * draws.seeds).sum(axis=1))
