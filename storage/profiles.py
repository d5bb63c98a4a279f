"""What each utterance sounds like: its profile, measured once under each encoder.

Tables: encoders, embedding_tail, profiles. Embeddings lie beside the database, in one flat file an
encoder: rows of D little-endian float16 and nothing else, so that a million of them are mapped, not
read. Knows no encoder but by its name.

The database decides which rows of a file count. It takes them first, in the transaction that names
them: waiting for a file with every small block would take longer than all else. They move to the
file together, before anybody reads it; what a killed process wrote there without committing, the
next one overwrites with the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path

import numpy as np

from al_loop.errors import WorkspaceError
from al_loop.records import Profile, Utterance
from storage.catalogue import Catalogue

PROFILE_STATISTICS = ("loudness_dbfs", "clipped_share", "speech_share", "other_language_prob")
STATISTICS = attrgetter(*PROFILE_STATISTICS)
EMBEDDING_TYPE = np.dtype("<f2")
LARGEST = float(np.finfo(np.float16).max)
TAIL_ROWS = 20_000
"""That the database takes before they move to the file."""


class Profiles(Catalogue):
    """The profiles, and the files of embeddings.

    Made over the catalogue, which says what has none yet.
    """

    def unprofiled(self, encoder: str) -> list[Utterance]:
        """The utterances of the pool and of the train split that have no profile.

        Among them are those that are labelled already: others may be duplicates of them.
        """
        return self._utterances(
            "WHERE split IN ('pool', 'train') AND id NOT IN (SELECT utterance_id FROM unhearable) "
            "AND NOT EXISTS "
            "(SELECT 1 FROM profiles p WHERE p.encoder = ? AND p.utterance_id = u.id)",
            [encoder],
        )

    def add_profiles(self, encoder: str, profiles: Iterable[Profile]) -> list[str]:
        """Keep profiles, in place of older ones of the same utterances.

        Embeddings are rounded to float16; what is beyond its range becomes its largest number. One
        with a value that is not finite is left out, and the ids of its utterances come back.
        Raises WorkspaceError for an embedding of another dimension than those that the encoder
        gave before.
        """
        profiles = list(profiles)
        if not profiles:
            return []
        block = _stacked(encoder, profiles)
        placed = np.isfinite(block).all(axis=1)
        block = block[placed]
        places = np.where(placed, np.cumsum(placed) - 1, -1).tolist()
        with self.transaction(waits=False):
            start, dimension, path = self._file(encoder)
            if start == 0:
                dimension, path = block.shape[1], self.workspace.embeddings / _file_name(encoder)
                self._put_all(
                    "encoders", ("name", "dimension", "file"), [(encoder, dimension, path.name)]
                )
                # what is left of profiles that somebody deleted
                self.db.execute("DELETE FROM embedding_tail WHERE encoder = ?", [encoder])
                path.touch()  # a backup looks for it
            if dimension != block.shape[1]:
                raise WorkspaceError(
                    f"embeddings of {encoder} have {block.shape[1]} values, but those measured "
                    f"earlier have {dimension}: this is another model under the same name; put the "
                    f"earlier one back, or {self._start_over(encoder)}"
                )
            in_file = self._in_file(encoder, start)
            self._check_length(encoder, path, in_file * dimension)
            if len(block):
                self._put_all(
                    "embedding_tail",
                    ("encoder", "start", "embeddings"),
                    [(encoder, start, block.tobytes())],
                )
            self._put_all(
                "profiles",
                (
                    "encoder",
                    "utterance_id",
                    *PROFILE_STATISTICS,
                    "other_language",
                    "embedding_row",
                ),
                (
                    (
                        encoder,
                        row.utterance_id,
                        *map(float, STATISTICS(row)),
                        row.other_language,
                        start + place if place >= 0 else None,
                    )
                    for place, row in zip(places, profiles, strict=True)
                ),
            )
        if start + len(block) - in_file >= TAIL_ROWS:
            self._move_tail(encoder)
        return [row.utterance_id for place, row in zip(places, profiles, strict=True) if place < 0]

    def profiles(self, encoder: str, utterance_ids: Iterable[str]) -> dict[str, Profile]:
        """The profiles of those utterances that have one, by utterance id.

        An embedding that was not finite is nan.
        """
        columns = ", ".join(f"p.{name}" for name in PROFILE_STATISTICS)
        # CROSS keeps SQLite from going through all profiles, with the ids for each
        rows = self.db.execute(
            f"SELECT p.utterance_id, p.other_language, p.embedding_row, {columns} "
            "FROM json_each(?) wanted CROSS JOIN profiles p ON p.utterance_id = wanted.value "
            "WHERE p.encoder = ?",
            [json.dumps(list(utterance_ids)), encoder],
        ).fetchall()
        embeddings = self._embeddings_at(encoder, [row[2] for row in rows])
        return {
            utterance_id: Profile(
                utterance_id,
                other_language=language,
                embedding=embedding,
                **{
                    name: math.nan if value is None else value
                    for name, value in zip(PROFILE_STATISTICS, numbers, strict=True)
                },
            )
            for (utterance_id, language, _, *numbers), embedding in zip(
                rows, embeddings, strict=True
            )
        }

    # -- the files of embeddings -------------------------------------------------------------------

    def embeddings(self, encoder: str) -> np.ndarray:
        """All of the encoder's file, `(M, D) float16`, mapped; `(0, 0)` where there is none.

        Raises WorkspaceError when the file holds less than the database says.
        """
        self._move_tail(encoder)
        count, dimension, path = self._file(encoder)
        if count == 0:
            return np.empty((0, 0), EMBEDDING_TYPE)
        self._check_length(encoder, path, count * dimension)
        return np.memmap(path, EMBEDDING_TYPE, "r", shape=(count, dimension))

    def known_embeddings(self, encoder: str) -> np.ndarray:
        """`(K, D) float32`: what a clip may be a duplicate of, by utterance id.

        That is what is labelled, in a query batch, or in the train split.
        """
        rows = self.db.execute(
            "SELECT embedding_row FROM profiles WHERE encoder = ? AND embedding_row IS NOT NULL "
            "AND utterance_id IN "
            "(SELECT utterance_id FROM labels UNION SELECT utterance_id FROM query_batches "
            "UNION SELECT id FROM utterances WHERE split = 'train') ORDER BY utterance_id",
            [encoder],
        )
        return self._embeddings_at(encoder, [row[0] for row in rows])

    def _embeddings_at(self, encoder: str, rows: Sequence[int | None]) -> np.ndarray:
        """`(K, D) float32`, nan for None.

        Read, not mapped: each row would drag its neighbours into memory.
        """
        self._move_tail(encoder)
        count, dimension, path = self._file(encoder)
        found = np.full((len(rows), dimension), np.nan, EMBEDDING_TYPE)
        if count:
            self._check_length(encoder, path, count * dimension)
        if count and len(rows):
            with path.open("rb", buffering=0) as file:
                for place, row in enumerate(rows):
                    if row is not None:
                        os.preadv(file.fileno(), [found[place]], row * found.strides[0])
        return found.astype(np.float32)

    def _file(self, encoder: str) -> tuple[int, int, Path]:
        """How many rows of the encoder's file count, their dimension, and where it lies."""
        count, dimension, name = self._row(
            "SELECT (SELECT max(embedding_row) + 1 FROM profiles WHERE encoder = ?1), "
            "(SELECT dimension FROM encoders WHERE name = ?1), "
            "(SELECT file FROM encoders WHERE name = ?1)",
            [encoder],
        )
        return count or 0, dimension or 0, self.workspace.embeddings / (name or "")

    def _in_file(self, encoder: str, count: int) -> int:
        """How many of all `count` rows are in the file."""
        sql = "SELECT coalesce(min(start), ?) FROM embedding_tail WHERE encoder = ?"
        return int(self._row(sql, [count, encoder])[0])

    def _move_tail(self, encoder: str) -> None:
        """Have all rows of the encoder in its file, and on the disk."""
        count, dimension, path = self._file(encoder)
        if count == 0 or self._in_file(encoder, count) == count:
            return
        with self.transaction():
            in_file = self._in_file(encoder, self._file(encoder)[0])
            self._check_length(encoder, path, in_file * dimension)
            tail = self.db.execute(
                "SELECT start, embeddings FROM embedding_tail WHERE encoder = ? ORDER BY start",
                [encoder],
            )
            _write(path, ((row * dimension * EMBEDDING_TYPE.itemsize, data) for row, data in tail))
            self.db.execute("DELETE FROM embedding_tail WHERE encoder = ?", [encoder])

    def _check_length(self, encoder: str, path: Path, values: int) -> None:
        held = path.stat().st_size if path.is_file() else 0
        expected = values * EMBEDDING_TYPE.itemsize
        if held < expected:
            raise WorkspaceError(
                f"{path} holds {held} bytes of embeddings, but the database counts on {expected}; "
                f"put the file back from a backup, or {self._start_over(encoder)}"
            )

    def _start_over(self, encoder: str) -> str:
        """What a message tells to do when an encoder's embeddings are of no use any more."""
        name = encoder.replace("'", "''")
        return (
            "have all clips measured again in the next round: sqlite-utils "
            f"{self.workspace.database} \"DELETE FROM profiles WHERE encoder = '{name}'\""
        )


