"""Replays wherever an engine has its workers, each in a process that a worker starts there.

Knows not what they do. Their folders lie where every worker reads and writes them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from al_loop.simulation.processes import LOG, SHARED, Part, Processes

if TYPE_CHECKING:
    from al_loop.ports import Engine


class Elsewhere:
    """As many at once as the engine has workers. command: as `SHARED`, by default of the worker's
    own Python.

    A replay ends with its worker, and the next worker goes on with it. One that fails is told when
    the others that are at work have ended: what they do is kept.
    """

    def __init__(
        self, engine: Engine, say: Callable[[str], None], command: Sequence[str] | None = None
    ) -> None:
        self.engine = engine
        self.say = say
        self.command = command

    def work_off(self, waiting: deque[Part]) -> Generator[Part, None, None]:
        """Those that are done, in any order. More may be put in whenever one comes out.

        Raises AlLoopError where one fails.
        """
        yield from self.engine.map(partial(_advancer, self.command), _Waiting(waiting, self.say))


@dataclass(slots=True)
class _Waiting:
    """What is waiting now: more may be there when the engine asks again."""

    parts: deque[Part]
    say: Callable[[str], None]

    def __iter__(self) -> Iterator[Part]:
        return self

    def __next__(self) -> Part:
        if not self.parts:
            raise StopIteration
        part = self.parts.popleft()
        self.say(f"{part.label}: given to a worker; {part.folder / LOG} says how far it is")
        return part


def _advancer(command: Sequence[str] | None) -> Callable[[Part], Part]:
    return partial(_advance, command)


def _advance(command: Sequence[str] | None, part: Part) -> Part:
    """The threads are those that the engine lets its workers have."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
    Processes(1, _say_nothing, command or SHARED, threads).run(part)
    return part


def _say_nothing(line: str) -> None:
    """The log has it."""
