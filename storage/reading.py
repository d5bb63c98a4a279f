"""The read-only connection to a workspace's database. Knows no table.

Made with the standard library alone, so that `status` starts fast and a dashboard can never write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from al_loop.errors import WorkspaceError
from storage.workspace import Workspace


class Connection:
    """One workspace's database, open for reading. Raises WorkspaceError where there is none yet.

    Inside a `with` block all answers come from one snapshot: the loop may write meanwhile.
    """

    def __init__(self, workspace: Workspace, *, any_thread: bool = False) -> None:
        """any_thread: whoever opens it sees to it that one thread at a time uses it."""
        self.path: Path = workspace.database
        self.hypotheses: Path = workspace.hypotheses
        if not self.path.is_file():
            raise WorkspaceError(
                f"{workspace.root} holds no data yet: `al-loop ingest` brings audio in"
            )
        try:
            self.connection = sqlite3.connect(
                f"{self.path.as_uri()}?mode=ro", uri=True, check_same_thread=not any_thread
            )
        except sqlite3.Error as exc:
            raise WorkspaceError(f"{self.path}: cannot be opened for reading: {exc}") from exc
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA query_only = ON")

    def __enter__(self) -> Self:
        self.connection.execute("BEGIN")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def data_version(self) -> int:
        """SQLite's counter: another one after each write of another connection."""
        found: int = self._one("PRAGMA data_version")["data_version"]
        return found

    def _first(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """The first row; empty where there is none."""
        rows = self._all(sql, parameters)
        return rows[0] if rows else {}

    def _one(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        return self._all(sql, parameters)[0]

    def _all(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        try:
            return [dict(row) for row in self.connection.execute(sql, parameters)]
        except sqlite3.Error as exc:
            raise WorkspaceError(f"{self.path} cannot be read: {exc}") from exc
