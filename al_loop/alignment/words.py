"""What a path says of each word: when it is spoken, and how well it fits. Pure NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from al_loop.alignment.costs import Prices, frame_costs
from al_loop.alignment.text import UNKNOWN, Labels, Letters

BLOCK = 10_000
"""Frames whose costs are in memory at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """When each of W words is spoken. Frames are those of the emissions.

    heard: (W,) bool, whether the path goes through the word; what else is said of others is 0.
    first, last: (W,) int64, the frames of its first and last letter. costs: (W,) float32, nats per
    letter, 0 or less: how much less likely the word is than what the recogniser hears freely.
    between: (W + 1,) float32, nats, what is said in the gap before each word and behind the last,
    where that is no silence.
    """

    heard: np.ndarray
    first: np.ndarray
    last: np.ndarray
    costs: np.ndarray
    between: np.ndarray


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
    gap_of = np.full(len(word_of) + 1, -1)
    gap_of[text.starts] = np.arange(count + 1)
    columns = np.where(text.labels == UNKNOWN, -2, text.labels)
    first, last = np.full(count, len(path)), np.full(count, -1)
    costs, between = np.zeros(count), np.zeros(count + 1)
    for begin in range(0, len(path), BLOCK):
        states = path[begin : begin + BLOCK]
        rows = np.asarray(log_probs[begin : begin + BLOCK], dtype=np.float32)
        table = frame_costs(rows, labels, prices or Prices())
        letter, is_letter = states // 2, states % 2 == 1
        gap = np.where(is_letter, -1, gap_of[letter])
        inside = np.where(is_letter, columns[np.minimum(letter, len(columns) - 1)], labels.blank)
        cost = table[np.arange(len(states)), np.where(gap >= 0, -1, inside)]
        np.add.at(between, gap[gap >= 0], cost[gap >= 0])
        spans = gap < 0
        words, frames = word_of[letter[spans]], begin + np.flatnonzero(spans)
        np.add.at(costs, words, cost[spans])
        np.minimum.at(first, words, frames)
        np.maximum.at(last, words, frames)
    heard = last >= 0
    return Spoken(
        heard,
        np.where(heard, first, 0),
        np.where(heard, last, 0),
        (costs / text.sizes).astype(np.float32),
        between.astype(np.float32),
    )
