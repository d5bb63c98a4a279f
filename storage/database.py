"""The connection to a workspace's database, and the rules of writing to it.

Knows the schema's migrations, but no table beyond the row that names the workspace: the modules
over it hold those, and `storage.store` joins them.

Each public method that writes is one transaction, so a process killed at any instant leaves the
state before it or after it. Writes that other processes may repeat after a kill are upserts.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlite_utils

from storage.migrations import migrations
from storage.workspace import Workspace

BUSY_TIMEOUT_MS = 30_000
CACHE_KIB = 32 * 1024
"""Of pages. Ids are hashes, so every row of an ingest touches a page of its own in each index; with
SQLite's 2 MiB nearly all of these are read anew for every block."""
CHECKPOINT_PAGES = 8000
"""Of the write-ahead log, 32 MiB: so many are moved into the database at once, and one that several
blocks have changed is moved once. Each move waits for the disk."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def as_json(value: Any) -> str:
    """JSON that SQLite reads too: what is not a finite number becomes null."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(row) for key, row in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(row) for row in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Database:
    """One open workspace. Migrates its database when it is made.

    log_ahead: whether the database has a write-ahead log, which processes of one machine share.
    Where machines mount the folder one after another it must not: then it has a rollback journal.
    """

    def __init__(self, workspace: Workspace, log_ahead: bool = True) -> None:
        self.workspace = workspace
        workspace.create_folders()
        self.db = sqlite_utils.Database(str(workspace.database))
        self.db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if log_ahead:
            self.db.enable_wal()
        else:
            self.db.disable_wal()
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self.db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self.db.execute("PRAGMA foreign_keys = ON")
        if migrations.pending(self.db):
            migrations.apply(self.db)
        with self.transaction():
            self.db.execute(
                "INSERT INTO workspace (id, created_at) SELECT ?, ? "
                "WHERE NOT EXISTS (SELECT 1 FROM workspace)",
                [uuid.uuid4().hex, now()],
            )

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self, waits: bool = True) -> Iterator[None]:
        """All or nothing; inside another one, part of it.

        The write lock is taken at once. A transaction that reads first and writes later would fail
        when another process wrote in between, and no timeout helps against that.

        waits: for the disk. One that does not is as safe from a killed process as any; a machine
        that loses its power may lose the last of these, and nothing before the last one that waits.
        For small blocks of what can be had again: waiting takes longer than writing them.
        """
        if self.db.conn.in_transaction:
            yield
            return
        if not waits:
            self.db.execute("PRAGMA synchronous = NORMAL")
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.commit()
            except BaseException:
                self.db.rollback()
                raise
        finally:
            if not waits:
                self.db.execute("PRAGMA synchronous = FULL")

    @property
    def workspace_id(self) -> str:
        return str(self._row("SELECT id FROM workspace")[0])

    def _put_all(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows, or replace those that have the same key: for tables of a million rows."""
        names, places = ", ".join(columns), ", ".join("?" for _ in columns)
        self.db.conn.executemany(
            f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({places})", rows
        )

    def _row(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        return self.db.execute(sql, parameters).fetchone()
