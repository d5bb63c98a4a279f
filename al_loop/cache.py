"""A folder of files that can be had again, kept below a limit: the least recently read go first.

Any number of processes may use one: each counts what it puts in, and looks through all of it now
and then. When a file was read is its time of access, which readers set. Knows no clips, and not
where files come from.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from al_loop.errors import StorageError

LOG = logging.getLogger("al_loop")
SLACK = 0.05
"""Part of the limit that a process may put in before it looks through the cache again."""
CONNECTIONS = 8
UNFINISHED = ".unfinished"
STALE_S = 3600.0
"""A file under a temporary name that is older was left by a process that was killed."""

T = TypeVar("T")
Found = TypeVar("Found")


class Cache:
    """may_go: whether a file can be had again; only then it is deleted. Raises as it likes."""

    def __init__(self, folder: Path, limit_bytes: float, may_go: Callable[[Path], bool]) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._may_go = may_go
        self._lock = threading.Lock()
        self._added: float | None = None  # bytes, since it was looked through

    def grown(self, size: int, spared: Path | None = None) -> None:
        """So many bytes were put in; `spared` is about to be read, and stays."""
        with self._lock:
            if self._added is not None:
                self._added += size
                if self._added < SLACK * self._limit:
                    return
            self._added = 0.0
        try:
            self._evict(spared)
        except (StorageError, OSError) as exc:
            LOG.info("the cache %s is not made smaller: %s", self._folder, exc)

    def _evict(self, spared: Path | None) -> None:
        found = sorted(_files_of(self._folder))
        held = sum(size for _, size, _ in found)
        if held <= (1 - SLACK) * self._limit:
            return
        goal = (1 - 2 * SLACK) * self._limit
        going = deque((path, size) for _, size, path in found if path != spared)
        while going and held > goal:
            surplus, chosen = held - goal, []
            while going and surplus > 0:
                chosen.append(going.popleft())
                surplus -= chosen[-1][1]
            safe = list(together(self._may_go, [path for path, _ in chosen]))
            for (path, size), is_safe in zip(chosen, safe, strict=True):
                if is_safe:
                    path.unlink(missing_ok=True)
                    held -= size
            if sum(safe) < len(safe) / 2:  # the rest is hardly better
                raise StorageError(
                    f"{len(safe) - sum(safe)} of {len(safe)} files that would go are not in "
                    "object storage yet; `al-loop audio push` brings them there"
                )


def together(work: Callable[[T], Found], over: Iterable[T]) -> Iterator[Found]:
    """The work over several connections at once; results in order."""
    pool = ThreadPoolExecutor(CONNECTIONS)
    try:
        yield from pool.map(work, over)
    finally:
        pool.shutdown(cancel_futures=True)


def use(path: Path) -> None:
    """Say that a file was read. Its time of change stays: others take it for the content's."""
    with suppress(OSError):  # it is gone, or another's: whoever reads it says so
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _files_of(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When it was read last, size in bytes, path; what killed processes left is deleted."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(FileNotFoundError):
                found = path.stat()
                if not name.endswith(UNFINISHED):
                    yield found.st_atime, found.st_size, path
                elif time.time() - found.st_mtime > STALE_S:
                    path.unlink()
