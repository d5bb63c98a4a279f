"""A folder for files that one process needs while it runs; it goes with the process.

What a killed process left is deleted by the next one: each holds a lock on its own folder, and a
lock ends with its holder. Knows nothing of what the files are.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp


class Scratch:
    """folder: that any number of processes use at once, for nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: tuple[Path, int] | None = None
        with suppress(OSError):  # another looks through it too, or there is none yet
            for left in folder.iterdir():
                if (lock := _lock(left)) is not None:
                    shutil.rmtree(left, ignore_errors=True)
                    os.close(lock)

    def path(self, name: str) -> Path:
        """Where a file of that name may lie. Raises OSError where no folder can be made."""
        if self._own is None:
            self._own = self._made()
        return self._own[0] / name

    def close(self) -> None:
        if self._own is not None:
            folder, lock = self._own
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            self._own = None

    def _made(self) -> tuple[Path, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            own = Path(mkdtemp(dir=self._folder))
            lock = _lock(own)
            if lock is not None:
                if own.is_dir():
                    return own, lock
                os.close(lock)  # another took it for a killed process's before it was locked


def _lock(folder: Path) -> int | None:
    """A lock on the folder; None where another process holds it, or the folder is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        if isinstance(exc, BlockingIOError):
            return None
        raise
    return descriptor