def _stacked(encoder: str, profiles: Sequence[Profile]) -> np.ndarray:
    """The embeddings of `profiles` as rows of a file; what was not finite is nan."""
    for row in profiles:
        shape, expected = np.shape(row.embedding), np.shape(profiles[0].embedding)
        if len(shape) != 1 or shape != expected or not shape[0]:
            raise WorkspaceError(
                f"the embedding of {row.utterance_id} by {encoder} has the shape {shape}, expected "
                "one row of numbers, as many as for other clips; name another encoder in "
                "embedding.encoder"
            )
    stacked = np.stack([row.embedding for row in profiles])
    stacked[np.isinf(stacked)] = np.nan  # else it would be clipped to a number
    return stacked.clip(-LARGEST, LARGEST).astype(EMBEDDING_TYPE)


def _file_name(encoder: str) -> str:
    """Readable, and another one for every name: an encoder may be called by a path."""
    readable = re.sub(r"[^a-z0-9]+", "-", encoder.lower()).strip("-")[-40:]
    return f"{readable}-{hashlib.sha256(encoder.encode()).hexdigest()[:8]}.f16"


def _write(path: Path, blocks: Iterable[tuple[int, bytes]]) -> None:
    """Write bytes, each from its offset on, and have them on the disk before this returns."""
    with path.open("r+b" if path.exists() else "wb") as file:
        for offset, data in blocks:
            file.seek(offset)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or its name may be lost where its rows are not
    finally:
        os.close(folder)
