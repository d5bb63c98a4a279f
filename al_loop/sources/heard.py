"""What a CTC recogniser hears in a recording of hours: memory stays bounded, and a killed run goes
on where it was.

Emissions and loudness are written to disk block by block, and joined in the end. Knows no text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock, Timeout

from al_loop.alignment.quiet import STEPS_PER_S, loudness
from al_loop.alignment.text import Labels
from al_loop.audio import SAMPLE_RATE
from al_loop.errors import WorkspaceError
from al_loop.sources.recording import Recording

EMISSIONS, LOUDNESS = "emissions.npy", "loudness.npy"
LOCK = "heard.lock"
CHUNKS = 8
"""Of a block, given to the recogniser at once: what a killed run hears again."""


class Hears(Protocol):
    """What spells speech frame by frame; `al_loop.whisper.ctc` says more of it."""

    id: str
    manner: str
    labels: Labels
    frame_s: float
    chunk_s: float
    context_s: float

    def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """log_probs: (T, V) float32, on disk. levels: (S,) float32, dB, 100 a second."""

    log_probs: np.ndarray
    levels: np.ndarray

    @property
    def duration_s(self) -> float:
        return len(self.levels) / STEPS_PER_S


def hear(
    recording: Recording,
    recogniser: Hears,
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
                    _join(folder, _listen(recording, recogniser, folder, tell))
                for path in _blocks(folder):  # also those of a run that was killed in between
                    path.unlink()
        except Timeout as exc:
            raise WorkspaceError(
                f"{recording.path} is being heard by another `align` of this workspace; wait for "
                "it, then run this one again"
            ) from exc
    return Heard(np.load(folder / EMISSIONS, mmap_mode="r"), np.load(folder / LOUDNESS))


def _blocks(folder: Path) -> list[Path]:
    """The files that joining leaves behind, and halves of such."""
    return sorted({*folder.glob("block-*.npz"), *folder.glob("*.unfinished")})


def _listen(
    recording: Recording, recogniser: Hears, folder: Path, tell: Callable[[float], None]
) -> list[Path]:
    """Writes the blocks that are missing; their files."""
    frame = round(recogniser.frame_s * SAMPLE_RATE)
    step = np.lcm(frame, SAMPLE_RATE // STEPS_PER_S)  # a block has whole frames, and whole steps
    chunk = max(round(recogniser.chunk_s * SAMPLE_RATE / step), 1) * int(step)
    context = max(round(recogniser.context_s * SAMPLE_RATE / frame), 1) * frame
    block = CHUNKS * chunk
    files: list[Path] = []
    while True:
        path = folder / f"block-{len(files):05}.npz"
        files.append(path)
        if not path.is_file():
            begin = (len(files) - 1) * block
            rows, levels = _block(
                recording, recogniser, range(begin, begin + block, chunk), context
            )
            _write(path, lambda file, r=rows, v=levels: np.savez(file, log_probs=r, levels=v))
        with np.load(path) as found:
            heard = len(found["levels"])
        tell((len(files) - 1) * block / SAMPLE_RATE + heard / STEPS_PER_S)
        if heard < block * STEPS_PER_S // SAMPLE_RATE:
            return files


def _block(
    recording: Recording, recogniser: Hears, begins: range, context: int
) -> tuple[np.ndarray, np.ndarray]:
    """(T, V) emissions and (S,) loudness of chunks that begin at these samples."""
    frame = round(recogniser.frame_s * SAMPLE_RATE)
    levels, clips, spans = [np.zeros(0, np.float32)], [], []
    for begin in begins:
        first = max(begin - context, 0)
        around = recording.part(first, begin + begins.step + context)
        own = around[begin - first :][: begins.step]
        if not len(own):
            break
        levels.append(loudness(own, SAMPLE_RATE))
        clips.append(around)
        skipped = (begin - first) // frame
        spans.append(slice(skipped, skipped - (-len(own) // frame)))
    width = 1 + max([recogniser.labels.blank, *recogniser.labels.letters.values()])
    heard = recogniser.emissions(clips) if clips else []
    rows = [found[span] for found, span in zip(heard, spans, strict=True)]
    return np.concatenate(rows or [np.zeros((0, width), np.float32)]), np.concatenate(levels)


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
    _write(folder / LOUDNESS, lambda file: np.save(file, np.concatenate(levels)))


def _write(path: Path, fill: Callable[..., None]) -> None:
    """Write a file under another name, then rename it: it is whole, or not there."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
