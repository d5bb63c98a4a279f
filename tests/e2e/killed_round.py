"""`al-loop round`, but the process kills itself with SIGKILL at a given write of a given stage.

    python killed_round.py WORKSPACE STAGE WRITE before|after

The store is wrapped at its port: at the first call of its method WRITE since the stage began, the
process dies just before the call, or just after it (inside the stage's transaction, where there is
one). WRITE is "start" for the stage's very start. The production code knows nothing of this.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from al_loop.config import load_settings
from al_loop.wiring import wire
from storage.store import Store
from storage.workspace import Workspace


class DyingStore:
    """A store whose process dies at the chosen write."""

    def __init__(self, store: Store, stage: str, write: str, moment: str) -> None:
        self._store = store
        self._stage = stage
        self._write = write
        self._moment = moment
        self._armed = False

    def start_stage(self, round_number: int, stage: str, settings: str) -> int:
        starts = self._store.start_stage(round_number, stage, settings)
        self._armed = stage == self._stage
        if self._armed and self._write == "start":
            _die()
        return starts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._dying(found) if self._armed and name == self._write else found

    def _dying(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._moment == "before":
                _die()
            write(*args, **kwargs)
            _die()

        return call


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    folder, stage, write, moment = sys.argv[1:]
    root = Workspace.open(Path(folder))
    store: Any = DyingStore(Store(root), stage, write, moment)
    with FileLock(root.lock, blocking=False):
        wire(root, load_settings(root.config), store).advance(insist=True)


if __name__ == "__main__":
    main()
