"""What `al-loop replay` does, with a recogniser that learns from how many clips it is shown.

    python fake_replay.py [--killed-in STAGE MARKER] [--with-worker] FOLDER [--until STAGE]

With --killed-in the process dies at once when that stage begins and there is no file MARKER yet,
which it makes; with --with-worker it is the process that started it that is killed.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from al_loop.config import load_settings
from al_loop.engine.local import LocalEngine
from al_loop.records import Example
from al_loop.round import Loop
from al_loop.simulation.oracle import ReferenceJudge
from al_loop.simulation.replay import leave_with_the_driver, reference_oracle, replay
from storage.store import Store
from storage.workspace import Workspace
from tests.fakes import FakeRecognizer

ENOUGH = 30
"""Clips that teach every word."""


class Learner(FakeRecognizer):
    """Knows as many of the words as it was shown clips."""

    def train(self, checkpoint: str, epochs: Sequence[Sequence[Example]], *others: Any) -> Any:
        self.progress = 3 * len({row.utterance_id for row in epochs[0]}) / ENOUGH  # type: ignore[assignment]
        return super().train(checkpoint, epochs, *others)


def loop_of(folder: Path, say: Any = print) -> Loop:
    """The loop of the replay in `folder`."""
    settings = load_settings(folder / "al_loop.toml")
    store = Store(Workspace.open(folder))
    learner = Learner(folder)
    return Loop(
        settings,
        store,
        LocalEngine(),
        lambda: learner,
        lambda: reference_oracle(folder, settings.model.language),
        ReferenceJudge(),
        say,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--killed-in", nargs=2, metavar=("STAGE", "MARKER"))
    parser.add_argument("--with-worker", action="store_true")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until")
    wanted = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)
        if wanted.killed_in and line.endswith(f": {wanted.killed_in[0]}"):
            marker = Path(wanted.killed_in[1])
            if not marker.exists():
                marker.touch()
                os.kill(os.getppid() if wanted.with_worker else os.getpid(), signal.SIGKILL)
                time.sleep(60 if wanted.with_worker else 0)  # it ends with who started it

    leave_with_the_driver()
    replay(loop_of(wanted.folder, say), wanted.folder, wanted.until)


if __name__ == "__main__":
    main()
