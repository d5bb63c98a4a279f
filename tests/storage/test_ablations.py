"""Ablations: what is kept of them, and how one goes on."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from al_loop.errors import WorkspaceError
from storage.queries import Reader
from storage.store import Store


def result(*variant: str, **changes: Any) -> dict[str, Any]:
    row = {
        "variant": list(variant),
        "seed": 0,
        "evaluation_set": "test",
        "language": "ky",
        "examples": 12,
        "audio_s": 30.5,
        "draws": 40,
        "utterance_errors": [[1, 5], [0, 3]],
    }
    return row | changes


def test_results_come_back_each_as_it_was_last(store: Store) -> None:
    store.start_ablation("one", {})
    store.put_ablation_results("one", [result("books"), result("books", evaluation_set="radio")])
    store.put_ablation_results("one", [result("books", seed=1)])
    store.put_ablation_results("one", [result()])
    store.put_ablation_results("one", [result("books", utterance_errors=[[0, 5], [0, 3]])])
    found = [
        result("books", evaluation_set="radio"),
        result("books", utterance_errors=[[0, 5], [0, 3]]),
        result("books", seed=1),
        result(),
    ]
    assert store.ablation_results("one") == found
    assert Reader(store.workspace).ablation_results("one") == found
    assert store.ablation_results("another") == []


def test_an_ablation_goes_on_under_the_same_settings_only(store: Store) -> None:
    store.start_ablation("one", {"groups": [("open_source", ("books",))], "draws": 40})
    store.start_ablation("one", {"draws": 40, "groups": [["open_source", ["books"]]]})
    with pytest.raises(WorkspaceError, match=r"other settings \(draws, seed differ\).*--name"):
        store.start_ablation("one", {"groups": [["open_source", ["books"]]], "seed": 1})
    store.start_ablation("two", {"draws": 50})
    first, second = Reader(store.workspace).ablations()
    assert first["settings"] == {"groups": [["open_source", ["books"]]], "draws": 40}
    assert (second["name"], second["finished_at"], second["results"]) == ("two", None, 0)


def test_one_that_gets_more_results_is_not_finished(store: Store) -> None:
    store.start_ablation("one", {})
    store.start_ablation("two", {})
    store.finish_ablation("one")
    (first, other) = Reader(store.workspace).ablations()
    assert first["finished_at"] >= first["started_at"]
    assert other["finished_at"] is None
    store.finish_ablation("one")
    assert Reader(store.workspace).ablations()[0] == first
    store.put_ablation_results("one", [result()])
    assert Reader(store.workspace).ablations()[0]["finished_at"] is None


def test_results_of_one_training_are_kept_together_or_not_at_all(store: Store) -> None:
    store.start_ablation("one", {})
    broken = result("books", evaluation_set="radio", examples=None)
    with pytest.raises(sqlite3.IntegrityError, match="examples"):
        store.put_ablation_results("one", [result("books"), broken])
    assert store.ablation_results("one") == []


def test_a_result_belongs_to_an_ablation_and_is_complete(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        store.put_ablation_results("unknown", [result()])
    store.start_ablation("one", {})
    with pytest.raises(KeyError, match="seed"):
        store.put_ablation_results("one", [{"variant": []}])
