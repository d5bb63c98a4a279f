"""Stretches of a long recording, heard one by one: by this process, or by an engine's workers.

What a stretch sounds like to a recogniser, and its loudness, go into a file of its own, in a folder
that every worker reads and writes. Knows no text, and not how stretches make a whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from al_loop.alignment.quiet import STEPS_PER_S, loudness
from al_loop.alignment.text import Labels
from al_loop.audio import SAMPLE_RATE
from al_loop.sources.recording import Recording

if TYPE_CHECKING:
    from al_loop.ports import Engine

CHUNKS = 8
"""Of a stretch, given to the recogniser at once: what a killed run hears again."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is to be known of a recogniser, wherever it is; see `Hears`."""

    id: str
    manner: str
    labels: Labels
    frame_s: float
    chunk_s: float
    context_s: float

    @classmethod
    def of(cls, recogniser: Hears) -> Facts:
        return cls(*(getattr(recogniser, row.name) for row in fields(cls)))


class Hears(Protocol):
    """What spells speech frame by frame; `al_loop.whisper.ctc` says more of it."""

    id: str
    manner: str
    labels: Labels
    frame_s: float
    chunk_s: float
    context_s: float

    def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """One of a recording's, counted from its beginning, to be heard into `folder`."""

    recording: Path
    folder: Path
    number: int

    @property
    def file(self) -> Path:
        return self.folder / f"block-{self.number:05}.npz"


@dataclass(frozen=True, slots=True)
class Grid:
    """How a recording is divided, in samples. A stretch has whole frames, and whole steps of
    loudness."""

    frame: int
    chunk: int
    context: int

    @classmethod
    def of(cls, facts: Facts) -> Grid:
        frame = round(facts.frame_s * SAMPLE_RATE)
        step = int(np.lcm(frame, SAMPLE_RATE // STEPS_PER_S))
        chunk = max(round(facts.chunk_s * SAMPLE_RATE / step), 1) * step
        return cls(frame, chunk, max(round(facts.context_s * SAMPLE_RATE / frame), 1) * frame)

    @property
    def steps(self) -> int:
        """Of the loudness of a whole stretch."""
        return CHUNKS * self.chunk * STEPS_PER_S // SAMPLE_RATE


class Here:
    """A recogniser in this process, and what it hears."""

    def __init__(self, recogniser: Hears) -> None:
        self.facts = Facts.of(recogniser)
        self._recogniser = recogniser
        self._recording: Recording | None = None

    def listen(self, stretches: Iterable[Stretch]) -> Iterator[tuple[int, int]]:
        """The number of each, and its length in steps of loudness: less than a whole one's where
        the recording ends. Raises AudioError."""
        return map(self.hear, stretches)

    def hear(self, stretch: Stretch) -> tuple[int, int]:
        """One of them, into its file. The recording stays open for the next one."""
        if self._recording is None or self._recording.path != stretch.recording:
            self._close()
            self._recording = Recording(stretch.recording)
        length = 0
        try:
            rows, levels = self._heard(self._recording, stretch.number)
            length = len(levels)
        finally:
            if length < Grid.of(self.facts).steps:
                self._close()
        write(stretch.file, lambda file: np.savez(file, log_probs=rows, levels=levels))
        return stretch.number, length

    def _heard(self, recording: Recording, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(T, V) emissions and (S,) loudness of a stretch."""
        grid, labels = Grid.of(self.facts), self.facts.labels
        levels, clips, spans = [np.zeros(0, np.float32)], [], []
        for begin in range(
            number * CHUNKS * grid.chunk, (number + 1) * CHUNKS * grid.chunk, grid.chunk
        ):
            first = max(begin - grid.context, 0)
            around = recording.part(first, begin + grid.chunk + grid.context)
            own = around[begin - first :][: grid.chunk]
            if not len(own):
                break
            levels.append(loudness(own, SAMPLE_RATE))
            clips.append(around)
            skipped = (begin - first) // grid.frame
            spans.append(slice(skipped, skipped - (-len(own) // grid.frame)))
        width = 1 + max([labels.blank, *labels.letters.values()])
        heard = self._recogniser.emissions(clips) if clips else []
        rows = [found[span] for found, span in zip(heard, spans, strict=True)]
        return np.concatenate(rows or [np.zeros((0, width), np.float32)]), np.concatenate(levels)

    def _close(self) -> None:
        if self._recording is not None:
            self._recording.close()
            self._recording = None


class Elsewhere:
    """A recogniser that an engine's workers have, and what it hears; this process needs none.

    make_ear: `make_ear` of what makes the recogniser; must pickle. It is best `kept`: a first map
    asks what is to be known of the recogniser.
    """

    def __init__(self, engine: Engine, make_ear: Callable[[], Callable[[Any], Any]]) -> None:
        self._engine = engine
        self._make_ear = make_ear
        facts: Facts
        (facts,) = engine.map(make_ear, [None])
        self.facts = facts

    def listen(self, stretches: Iterable[Stretch]) -> Iterator[tuple[int, int]]:
        """As `Here.listen`, in any order."""
        return self._engine.map(self._make_ear, stretches)


def make_ear(
    recogniser: Callable[[], Hears],
) -> Callable[[Stretch | None], tuple[int, int] | Facts]:
    """A worker that hears a stretch; of None it tells what it hears with."""
    here = Here(recogniser())

    def ear(stretch: Stretch | None) -> tuple[int, int] | Facts:
        return here.facts if stretch is None else here.hear(stretch)

    return ear


def length_of(file: Path) -> int:
    """The steps of loudness of a stretch that was heard."""
    with np.load(file) as found:
        return len(found["levels"])


def write(path: Path, fill: Callable[[Any], object]) -> None:
    """Write a file under another name, then rename it: it is whole, or not there, and two that do
    so at once do not mix."""
    with NamedTemporaryFile(
        dir=path.parent, prefix=f"{path.name}.", suffix=".unfinished", delete=False
    ) as file:
        try:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
