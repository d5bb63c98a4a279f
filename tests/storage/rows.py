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
    Profile,
    Selection,
    Utterance,
)
from storage.store import Store

BASE = Checkpoint("base", "checkpoints/base", None, {"made_from": "packaged:whisper-base"})
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


def annotation(number: int, name: str, text: str | None = "бир", **changes: Any) -> Annotation:
    row = Annotation(str(number), "7", name, "annotator-1", text, None, 8.2, TIME, TIME)
    return replace(row, **changes)


def ids(rows: list[Utterance]) -> str:
    return "".join(row.id for row in rows)


def counts(store: Store) -> dict[str, int]:
    return {table.name: table.count for table in store.db.tables}
