"""What each checkpoint heard in each utterance, with its statistics. Knows not what they are for.

Tables: hypotheses, hypothesis_parts. Rows take what is heard block by block. Where a checkpoint has
many of them, those of the pool move into a file in one go, a part: there are as many more with
every checkpoint, and they are read as columns. What leaves the pool has rows again, so that whoever
joins the table finds all that was asked about or is measured on.

A part is whole on the disk before the transaction ends that names it and deletes the rows. Where an
utterance's hypothesis is in several places, the row counts, else that of the latest part.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.records import Hypothesis
from storage.database import Database
from storage.parts import (
    GROUP,
    HYPOTHESIS_COLUMNS,
    HYPOTHESIS_STATISTICS,
    PART_COLUMNS,
    SUFFIX,
    find_in_part,
    read_part,
    write_part,
)
from storage.workspace import Workspace

OF_THE_HYPOTHESIS = ("token_count", *HYPOTHESIS_STATISTICS, "word_count", "character_count")
VALUES = attrgetter(*HYPOTHESIS_COLUMNS)
CHUNK = 20_000
"""Rows that are Python objects at a time."""
MOST_ROWS = 200_000
"""Of the pool, that one checkpoint has; then they become a part. With 85,000 hypotheses a part took
97 bytes for each where rows took 414, and reading the pool half of the processor's time; moving
took as much as keeping a third of them. So many leave files that are few and large."""
MOVES = (
    "EXISTS (SELECT 1 FROM utterances u WHERE u.id = h.utterance_id AND u.split = 'pool') "
    "AND h.utterance_id NOT IN (SELECT utterance_id FROM query_batches)"
)
"""Of rows h: no query joins them but by their checkpoint and their pool."""


def hypothesis_of(row: Sequence[Any]) -> Hypothesis:
    """The hypothesis of one row of HYPOTHESIS_COLUMNS; SQLite keeps what is no number as NULL."""
    utterance_id, text, token_count, *statistics = row
    numbers = (math.nan if value is None else value for value in statistics)
    return Hypothesis(utterance_id, text, token_count, *numbers)


class Hypotheses(Database):
    """The hypotheses, with the length of their texts: a pool's numbers are read without texts."""

    def __init__(self, workspace: Workspace, log_ahead: bool = True) -> None:
        super().__init__(workspace, log_ahead)
        self._rows: dict[str, int] = {}  # of a checkpoint, at most

    def heard(self, checkpoint_id: str, utterance_ids: Iterable[str]) -> set[str]:
        """Those of the utterances that this checkpoint has decoded."""
        wanted = list(utterance_ids)
        rows = self.db.execute(
            "SELECT h.utterance_id FROM json_each(?) wanted "
            "CROSS JOIN hypotheses h ON h.utterance_id = wanted.value WHERE h.checkpoint_id = ?",
            [json.dumps(wanted), checkpoint_id],
        )
        found = {row[0] for row in rows}
        for row in self._in_parts(checkpoint_id, set(wanted) - found, ("utterance_id",)):
            found.add(row[0])
        return found

    def all_heard(self, checkpoint_id: str) -> np.ndarray:
        """(N,) "S64", sorted: every utterance that this checkpoint has decoded."""
        ids = [np.empty(0, "S64"), *(ids for ids, _ in self._columns(checkpoint_id, ()))]
        return np.unique(np.concatenate(ids))

    def add_hypotheses(self, checkpoint_id: str, hypotheses: Iterable[Hypothesis]) -> None:
        """Keep hypotheses, in place of older ones of the same utterances."""
        rows = [(*VALUES(row), len(row.text.split()), len(row.text)) for row in hypotheses]
        with self.transaction(waits=False):
            self._put_all(
                "hypotheses",
                ("checkpoint_id", *PART_COLUMNS),
                ((checkpoint_id, *row) for row in rows),
            )
        if self._are_many(checkpoint_id, len(rows)):
            self._move(checkpoint_id)

    def hypotheses(self, checkpoint_id: str, utterance_ids: Iterable[str]) -> dict[str, Hypothesis]:
        """What the checkpoint heard in those utterances, by utterance id."""
        wanted = list(utterance_ids)
        columns = ", ".join(f"h.{name}" for name in HYPOTHESIS_COLUMNS)
        # CROSS keeps SQLite from going through all hypotheses, with the ids for each
        rows = self.db.execute(
            f"SELECT {columns} FROM json_each(?) wanted "
            "CROSS JOIN hypotheses h ON h.utterance_id = wanted.value WHERE h.checkpoint_id = ?",
            [json.dumps(wanted), checkpoint_id],
        )
        found = {row[0]: hypothesis_of(row) for row in rows}
        missing = set(wanted) - found.keys()
        for row in self._in_parts(checkpoint_id, missing, HYPOTHESIS_COLUMNS):
            found[row[0]] = hypothesis_of(row)
        return found

    def take_heard(
        self,
        checkpoint_id: str,
        ids: np.ndarray,
        free: np.ndarray,
        columns: Sequence[np.ndarray],
    ) -> None:
        """Fill in the numbers of what the checkpoint heard, at the places that are free.

        ids: (N,) "S64", sorted. free: (N,) bool; what is filled in is not free any more. columns:
        (N,) each, those of OF_THE_HYPOTHESIS; what is no number is nan.
        """
        if not len(ids):
            return
        for heard, numbers in self._columns(checkpoint_id, OF_THE_HYPOTHESIS):
            places = np.minimum(np.searchsorted(ids, heard), len(ids) - 1)
            wanted = (ids[places] == heard) & free[places]
            places = places[wanted]
            free[places] = False
            for column, values in zip(columns, numbers, strict=True):
                column[places] = values[wanted]

    # -- parts -------------------------------------------------------------------------------------

    def keep_as_rows(self, utterance_ids: Iterable[str]) -> None:
        """Have rows of all that was heard in utterances that leave the pool."""
        wanted = set(utterance_ids)
        checkpoints = self.db.execute("SELECT DISTINCT checkpoint_id FROM hypothesis_parts")
        with self.transaction():
            for (checkpoint_id,) in checkpoints.fetchall():
                names = ", ".join(PART_COLUMNS)
                places = ", ".join("?" for _ in PART_COLUMNS)
                self.db.conn.executemany(
                    f"INSERT OR IGNORE INTO hypotheses (checkpoint_id, {names}) "
                    f"VALUES (?, {places})",
                    (
                        (checkpoint_id, *row)
                        for row in self._in_parts(checkpoint_id, wanted, PART_COLUMNS)
                    ),
                )

    def delete_unnamed_parts(self) -> None:
        """Delete what a process left that was killed while it wrote a part."""
        with self.transaction():  # whoever writes a part holds the database until it is named
            named = {row[0] for row in self.db.execute("SELECT file FROM hypothesis_parts")}
            if self.workspace.hypotheses.is_dir():
                for path in self.workspace.hypotheses.iterdir():
                    if path.name not in named:
                        path.unlink()

    def _are_many(self, checkpoint_id: str, added: int) -> bool:
        """Whether so many of the checkpoint's rows can move that it is worth it."""
        if checkpoint_id in self._rows:
            self._rows[checkpoint_id] += added
        else:
            self._rows[checkpoint_id] = self._count(checkpoint_id, "1")
        if self._rows[checkpoint_id] >= MOST_ROWS:
            self._rows[checkpoint_id] = self._count(checkpoint_id, MOVES)
        return self._rows[checkpoint_id] >= MOST_ROWS

    def _count(self, checkpoint_id: str, condition: str) -> int:
        sql = f"SELECT count(*) FROM hypotheses h WHERE h.checkpoint_id = ? AND {condition}"
        return int(self._row(sql, [checkpoint_id])[0])

    def _move(self, checkpoint_id: str) -> None:
        """Move the pool's rows of the checkpoint into a part."""
        with self.transaction():
            self.delete_unnamed_parts()
            (number,) = self._row("SELECT coalesce(max(number), 0) + 1 FROM hypothesis_parts")
            path = self.workspace.hypotheses / f"{number:06d}{SUFFIX}"
            rows = self.db.execute(
                f"SELECT {', '.join(PART_COLUMNS)} FROM hypotheses h "
                f"WHERE h.checkpoint_id = ? AND {MOVES} ORDER BY h.utterance_id",
                [checkpoint_id],
            )
            count = write_part(path, checkpoint_id, iter(partial(rows.fetchmany, GROUP), []))
            self._put_all(
                "hypothesis_parts",
                ("number", "checkpoint_id", "file", "hypotheses"),
                [(number, checkpoint_id, path.name, count)],
            )
            self.db.execute(
                f"DELETE FROM hypotheses AS h WHERE h.checkpoint_id = ? AND {MOVES}",
                [checkpoint_id],
            )
        self._rows[checkpoint_id] = 0

    def _parts(self, checkpoint_id: str) -> list[Path]:
        """The checkpoint's files, the latest first."""
        rows = self.db.execute(
            "SELECT file FROM hypothesis_parts WHERE checkpoint_id = ? ORDER BY number DESC",
            [checkpoint_id],
        )
        return [self.workspace.hypotheses / row[0] for row in rows.fetchall()]

    def _in_parts(
        self, checkpoint_id: str, utterance_ids: Collection[str], names: Sequence[str]
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of `names`, which begin with the utterance's id, of what parts hold of these."""
        left = set(utterance_ids)
        for path in self._parts(checkpoint_id) if left else []:
            for row in find_in_part(path, left, names):
                left.discard(row[0])
                yield row

    def _columns(
        self, checkpoint_id: str, names: Sequence[str]
    ) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Ids (K,) "S64" and columns (K,) of numbers, some at a time, from wherever they lie.

        Of an utterance that comes several times, the first one counts. Rows are read before the
        parts are looked up: what moves meanwhile comes twice, and is not lost.
        """
        cursor = self.db.execute(
            f"SELECT {', '.join(('utterance_id', *names))} FROM hypotheses WHERE checkpoint_id = ?",
            [checkpoint_id],
        )
        while rows := cursor.fetchmany(CHUNK):
            ids, *numbers = zip(*rows, strict=True)
            yield np.array(ids, "S64"), [np.array(values, np.float64) for values in numbers]
        for path in self._parts(checkpoint_id):
            yield from read_part(path, names)
