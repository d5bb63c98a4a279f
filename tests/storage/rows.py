"""Rows for a store under test, and what is asked of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from al_loop.records import Annotation, Checkpoint, Hypothesis, Utterance
from storage.store import Store

BASE = Checkpoint("base", "checkpoints/base", None, {"made_from": "packaged:whisper-base"})
TIME = "2026-01-01T00:00:00.000000Z"


def utterance(name: str, **changes: Any) -> Utterance:
    row = Utterance(name, f"samples-{name}", f"audio/{name}.flac", 2.0, "radio", "ky", "pool")
    return replace(row, **changes)


def hypothesis(name: str, text: str = "бир") -> Hypothesis:
    return Hypothesis(name, text, 3, -0.5, 1.25, 0.01, 0.9, np.array([0.1, -2.0], np.float32))


def annotation(number: int, name: str, text: str | None = "бир", **changes: Any) -> Annotation:
    row = Annotation(str(number), "7", name, "annotator-1", text, None, 8.2, TIME, TIME)
    return replace(row, **changes)


def ids(rows: list[Utterance]) -> str:
    return "".join(row.id for row in rows)


def counts(store: Store) -> dict[str, int]:
    return {table.name: table.count for table in store.db.tables}
