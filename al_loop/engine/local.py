"""Heavy work in this process. Does not know what the work is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Block = TypeVar("Block")
Result = TypeVar("Result")


class LocalEngine:
    """Implements the port `Engine` of `al_loop.round`."""

    def map(
        self, make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block]
    ) -> Iterator[Result]:
        """Make one worker, then hand it the blocks; results come as they are finished.

        A worker with an attribute `lanes` above 1 is called by so many threads at once, each with
        a block of its own; no block is taken before a lane is free for it.
        """
        worker = make_worker()
        lanes = getattr(worker, "lanes", 1)
        return map(worker, blocks) if lanes == 1 else _in_lanes(worker, iter(blocks), lanes)

    def run(self, work: Callable[[], Result]) -> Result:
        return work()


def _in_lanes(
    worker: Callable[[Block], Result], blocks: Iterator[Block], lanes: int
) -> Iterator[Result]:
    """Where a lane raises, what the others have in hand is finished and comes out before it."""
    begun: set[Future[Result]] = set()
    failure: BaseException | None = None
    with ThreadPoolExecutor(lanes) as pool:
        while True:
            if failure is None:
                free = islice(blocks, lanes - len(begun))
                begun |= {pool.submit(worker, block) for block in free}
            if not begun:
                break
            done, begun = wait(begun, return_when=FIRST_COMPLETED)
            for future in done:
                if future.exception() is None:
                    yield future.result()
                else:
                    failure = failure or future.exception()
    if failure is not None:
        raise failure
