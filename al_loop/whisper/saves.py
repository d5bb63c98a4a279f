"""The one save that an interrupted training goes on from. Knows no model; files only."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch


def write(path: Path, value: Any) -> None:
    """Replace the file at once: who reads it finds the old value or the new one, both whole."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def read(path: Path) -> Any:
    """What was written, on the CPU; None where nothing was, or it is damaged.

    Runs no code of the file's.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
