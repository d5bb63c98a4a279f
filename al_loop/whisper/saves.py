"""The one save that an interrupted training goes on from. Knows no model; files only."""

from __future__ import annotations

import os
import pickle
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

UNFINISHED = ".unfinished"
LEFT_S = 3600
"""Without a change for so long, a file that is not finished is a killed process's."""


def write(path: Path, value: Any) -> None:
    """Replace the file at once: who reads it finds the old value or the new one, both whole.

    Also where two write it at once: an engine may have given up a worker that is only out of reach.
    """
    _clear(path)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        with unfinished.open("xb") as file:
            torch.save(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _clear(path: Path) -> None:
    """Delete what killed processes left of it."""
    for left in path.parent.glob(f"{path.name}.*{UNFINISHED}"):
        with suppress(FileNotFoundError):  # another one deletes it too
            if left.stat().st_mtime < time.time() - LEFT_S:
                left.unlink()


def read(path: Path) -> Any:
    """What was written, on the CPU; None where nothing was, or it is damaged.

    Runs no code of the file's.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
