"""How far the work in hand is: a row a process, and none when nothing is in hand."""

from __future__ import annotations

from storage.queries import Reader
from storage.store import Store
from tests.storage.rows import counts


def rows(store: Store) -> list[tuple[str, int, int]]:
    found = Reader(store.workspace).work()
    return [(row["process"], row["done"], row["total"]) for row in found]


def test_it_is_counted_while_it_lasts(filled: Store) -> None:
    filled.start_progress("7 on a", "heard", 100, 4, 1, "score")
    (begun,) = Reader(filled.workspace).work()
    assert begun["started_at"] == begun["updated_at"]
    del begun["started_at"], begun["updated_at"]
    assert begun == {
        "process": "7 on a",
        "round": 1,
        "stage": "score",
        "what": "heard",
        "done": 0,
        "total": 100,
        "workers": 4,
    }
    filled.put_progress("7 on a", 60)
    assert rows(filled) == [("7 on a", 60, 100)]
    filled.end_progress("7 on a")
    assert rows(filled) == []


def test_who_works_for_a_round_takes_the_place_of_who_was_killed(filled: Store) -> None:
    filled.start_progress("7 on a", "heard", 100, 1, 1, "score")
    filled.start_progress("8 on a", "heard", 5, 1, None, "ablate")
    filled.start_progress("9 on a", "heard", 40, 1, 1, "score")
    assert rows(filled) == [("8 on a", 0, 5), ("9 on a", 0, 40)]


def test_a_stage_that_is_finished_has_nothing_in_hand(filled: Store) -> None:
    filled.start_progress("7 on a", "heard", 100, 1, 1, "score")
    filled.start_progress("8 on a", "heard", 5, 1, None, None)
    with filled.finishing(1, "score", "select"):
        pass
    assert rows(filled) == [("8 on a", 0, 5)]


def test_what_a_killed_command_left_is_forgotten_after_a_day(filled: Store) -> None:
    for process, number, at in (("7", None, "2020"), ("8", 1, "2020"), ("9", None, "2999")):
        filled.start_progress(process, "heard", 1, 1, number, None)
        filled.db.execute(
            "UPDATE progress SET updated_at = ? WHERE process = ?",
            [f"{at}-01-01T00:00:00.000+00:00", process],
        )
    filled.db.conn.commit()
    assert [process for process, *_ in rows(filled)] == ["8", "9"]


def test_a_count_that_cannot_be_kept_ends_nothing(filled: Store) -> None:
    before = counts(filled)
    filled.db.execute("DROP TABLE progress")
    filled.start_progress("7 on a", "heard", 100, 1, 1, "score")
    filled.put_progress("7 on a", 1)
    filled.end_progress("7 on a")
    del before["progress"]
    assert counts(filled) == before


def test_what_could_not_be_worked_on_is_counted_by_reason_and_left_out_of_the_pool(
    filled: Store,
) -> None:
    reader = Reader(filled.workspace)
    assert (reader.unhearable(), reader.status().pool) == ([], 3)
    filled.put_unhearable([("a", "worker_died", "…"), ("b", "worker_died", "…")])
    filled.put_unhearable([("c", "corrupt", "…")])
    assert reader.unhearable() == [
        {"reason": "worker_died", "utterances": 2},
        {"reason": "corrupt", "utterances": 1},
    ]
    assert (reader.status().pool, reader.status().pool_s) == (0, 0)
