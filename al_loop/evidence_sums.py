"""What the answers of an arm add up to, round by round, and the arms compared within rounds. Pure.

Rounds differ in what there is to find and in how much of a batch the control arm is. Sums over all
rounds would take such a difference for one of the arms (E. H. Simpson, JRSS B 13, 1951), so arms
are compared within each round and the comparisons added up as Mantel and Haenszel did (JNCI 22,
1959); for rates over time see Greenland and Robins, Biometrics 41 (1985). A round in which an arm
has nothing adds nothing. Of one round the formulas are the plain difference and ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CHUNK = 2_000_000
"""Indices drawn at a time: 10,000 answers and 1,000 resamples need not be in memory at once."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the answers of one arm: each field (R, S) float64, R rounds, S resamples or 1.

    word_errors, words: where a hypothesis meets a label. edits, seconds: where the time is known
    too; junk takes time and holds no edit.
    """

    word_errors: np.ndarray
    words: np.ndarray
    edits: np.ndarray
    seconds: np.ndarray

    @property
    def wer(self) -> np.ndarray:
        """(S,) of all rounds together."""
        return over(self.word_errors.sum(axis=0), self.words.sum(axis=0))

    @property
    def edits_per_minute(self) -> np.ndarray:
        """(S,) of all rounds together."""
        return over(60 * self.edits.sum(axis=0), self.seconds.sum(axis=0))


def add_up(tables: Sequence[np.ndarray]) -> Sums:
    """tables: one a round, (N, 4) in the order of the fields."""
    return Sums(*np.array([table.sum(axis=0) for table in tables]).reshape(-1, 4).T[:, :, None])


def resampled(tables: Sequence[np.ndarray], rng: np.random.Generator, samples: int) -> Sums:
    """Sums over `samples` resamples of the rows of each table."""
    sums = np.zeros((4, len(tables), samples))
    for number, table in enumerate(tables):
        size = len(table)
        step = max(CHUNK // max(size, 1), 1)
        for start in range(0, samples if size else 0, step):
            draws = rng.integers(0, size, (min(step, samples - start), size))
            for column in range(4):
                drawn = table[:, column][draws].sum(axis=1)
                sums[column, number, start : start + step] = drawn
    return Sums(*sums)


def over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, nan where there is no whole."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def difference(
    part: np.ndarray, whole: np.ndarray, other_part: np.ndarray, other_whole: np.ndarray
) -> np.ndarray:
    """(S,): part / whole minus the other's, all (R, S), within rounds; nan where none has both."""
    both = whole + other_whole
    found = np.nansum(over(part * other_whole - other_part * whole, both), axis=0)
    return over(found, np.nansum(over(whole * other_whole, both), axis=0))


def minutes_saved(acquired: Sums, control: Sums) -> np.ndarray:
    """(S,): the minutes in which the control arm's rate finds the acquired arm's errors, less those
    that it took; inf where control has no errors, nan where no round has both arms."""
    both = acquired.seconds + control.seconds
    ours = np.nansum(over(acquired.edits * control.seconds, both), axis=0)
    theirs = np.nansum(over(control.edits * acquired.seconds, both), axis=0)
    shared = (acquired.seconds > 0) & (control.seconds > 0)
    spent_s = np.where(shared, acquired.seconds, 0).sum(axis=0)
    ratio = np.divide(ours, theirs, out=np.where(ours > 0, np.inf, 0.0), where=theirs > 0)
    needed_s = np.where(ratio > 0, spent_s * np.where(ratio > 0, ratio, 1), 0.0)
    return np.where(shared.any(axis=0), (needed_s - spent_s) / 60, np.nan)
