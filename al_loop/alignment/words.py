"""What a path says of each word: when it is spoken, and how well it fits. Pure NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from al_loop.alignment.costs import Prices, frame_costs
from al_loop.alignment.text import UNKNOWN, Labels, Letters

BLOCK = 10_000
"""Frames whose costs are in memory at once."""
RUN = 3
"""Ours: words one after another. One that stands alone may fit what is said there by chance."""
BETWEEN = 2.0
"""Letters that may be said between two words of a run, at the price of letters that do not fit."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """When each of W words is spoken. Frames are those of the emissions, T of them.

    heard: (W,) bool, whether the path goes through the word; what else is said of others is 0.
    first, last: (W,) int64, the frames of its first and last letter. costs: (W,) float32, nats per
    letter, 0 or less: how much less likely the word is than what the recogniser hears freely.
    instead: (W,) float32, as costs: what the word's frames would cost as a gap. It is 0 where the
    recogniser hears no letter. unwritten: (T + 1,) float64, nats, 0 or less: what is said in the
    gaps between words, summed up to each frame. Silence there costs nothing.
    """

    heard: np.ndarray
    first: np.ndarray
    last: np.ndarray
    costs: np.ndarray
    instead: np.ndarray
    unwritten: np.ndarray

    def said(self, first: int, end: int) -> float:
        """What is said and not written from frame `first` up to `end`, in nats, 0 or less."""
        high = len(self.unwritten) - 1
        first, end = min(max(first, 0), high), min(max(end, 0), high)
        return float(self.unwritten[end] - self.unwritten[first]) if end > first else 0.0


def spoken(
    log_probs: np.ndarray,
    text: Letters,
    labels: Labels,
    path: np.ndarray,
    prices: Prices | None = None,
) -> Spoken:
    """Each word on the path (T,) that `align` found in log_probs (T, V)."""
    count = len(text)
    word_of = np.repeat(np.arange(count), text.sizes)
    is_gap = np.zeros(len(word_of) + 1, dtype=bool)
    is_gap[text.starts] = True
    columns = np.where(text.labels == UNKNOWN, -2, text.labels)
    first, last = np.full(count, len(path)), np.full(count, -1)
    costs, instead = np.zeros(count), np.zeros(count)
    unwritten = np.zeros(len(path) + 1)
    for begin in range(0, len(path), BLOCK):
        states = path[begin : begin + BLOCK]
        rows = np.asarray(log_probs[begin : begin + BLOCK], dtype=np.float32)
        table = frame_costs(rows, labels, prices or Prices())
        letter, is_letter = states // 2, states % 2 == 1
        gap = is_gap[letter] & ~is_letter
        inside = np.where(is_letter, columns[np.minimum(letter, len(columns) - 1)], labels.blank)
        cost = table[np.arange(len(states)), np.where(gap, -1, inside)]
        unwritten[1 + begin : 1 + begin + len(states)] = np.where(gap, cost, 0)
        spans = ~gap
        words, frames = word_of[letter[spans]], begin + np.flatnonzero(spans)
        np.add.at(costs, words, cost[spans])
        np.add.at(instead, words, table[spans, -1])
        np.minimum.at(first, words, frames)
        np.maximum.at(last, words, frames)
    heard = last >= 0
    return Spoken(
        heard,
        np.where(heard, first, 0),
        np.where(heard, last, 0),
        (costs / text.sizes).astype(np.float32),
        (instead / text.sizes).astype(np.float32),
        np.cumsum(unwritten),
    )


def fitting(words: Spoken, least: float, prices: Prices | None = None) -> np.ndarray:
    """(W,) bool: the words that are said as they are written, in runs of RUN or more.

    least: nats per letter, below 0; a word that costs more does not fit. Nor does one in whose
    place next to nothing is heard: to a recogniser that hears no letter, all words are alike.
    """
    price = (prices or Prices()).unwritten
    gained = words.costs - np.maximum(words.instead, -price)
    fits = words.heard & (gained >= price + least)
    said = words.unwritten[words.first[1:]] - words.unwritten[words.last[:-1] + 1]
    together = fits[1:] & fits[:-1] & (said >= BETWEEN * least)
    run = np.cumsum(np.concatenate([[True], ~together])[: len(fits)])
    return fits & (np.bincount(run, minlength=1)[run] >= min(RUN, len(fits)))


def spread(words: Spoken, kept: np.ndarray) -> Spoken:
    """Words of a part of a text as words of the whole; `kept` (W,) bool says which they are."""

    def whole(values: np.ndarray) -> np.ndarray:
        found = np.zeros(len(kept), dtype=values.dtype)
        found[kept] = values
        return found

    return Spoken(
        whole(words.heard),
        whole(words.first),
        whole(words.last),
        whole(words.costs),
        whole(words.instead),
        words.unwritten,
    )
