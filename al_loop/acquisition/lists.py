"""The short lists that a batch is chosen from, one after another. Pure.

Knows nothing of what makes a clip better than another.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from al_loop.acquisition.budget import NOBODY
from al_loop.config import SelectSettings
from al_loop.records import ScoredPool

LISTS = 20
"""Short lists at most, where one after another falls to the gates."""


def short_lists(
    rows: np.ndarray, pool: ScoredPool, costs: np.ndarray, settings: SelectSettings, budget: float
) -> Iterator[tuple[np.ndarray, float]]:
    """Parts of `rows` of the pool, which come best first, and the part of what is left of the
    budget that is to be spent on each.

    Where one is too short for the budget, the best are dealt over several. A speaker or source has
    no more of a list than its quota as long as there are others.
    """
    size = settings.shortlist
    late = np.zeros(len(rows), bool)
    for codes, share in (
        (pool.speaker, settings.max_speaker_share),
        (pool.source, settings.max_source_share),
    ):
        late |= _beyond(codes[rows], max(int(share * size), 1)) & (share < 1)
    rows = np.concatenate([rows[~late], rows[late]])
    # twice what the budget holds, so that there is a choice
    mean_cost = float(np.mean(costs[rows[:size]])) if len(rows) else 1.0
    parts = min(max(int(np.ceil(2 * budget / mean_cost / size)), 1), LISTS)
    parts = max(min(parts, int(np.ceil(len(rows) / size))), 1)
    for part in range(parts):
        yield rows[: parts * size][part::parts], 1 / (parts - part)
    for start in range(parts * size, min((parts + LISTS) * size, len(rows)), size):
        yield rows[start : start + size], 1.0


def _beyond(codes: np.ndarray, most: int) -> np.ndarray:
    """Which of the codes (N,) came `most` times before, in order; never that of an unknown one."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-2))
    position = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    found = np.empty(len(codes), bool)
    found[order] = position >= most
    return found & (codes != NOBODY)
