"""How far the work in hand is, for whoever looks from outside.

Table: progress, a row a process. It stands beside the results, and no work goes on from what it
says: where it cannot be written, it is not.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from storage.database import Database, now

COLUMNS = (
    "process",
    "round",
    "stage",
    "what",
    "done",
    "total",
    "workers",
    "started_at",
    "updated_at",
)


class Progress(Database):
    """Implements `al_loop.progress.Keeps`."""

    def start_progress(
        self,
        process: str,
        what: str,
        total: int,
        workers: int,
        round_number: int | None,
        stage: str | None,
    ) -> None:
        began = now()
        row = (process, round_number, stage, what, 0, total, workers, began, began)
        with suppress(sqlite3.Error), self.transaction():
            # one process at a time works for a round: what another one left behind was killed
            self.db.execute("DELETE FROM progress WHERE round = ?", [round_number])
            self._put_all("progress", COLUMNS, [row])

    def put_progress(self, process: str, done: int) -> None:
        with suppress(sqlite3.Error), self.transaction():
            self.db.execute(
                "UPDATE progress SET done = ?, updated_at = ? WHERE process = ?",
                [done, now(), process],
            )

    def end_progress(self, process: str) -> None:
        with suppress(sqlite3.Error), self.transaction():
            self.db.execute("DELETE FROM progress WHERE process = ?", [process])
