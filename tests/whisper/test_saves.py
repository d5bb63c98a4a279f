"""Saves are whole, whoever writes them, and what was left of them goes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from al_loop.whisper import saves


class Meanwhile(dict[str, Any]):
    """As it is saved, something else happens."""

    def __reduce__(self) -> Any:
        saves.write(Path(self["path"]), {"by": "another"})
        return dict, ()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_that_save_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    saves.write(path, [Meanwhile(path=path), torch.ones(3)])
    found = torch.load(path, weights_only=False)
    assert torch.equal(found[1], torch.ones(3))
    assert names(tmp_path) == ["state.pt"]


def test_a_save_that_fails_leaves_the_last_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    saves.write(path, 1)
    with pytest.raises((AttributeError, TypeError)):
        saves.write(path, lambda: None)
    assert saves.read(path) == 1
    assert names(tmp_path) == ["state.pt"]


def test_what_a_killed_process_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    left, begun = (tmp_path / f"state.pt.{name}.unfinished" for name in ("left", "begun"))
    for path in (left, begun):
        path.touch()
    long_ago = time.time() - saves.LEFT_S - 60
    os.utime(left, (long_ago, long_ago))
    saves.write(tmp_path / "state.pt", 1)
    assert names(tmp_path) == ["state.pt", begun.name]
