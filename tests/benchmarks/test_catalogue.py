"""A small trial of `make bench-catalogue`: what it makes, and that every part is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.catalogue import Measured, measure, targets
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace

COUNT = 4000
GOOD = Measured(1_000_000, 200.0, 100, 120, 10**9, 2 * 10**9, 1.0, {"a": 0.2, "b": 1.0}, 3.0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Measured]:
    folder = tmp_path_factory.mktemp("benchmark") / "catalogue"
    return folder, measure(folder, COUNT, times=1)


def test_the_catalogue_is_one_of_a_loop_at_work(measured: tuple[Path, Measured]) -> None:
    store = Store(Workspace.open(measured[0]))
    split = dict(store.db.execute("SELECT split, count(*) FROM utterances GROUP BY split"))
    assert sum(split.values()) == COUNT
    assert split["train"] > 0.04 * COUNT
    assert split["test"] > 0
    assert {row.name for row in store.sources()} >= {"radio_ky", "radio_ru", "calls_ky", "calls_ru"}
    assert store.db.table("profiles").count == COUNT
    assert store.db.table("hypotheses").count > 0.8 * COUNT
    with Reader(store.workspace) as reader:
        status = reader.status()
        assert (status.round, status.stage, status.tasks, status.answered) == (4, "pull", 300, 150)
        assert [row["stage"] for row in reader.rounds()] == [None, None, None, "pull"]
        assert {row["gate"] for row in reader.gate_counts()} > {"quiet", "looping"}
        assert reader.report(3)["predictor"]["answers"] > 0
        assert len(reader.error_rates()) == 6


def test_every_part_is_measured(measured: tuple[Path, Measured]) -> None:
    found = measured[1]
    assert found.rows == COUNT
    assert 0 < found.first_bytes <= found.peak_bytes
    assert 0 < found.bytes < found.with_history
    assert found.ingest_s > 0
    assert found.status_s > 0
    asked = {"status", "rounds", "error_rates", "evaluations", "newest_report", "costs"}
    assert asked < set(found.queries)
    assert 0 < found.queries[found.slowest] < found.page_s


def test_targets() -> None:
    assert [row.passed for row in targets(GOOD)] == [True] * 5
    assert targets(GOOD)[2].measured == "1.00 s (slowest: b)"
    size = "1.00 GB (records alone; 2.00 GB with profiles and hypotheses)"
    assert targets(GOOD)[3].measured == size
    bad = replace(
        GOOD, ingest_s=201.0, peak_bytes=121, bytes=10**9 + 1, status_s=1.1, queries={"a": 1.1}
    )
    assert [row.passed for row in targets(bad)] == [False] * 5
