"""Which part of a pool is scored, and what comes next where time is short. Pure.

A huge pool is scored a part a round. Taking turns keeps two promises: the random turns show the
checkpoint what nobody would have looked for, and the promising ones keep the scores that matter
fresh. Knows neither time nor who listens.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from al_loop.acquisition.gates import PROFILE_RULES
from al_loop.records import ScoredPool, Selection

NEVER = -1
"""The round in which a clip was heard last that no checkpoint has heard."""


def profiled(pool: ScoredPool) -> np.ndarray:
    """(N,) bool: which clips have a profile. One of which every value is nan counts as none."""
    found = pool.embedding_rows >= 0
    for rule in PROFILE_RULES:
        found |= ~np.isnan(pool.statistics[rule.statistic])
    return found


def scored(pool: ScoredPool, trusted: bool) -> np.ndarray:
    """(N,) bool: which clips have all that ranking needs.

    That is a profile, and a hypothesis of the checkpoint, unless it is not `trusted` and decodes
    none.
    """
    found = profiled(pool)
    return found & pool.heard if trusted else found


def only_waits(selection: Selection) -> bool:
    """Whether a part of the pool waits, and nothing is asked about but what a gate holds back."""
    waits = bool(selection.facts.get("waiting"))
    return waits and all(row.arm == "explored" for row in selection.choices)


def by_turns(
    left: np.ndarray, last_heard: np.ndarray, promise: np.ndarray, rng: np.random.Generator
) -> Iterator[int]:
    """The rows in `left`, each once: by turns the stalest and the most promising. Ours.

    last_heard: (N,) of the whole pool, the round whose checkpoint heard a clip last, or `NEVER`;
    the stalest are the smallest, and among equals the order is random. promise: (N,) float64; nan
    has none and waits for its turn among the stalest. The random order is one of the whole pool,
    so that it stays the same when a killed process begins again with fewer rows left.
    """
    place = rng.permutation(len(last_heard))[left]
    stalest = left[np.lexsort((place, last_heard[left]))]
    known = left[~np.isnan(promise[left])]
    promising = known[np.lexsort((known, -promise[known]))]
    taken = np.zeros(len(last_heard), bool)
    lines = [_untaken(stalest, taken), _untaken(promising, taken)]
    while lines:
        for line in list(lines):
            row = next(line, None)
            if row is None:
                lines.remove(line)
                continue
            taken[row] = True
            yield row


def _untaken(rows: np.ndarray, taken: np.ndarray) -> Iterator[int]:
    return (int(row) for row in rows if not taken[row])
