"""The connection: its transactions, and who waits for whom."""

from __future__ import annotations

import sqlite3

import pytest

from al_loop.records import Source
from storage.store import Store

from .rows import hypothesis, ids


def test_a_workspace_keeps_its_id(store: Store) -> None:
    assert len(store.workspace_id) == 32
    assert Store(store.workspace).workspace_id == store.workspace_id


def test_readers_do_not_wait_for_the_writer(store: Store) -> None:
    assert store.db.journal_mode == "wal"


def test_a_database_that_machines_share_has_no_write_ahead_log(store: Store) -> None:
    store.close()
    shared = Store(store.workspace, log_ahead=False)
    assert shared.db.journal_mode == "delete"
    shared.put_source(Source("books", "open_source", "ky"))
    shared.close()
    assert [path.name for path in store.workspace.root.glob("al_loop.db*")] == ["al_loop.db"]
    assert [row.name for row in Store(store.workspace).sources()] == ["books"]


def test_rows_refer_to_rows_that_exist(filled: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        filled.add_hypotheses("base", [hypothesis("a"), hypothesis("stranger")])
    assert filled.heard("base", "a") == set()


def test_a_transaction_keeps_other_writers_out_from_its_start(filled: Store) -> None:
    other = Store(filled.workspace)
    other.db.execute("PRAGMA busy_timeout = 0")
    with filled.transaction():
        assert ids(other.pool()) == "abc"
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.put_source(Source("books", "open_source", "ky"))
    other.put_source(Source("books", "open_source", "ky"))


def test_a_transaction_inside_another_ends_with_it(filled: Store) -> None:
    def break_off() -> None:
        with filled.transaction():
            filled.put_source(Source("books", "open_source", "ky"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [source.name for source in filled.sources()] == ["radio"]


def test_only_a_transaction_that_is_told_so_does_not_wait_for_the_disk(store: Store) -> None:
    def synchronous() -> int:
        return int(store.db.execute("PRAGMA synchronous").fetchone()[0])

    full, normal = 2, 1
    assert synchronous() == full
    with store.transaction(waits=False):
        assert synchronous() == normal
    assert synchronous() == full
    with pytest.raises(KeyError), store.transaction(waits=False):
        raise KeyError
    assert synchronous() == full
    with store.transaction(), store.transaction(waits=False):
        assert synchronous() == full
