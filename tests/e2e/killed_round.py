"""`al-loop round`, but the process kills itself with SIGKILL at a given write of a given stage.

    python killed_round.py WORKSPACE STAGE N before|after

The store is wrapped at its port: at the N-th writing call since the stage began, the process dies
just before the call, or just after it (inside the stage's transaction, where there is one). The
production code knows nothing of this.
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

WRITES = (
    "add_hypotheses", "add_profiles", "decide", "mark_pushed", "put_checkpoint", "put_evaluations",
    "put_labels", "put_leaks", "put_manifest", "put_report", "put_selection", "put_source",
    "set_candidate", "set_pushed_at", "take_annotations",
)  # fmt: skip


class DyingStore:
    """A store whose process dies at the chosen write."""

    def __init__(self, store: Store, stage: str, at_write: int, moment: str) -> None:
        self._store = store
        self._stage = stage
        self._left = at_write
        self._moment = moment
        self._armed = False

    def start_stage(self, round_number: int, stage: str, settings: str) -> int:
        starts = self._store.start_stage(round_number, stage, settings)
        self._armed = stage == self._stage
        if self._armed and self._left == 0:
            _die()
        return starts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._dying(found) if self._armed and name in WRITES else found

    def _dying(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._moment == "before":
                _die()
            result = write(*args, **kwargs)
            if self._left == 0:
                _die()
            return result

        return call


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    folder, stage, at_write, moment = sys.argv[1:]
    root = Workspace.open(Path(folder))
    store: Any = DyingStore(Store(root), stage, int(at_write), moment)
    with FileLock(root.lock, blocking=False):
        wire(root, load_settings(root.config), store).advance(insist=True)


if __name__ == "__main__":
    main()
