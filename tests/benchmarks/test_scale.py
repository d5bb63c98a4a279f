"""A small trial of `make bench-scale`: that the store is really fed in blocks, and what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale import WHISPER_BASE, Measured, rows_of, targets
from benchmarks.scale_side import BASE, Nothing, keep
from benchmarks.scored import ANSWERED, CHECKPOINT, TRAINED
from benchmarks.selection import generate
from storage import hypotheses
from storage.store import Store
from storage.workspace import Workspace
from tests.fakes import clips

POOL = 600
SECONDS = {"local": [0.1, 0.3, 0.2], "ray, 1 actor": [1.2, 9.0, 1.1], "ray, 2 actors": [1.0] * 3}
GOOD = Measured(
    1_000_000,
    {
        "seconds": {"keep profiles": 20.0, "keep hypotheses": 10.0},
        "peak_bytes": 2**31,
        "pool": 1_000_000,
        "blocks": 50_000,
        "hypotheses": 900_000,
        "in_parts": 800_000,
        "in_rows": 100_000,
        "bytes": {"profiles": 2 * 10**8, "embeddings": 1, "parts": 8 * 10**7},
    },
    {"seconds": {"read": 30.0}, "peak_bytes": 2**30},
    {"seconds": SECONDS, "start_s": 3.0, "utterances": 2000, "blocks": 100},
    120.0,
    0.3,
    5 * 10**8,
)


def test_the_store_is_fed_in_blocks_and_has_all_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypotheses, "MOST_ROWS", 200)
    folder = tmp_path / "pool"
    generate(folder, POOL, is_scored=False)
    WHISPER_BASE.save_pretrained(folder / BASE)
    found = keep(folder)
    assert found["pool"] == POOL
    assert 30 < found["blocks"] < POOL
    assert found["in_parts"] >= 200
    assert found["bytes"]["parts"] > 0
    assert set(found["seconds"]) == {
        "which have no profile",
        "keep profiles",
        "which are unheard",
        "keep hypotheses",
    }
    store = Store(Workspace.open(folder))
    pool = store.scored_pool(CHECKPOINT, "whisper")
    assert (len(pool.ids), int(pool.heard.sum())) == (POOL, found["hypotheses"])
    assert len(pool.embeddings) == ANSWERED + TRAINED + POOL


def test_the_worker_that_does_nothing_answers_for_every_clip() -> None:
    rows = clips("radio", "pool", 4)
    assert [row.utterance_id for row in Nothing()(rows)] == [row.id for row in rows]


def test_targets() -> None:
    assert [row.passed for row in targets(GOOD)] == [True] * 3
    assert targets(GOOD)[0].measured == "60.0 s (scores 30.0 s, selection 30.0 s)"
    assert targets(GOOD)[2].measured == "0.500 s per 1000 utterances (ray 0.600, local 0.100)"
    slow = {**GOOD.engines, "seconds": SECONDS | {"ray, 1 actor": [1.3] * 3}}
    chosen = {"seconds": {"read": 30.1}, "peak_bytes": 2**31 + 1}
    bad = replace(GOOD, engines=slow, chosen=chosen)
    assert [row.passed for row in targets(bad)] == [False] * 3


def test_the_table_tells_times_of_a_million_and_bytes_of_one() -> None:
    half = replace(GOOD, utterances=500_000)
    rows = dict(rows_of(half))
    assert rows["scores, s per million"] == "60.0"
    assert rows["bytes of a record"] == "1000"
    assert rows["bytes of a hypothesis in a part"] == "100"
    assert rows["bytes of a profile's row"] == "200"
