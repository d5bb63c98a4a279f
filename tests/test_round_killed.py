"""A round whose process is killed at any instant ends as if nothing had happened.

The store is wrapped at its port and raises what nobody catches; tests/e2e/test_round.py kills real
processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from shutil import copytree
from typing import Any

from storage.store import Store
from storage.workspace import Workspace

from .fakes import FakeRecognizer, World, facts, hasty_store, live, make_world, new_store


class Killed(BaseException):
    """The process ends here: nothing of ours may catch it."""


class DyingStore:
    """The store of a process that ends at its n-th instant.

    The instants are before and after each write; of a write that is a block, before and after its
    commit.
    """

    READS = (
        "answered", "answers", "arms", "being_drawn", "believed",
        "calibration", "cases", "checkpoint",
        "current_checkpoint_id",
        "curve_points", "evaluation_utterances", "failures", "follow_ups_due", "has_pool", "heard",
        "high_water",
        "hypotheses", "is_busy", "is_topped_up", "known_answers", "known_embeddings", "known_texts",
        "last_heard", "last_recorded_round", "last_round", "learned_texts", "manifest",
        "next_copies", "next_rank",
        "open_round", "open_tasks", "outdated", "places", "profiles", "pseudo_candidates",
        "pseudo_examples", "pseudo_label_folder", "refreshed_for", "released",
        "repeatable", "samples", "scored_pool", "sources", "swept_at", "training_examples",
        "unanswered_reasons", "unmarked", "unprofiled", "unprofiled_beyond_pool", "unpushed",
        "unshown", "utterances", "word_error_rate", "workspace",
    )  # fmt: skip
    BLOCKS = ("finishing", "new_checkpoint_folder", "transaction")

    def __init__(self, store: Store, instant: int) -> None:
        self._store = store
        self._left = instant
        self.died: str | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in self.READS:
            return found

        def write(*args: Any) -> Any:
            self._instant(f"before {name}")
            result = found(*args)
            self._instant(f"after {name}")
            return result

        def block(*args: Any) -> AbstractContextManager[Any]:
            return self._block(name, found(*args))

        return block if name in self.BLOCKS else write

    @contextmanager
    def _block(self, name: str, block: AbstractContextManager[Any]) -> Iterator[Any]:
        with block as value:
            yield value
            self._instant(f"before the end of {name}")
        self._instant(f"after {name}")

    def _instant(self, where: str) -> None:
        self._left -= 1
        if self._left == 0:
            self.died = where
            raise Killed


def test_killed_at_any_instant_it_ends_where_it_would_have(tmp_path: Path) -> None:
    before = make_world(new_store(tmp_path / "before"), pool=6, train=3, test=3)
    before.set(
        labels={"gold_share": 0.4, "repeat_share": 0.4},
        label_studio={"low_water": 2, "projects": "per_round"},
        select={"budget_s": 3.0},
    )
    before.store.close()

    def new_world(name: str) -> World:
        folder = tmp_path / name
        copytree(tmp_path / "before", folder)
        store = hasty_store(Workspace.open(folder))
        return World(store, FakeRecognizer(folder), settings=before.settings)

    undisturbed = new_world("undisturbed")
    live(undisturbed)
    expected = facts(undisturbed.store)
    checkpoints = {path.name for path in undisturbed.store.workspace.checkpoints.iterdir()}

    places = set()
    for instant in count(1):
        world = new_world(str(instant))
        dying: Any = DyingStore(world.store, instant)
        try:
            live(replace(world, store=dying))
            break
        except Killed:
            places.add(dying.died)
        world.store.close()
        resumed = replace(world, store=hasty_store(world.store.workspace))
        live(resumed)
        assert facts(resumed.store) == expected, dying.died
        assert resumed.oracle.tasks == undisturbed.oracle.tasks, dying.died
        folders = {path.name for path in resumed.store.workspace.checkpoints.iterdir()}
        assert folders == checkpoints, dying.died
    assert {"before mark_pushed", "after new_checkpoint_folder", "after finishing"} < places
    assert instant > 100
