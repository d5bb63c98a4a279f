"""A small trial of `make bench-selection`: what it generates, and that a real stage is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.scored import ANSWERED, CHECKPOINT, TRAINED
from benchmarks.selection import DIMENSION, generate, measure, targets
from storage.store import Store
from storage.workspace import Workspace

POOL = 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("benchmark") / "selection"
    generate(made, POOL)
    return made


def test_the_generated_pool_is_as_large_as_asked_and_a_fifth_of_it_junk(folder: Path) -> None:
    store = Store(Workspace.open(folder))
    pool = store.scored_pool(CHECKPOINT, "whisper")
    assert (pool.ids.shape, pool.embeddings.shape) == (
        (POOL,),
        (POOL + ANSWERED + TRAINED, DIMENSION),
    )
    assert (pool.embedding_rows >= 0).all()
    assert store.known_embeddings("whisper").shape == (ANSWERED + TRAINED, DIMENSION)
    assert len(store.answers("whisper")) == ANSWERED
    assert 0.7 < np.isfinite(pool.statistics["mean_token_entropy"]).mean() < 0.95
    current = store.open_round()
    assert current is not None
    assert current.stage == "select"


def test_one_select_stage_is_measured(folder: Path) -> None:
    found = measure(folder)
    assert found["pool"] == POOL
    assert 0 < found["chosen"] < POOL
    assert 0.1 * POOL < found["gated"] < 0.4 * POOL
    assert all(seconds > 0 for seconds in found["seconds"].values())
    store = Store(Workspace.open(folder))
    assert store.db.table("gated").count == found["gated"]
    current = store.open_round()
    assert current is not None
    assert current.stage == "push"


def test_targets_are_a_minute_and_two_gigabytes() -> None:
    good = {"seconds": {"read": 20.0, "choose": 39.5}, "peak_bytes": 2**31}
    assert [row.passed for row in targets(good)] == [True, True]
    bad = {"seconds": {"read": 20.0, "choose": 40.5}, "peak_bytes": 2**31 + 1}
    assert [row.passed for row in targets(bad)] == [False, False]
    assert [row.measured for row in targets(bad)] == ["60.5 s", "2.00 GiB"]
