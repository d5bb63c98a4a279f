"""How far some work is: counted by whoever does it, judged by whoever looks. Knows no SQL.

A process that is killed leaves its count behind; by the process's id it is told from one that goes
on.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Protocol

from al_loop.logs import fields

EVERY_S = 1.0
"""A count is written down no more often: it waits for the disk."""
STILL_S = 600.0
"""Ours: so long without a block, work counts as standing still though its process may be there."""


class Keeps(Protocol):
    """Who keeps the counts, by process. None of these raises because a count cannot be kept."""

    def start_progress(
        self,
        process: str,
        what: str,
        total: int,
        workers: int,
        round_number: int | None,
        stage: str | None,
    ) -> None: ...
    def put_progress(self, process: str, done: int) -> None: ...
    def end_progress(self, process: str) -> None: ...


class Tally:
    """Counts the clips of one piece of work, and has that kept now and then.

    what: was done to them, as "heard". total: of all. `end` is called however the work ends. Round
    and stage are those that a line of the log would have; of a command, its name.
    """

    def __init__(
        self,
        keeps: Keeps,
        what: str,
        total: int,
        workers: int = 1,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.keeps = keeps
        self.total = total
        self.clock = clock
        self.done = 0
        self.kept_at = clock()
        self.process = this_process()
        about: Mapping[str, Any] = fields()
        stage = about.get("stage", about.get("command"))
        keeps.start_progress(self.process, what, total, workers, about.get("round"), stage)

    def add(self, count: int) -> bool:
        """Whether it is time to say so, too: about once a second, and when all are done."""
        self.done += count
        if self.done < self.total and self.clock() - self.kept_at < EVERY_S:
            return False
        self.kept_at = self.clock()
        self.keeps.put_progress(self.process, self.done)
        return True

    def end(self) -> None:
        self.keeps.end_progress(self.process)


@dataclass(frozen=True, slots=True)
class Standing:
    """rate: clips a second since the work began; left_s: at that rate; None before the first block.

    still_since: when it last went on (ISO 8601), where it does not go on.
    """

    rate: float | None
    left_s: float | None
    still_since: str | None


def standing(row: Mapping[str, Any], now: datetime) -> Standing:
    """How it stands with a row of the table `progress`. now: with a time zone."""
    began, updated = (datetime.fromisoformat(row[name]) for name in ("started_at", "updated_at"))
    silent_s = (now - updated).total_seconds()
    if silent_s > STILL_S or has_ended(row["process"]):
        return Standing(None, None, row["updated_at"])
    taken_s = (updated - began).total_seconds()
    if not row["done"] or taken_s <= 0:
        return Standing(None, None, None)
    rate = row["done"] / taken_s
    left_s = (row["total"] - row["done"]) / rate - silent_s
    return Standing(rate, max(left_s, 0.0), None)


def this_process() -> str:
    """Names it among those of all machines, and of all containers on them."""
    return f"{os.getpid()} on {_place()}"


def has_ended(process: str) -> bool:
    """Whether it is known to be no more; of another machine's nobody here can tell."""
    pid, _, place = process.partition(" on ")
    if place != _place():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's
        return False
    return False


def _place() -> str:
    """Where process ids mean what they mean here."""
    container = ""
    with suppress(OSError):  # not Linux
        container = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()} {container}".strip()
