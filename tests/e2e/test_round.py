"""Whole rounds on real parts: whisper-base, Label Studio, SQLite, the commands as cron calls them.

Two workspaces get the same corpus, settings and answers. One runs undisturbed; the other is killed
with SIGKILL in every stage and called again. In the end they must hold the same.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_loop.audio import write_flac
from al_loop.demo.annotator import DemoAnnotator
from al_loop.demo.corpus import Part, build_corpus, read_answers
from labeling.server import EmbeddedServer
from labeling.session import Session
from storage.queries import Reader
from storage.workspace import Workspace

pytestmark = pytest.mark.e2e

PARTS = (
    Part("ky", "pool", 12, ("m1", "f2", "m3")),
    Part("ky", "train", 6, ("m1", "f1")),
    Part("ky", "test", 4, ("m2",)),
    Part("ru", "train", 4, ("m1",)),
    Part("ru", "test", 3, ("f1",)),
)
CONFIG = """
seed = 3
[select]
budget_s = 16.0
control_share = 0.3
[train]
epochs = 1
batch_size = 2
accumulation = 2
method = "frozen_encoder"
full_window_share = 0.0
[labels]
gold_share = 0.3
[label_studio]
low_water = 6
"""
SEED_KILLS = [
    ("merge", "start", "after"),
    ("merge", "put_labels", "before"),
    ("merge", "put_source", "after"),
    ("train", "start", "after"),
    ("train", "put_checkpoint", "before"),
    ("train", "set_candidate", "after"),
    ("evaluate", "add_hypotheses", "before"),
    ("evaluate", "put_evaluations", "after"),
    ("promote", "decide", "after"),
    ("record", "start", "after"),
]
"""(stage, write, moment)"""
ASK_KILLS = [
    ("score", "add_profiles", "before"),
    ("score", "add_profiles", "after"),
    ("select", "put_selection", "before"),
    ("select", "add_tasks", "after"),
    ("push", "add_hypotheses", "after"),
    ("push", "put_place", "before"),  # the project is in Label Studio, nobody here knows
    ("push", "mark_pushed", "before"),  # and so are the tasks
    ("push", "set_pushed_at", "before"),
    ("pull", "take", "before"),
    ("pull", "sweep", "before"),
]
LEARN_KILLS = [
    ("pull", "take", "before"),  # every answer is there, none is kept
    ("pull", "take", "after"),
    ("pull", "top_up", "after"),
    ("pull", "mark_pushed", "before"),  # further tasks are in Label Studio
    ("merge", "put_manifest", "after"),
    ("train", "set_candidate", "before"),
    ("evaluate", "add_hypotheses", "after"),
    ("promote", "decide", "before"),
    ("record", "start", "after"),
]


@dataclass
class Runner:
    """One workspace and the commands on it."""

    folder: Path
    environment: dict[str, str]
    killed: list[tuple[str, str, str]] = field(default_factory=list)

    def command(self, *arguments: str, expect: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "al_loop", "--workspace", str(self.folder), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def kill_at(self, stage: str, write: str, moment: str) -> None:
        """Advance until the process kills itself there."""
        script = Path(__file__).with_name("killed_round.py")
        done = subprocess.run(
            [sys.executable, str(script), str(self.folder), stage, write, moment],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, (stage, write, moment, done.stderr)
        assert strangers(self.folder) == []
        self.killed.append((stage, write, moment))

    def kill_in_training(self) -> None:
        """Run the real command, and kill it from outside while it trains."""
        process = subprocess.Popen(
            [sys.executable, "-m", "al_loop", "--workspace", str(self.folder), "round"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not list((self.folder / "checkpoints").glob("*.unfinished")):
            assert process.poll() is None, "it ended before it trained"
            time.sleep(0.05)
        time.sleep(2)
        process.kill()
        process.wait()
        assert strangers(self.folder) == []

    def connect(self, server: EmbeddedServer) -> tuple[Session, int]:
        running = server.status()
        assert running is not None
        ((project_id,),) = self.query("SELECT project_id FROM projects")
        return Session(running.url, server.token), project_id

    def query(self, sql: str) -> list[Any]:
        with sqlite3.connect(f"file:{self.folder}/al_loop.db?mode=ro", uri=True) as db:
            return db.execute(sql).fetchall()

    def row_counts(self) -> dict[str, int]:
        tables = [
            row[0]
            for row in self.query("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not row[0].startswith(("sqlite_", "_"))
        ]
        return {name: self.query(f"SELECT count(*) FROM {name}")[0][0] for name in tables}


def strangers(folder: Path) -> list[str]:
    """Processes that still work on the workspace."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{folder} " in command and "al_loop" in command:
            found.append(command)
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    build_corpus(folder, 5, lambda done, total: None, PARTS)
    return folder


