"""The pool as columns of numbers: a million utterances, and no object for any of them.

Reads of the tables utterances, unhearable, profiles, query_batches and labels, and what was heard
from wherever it lies. Knows not how a query batch is chosen from what it gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from al_loop.records import ScoredPool
from storage.hypotheses import OF_THE_HYPOTHESIS, Hypotheses
from storage.profiles import PROFILE_STATISTICS, Profiles

CHUNK = 20_000
"""Rows that are Python objects at a time."""
STATISTICS = (*PROFILE_STATISTICS, *OF_THE_HYPOTHESIS)
TYPES: tuple[DTypeLike, ...] = (
    "S64",
    np.float64,
    np.int32,
    np.int32,
    np.int64,
    *(np.float32 for _ in PROFILE_STATISTICS),
)
"""Of ids, durations, sources, speakers, embedding rows, and the profiles' statistics."""
IN_THE_POOL = (
    "+u.split = 'pool' AND u.id NOT IN (SELECT utterance_id FROM query_batches) "
    "AND u.id NOT IN (SELECT utterance_id FROM labels) "
    "AND u.id NOT IN (SELECT utterance_id FROM unhearable)"
)
"""The plus keeps SQLite from sorting: it goes through the ids in order instead, as it does through
the profiles that it joins."""


class Pools(Profiles, Hypotheses):
    """The pool's numbers. Made over the profiles, whose embeddings it points to, and the
    hypotheses."""

    def has_pool(self) -> bool:
        """Whether any utterance may be chosen; fast, however large the pool is."""
        (found,) = self._row(
            "SELECT EXISTS (SELECT 1 FROM utterances u WHERE u.split = 'pool' "
            "AND u.id NOT IN (SELECT utterance_id FROM query_batches) "
            "AND u.id NOT IN (SELECT utterance_id FROM labels) "
            "AND u.id NOT IN (SELECT utterance_id FROM unhearable))"
        )
        return bool(found)

    def scored_pool(self, checkpoint_id: str, encoder: str) -> ScoredPool:
        """What may be chosen, with what is known of it.

        Profiles are those under `encoder`, hypotheses those of the checkpoint. Codes of sources
        and speakers count up in the order of the ids.
        """
        measured = [f"p.{name}" for name in PROFILE_STATISTICS]
        cursor = self.db.execute(
            "SELECT u.id, u.duration_s, u.source, u.speaker, coalesce(p.embedding_row, -1), "
            f"{', '.join(measured)} FROM utterances u "
            "LEFT JOIN profiles p ON p.encoder = ? AND p.utterance_id = u.id "
            f"WHERE {IN_THE_POOL} ORDER BY u.id",
            [encoder],
        )
        sources: dict[str | None, int] = {}
        speakers: dict[str | None, int] = {None: -1}
        chunks: list[list[np.ndarray]] = [[np.empty(0, kind) for kind in TYPES]]
        while rows := cursor.fetchmany(CHUNK):
            values: list[Sequence[Any]] = list(zip(*rows, strict=True))
            values[2], values[3] = _codes(values[2], sources), _codes(values[3], speakers)
            chunks.append(
                [np.array(column, kind) for column, kind in zip(values, TYPES, strict=True)]
            )
        columns = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
        ids, duration_s, source, speaker, embedding_rows, *statistics = columns
        of_hypotheses = [np.full(len(ids), np.nan, np.float32) for _ in OF_THE_HYPOTHESIS]
        self.take_heard(checkpoint_id, ids, np.ones(len(ids), bool), of_hypotheses)
        statistics += of_hypotheses
        return ScoredPool(
            ids,
            duration_s,
            source,
            speaker,
            embedding_rows,
            self.embeddings(encoder),
            dict(zip(STATISTICS, statistics, strict=True)),
        )


def _codes(names: Iterable[str | None], known: dict[str | None, int]) -> list[int]:
    """The code of each name; a name that is not known yet gets the next one."""
    return [known.setdefault(name, len(known) - (None in known)) for name in names]
