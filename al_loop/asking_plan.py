"""Which tasks are asked beside a query batch: gold tasks and blind repeats, and their order. Pure.

Annotators are not told which tasks these are, so they lie among the others, and look like them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from al_loop.records import PlannedTask
from al_loop.text import normalise

Row = TypeVar("Row")


def how_many(share: float, size: int, rng: np.random.Generator) -> int:
    """A share of `size` as a whole number, drawn so that its mean is exact: batches are small."""
    return math.floor(share * size + rng.random())


def draw(rows: Sequence[Row], count: int, rng: np.random.Generator) -> list[Row]:
    """`count` of the rows at random, or all there are."""
    return [rows[place] for place in rng.permutation(len(rows))[:count]] if count else []


def wrong_draft(text: str, heard: str, language: str, rng: np.random.Generator) -> str:
    """What a gold task shows of a known text: what was heard, where that is wrong.

    Otherwise it is the text without one of its words. So whoever leaves the draft as it is has not
    listened.
    """
    if normalise(heard, language) != normalise(text, language):
        return heard
    words = text.split()
    spoken = [place for place, word in enumerate(words) if normalise(word, language)]
    if spoken:
        del words[spoken[rng.integers(len(spoken))]]
    return " ".join(words)


def interleaved(
    queries: Sequence[PlannedTask], others: Sequence[PlannedTask], rng: np.random.Generator
) -> list[PlannedTask]:
    """All of them by rank: queries in their order, the others in any, spread evenly among them.

    Each of the others has a stretch of the batch to itself, and lies anywhere in it.
    """
    stretch = len(queries) / max(len(others), 1)
    places = [(place + 0.5, row) for place, row in enumerate(queries)]
    for number, place in enumerate(rng.permutation(len(others))):
        places.append(((number + rng.random()) * stretch, others[place]))
    places.sort(key=lambda found: found[0])
    return [replace(row, rank=rank) for rank, (_, row) in enumerate(places)]
