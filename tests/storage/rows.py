"""Rows for a store under test, and what is asked of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from al_loop.records import (
    Annotation,
    Arm,
    Checkpoint,
    Choice,
    Hypothesis,
    Place,
    PlannedTask,
    Profile,
    Pulled,
    PulledTask,
    Selection,
    TaskKey,
    Utterance,
)
from storage.store import Store

BASE = Checkpoint("base", "checkpoints/base", None, {"made_from": "packaged:whisper-base"})
PLACE = Place("http://one.test, project made then", 4)
TIME = "2026-01-01T00:00:00.000000Z"


def utterance(name: str, **changes: Any) -> Utterance:
    row = Utterance(name, f"samples-{name}", f"audio/{name}.flac", 2.0, "radio", "ky", "pool")
    return replace(row, **changes)


def hypothesis(name: str, text: str = "бир", **changes: Any) -> Hypothesis:
    row = Hypothesis(name, text, 3, -0.5, 1.25, 2.5, 0.75, 0.875, 0.625, 0.01, 0.9)
    return replace(row, **changes)


def profile(name: str, *embedding: float, **changes: Any) -> Profile:
    """One with an embedding that float16 holds exactly."""
    values = np.array(embedding or (0.5, -2.0), np.float32)
    return replace(Profile(name, -20.5, 0.25, 0.75, "ru", 0.125, values), **changes)


def selection(*names: str, arm: Arm = "acquired", start: int = 0) -> Selection:
    """A batch of these utterances, in their order; nothing is gated."""
    choices = [Choice(name, rank, 0.5, arm) for rank, name in enumerate(names, start)]
    return Selection(choices, [], {})


def task(name: str, number: int = 1, copy: int = 0, **changes: Any) -> PlannedTask:
    return replace(PlannedTask(TaskKey(name, number, copy), "query", 0), **changes)


def annotation(
    number: int, name: str, text: str | None = "бир", copy: int = 0, **changes: Any
) -> Annotation:
    """An answer to the task about `name` in round 1; its task's id is its utterance's."""
    key = TaskKey(name, 1, copy)
    row = Annotation(
        str(number), f"{name}{copy}", key, "annotator-1", text, None, 8.2, TIME, TIME, "эмне"
    )
    return replace(row, **changes)


def later(years: int = 1) -> str:
    """A time that many years after TIME."""
    return TIME.replace("2026", str(2026 + years))


def page(*annotations: Annotation, updated_at: str = TIME, high_water: str | None = None) -> Pulled:
    """What a pull brings that shows the tasks of these answers, each with all of its answers."""
    grouped: dict[tuple[str, TaskKey], list[Annotation]] = {}
    for row in annotations:
        grouped.setdefault((row.task_id, row.key), []).append(row)
    tasks = [PulledTask(id_, key, updated_at, rows) for (id_, key), rows in grouped.items()]
    return Pulled(tasks, (), high_water)


def ask(store: Store, *names: str) -> None:
    """Have round 1 ask about these, and Label Studio hold the tasks."""
    store.put_place("all", PLACE)
    store.add_tasks([task(name, rank=rank) for rank, name in enumerate(names)])
    store.mark_pushed(PLACE, {TaskKey(name, 1, 0): f"{name}0" for name in names})


def ids(rows: list[Utterance]) -> str:
    return "".join(row.id for row in rows)


def counts(store: Store) -> dict[str, int]:
    return {table.name: table.count for table in store.db.tables}
