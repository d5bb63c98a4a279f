"""What a CTC recogniser hears in a recording of hours: memory stays bounded, and a killed run goes
on where it was.

Emissions and loudness are written to disk stretch by stretch, and joined in the end. Knows no text,
and not who listens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from al_loop.alignment.quiet import STEPS_PER_S
from al_loop.errors import WorkspaceError
from al_loop.sources.stretches import Elsewhere, Grid, Hears, Here, Stretch, length_of, write

EMISSIONS, LOUDNESS = "emissions.npy", "loudness.npy"
LOCK = "heard.lock"


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """log_probs: (T, V) float32, on disk. levels: (S,) float32, dB, 100 a second."""

    log_probs: np.ndarray
    levels: np.ndarray

    @property
    def duration_s(self) -> float:
        return len(self.levels) / STEPS_PER_S


def hear(
    recording: Path,
    recogniser: Hears | Elsewhere,
    folder: Path,
    tell: Callable[[float], None] = lambda heard_s: None,
) -> Heard:
    """Emissions and loudness of a recording; what `folder` holds of them is not heard again.

    folder: of this recording and this recogniser alone. tell: is told how many seconds are heard.
    A recording is heard in chunks with their neighbours' edges on either side, which are thrown
    away: no letter is heard at the edge of what the model is given. Raises AudioError, and
    WorkspaceError where another process hears into the same folder.
    """
    if not (folder / LOUDNESS).is_file() or _blocks(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / LOCK, blocking=False):
                if not (folder / LOUDNESS).is_file():
                    there = recogniser if isinstance(recogniser, Elsewhere) else Here(recogniser)
                    _join(folder, _listen(recording, there, folder, tell))
                for path in _blocks(folder):  # also those of a run that was killed in between
                    path.unlink(missing_ok=True)
        except Timeout as exc:
            raise WorkspaceError(
                f"{recording} is being heard by another `align` of this workspace; wait for "
                "it, then run this one again"
            ) from exc
    return Heard(np.load(folder / EMISSIONS, mmap_mode="r"), np.load(folder / LOUDNESS))


def _blocks(folder: Path) -> list[Path]:
    """The files that joining leaves behind, and halves of such."""
    return sorted({*folder.glob("block-*.npz"), *folder.glob("*.unfinished")})


def _listen(
    recording: Path, there: Here | Elsewhere, folder: Path, tell: Callable[[float], None]
) -> list[Path]:
    """Has the stretches heard that are missing; the files of all, in order.

    That a recording is over is known when a stretch is shorter than a whole one. Others may have
    begun what lies behind it by then, and find nothing there.
    """
    whole, heard = Grid.of(there.facts).steps, 0
    ends: list[int] = []

    def put(number: int, length: int) -> None:
        nonlocal heard
        heard += length
        if length < whole:
            ends.append(number)
        tell(heard / STEPS_PER_S)

    def missing() -> Iterator[Stretch]:
        number = 0
        while not ends:
            stretch = Stretch(recording, folder, number)
            if stretch.file.is_file():
                put(number, length_of(stretch.file))
            else:
                yield stretch
            number += 1

    for number, length in there.listen(missing()):
        put(number, length)
    return [Stretch(recording, folder, number).file for number in range(min(ends) + 1)]


def _join(folder: Path, files: Sequence[Path]) -> None:
    """One array of all blocks; the loudness comes last, and says that it is done."""
    levels, count, width = [], 0, 0
    for path in files:
        with np.load(path) as found:
            levels.append(found["levels"])
            rows, columns = found["log_probs"].shape
        count, width = count + rows, max(width, columns) if rows else width or columns
    unfinished = folder / f"{EMISSIONS}.unfinished"
    joined = np.lib.format.open_memmap(unfinished, "w+", np.float32, (count, width))
    place = 0
    for path in files:
        with np.load(path) as found:
            rows = len(found["log_probs"])
            if rows:
                joined[place : place + rows] = found["log_probs"]
            place += rows
    joined.flush()
    del joined
    os.replace(unfinished, folder / EMISSIONS)
    write(folder / LOUDNESS, lambda file: np.save(file, np.concatenate(levels)))
