"""A recogniser's folder is whole and found, whatever step of its replacement was the last one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.spellers import Speller, is_name
from storage.workspace import whole_folder


class Killed(BaseException):
    pass


class Steps:
    """Lets so many changes of the disk happen, and then no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
        self.allowed = allowed
        for module, name in ((os, "replace"), (shutil, "rmtree"), (os, "mkdir")):
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))

    def _counted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            if self.allowed == 0:
                raise Killed
            self.allowed -= 1
            return change(*arguments, **options)

        return changed


def train(speller: Speller, weights: str) -> None:
    """As the command does, a training of one file that was saved on the way."""
    scratch = speller.begin(f"key of {weights}")
    (scratch / "state.pt").write_text(weights)
    with whole_folder(speller.fresh) as folder:
        (folder / "weights").write_text(weights)
    speller.put()
    speller.end()


def read(speller: Speller) -> str:
    return (speller.place() / "weights").read_text()


STEPS = 14
"""Of one training, that change the disk."""


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_after_any_step_there_is_one_and_the_next_training_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    speller = Speller(tmp_path / "ctc" / "spelling")
    train(speller, "former")
    with monkeypatch.context() as patched:
        Steps(patched, steps)
        try:
            train(speller, "fresh")
            ended = True
        except Killed:
            ended = False
    assert ended == (steps == STEPS)
    assert read(speller) in (("fresh",) if ended else ("former", "fresh"))
    assert speller.place().name == "spelling"
    assert Speller(tmp_path / "ctc" / "other").place() == tmp_path / "ctc" / "other"
    train(speller, "third")
    assert read(speller) == "third"
    assert [path.name for path in (tmp_path / "ctc").iterdir()] == ["spelling"]


def test_the_saves_of_a_training_stay_and_those_of_others_go(tmp_path: Path) -> None:
    speller = Speller(tmp_path / "ctc" / "spelling")
    (speller.begin("one") / "state.pt").touch()
    assert [path.name for path in speller.begin("one").iterdir()] == ["state.pt"]
    assert list(speller.begin("two").iterdir()) == []
    assert not (speller.work / "one").exists()


@pytest.mark.parametrize(
    ("name", "fits"),
    [("spelling", True), ("a-b.2_c", True), ("ырчы", True), ("spelling.new", True)]
    + [(name, False) for name in ("", ".training", "a/b", "..", "x.deleted", "x.unfinished")],
)
def test_names(name: str, fits: bool) -> None:
    assert is_name(name) == fits
