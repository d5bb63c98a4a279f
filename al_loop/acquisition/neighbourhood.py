"""What lies around clips: what is known of it, what was said of it, and the gates that follow.

Reads the embeddings of the clips that it is asked about and of no others. Knows nothing of scores.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.acquisition.gates import DUPLICATE, LIKE_REJECTED, Verdicts, rejected_share
from al_loop.acquisition.space import Space
from al_loop.records import Answer, Gated, ScoredPool

PROBED = 256
"""Clips of a random order whose embeddings are looked at together."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Clips among others. embeddings: (n, D) of length 1; covered, known: see `Shortlist`; usable:
    (n,), the probability that an annotator can transcribe the clip."""

    embeddings: np.ndarray
    covered: np.ndarray
    known: np.ndarray
    usable: np.ndarray

    def only(self, kept: np.ndarray) -> Seen:
        """Those that `kept` (n,) bool says."""
        return Seen(self.embeddings[kept], self.covered[kept], self.known[kept], self.usable[kept])


class Neighbourhood:
    """The pool's clips among what is labelled or asked about. Rows are rows of the pool.

    known: (K, D) raw embeddings. limits: by gate; None holds nothing back. gated: by row, what was
    held back when it was looked at.
    """

    def __init__(
        self,
        pool: ScoredPool,
        space: Space,
        known: np.ndarray,
        answers: Sequence[Answer],
        released: Collection[str],
        limits: Mapping[str, float] | None,
    ) -> None:
        self.pool, self.space, self.known, self.limits = pool, space, known, limits
        self.verdicts = _verdicts(space, answers)
        self.released = np.array(sorted(released), dtype="S64")
        self.gated: dict[int, Gated] = {}

    def look(self, rows: np.ndarray, taken: Sequence[int] = ()) -> tuple[Seen, np.ndarray]:
        """Where these rows lie, and which of them (n,) bool the gates let through.

        taken: rows that are in the batch already, and count as known.
        """
        place = self.space.of(rows)
        covered, known = self.space.nearness(place, self.known)
        if len(taken):
            chosen = self.space.of(np.array(taken, dtype=np.int64))
            cosines = np.maximum(place @ chosen.T, 0).astype(np.float64)
            covered = np.maximum(covered, cosines.max(axis=1))
            known = known + (cosines**2).sum(axis=1)
        kept = np.ones(len(rows), bool)
        if self.limits is None:
            return Seen(place, covered, known, np.ones(len(rows))), kept
        rejected, usable = rejected_share(place, self.verdicts)
        free = self.is_released(rows)
        for gate, values in ((DUPLICATE, covered), (LIKE_REJECTED, rejected)):
            held = kept & ~free & (values > self.limits[gate])
            kept &= ~held
            for row, value in zip(rows[held].tolist(), values[held].tolist(), strict=True):
                self.hold(row, gate, value)
        return Seen(place, covered, known, usable), kept

    def is_released(self, rows: np.ndarray) -> np.ndarray:
        """(n,) bool: which of these rows no gate may hold back."""
        return np.isin(self.pool.ids[rows], self.released)

    def hold(self, row: int, gate: str, value: float) -> None:
        """Remember that a gate holds this row back; the first one counts."""
        assert self.limits is not None
        name = self.pool.ids[row].decode()
        self.gated.setdefault(row, Gated(name, gate, value, self.limits[gate]))

    def let_through(self, rows: np.ndarray) -> Iterator[int]:
        """These rows, in order, without those that the gates hold back."""
        for start in range(0, len(rows), PROBED):
            part = rows[start : start + PROBED]
            _, kept = self.look(part)
            yield from part[kept].tolist()


def _verdicts(space: Space, answers: Sequence[Answer]) -> Verdicts:
    heard = [
        row
        for row in answers
        if row.profile is not None
        and row.verdict != "skipped"
        and np.isfinite(row.profile.embedding).all()
    ]
    raw = np.array([row.profile.embedding for row in heard if row.profile], np.float32)
    rejected = np.array([row.verdict is not None for row in heard], bool)
    return Verdicts(space.place(raw), rejected)
