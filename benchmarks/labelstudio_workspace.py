"""The workspace of `make bench-labelstudio`: a round that is about to push its query batch.

Everything that a model would have made is there, so that no call loads one. Knows nothing of the
server.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from al_loop.records import (
    Checkpoint,
    Choice,
    Hypothesis,
    PlannedTask,
    Selection,
    Source,
    TaskKey,
    Utterance,
)
from storage.store import Store
from storage.workspace import CONFIG_NAME, Workspace

SETTINGS = """
[label_studio]
low_water = 0       # there is nothing more to choose
doubt_below = 0     # the words are weighed by nobody
close_share = 1.0
[labels]
overlap_share = 0.1
"""
CHECKPOINT = "generated"
TEXT = "салам дос бул эмне деген сөз"
DURATION_S = 2.0


def make_workspace(folder: Path, count: int) -> None:
    """A workspace with a batch of `count` generated utterances, none of them pushed."""
    folder.mkdir(parents=True)
    (folder / CONFIG_NAME).write_text(SETTINGS, encoding="utf-8")
    store = Store(Workspace.open(folder))
    ids = sorted(hashlib.sha256(str(number).encode()).hexdigest() for number in range(count))
    with store.transaction():
        store.put_source(Source("pool", "open_source", "ky"))
        store.add([_utterance(name) for name in ids], [])
        store.put_checkpoint(Checkpoint(CHECKPOINT, "checkpoints/generated", None, {}))
        store.start_round(1, 0, "push", CHECKPOINT)
        store.add_hypotheses(CHECKPOINT, [_hypothesis(name) for name in ids])
        choices = [Choice(name, rank, 1.0, "acquired") for rank, name in enumerate(ids)]
        store.put_selection(1, Selection(choices, (), {"trusted": True}))
        store.add_tasks(
            PlannedTask(TaskKey(name, 1, 0), "query", rank) for rank, name in enumerate(ids)
        )
    store.close()


def _utterance(name: str) -> Utterance:
    return Utterance(name, name, f"audio/{name}.wav", DURATION_S, "pool", "ky", "pool")


def _hypothesis(name: str) -> Hypothesis:
    return Hypothesis(name, TEXT, 12, -0.5, 0.8, 1.5, 0.9, 0.9, 0.6, 0.01, 1.1)
