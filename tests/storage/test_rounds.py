"""Rounds and stages: all of a stage is kept, or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from al_loop.records import Round, Source
from storage.store import Store

from .rows import counts, selection


def test_a_round_is_open_until_its_last_stage_is_finished(filled: Store) -> None:
    opened = filled.open_round()
    assert opened is not None
    assert opened == Round(1, 99, "score", "base", None, None, opened.opened_at, None)
    with filled.finishing(1, "score", "select"):
        pass
    assert filled.open_round() == replace(opened, stage="select")
    with filled.finishing(1, "record", None):
        pass
    assert filled.open_round() is None
    assert filled.last_round() == replace(opened, stage=None)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_stage_that_breaks_off_leaves_nothing_behind(
    filled: Store, error: type[BaseException]
) -> None:
    before = counts(filled)

    def break_off() -> None:
        with filled.finishing(1, "score", "select"):
            filled.put_source(Source("books", "open_source", "ky"))
            filled.put_selection(1, selection("a"))
            filled.put_report(1, {})
            raise error

    with pytest.raises(error):
        break_off()
    assert counts(filled) == before
    last = filled.last_round()
    assert last is not None
    assert last.stage == "score"


def test_failures_are_counted_until_the_stage_is_finished(filled: Store) -> None:
    assert filled.failures(1, "score") == (0, None)
    for number in (1, 2):
        filled.start_stage(1, "score", "{}")
        filled.fail_stage(1, "score", "out of memory", f"later-{number}")
        assert filled.failures(1, "score") == (number, f"later-{number}")
    with filled.finishing(1, "score", "select"):
        pass
    assert filled.failures(1, "score") == (0, None)


def test_failures_are_forgotten_without_finishing_the_stage(filled: Store) -> None:
    filled.start_stage(1, "score", "{}")
    filled.fail_stage(1, "score", "no answer", "later")
    filled.forget_failures(1, "score")
    assert filled.failures(1, "score") == (0, None)
    (row,) = filled.db.execute("SELECT error, finished_at FROM stage_runs")
    assert row == (None, None)


def test_a_round_that_opens_forgets_what_kept_it_closed(filled: Store) -> None:
    filled.start_stage(2, "open", "{}")
    filled.fail_stage(2, "open", "not cached", "later")
    filled.start_stage(1, "score", "{}")
    filled.fail_stage(1, "score", "out of memory", "later")
    filled.start_round(2, 1, "score", "base")
    assert filled.failures(2, "open") == (0, None)
    assert filled.failures(1, "score") == (1, "later")


def test_starts_are_counted_until_the_stage_comes_to_an_end(filled: Store) -> None:
    assert [filled.start_stage(1, "score", "{}") for _ in range(3)] == [1, 2, 3]
    filled.fail_stage(1, "score", "out of memory", "later")
    assert filled.start_stage(1, "score", "{}") == 1
    filled.forget_failures(1, "score")
    assert filled.start_stage(1, "score", "{}") == 1
    assert filled.start_stage(1, "select", "{}") == 1


def test_a_stage_keeps_its_first_start_and_its_last_settings(filled: Store) -> None:
    filled.start_stage(1, "score", "first")
    filled.db.execute("UPDATE stage_runs SET started_at = 'then'")
    filled.start_stage(1, "score", "last")
    rows = filled.db.execute("SELECT started_at, settings FROM stage_runs")
    assert rows.fetchall() == [("then", "last")]