def make_runner(folder: Path, corpus: Path, server: EmbeddedServer) -> Runner:
    environment = os.environ | {"AL_LOOP_DATA_DIR": str(server.home.parent)}
    runner = Runner(folder, environment)
    runner.command("init")
    (folder / "al_loop.toml").write_text(CONFIG, encoding="utf-8")
    for table, split in (("test", "test"), ("train_ky", "train"), ("train_ru", "train")):
        runner.command("ingest", str(corpus / f"{table}.tsv"), "--source", "demo", "--split", split)
    runner.command("ingest", str(corpus / "pool.tsv"), "--source", "radio", "--kind", "in_house")
    room = folder / "room"  # the standard silence set takes a whole model minutes
    room.mkdir()
    write_flac(0.01 * np.random.default_rng(0).standard_normal(32_000), room / "fan.flac")
    runner.command("ingest", str(room), "--source", "room", "--split", "silence")
    return runner


def answer(runner: Runner, server: EmbeddedServer, corpus: Path) -> None:
    session, project_id = runner.connect(server)
    assert DemoAnnotator(session, project_id, read_answers(corpus), 11).answer_some(1.0) > 0


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, corpus: Path, label_studio: EmbeddedServer
) -> Runner:
    runner = make_runner(tmp_path_factory.mktemp("calm") / "w", corpus, label_studio)
    assert "round 0: " in runner.command("round")
    assert runner.command("round") == ""  # it waits, and cron has nothing to mail
    answer(runner, label_studio, corpus)
    assert "round 1: " in runner.command("round")
    return runner


def test_a_round_ends_with_the_rates_before_and_after(undisturbed: Runner) -> None:
    rates = Reader(Workspace.open(undisturbed.folder)).error_rates()
    assert [(row["round"], row["evaluation_set"]) for row in rates] == [
        (0, "demo_ky"),
        (0, "demo_ru"),
        (1, "demo_ky"),
        (1, "demo_ru"),
    ]
    assert all(0 <= row["wer_low"] <= row["wer"] <= row["wer_high"] for row in rates)
    status = undisturbed.command("status").splitlines()
    assert len(status) == 5
    assert status[0] == "round:    1 is recorded; `al-loop round` opens the next"


def test_in_house_labels_weigh_more(undisturbed: Runner) -> None:
    mixture = Reader(Workspace.open(undisturbed.folder)).mixture(1)
    rows = {row["source"]: row for row in mixture}
    assert set(rows) == {"demo_ky", "demo_ru", "in_house"}
    assert rows["in_house"]["weight"] == 3.0
    assert rows["in_house"]["target_share"] > rows["in_house"]["examples"] / sum(
        row["examples"] for row in mixture
    )


def test_killed_in_every_stage_it_ends_where_it_would_have(
    tmp_path: Path, corpus: Path, label_studio: EmbeddedServer, undisturbed: Runner
) -> None:
    runner = make_runner(tmp_path / "w", corpus, label_studio)
    for kill in SEED_KILLS[:4]:
        runner.kill_at(*kill)
    runner.kill_in_training()
    for kill in SEED_KILLS[4:]:
        runner.kill_at(*kill)
    assert "round 0: " in runner.command("round")
    for kill in ASK_KILLS:
        runner.kill_at(*kill)
    assert runner.command("round") == ""
    answer(runner, label_studio, corpus)
    for kill in LEARN_KILLS:
        runner.kill_at(*kill)
    assert "round 1: " in runner.command("round")

    assert {stage for stage, _, _ in runner.killed} == {
        "score", "select", "push", "pull", "merge", "train", "evaluate", "promote", "record",
    }  # fmt: skip
    assert runner.row_counts() == undisturbed.row_counts()
    for sql in (
        "SELECT utterance_id, round, rank, arm, top_up FROM query_batches ORDER BY 1",
        "SELECT utterance_id, round, copy, kind, rank, hypothesis, answers FROM tasks "
        "ORDER BY 1, 2, 3",
        "SELECT utterance_id, text, verdict, settled, quality FROM labels ORDER BY 1",
        "SELECT manifest_id, utterance_id, source, text FROM manifest_examples ORDER BY 1, 2",
        "SELECT number, stage, checkpoint_id, candidate_id, promoted FROM rounds ORDER BY 1",
        "SELECT round, checkpoint_id, evaluation_set, wer, cer FROM evaluations ORDER BY 1, 2, 3",
    ):
        assert runner.query(sql) == undisturbed.query(sql)
    assert list((runner.folder / "checkpoints").glob("*.unfinished")) == []

    session, project_id = runner.connect(label_studio)
    tasks = session.get("/api/tasks", project=project_id, page_size=100, fields="task_only")
    pushed = [
        tuple(row["data"][name] for name in ("utterance", "round", "copy"))
        for row in tasks["tasks"]
    ]
    assert len(pushed) == len(set(pushed))
    assert set(pushed) == set(runner.query("SELECT utterance_id, round, copy FROM tasks"))
    kinds = dict(runner.query("SELECT kind, count(*) FROM tasks GROUP BY kind"))
    assert kinds.keys() >= {"query", "gold"}
