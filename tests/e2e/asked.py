"""A workspace with tasks for a real Label Studio, made without a model: what they show is given."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_loop.records import Checkpoint, PlannedTask, Source, TaskKey, Utterance
from labeling.server import EmbeddedServer
from labeling.session import Session
from storage.store import Store
from storage.workspace import Workspace

CONFIG = """
[label_studio]
doubt_below = 0.0    # marks no word, so that no model has to be asked
[labels]
overlap_share = 0.0
"""
DRAFT = "салам дос"


@dataclass(frozen=True)
class Asked:
    """A workspace and the commands on it."""

    folder: Path
    server: EmbeddedServer

    def command(self, *arguments: str, expect: int = 0) -> str:
        done = subprocess.run(
            self.line(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "al_loop", "--workspace", str(self.folder), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        data_dir = str(self.server.home.parent)
        return os.environ | {"AL_LOOP_DATA_DIR": data_dir, "PYTHONUNBUFFERED": "1"}

    def query(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.folder}/al_loop.db?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    def ask(self, names: Sequence[str], make_clip: Callable[..., Path]) -> None:
        """Plan a task about a new clip for each of the names, for the next sync to push."""
        store = Store(Workspace.open(self.folder))
        rows = []
        for seed, name in enumerate(names, len(self.names())):
            audio = f"audio/{name}.flac"
            make_clip(str(self.folder / audio), seed=seed)
            rows.append(Utterance(name, name, audio, 1.0, "radio", "ky", "pool"))
        store.add(rows, [])
        store.add_tasks(
            PlannedTask(TaskKey(name, 1, 0), "query", rank, hypothesis=DRAFT)
            for rank, name in enumerate(names)
        )
        store.close()

    def names(self) -> list[str]:
        return [row[0] for row in self.query("SELECT utterance_id FROM tasks ORDER BY 1")]

    def session(self) -> Session:
        running = self.server.status()
        assert running is not None
        return Session(running.url, self.server.token)

    def answer(self, name: str, text: str) -> str:
        """Answer a task as its page would; returns the annotation's id."""
        ((task_id,),) = self.query(f"SELECT task_id FROM tasks WHERE utterance_id = '{name}'")
        body = {"result": result(text), "lead_time": 3.0}
        return str(self.session().post(f"/api/tasks/{task_id}/annotations/", body)["id"])

    def answers(self) -> list[tuple[str, str]]:
        """(utterance, text) of every answer that counts; one that is there twice comes twice."""
        return self.query(
            "SELECT utterance_id, text FROM annotations WHERE deleted_at IS NULL ORDER BY 1, 2"
        )


def result(text: str) -> list[dict[str, Any]]:
    return [
        {"from_name": name, "to_name": "audio", "type": "textarea", "value": {"text": [content]}}
        for name, content in (("transcription", text), ("shown", DRAFT))
    ]


def asked(folder: Path, server: EmbeddedServer) -> Asked:
    """A workspace in which round 1 waits for answers that nobody was asked for yet."""
    found = Asked(folder, server)
    found.command("init")
    (folder / "al_loop.toml").write_text(CONFIG, encoding="utf-8")
    store = Store(Workspace.open(folder))
    store.put_source(Source("radio", "in_house", "ky"))
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {"made_from": "nothing"}))
    store.start_round(1, 99, "pull", "base")
    store.close()
    return found
