"""Checkpoints and their folders."""

from __future__ import annotations

from al_loop.records import Checkpoint
from storage.store import Store

from .rows import BASE


def test_a_checkpoint_comes_back_as_it_was(filled: Store) -> None:
    candidate = Checkpoint("c", "checkpoints/c", "base", {"loss": [1.5, 0.25], "language": "ky"})
    filled.put_checkpoint(candidate)
    filled.put_checkpoint(candidate)
    assert filled.checkpoint("c") == candidate
    assert filled.checkpoint("base") == BASE
    assert filled.checkpoint("d") is None


def test_a_checkpoint_folder_that_was_never_recorded_is_made_anew(store: Store) -> None:
    for name in ("first", "second"):
        with store.new_checkpoint_folder("round-001") as folder:
            (folder / name).touch()
    (made,) = store.workspace.checkpoints.iterdir()
    assert made.name == "round-001"
    assert [path.name for path in made.iterdir()] == ["second"]


def test_a_training_finds_its_saves_again_until_the_round_is_recorded(store: Store) -> None:
    (store.scratch_folder("round-001") / "save").touch()
    again = store.scratch_folder("round-001")
    assert [path.name for path in again.iterdir()] == ["save"]
    store.prune(3, None)
    assert not again.exists()


def test_the_saves_of_another_training_go(store: Store) -> None:
    left = store.scratch_folder("round-001")
    assert list(store.scratch_folder("round-002").iterdir()) == []
    assert not left.exists()
