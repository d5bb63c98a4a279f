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
from typing import Any

from storage.store import Store

from .fakes import World, facts, live, make_world, new_store


class Killed(BaseException):
    """The process ends here: nothing of ours may catch it."""


class DyingStore:
    """The store of a process that ends at its n-th instant.

    The instants are before and after each write; of a write that is a block, before and after its
    commit.
    """

    READS = (
        "annotations", "answered", "answers", "arms", "checkpoint", "current_checkpoint_id",
        "curve_points", "evaluation_utterances", "failures", "has_pool", "heard", "high_water",
        "hypotheses", "known_embeddings", "last_heard", "last_recorded_round", "last_round",
        "manifest", "open_round", "profiles", "released", "scored_pool", "sources",
        "training_examples", "unheard", "unprofiled", "unprofiled_beyond_pool", "unpushed",
        "utterances", "word_error_rate", "workspace",
    )  # fmt: skip
    BLOCKS = ("finishing", "new_checkpoint_folder")

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
    def new_world(name: str) -> World:
        return make_world(new_store(tmp_path / name), pool=6, train=2, test=3)

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
        resumed = replace(world, store=Store(world.store.workspace))
        live(resumed)
        assert facts(resumed.store) == expected, dying.died
        assert resumed.oracle.tasks == undisturbed.oracle.tasks, dying.died
        folders = {path.name for path in resumed.store.workspace.checkpoints.iterdir()}
        assert folders == checkpoints, dying.died
    assert {"before mark_pushed", "after new_checkpoint_folder", "after finishing"} < places
    assert instant > 100
