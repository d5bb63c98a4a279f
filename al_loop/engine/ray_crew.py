"""The actors of one piece of work on a Ray cluster, seen from the driver: who has what in hand.

Knows neither the work nor how the cluster is reached. An actor that dies is replaced, and what it
had in hand goes back to the backlog.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from al_loop.engine.backlog import (
    OUT_OF_MEMORY,
    Backlog,
    Job,
    Refuse,
    advice,
    sentence,
    settle,
    size,
)
from al_loop.engine.ray_host import Finished, Raised
from al_loop.errors import EngineError

LOG = logging.getLogger("al_loop")
MOST_LANES = 8
"""Calls that an actor takes at once; fixed before the worker is made, which says its lanes."""
PATIENCE_S = 60
"""After so long without any event it is said what the cluster is short of."""
LARGEST_PATIENCE = 4
"""Ours: so many times the deaths that are borne without a conviction are borne with some."""
KILLED_S = 30
"""Longest wait for what a killed actor still had to deliver."""
MOST_SAID = 250
"""Letters of what Ray says about a death; its advice follows behind."""


@dataclass(slots=True, eq=False)
class Member:
    """An actor. making: what will say its lanes, until that is known. hand: jobs by reference.
    worker: its node and process id, once that is known."""

    actor: Any
    worker: str = "?"
    making: Any = None
    lanes: int = 0
    hand: dict[Any, Job[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Died:
    reason: str
    why: str


Outcome = tuple[list[Job[Any]], Finished | Raised | Died]
"""What came of these jobs. None of them where a worker could not be made."""


def work_off(
    crew: Crew,
    backlog: Backlog[Any],
    refuse: Refuse | None,
    attempts: int,
) -> Iterator[Any]:
    """The results, as they come. refuse: gets what is convicted; without it that is raised.

    What ends the run is raised when nobody has anything in hand any more.
    """
    failure: BaseException | None = None
    patience = attempts * (len(crew.members) + 3)
    deaths, bearable = 0, patience  # since anything was finished
    while True:
        if failure is None:
            try:
                crew.hand_out(backlog)
            except Exception as exc:  # of the blocks
                failure = exc
        if not crew.is_at_work() and (failure is not None or backlog.is_done()):
            break
        for jobs, outcome in crew.wait():
            if isinstance(outcome, Finished):
                deaths, bearable = 0, patience
                _tell(jobs, outcome)
                yield outcome.result
                continue
            ending: BaseException | None = None
            if isinstance(outcome, Raised):
                ending = outcome.error()
                if jobs:
                    ending = settle(backlog, jobs[0], ending, refuse)
            else:
                deaths += 1
                found = backlog.died(jobs, outcome.reason, outcome.why)
                if found is not None:
                    bearable = min(deaths + patience, LARGEST_PATIENCE * patience)
                    ending = sentence(found, refuse)
                if deaths >= bearable:
                    ending = EngineError(
                        f"{deaths} workers died and nothing was finished, so it is no single "
                        f"clip's fault; the last: {outcome.why}{advice(outcome.reason)}"
                    )
            failure = failure or ending
    if failure is not None:
        raise failure


def _tell(jobs: list[Job[Any]], done: Finished) -> None:
    facts = {
        "worker": done.worker,
        "clips": sum(size(job.block) for job in jobs),
        "seconds": round(done.seconds, 3),
    }
    LOG.info("a block is done", extra=facts)


class Crew:
    """The actors of one map. Those that die are replaced."""

    def __init__(
        self, new_actor: Callable[[], Any], pickled: bytes, size: int, members: list[Member]
    ) -> None:
        import ray

        self._new_actor = new_actor
        self._key = hashlib.sha256(pickled).hexdigest()
        self._pickled = ray.put(pickled)
        self.members = members
        for member in members:
            self._make(member)
        for _ in range(size - len(members)):
            self._hire()

    def _hire(self) -> None:
        member = Member(self._new_actor())
        self._make(member)
        self.members.append(member)

    def _make(self, member: Member) -> None:
        member.lanes = 0
        member.making = member.actor.make.remote(self._key, self._pickled)

    def is_at_work(self) -> bool:
        return any(member.hand for member in self.members)

    def hand_out(self, backlog: Backlog[Any]) -> None:
        """To all who have a lane free, one each by turns, so that no one gets all of the rest."""
        free = [member for member in self.members if len(member.hand) < member.lanes]
        while free:
            for member in list(free):
                job = backlog.take(idle=not member.hand)
                if job is not None:
                    member.hand[member.actor.work.remote(self._key, job.block)] = job
                if job is None or len(member.hand) >= member.lanes:
                    free.remove(member)

    def wait(self) -> list[Outcome]:
        """What came of something: nothing where a worker was made, several where one died."""
        import ray

        owners = {ref: member for member in self.members for ref in member.hand}
        owners |= {row.making: row for row in self.members if row.making is not None}
        done: list[Any] = []
        while not done:
            done, _ = ray.wait(list(owners), num_returns=1, timeout=PATIENCE_S)
            if not done and not any(member.lanes for member in self.members):
                LOG.warning(
                    "waiting for a worker; the Ray cluster has %s free of %s",
                    ray.available_resources(),
                    ray.cluster_resources(),
                )
        (ref,) = done
        member = owners[ref]
        jobs = [member.hand.pop(ref)] if ref in member.hand else []
        outcome = _fetch(ref)
        if isinstance(outcome, Died):
            return self._bury(member, jobs, outcome)
        if not jobs:
            member.making = None
            if isinstance(outcome, Finished):
                member.worker = outcome.worker
                member.lanes = min(outcome.result, MOST_LANES)
                return []
        return [(jobs, outcome)]

    def _bury(self, member: Member, lost: list[Job[Any]], death: Died) -> list[Outcome]:
        """Replace who died, and take what it finished before. It may only have been out of reach,
        and must not go on with what another does again."""
        self.members.remove(member)
        dismiss([member])
        saved: list[Outcome] = []
        for ref, job in member.hand.items():
            outcome = _fetch(ref, KILLED_S)
            if isinstance(outcome, Finished):
                saved.append(([job], outcome))
            else:
                lost.append(job)
        facts = {
            "worker": member.worker,
            "reason": death.reason,
            "detail": death.why,
            "blocks": len(lost),
            "clips": sum(size(job.block) for job in lost),
        }
        LOG.warning("a worker is lost with what it had in hand", extra=facts)
        self._hire()
        return [(lost, death), *saved]


def _fetch(ref: Any, timeout_s: float | None = None) -> Finished | Raised | Died:
    import ray
    from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

    try:
        found: Finished | Raised = ray.get(ref, timeout=timeout_s)
    except RayTaskError as exc:  # what came of the block does not pickle, say
        return Raised.of(RuntimeError(str(exc)))
    except RayError as exc:
        if getattr(exc, "actor_init_failed", False):  # this package is not on its node, say
            return Raised.of(RuntimeError(str(exc)))
        said = " ".join(str(exc).split())
        why = said.partition("The actor is dead because ")[2] or said
        reason = OUT_OF_MEMORY if isinstance(exc, OutOfMemoryError) else "worker_died"
        return Died(reason, why[:MOST_SAID])
    return found


def dismiss(members: Sequence[Member]) -> None:
    """End these actors, and whatever they have in hand."""
    if members:
        import ray

        for member in members:
            ray.kill(member.actor)
