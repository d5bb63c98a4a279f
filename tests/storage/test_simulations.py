"""Simulated loops: what is kept of them, and how one goes on."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from al_loop.errors import WorkspaceError
from storage.queries import Reader
from storage.store import Store


def point(strategy: str, seed: int, number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "strategy": strategy,
        "seed": seed,
        "round": number,
        "labelled_s": 300.0,
        "annotator_s": 900.0,
        "chosen_s": 320.0,
        "junk_s": 20.0,
        "tasks": 80,
        "junk_tasks": 5,
        "wer": 0.5,
        "words": 400,
        "errors": 200,
        "utterance_errors": "{}",
        "spearman": None,
        "spearman_low": None,
        "spearman_high": None,
    }
    return row | changes


def test_points_come_back_in_their_order_each_as_it_was_last(store: Store) -> None:
    store.start_simulation("field", {"seeds": [0, 1]})
    store.put_simulation_point("field", point("random", 1, 1))
    store.put_simulation_point("field", point("random", 0, 2))
    store.put_simulation_point("field", point("entropy", 1, 1))
    store.put_simulation_point("field", point("random", 1, 1, wer=0.25, spearman=0.5))
    found = [
        point("entropy", 1, 1),
        point("random", 0, 2),
        point("random", 1, 1, wer=0.25, spearman=0.5),
    ]
    assert store.simulation_points("field") == found
    assert Reader(store.workspace).simulation_points("field") == [
        {"simulation": "field"} | row for row in found
    ]
    assert store.simulation_points("clean") == []


def test_a_simulation_goes_on_under_the_same_settings_only(store: Store) -> None:
    store.start_simulation("field", {"seeds": (0, 1), "rounds": 3})
    store.start_simulation("field", {"rounds": 3, "seeds": [0, 1]})
    with pytest.raises(WorkspaceError, match=r"other settings \(budget_s, rounds differ\)"):
        store.start_simulation("field", {"seeds": [0, 1], "rounds": 4, "budget_s": 60.0})
    (row,) = Reader(store.workspace).simulations()
    assert row["settings"] == {"seeds": [0, 1], "rounds": 3}
    assert (row["points"], row["finished_at"]) == (0, None)


def test_a_finished_simulation_says_since_when(store: Store) -> None:
    store.start_simulation("field", {})
    store.finish_simulation("field")
    (first,) = Reader(store.workspace).simulations()
    store.finish_simulation("field")
    assert first["finished_at"] >= first["started_at"]
    assert Reader(store.workspace).simulations() == [first]


def test_a_point_belongs_to_a_simulation_and_is_complete(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        store.put_simulation_point("unknown", point("random", 0, 1))
    store.start_simulation("field", {})
    with pytest.raises(KeyError, match="junk_s"):
        store.put_simulation_point(
            "field",
            {"strategy": "random", "seed": 0, "round": 1}
            | dict.fromkeys(("labelled_s", "annotator_s", "chosen_s"), 0.0),
        )
    assert store.simulation_points("field") == []
