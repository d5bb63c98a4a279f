"""Lines of text become labelled clips, spoken wherever the engine has its workers.

Knows lines and rows, no model and no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from al_loop.audio import write_flac
from al_loop.errors import AudioError, ManifestError
from al_loop.sources.rows import Row
from al_loop.sources.synthesis import Known, Synthesiser, Take, Variety, draw_take, spoken
from al_loop.sources.synthesis_texts import Line

if TYPE_CHECKING:
    from al_loop.ports import Engine

BLOCK = 8
"""Lines that a worker gets at once; about a megabyte of speech comes back."""
AHEAD = 2048
"""Lines that are spoken out of turn at the most: about a quarter of a gigabyte."""


class Order(NamedTuple):
    """A line that is to be spoken, by its place among the lines."""

    number: int
    text: str
    take: Take


class Said(NamedTuple):
    """What came of an order. audio: FLAC; None where there is a problem."""

    number: int
    audio: bytes | None
    problem: str | None = None


def clips(
    lines: Iterable[Line],
    synthesiser: Callable[[], Synthesiser],
    variety: Variety,
    known: Mapping[Known, Path],
    engine: Engine,
    ahead: int = AHEAD,
) -> Iterator[Row]:
    """The lines as rows with their speech, in order; of bad ones, why.

    synthesiser: makes it, here and where the engine works; must pickle. known: the files of the
    clips that are in already, which are not spoken again. ahead: lines that are read, at the most,
    while the first of them is not said: what is spoken out of turn waits in memory.
    """
    run = _Run(lines, synthesiser(), variety, known, ahead)
    while not run.is_over():
        if run.has_block():  # nothing is started before there is something to say
            for said in engine.map(partial(_speaking, synthesiser), run, run.refuse):
                run.put(said)
                yield from run.ready()
        yield from run.ready()
    if run.broken is not None:
        raise run.broken


class _Run:
    """The lines on their way; iterating, the blocks that can be spoken now.

    waiting: for their speech; rows: for their turn. count: of lines read. broken: where the lines
    end before their time; what they gave is good.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        synthesiser: Synthesiser,
        variety: Variety,
        known: Mapping[Known, Path],
        ahead: int,
    ) -> None:
        self.lines = iter(lines)
        self.id, self.made_by = synthesiser.id, synthesiser.name
        self.variety = variety
        self.known = known
        self.ahead = ahead
        self.block: list[Order] = []
        self.waiting: dict[int, tuple[Line, Take]] = {}
        self.rows: dict[int, Row] = {}
        self.count = 0
        self.turn = 0
        self.is_read = False
        self.broken: ManifestError | None = None

    def __iter__(self) -> Iterator[list[Order]]:
        return self

    def __next__(self) -> list[Order]:
        """More may come when some of what is ahead was said."""
        if not self.has_block():
            raise StopIteration
        block, self.block = self.block, []
        return block

    def has_block(self) -> bool:
        """Whether there is something to say, after reading as far as that takes."""
        while len(self.block) < BLOCK and self.count - self.turn < self.ahead and self._read():
            pass
        return bool(self.block)

    def is_over(self) -> bool:
        """Whether all lines have come back as rows."""
        return self.is_read and self.turn == self.count

    def _read(self) -> bool:
        """Whether there was another line."""
        try:
            line = next(self.lines, None)
        except ManifestError as exc:
            self.broken, line = exc, None
        if line is None:
            self.is_read = True
            return False
        self._begin(self.count, line)
        self.count += 1
        return True

    def _begin(self, number: int, line: Line) -> None:
        if line.problem:
            self.rows[number] = Row(line.origin, None, problem=line.problem)
            return
        take = draw_take(line.text, self.id, self.variety)
        kept = self.known.get(Known(line.text, take.manner.speaker, take.recipe))
        if kept is not None and kept.is_file():
            self.rows[number] = self._row(line, take, kept)
            return
        self.waiting[number] = line, take
        self.block.append(Order(number, line.text, take))

    def put(self, said: Sequence[Said]) -> None:
        for number, audio, problem in said:
            line, take = self.waiting.pop(number)
            self.rows[number] = (
                Row(line.origin, None, problem=problem)
                if audio is None
                else self._row(line, take, audio)
            )

    def refuse(self, block: Sequence[Order], reason: str, detail: str) -> None:
        self.put([Said(order.number, None, f"{reason}: {detail}") for order in block])

    def ready(self) -> Iterator[Row]:
        """Those whose turn it is."""
        while self.turn in self.rows:
            yield self.rows.pop(self.turn)
            self.turn += 1

    def _row(self, line: Line, take: Take, audio: Path | bytes) -> Row:
        return Row(
            f"{line.origin} ({take.recipe})",
            audio,
            text=line.text,
            speaker=take.manner.speaker,
            text_origin=line.text_origin,
            made_by=self.made_by,
        )


def _speaking(synthesiser: Callable[[], Synthesiser]) -> Callable[[Sequence[Order]], list[Said]]:
    return partial(_say, synthesiser())


def _say(synthesiser: Synthesiser, orders: Sequence[Order]) -> list[Said]:
    said = []
    for number, text, take in orders:
        try:
            said.append(Said(number, _flac(spoken(text, take, synthesiser))))
        except AudioError as exc:
            said.append(Said(number, None, exc.detail))
    return said


def _flac(samples: np.ndarray) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "line.flac")
        write_flac(samples, path)
        return path.read_bytes()
