"""Hypotheses that lie in files: every answer is the same as from rows, whenever a process ends."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import Checkpoint, Gated, Hypothesis, Selection
from storage import hypotheses, parts
from storage.archive import unpack, writing
from storage.backup import back_up
from storage.integrity import Integrity
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace

from .rows import hypothesis, selection, utterance

POOL = [f"{number:064x}" for number in range(40)]
ELSEWHERE = {"1" * 64: "train", "2" * 64: "test", "3" * 64: "reserved"}
MOST = 12


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of few rows, in row groups of fewer."""
    monkeypatch.setattr(hypotheses, "MOST_ROWS", MOST)
    monkeypatch.setattr(hypotheses, "GROUP", 5)


def heard(name: str, text: str) -> Hypothesis:
    """Numbers of its own for each name; some are none."""
    number = int(name, 16) % 97
    odd = math.nan if number % 7 == 0 else number / 3
    return hypothesis(name, text, token_count=number, mean_log_prob=odd, mean_margin=number / 97)


def fill(store: Store) -> None:
    """Two checkpoints that heard most of it in blocks; some of it is asked about meanwhile."""
    store.add([utterance(name) for name in POOL], [])
    store.add([utterance(name, split=split) for name, split in ELSEWHERE.items()], [])
    store.put_checkpoint(Checkpoint("first", "checkpoints/first", "base", {}))
    names = [*ELSEWHERE, *POOL[3:]]
    for checkpoint_id in ("base", "first"):
        for start in range(0, len(names), 4):
            store.add_hypotheses(
                checkpoint_id,
                [
                    heard(name, f"{checkpoint_id} бир {name[-2:]}")
                    for name in names[start : start + 4]
                ],
            )
        if checkpoint_id == "base":
            gated = [Gated(name, "quiet", -50.0, -45.0) for name in POOL[20:30]]
            store.put_selection(1, replace(selection(*POOL[5:8]), gated=gated))
            with store.finishing(1, "score", None):
                store.decide(1, False, "worse")
            store.start_round(2, 7, "score", "first")
    store.top_up(1, Selection(selection(POOL[9]).choices, [], {}))
    store.put_draw("radio test", {POOL[30]: POOL[30]}, [POOL[31]], [], "clip", "ky")
    store.freeze("radio test", "ky", {POOL[30]: "бир эки"})
    store.add_hypotheses("base", [heard(POOL[12], "кайра")])  # heard again, beside its old one


def answers(store: Store) -> dict[str, Any]:
    """Everything that reads what was heard."""
    everything = [*POOL, *ELSEWHERE, "f" * 64]
    pools = {name: store.scored_pool(name, "whisper") for name in ("base", "first")}
    rounds, numbers = store.last_heard(np.array(POOL, "S64"))
    with Reader(store.workspace) as reader:
        read = {
            "heard_by": [reader.heard_by(name) for name in everything],
            "gated": reader.gated(),
            "batch": reader.batch(1),
            "transcripts": reader.transcripts(),
            "tested": reader.tested(1),
            "both": reader.heard_by_both("base", "first", "ky"),
        }
    return read | {
        "pools": {
            name: {column: row.tobytes() for column, row in pool.statistics.items()}
            for name, pool in pools.items()
        },
        "ids": [pool.ids.tolist() for pool in pools.values()],
        "rounds": rounds.tolist(),
        "numbers": {name: row.tobytes() for name, row in numbers.items()},
        "heard": [sorted(store.heard(name, everything)) for name in ("base", "first")],
        "all_heard": [store.all_heard(name).tolist() for name in ("base", "first")],
        "hypotheses": [
            sorted(map(repr, store.hypotheses(name, everything).values()))
            for name in ("base", "first")
        ],
        "candidates": [
            [row.id for row in store.pseudo_candidates(name, "ky", most)]
            for name in ("base", "first", "another")
            for most in (2, 30, 99)
        ],
    }


def rows(store: Store) -> list[tuple[str, str]]:
    return store.db.execute("SELECT checkpoint_id, utterance_id FROM hypotheses").fetchall()


def folder(store: Store) -> list[str]:
    found = store.workspace.hypotheses
    return sorted(path.name for path in found.iterdir()) if found.is_dir() else []


