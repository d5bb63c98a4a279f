"""What is to be done by workers that may die: blocks as they come, and those to be done again.

Finds the part of a block that kills workers: what a dead worker had in hand is done again, alone,
and a block that goes on killing is halved until a single clip stands convicted. Knows no engine,
nor what a block is, beyond that a sequence can be halved.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from al_loop.errors import AudioError, EngineError

LOG = logging.getLogger("al_loop")
OUT_OF_MEMORY = "out_of_memory"

Block = TypeVar("Block")
Refuse = Callable[[Any, str, str], None]


@dataclass(slots=True, eq=False)
class Job(Generic[Block]):
    """A block in work. deaths: of workers that had nothing else in hand. bearable: how many of
    these it may have before it is halved, or convicted where it cannot be."""

    block: Block
    bearable: int
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class Convicted(Generic[Block]):
    """What cannot be done. reason: a short name. detail: a sentence."""

    block: Block
    reason: str
    detail: str


def is_memory(error: BaseException) -> bool:
    """Of this process or of a GPU: torch and CTranslate2 raise RuntimeError for both."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(words in str(error) for words in ("out of memory", "allocate memory"))
    )


def size(block: Any) -> int:
    """How many clips are in it; 1 where it is no sequence of them."""
    return len(block) if isinstance(block, list | tuple) else 1


class Backlog(Generic[Block]):
    """attempts: how many workers may die with a block, or with a clip, alone in hand.

    A death in company convicts nobody: all that were in hand are done again, each alone. Halves of
    a convicted block are halved at their first death, for the blame is already theirs; a single
    clip has all its attempts to itself, for a node may have been taken away just then.
    """

    def __init__(self, blocks: Iterable[Block], attempts: int) -> None:
        self._blocks: Iterator[Block] = iter(blocks)
        self._attempts = attempts
        self._again: deque[Job[Block]] = deque()
        self._exhausted = False

    def take(self, idle: bool) -> Job[Block] | None:
        """The next job of a worker that is free. idle: whether it has nothing in hand.

        While something is to be done again, only who is idle gets anything, so that sooner or later
        somebody is. Blocks that had run out are asked again: results may have brought more.
        """
        if self._again:
            return self._again.popleft() if idle else None
        for block in self._blocks:
            self._exhausted = False
            return Job(block, self._attempts)
        self._exhausted = True
        return None

    def is_done(self) -> bool:
        """Whether nothing is left, as far as `take` has seen."""
        return self._exhausted and not self._again

    def died(self, jobs: Sequence[Job[Block]], reason: str, why: str) -> Convicted[Block] | None:
        """A worker died with these jobs in hand. Returns what stands convicted by that."""
        if len(jobs) != 1:
            self._again += jobs
            return None
        (job,) = jobs
        job.deaths += 1
        if job.deaths < job.bearable:
            self._again.append(job)
            return None
        detail = f"workers that died with nothing else in hand: {job.deaths}; the last: {why}"
        return self.blame(job, reason, detail)

    def blame(self, job: Job[Block], reason: str, detail: str) -> Convicted[Block] | None:
        """Something in the job's block cannot be done: halve it, or convict it."""
        if not isinstance(job.block, list | tuple) or len(job.block) < 2:
            return Convicted(job.block, reason, detail)
        middle = len(job.block) // 2
        halves: tuple[Any, Any] = job.block[:middle], job.block[middle:]
        for half in halves:
            bearable = 1 if len(half) > 1 else self._attempts
            self._again.append(Job(half, bearable))
        return None


def settle(
    backlog: Backlog[Any], job: Job[Any], error: BaseException, refuse: Refuse | None
) -> BaseException | None:
    """A worker raised the error at the job: have it done again in halves, or refuse its one clip.

    Memory that ran out is looked into without `refuse` too, for halves may fit. Returns what ends
    the run.
    """
    if isinstance(error, AudioError) and refuse is not None:
        reason, detail = error.reason, error.detail
    elif is_memory(error):
        reason, detail = OUT_OF_MEMORY, str(error) or type(error).__name__
    else:
        return error
    found = backlog.blame(job, reason, detail)
    if found is not None:
        return sentence(found, refuse, error)
    facts = {"clips": size(job.block), "reason": reason, "detail": detail}
    LOG.warning("a block is done again in halves", extra=facts)
    return None


def sentence(
    found: Convicted[Any], refuse: Refuse | None, error: BaseException | None = None
) -> BaseException | None:
    """Refuse what stands convicted. Returns what ends the run: that nobody asks for refusals, or
    what `refuse` raised."""
    if refuse is None:
        clip = _named(found.block)
        told = EngineError(f"{clip}{found.reason}: {found.detail}{advice(found.reason)}")
        told.__cause__ = error
        return told
    try:
        refuse(found.block, found.reason, found.detail)
    except Exception as exc:
        return exc
    return None


def advice(reason: str) -> str:
    """What to do, to stand behind what is said about it."""
    if reason != OUT_OF_MEMORY:
        return ""
    return "; lower model.memory_mb, or train.batch_size where it trains"


def _named(block: Any) -> str:
    """Its one clip, where it is of clips."""
    if not isinstance(block, list | tuple) or not block:
        return ""
    return f"{getattr(block[0], 'id', block[0])}: "
