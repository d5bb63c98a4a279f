"""What runs in an actor of a Ray cluster. Does not know what the work is, nor who asks for it.

Returns what a worker raises instead of raising it, so that Ray's own errors are about Ray: whoever
asks can tell a worker that raised from one that died.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from socket import gethostname
from time import monotonic
from typing import Any

from al_loop.errors import AlLoopError


@dataclass(frozen=True, slots=True)
class Finished:
    """worker: the node and the process id of the actor. seconds: that the work took there."""

    result: Any
    worker: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Raised:
    """What a worker raised. pickled: the exception, in a form that is known to come back."""

    pickled: bytes
    summary: str
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Raised:
        summary = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        return cls(_pickled(error, summary), summary, trace)

    def error(self) -> BaseException:
        error: BaseException = pickle.loads(self.pickled)
        error.__cause__ = RuntimeError(f"in a worker:\n{self.trace}")
        return error


class Host:
    """Holds workers by what makes them, and calls each in as many threads as it has lanes."""

    def __init__(self) -> None:
        self.workers: dict[str, tuple[Callable[[Any], Any], int, ThreadPoolExecutor]] = {}

    def make(self, key: str, pickled: bytes) -> Finished | Raised:
        """How many blocks the worker takes at once."""

        def make() -> int:
            from ray import cloudpickle

            if key not in self.workers:
                worker = cloudpickle.loads(pickled)()
                lanes = getattr(worker, "lanes", 1)
                self.workers[key] = worker, lanes, ThreadPoolExecutor(lanes)
            return self.workers[key][1]

        return _try(make)

    def work(self, key: str, block: Any) -> Finished | Raised:
        worker, _, lanes = self.workers[key]
        return _try(lambda: lanes.submit(worker, block).result())


def _try(work: Callable[[], Any]) -> Finished | Raised:
    began = monotonic()
    try:
        result = work()
    except Exception as exc:
        return Raised.of(exc)
    return Finished(result, f"{gethostname()} {os.getpid()}", monotonic() - began)


def _pickled(error: Exception, summary: str) -> bytes:
    """An exception whose constructor takes more than its message may pickle and not come back."""
    from ray import cloudpickle

    try:
        pickled: bytes = cloudpickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        ours = isinstance(error, AlLoopError)
        return pickle.dumps(AlLoopError(str(error)) if ours else RuntimeError(summary))
    return pickled
