"""What the points of a simulation say: curves, areas, what a strategy saves, with intervals. Pure.

Intervals are those of `al_loop.simulation.intervals`, but of junk Wilson's. Knows nothing of how
the points came about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.errors import WorkspaceError
from al_loop.metrics import Interval, wilson
from al_loop.simulation.intervals import Draws, interval, rate
from al_loop.simulation.point import Point

BASELINE = "random"


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
    """One strategy, measured against the baseline.

    area: mean WER over the seconds of audio that every strategy has spent. seconds: audio until the
    baseline's final WER is reached, interpolated between rounds; inf where it never is. share: the
    same as a share of what the baseline needs. annotator_area, annotator_seconds, annotator_share:
    the same three over the annotators' time. final_difference, area_difference: minus the
    baseline's, up to the audio that both have spent, below zero is better. spent: audio spent, as a
    share of the baseline's. junk_share: of the clips chosen. seeds: how many.
    """

    strategy: str
    steps: Sequence[Step]
    area: Interval
    seconds: Interval
    share: Interval
    annotator_area: Interval
    annotator_seconds: Interval
    annotator_share: Interval
    final_difference: Interval
    area_difference: Interval
    spent: float
    junk_share: Interval
    seeds: int


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

    draws = Draws(len(seeds), len(table[names[0], seeds[0], rounds[0]].words), samples, rng)
    wer = draws.of_rates(cells("errors"), cells("words"))
    base = names.index(baseline)
    by_audio, by_time = (
        _Curves(cells(spent).mean(axis=1), wer, base) for spent in ("chosen_s", "annotator_s")
    )
    found = []
    for index, name in enumerate(names):
        last = [table[name, seed, rounds[-1]] for seed in seeds]
        steps = [
            Step(
                number,
                float(by_audio.spent[index, place]),
                float(by_time.spent[index, place]),
                rate(wer[:, index, place]),
                _correlation([table[name, seed, number] for seed in seeds], draws, rng),
            )
            for place, number in enumerate(rounds)
        ]
        found.append(
            Result(
                name,
                steps,
                rate(by_audio.areas(index)),
                interval(by_audio.seconds(index)),
                interval(by_audio.shares(index)),
                rate(by_time.areas(index)),
                interval(by_time.seconds(index)),
                interval(by_time.shares(index)),
                interval(by_audio.final_differences(index)),
                interval(by_audio.area_differences(index)),
                by_audio.spent_share(index),
                wilson(sum(row.junk_tasks for row in last), sum(row.tasks for row in last)),
                len(seeds),
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class _Curves:
    """WER (samples, strategies, rounds) over `spent` (strategies, rounds), seconds of some kind."""

    spent: np.ndarray
    wer: np.ndarray
    base: int

    def areas(self, index: int, end_s: float | None = None) -> np.ndarray:
        """Up to the seconds that all have spent, unless told otherwise."""
        end_s = float(self.spent[:, -1].min()) if end_s is None else end_s
        return np.array([area(self.spent[index], row, end_s) for row in self.wer[:, index]])

    def seconds(self, index: int) -> np.ndarray:
        targets = self.wer[:, self.base, -1]
        return np.array(
            [
                seconds_to(self.spent[index], row, target)
                for row, target in zip(self.wer[:, index], targets, strict=True)
            ]
        )

    def shares(self, index: int) -> np.ndarray:
        pairs = zip(self.seconds(index), self.seconds(self.base), strict=True)
        return np.array([_share(row, of) for row, of in pairs])

    def final_differences(self, index: int) -> np.ndarray:
        return self._at_both_ends(index, index) - self._at_both_ends(index, self.base)

    def area_differences(self, index: int) -> np.ndarray:
        end_s = self._both(index)
        return self.areas(index, end_s) - self.areas(self.base, end_s)

    def spent_share(self, index: int) -> float:
        return _share(float(self.spent[index, -1]), float(self.spent[self.base, -1]))

    def _both(self, index: int) -> float:
        """The seconds that a strategy and the baseline have spent."""
        return float(self.spent[[index, self.base], -1].min())

    def _at_both_ends(self, index: int, of: int) -> np.ndarray:
        end_s = self._both(index)
        return np.array([np.interp(end_s, self.spent[of], row) for row in self.wer[:, of]])


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


def _correlation(
    points: Sequence[Point], draws: Draws, rng: np.random.Generator
) -> Interval | None:
    rows = [(row.spearman, row.spearman_low, row.spearman_high) for row in points]
    if any(value is None for row in rows for value in row):
        return None
    value, low, high = np.array(rows, dtype=float).T
    return draws.of_correlations(value, low, high, rng)
