"""Where a benchmark works: a folder of its own in .bench, or where AL_LOOP_BENCH_DIR says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from al_loop.errors import AlLoopError
from benchmarks.corpus import ROOT

VARIABLE = "AL_LOOP_BENCH_DIR"


@contextmanager
def work_folder(name: str, quick: bool = False) -> Iterator[Path]:
    """An absolute path, for no other run while this one lasts. The folder may not exist yet.

    The lock lies beside it, for the folder may be deleted. quick: whether it is a try, which has a
    folder of its own and leaves alone what a full run of hours has there. Raises AlLoopError where
    another run has it.
    """
    name = f"{name}-quick" if quick else name
    place = Path(os.environ.get(VARIABLE, ROOT / ".bench")).resolve()
    place.mkdir(parents=True, exist_ok=True)
    folder, lock = place / name, FileLock(place / f"{name}.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout as exc:
        raise AlLoopError(
            f"another run is at work in {folder}; wait for it, or name another place in {VARIABLE}"
        ) from exc
    try:
        yield folder
    finally:
        lock.release()