def named(store: Store) -> list[str]:
    return [row[0] for row in store.db.execute("SELECT file FROM hypothesis_parts ORDER BY number")]


def copy_of(store: Store, folder: Path) -> Store:
    """Another workspace with the same rounds and source, and nothing in its pool."""
    folder.mkdir()
    (folder / "al_loop.toml").touch()
    other = Store(Workspace.open(folder))
    for source in store.sources():
        other.put_source(source)
    base = store.checkpoint("base")
    assert base is not None
    other.put_checkpoint(base)
    other.add(store.utterances("abc"), [])
    other.start_round(1, 99, "score", "base")
    return other


def test_every_answer_is_that_of_rows(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = copy_of(filled, tmp_path / "plain")
    fill(plain)
    assert named(plain) == []
    monkeypatch.setattr(hypotheses, "MOST_ROWS", MOST)
    monkeypatch.setattr(hypotheses, "GROUP", 5)
    fill(filled)
    assert len(named(filled)) >= 4
    assert folder(filled) == named(filled)
    assert len(rows(filled)) < len(rows(plain)) / 2
    expected, found = answers(plain), answers(filled)
    for name, value in expected.items():
        assert found[name] == value, name
    assert {row["id"] for row in expected["transcripts"]} == {"2" * 64, POOL[30]}
    assert {row["utterance_id"] for row in expected["tested"]} == {"2" * 64, POOL[30]}
    assert [row["one"] for row in expected["both"]] == [f"base бир {POOL[30][-2:]}"]
    assert [row["hypothesis"] for row in expected["batch"]][:2] == ["base бир 05", "base бир 06"]
    assert expected["gated"][0]["hypothesis"] == f"base бир {POOL[20][-2:]}"
    assert [row["hypothesis"] for row in expected["heard_by"][12]] == ["кайра", "first бир 0c"]


@pytest.mark.usefixtures("small")
def test_only_what_is_in_the_pool_moves(filled: Store) -> None:
    fill(filled)
    asked = {name for name, *_ in filled.db.execute("SELECT utterance_id FROM query_batches")}
    left = {name for checkpoint_id, name in rows(filled) if checkpoint_id == "base"}
    assert asked | ELSEWHERE.keys() <= left
    at_first = {name for _, name in rows(filled)} & set(POOL[25:])
    filled.put_draw("radio talk", {POOL[33]: POOL[33]}, [POOL[34]], [], "clip", "ky")
    since = {name for _, name in rows(filled)} & set(POOL[25:])
    assert since - at_first <= {POOL[33], POOL[34]} <= since


@pytest.mark.usefixtures("small")
def test_a_checkpoint_that_heard_much_beside_the_pool_makes_no_parts(filled: Store) -> None:
    names = [f"{number:064d}" for number in range(3 * MOST)]
    filled.add([utterance(name, split="train") for name in names], [])
    for name in names:
        filled.add_hypotheses("base", [hypothesis(name)])
    assert named(filled) == []
    again = Store(filled.workspace)
    again.add_hypotheses("base", [hypothesis("a")])
    assert named(again) == []


@pytest.mark.usefixtures("small")
def test_a_later_process_counts_what_earlier_ones_left(filled: Store) -> None:
    filled.add([utterance(name) for name in POOL], [])
    for name in POOL[:MOST]:
        store = Store(filled.workspace)
        assert named(store) == []
        store.add_hypotheses("base", [hypothesis(name)])
        store.close()
    assert len(named(filled)) == 1
    assert rows(filled) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from storage import hypotheses, parts
from storage.store import Store
from storage.workspace import Workspace
sys.path.insert(0, sys.argv[3])
from tests.storage.rows import hypothesis

step = sys.argv[2]
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
hypotheses.MOST_ROWS, hypotheses.GROUP = 12, 5

class Steps:
    fsync = staticmethod(os.fsync)
    replace = staticmethod(os.replace)
    done = 0

def fsync(file):
    Steps.done += 1
    if step == "before the file is on the disk" and Steps.done == 1: kill()
    if step == "before its folder is" and Steps.done == 2: kill()
    Steps.fsync(file)

def replace(old, new):
    if step == "before it has its name": kill()
    Steps.replace(old, new)

os.fsync, os.replace = fsync, replace
store = Store(Workspace.open(Path(sys.argv[1])))
def trace(sql):
    if step == "before a row names it" and "INTO hypothesis_parts" in sql: kill()
    if step == "before rows are deleted" and sql.startswith("DELETE FROM hypotheses"): kill()
    if step == "before it is committed" and Steps.done and sql.startswith("COMMIT"): kill()
store.db.conn.set_trace_callback(trace)
names = [f"{number:064x}" for number in range(40)]
store.add_hypotheses("base", [hypothesis(name) for name in names[:12]])
if step == "afterwards": kill()
"""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "step",
    [
        "before the file is on the disk",
        "before it has its name",
        "before its folder is",
        "before a row names it",
        "before rows are deleted",
        "before it is committed",
        "afterwards",
    ],
)
def test_killed_at_any_step_nothing_is_lost(filled: Store, step: str) -> None:
    filled.add([utterance(name) for name in POOL], [])
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(filled.workspace.root), step, str(root)],
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == -signal.SIGKILL
    store = Store(filled.workspace)
    moved = step == "afterwards"
    assert len(named(store)) == moved
    assert store.heard("base", POOL) == set(POOL[:MOST])
    assert len(rows(store)) == (0 if moved else MOST)
    store.add_hypotheses("base", [hypothesis(name) for name in POOL[MOST : 2 * MOST]])
    store.delete_unnamed_parts()
    assert folder(store) == named(store) != []
    assert store.heard("base", POOL) == set(POOL[: 2 * MOST])
    assert rows(store) == []


@pytest.mark.usefixtures("small")
def test_what_a_killed_process_left_goes_with_the_saves_of_trainings(filled: Store) -> None:
    fill(filled)
    for name in ("000099.parquet", "000100.parquet.unfinished"):
        (filled.workspace.hypotheses / name).write_bytes(b"half")
    filled.prune(3, None)
    assert folder(filled) == named(filled)


@pytest.mark.usefixtures("small")
def test_a_backup_holds_the_parts(filled: Store, tmp_path: Path) -> None:
    fill(filled)
    (filled.workspace.hypotheses / "000099.parquet").write_bytes(b"half")
    expected = answers(filled)
    with writing(tmp_path / "backup", {}) as archive:
        report = back_up(filled.workspace, archive, audio=False, checkpoints=False)
    assert not any(name.startswith("hypotheses") for name in report.missing)
    (tmp_path / "there").mkdir()
    unpack(tmp_path / "backup", {"workspace": tmp_path / "there"})
    restored = Store(Workspace.open(tmp_path / "there"))
    assert folder(restored) == named(filled)
    assert answers(restored) == expected


@pytest.mark.usefixtures("small")
def test_a_part_that_is_gone_or_damaged_is_named(filled: Store) -> None:
    fill(filled)
    assert Integrity(filled.workspace).damage() == []
    one, two, *_ = (filled.workspace.hypotheses / name for name in named(filled))
    one.unlink()
    two.write_bytes(two.read_bytes()[:-9])
    damage = Integrity(filled.workspace).damage()
    assert [str(path) in line for path, line in zip((one, two), damage, strict=True)] == [True] * 2
    with pytest.raises(WorkspaceError, match=f"{two.name}.*DELETE FROM hypothesis_parts"):
        filled.scored_pool("base", "whisper")


def test_a_row_group_that_cannot_hold_a_clip_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "parts" / "1.parquet"
    numbers = (1, *[0.5] * 8, 1, 3)
    blocks = [[(name, "бир", *numbers)] for name in ("b", "d")]
    assert parts.write_part(path, "base", blocks) == 2
    assert parts.find_in_part(path, {"a", "c", "e"}) == []
    assert parts.find_in_part(path, {"b", "e"}, ("utterance_id", "text")) == [("b", "бир")]
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)  # of the first row group
    path.write_bytes(content)
    assert parts.find_in_part(path, {"d"}, ("utterance_id",)) == [("d",)]
    with pytest.raises(WorkspaceError, match="cannot be read"):
        parts.find_in_part(path, {"b"}, ("utterance_id",))
