"""Heavy work in this process. Does not know what the work is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Block = TypeVar("Block")
Result = TypeVar("Result")


class LocalEngine:
    """Implements the port `Engine` of `al_loop.round`."""

    def map(
        self, make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block]
    ) -> Iterator[Result]:
        """Make one worker, then hand it the blocks one by one; results come in their order."""
        worker = make_worker()
        for block in blocks:
            yield worker(block)

    def run(self, work: Callable[[], Result]) -> Result:
        return work()
