"""Heavy work in this process. Does not know what the work is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from al_loop.engine.backlog import Backlog, Job, Refuse, settle, size

LOG = logging.getLogger("al_loop")
LANE = "lane"
Block = TypeVar("Block")
Result = TypeVar("Result")


class LocalEngine:
    """Implements the port `Engine` of `al_loop.ports`."""

    actors = 1

    def map(
        self,
        make_worker: Callable[[], Callable[[Block], Result]],
        blocks: Iterable[Block],
        refuse: Refuse | None = None,
    ) -> Iterator[Result]:
        """Make one worker, then hand it the blocks; results come as they are finished.

        A worker with an attribute `lanes` above 1 is called by so many threads at once, each with
        a block of its own; no block is taken before a lane is free for it.

        refuse: gets a block of one clip that a worker cannot read, or has no memory for, with the
        reason's short name and a sentence; the others of its block are done again without it.
        Without it the first of these is raised, one that memory is too small for as EngineError.
        """
        worker = make_worker()
        lanes = getattr(worker, "lanes", 1)
        backlog = Backlog(blocks, attempts=1)
        if lanes == 1:
            return _one_by_one(worker, backlog, refuse)
        return _in_lanes(worker, backlog, refuse, lanes)

    def run(self, work: Callable[[], Result], processes: int = 1) -> Result:
        """Do the work; it starts its processes itself."""
        return work()


def _one_by_one(
    worker: Callable[[Any], Any], backlog: Backlog[Any], refuse: Refuse | None
) -> Iterator[Any]:
    while (job := backlog.take(idle=True)) is not None:
        try:
            done = _do(worker, job.block)
        except Exception as exc:
            ending = settle(backlog, job, exc, refuse)
            if ending is not None:
                raise ending from ending.__cause__
        else:
            yield done.told()


def _in_lanes(
    worker: Callable[[Any], Any], backlog: Backlog[Any], refuse: Refuse | None, lanes: int
) -> Iterator[Any]:
    """What ends the run is raised behind what the lanes had in hand then."""
    begun: dict[Future[Any], Job[Any]] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(lanes, LANE) as pool:
        while True:
            while failure is None and len(begun) < lanes:
                try:
                    job = backlog.take(idle=True)
                except Exception as exc:  # of the blocks
                    failure = exc
                    break
                if job is None:
                    break
                begun[pool.submit(_do, worker, job.block)] = job
            if not begun:
                break
            done, _ = wait(begun, return_when=FIRST_COMPLETED)
            for future in done:
                job, error = begun.pop(future), future.exception()
                if error is None:
                    yield future.result().told()
                    continue
                ending = settle(backlog, job, error, refuse)
                failure = failure or ending
    if failure is not None:
        raise failure


@dataclass(frozen=True, slots=True)
class _Done:
    result: Any
    clips: int
    lane: str
    seconds: float

    def told(self) -> Any:
        """The result, when the log has a line about it, which the thread that asked for it writes:
        it knows what the work is about."""
        facts = {"worker": self.lane, "clips": self.clips, "seconds": round(self.seconds, 3)}
        LOG.info("a block is done", extra=facts)
        return self.result


def _do(worker: Callable[[Any], Any], block: Any) -> _Done:
    began = monotonic()
    result = worker(block)
    name, _, number = threading.current_thread().name.rpartition("_")
    lane = f"{LANE} {int(number) + 1}" if name == LANE else f"{LANE} 1"
    return _Done(result, size(block), lane, monotonic() - began)
