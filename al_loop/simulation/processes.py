"""Replays in processes of their own, so many at once. Knows not what they do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from al_loop.errors import AlLoopError
from al_loop.records import Stage

COMMAND = (sys.executable, "-m", "al_loop", "replay")
"""Advances the replay in the folder that follows it, and ends when its standard input does."""
LOG = "replay.log"
LAST_LINES = 15


class Processes:
    """count: so many at once at the most. command: as `COMMAND`.

    Each ends when this process does, for its standard input then ends, and lies in its folder as a
    killed one would.
    """

    def __init__(
        self, count: int, say: Callable[[str], None], command: Sequence[str] = COMMAND
    ) -> None:
        self.command = command
        self.count = count
        self.say = say
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def run(self, folder: Path, until: Stage | None, label: str, beside: int) -> None:
        """Run one on `folder`, and wait. beside: so many there are to share the machine's cores.

        Raises AlLoopError with its last lines when it fails.
        """
        log = folder / LOG
        threads = max((os.cpu_count() or 1) // max(min(self.count, beside), 1), 1)
        environment = {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        with log.open("a", encoding="utf-8") as file:
            with self.lock:
                if self.stopped:
                    return
                process = subprocess.Popen(
                    [*self.command, str(folder), *(["--until", until] if until else [])],
                    env=os.environ | environment,
                    stdin=subprocess.PIPE,  # never written to: it ends when this process does
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                )
                self.running.add(process)
            with process:
                assert process.stdout is not None
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    if line.startswith("round"):
                        self.say(f"{label}: {line.rstrip()}")
        with self.lock:
            self.running.discard(process)
        if process.returncode and not self.stopped:
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
            raise AlLoopError(
                f"{label} ended with status {process.returncode}; the same call goes on where it "
                f"was. The last lines of {log}:\n" + "\n".join(last)
            )

    def stop(self) -> None:
        """End those that run; no other one starts."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.kill()
