"""Replays in processes of their own, so many at once. Knows not what they do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from al_loop.errors import AlLoopError
from al_loop.records import Stage

COMMAND = (sys.executable, "-m", "al_loop", "replay")
"""Advances the replay in the folder that follows it, and ends when its standard input does."""
SHARED = (*COMMAND, "--shared")
"""The same of a folder that several machines have."""
LOG = "replay.log"
LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Part:
    """The replay in a folder, from where it is to its end, or to before the stage `until`.

    beside: so many there are to share the machine's cores.
    """

    folder: Path
    until: Stage | None
    label: str
    beside: int = 1


class Processes:
    """count: so many at once at the most. command: as `COMMAND`. threads: of each; by default its
    share of the cores.

    Each ends when this process does, for its standard input then ends, and lies in its folder as a
    killed one would.
    """

    def __init__(
        self,
        count: int,
        say: Callable[[str], None],
        command: Sequence[str] = COMMAND,
        threads: int | None = None,
    ) -> None:
        self.command = command
        self.count = count
        self.say = say
        self.threads = threads
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def work_off(self, waiting: deque[Part]) -> Generator[Part, None, None]:
        """Those that are done, in any order. More may be put in whenever one comes out.

        Raises AlLoopError where one fails; whatever ends this ends the others too.
        """
        begun: dict[Future[None], Part] = {}
        pool = ThreadPoolExecutor(self.count)
        try:
            while True:
                while waiting and len(begun) < self.count:
                    part = waiting.popleft()
                    begun[pool.submit(self.run, part)] = part
                if not begun:
                    return
                done, _ = wait(begun, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    yield begun.pop(future)
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown()

    def run(self, part: Part) -> None:
        """Run one, and wait. Raises AlLoopError with its last lines when it fails."""
        log = part.folder / LOG
        share = (os.cpu_count() or 1) // max(min(self.count, part.beside), 1)
        threads = self.threads or max(share, 1)
        environment = {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        with log.open("a", encoding="utf-8") as file:
            with self.lock:
                if self.stopped:
                    return
                process = subprocess.Popen(
                    [
                        *self.command,
                        str(part.folder),
                        *(["--until", part.until] if part.until else []),
                    ],
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
                        self.say(f"{part.label}: {line.rstrip()}")
        with self.lock:
            self.running.discard(process)
        if process.returncode and not self.stopped:
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
            raise AlLoopError(
                f"{part.label} ended with status {process.returncode}; the same call goes on where "
                f"it was. The last lines of {log}:\n" + "\n".join(last)
            )

    def stop(self) -> None:
        """End those that run; no other one starts."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.kill()
