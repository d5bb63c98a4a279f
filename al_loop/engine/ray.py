"""Heavy work on a Ray cluster. Does not know what the work is.

Plain actors with no more blocks in hand than they have lanes, not Ray Data: that takes its input
whole, reads ahead of what can be worked on, and does a block that kills its worker again for ever.
Blocks come from the caller and go to a worker as they are, so that results are those of the local
engine. A worker that dies is replaced and its block done again; `al_loop.engine.backlog` finds the
clip that kills.
"""

from __future__ import annotations

import logging
import operator
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Any, TypeVar

from al_loop.engine.backlog import Backlog
from al_loop.engine.ray_crew import MOST_LANES, Crew, Member, dismiss, work_off
from al_loop.engine.ray_group import Group, run_group
from al_loop.engine.ray_host import Host
from al_loop.errors import ConfigError, EngineError

if find_spec("ray") is None:
    raise ConfigError(
        "engine.kind is 'ray', and Ray is not installed here: run `pip install 'al-loop[ray]'`, or "
        "set engine.kind to 'local'"
    )

Block = TypeVar("Block")
Result = TypeVar("Result")

ATTEMPTS = 3
"""Ours: workers that may die with a block alone in hand, before it is halved or refused."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # an actor without a GPU of its own sees what the machine has, as local work does
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
ALONE = {
    # the only switch that keeps Ray's ports to the loopback address; read when Ray is imported
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
"""Of a local cluster only: with it no other machine can join."""
KNOCK_S = 5
"""Longest wait for a cluster's address to answer."""
OBJECT_STORE_BYTES = 256 * 2**20
"""Of a local cluster: blocks and results are names and numbers, audio does not go through it."""


class RayEngine:
    """Implements the port `Engine`, on the cluster at `address` or on a local one of its own.

    actors: workers at once. cpus_each, gpus_each: what each of them occupies. num_cpus: of the
    local cluster, by default all cores. Nothing is started before the first work; `close` ends what
    was started, and leaves a cluster or a connection that was there before.
    """

    def __init__(
        self,
        address: str | None = None,
        actors: int = 1,
        cpus_each: float = 1,
        gpus_each: float = 0,
        num_cpus: int | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.address = address
        self.actors = actors
        self.cpus_each = cpus_each
        self.gpus_each = gpus_each
        self.num_cpus = num_cpus
        self.attempts = attempts
        self._is_ours = False
        self._kept: list[Member] = []

    def map(
        self,
        make_worker: Callable[[], Callable[[Block], Result]],
        blocks: Iterable[Block],
        refuse: Callable[[Block, str, str], None] | None = None,
    ) -> Iterator[Result]:
        """Make a worker in every actor, then hand them the blocks; results come as they are done.

        Both go to other processes: `make_worker` must pickle, and what it reads must be there. A
        worker with an attribute `lanes` is called by so many threads at once. No block is taken
        before a lane of a worker that is made is free for it. With an attribute `kept` of
        `make_worker` that is true, actors and workers stay for the next such map, which finds its
        worker by the bytes of its pickle; otherwise they end with this one, and their memory with
        them.

        refuse: called in this process with a block of one clip (or one that cannot be halved), the
        reason's short name and a sentence: `worker_died`, `out_of_memory`, or an AudioError's own.
        Without it the first of these is raised, the first two as EngineError. That and whatever
        else a worker, `refuse` or the blocks raise comes behind what the others have in hand.
        Raises EngineError where workers die whatever they are given.
        """
        return self._map(make_worker, blocks, refuse, self.actors)

    def run(self, work: Callable[[], Result], processes: int = 1) -> Result:
        """Do the work in one actor; again, where that dies. It must pickle, and so must the result.

        processes: with more than one, it is done in each of so many, which form a group of
        torch.distributed, and what the first returned comes back; all are started again where one
        dies. Kept workers are dropped first, for they hold memory that the work may need.
        """
        if processes > 1:
            self._connect()
            dismiss(self._kept)
            self._kept = []
            is_local = self.address is None
            group = Group(processes, self.cpus_each, self.gpus_each, is_local)
            result: Result = run_group(work, group, self.attempts)
            return result
        for result in self._map(_make_caller, [work], None, 1):
            return result
        raise AssertionError("one block has one result")

    def close(self) -> None:
        """The next work starts a cluster anew."""
        dismiss(self._kept)
        self._kept = []
        if self._is_ours:
            import ray

            ray.shutdown()
            self._is_ours = False

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _map(
        self,
        make_worker: Callable[[], Any],
        blocks: Iterable[Any],
        refuse: Callable[[Any, str, str], None] | None,
        actors: int,
    ) -> Iterator[Any]:
        self._connect()
        if self.address is None:
            self._check_room()
        from ray import cloudpickle

        pickled = cloudpickle.dumps(make_worker)
        is_kept = bool(getattr(make_worker, "kept", False))
        members, self._kept = self._kept, []
        if not is_kept:
            dismiss(members)
            members = []
        crew = Crew(self._new_actor, pickled, actors, members)
        try:
            yield from work_off(crew, Backlog(blocks, self.attempts), refuse, self.attempts)
        except BaseException:
            is_kept = False
            raise
        finally:
            if is_kept:
                self._kept = crew.members
            else:
                dismiss(crew.members)

    def _connect(self) -> None:
        for name, value in (ENVIRONMENT if self.address else ENVIRONMENT | ALONE).items():
            os.environ.setdefault(name, value)
        import ray

        if ray.is_initialized():
            return
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self.address is not None:
                _knock(self.address)
                ray.init(address=self.address, **quiet)
            else:
                ray.init(
                    address="local",  # whatever RAY_ADDRESS says
                    num_cpus=self.num_cpus,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    **quiet,
                )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as exc:
            raise EngineError(_not_had(self.address, exc, ray.__version__)) from exc
        # the listener of a driver prints to stdout, whatever log_to_driver says, when a worker
        # dies; Ray has no other switch for that
        ray._private.worker._worker_logs_enabled = False
        self._is_ours = True

    def _check_room(self) -> None:
        """A local cluster does not grow: what does not fit would wait for ever."""
        import ray

        there = ray.cluster_resources()
        for name, needed in (("CPU", self.cpus_each), ("GPU", self.gpus_each)):
            if there.get(name, 0) < needed:
                self.close()
                raise EngineError(
                    f"each actor needs {needed:g} {name}, and this machine offers Ray "
                    f"{there.get(name, 0):g}; ask for less, or name a cluster"
                )

    def _new_actor(self) -> Any:
        import ray

        return (
            ray.remote(Host)
            .options(
                num_cpus=self.cpus_each,
                num_gpus=self.gpus_each,
                max_concurrency=MOST_LANES,
                max_restarts=0,  # who replaces it must know what it had in hand
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote()
        )


def _knock(address: str) -> None:
    """Raises OSError where nobody answers: Ray itself would wait a minute, then end the process."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdecimal():  # `auto` and such are Ray's to find
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()


def _not_had(address: str | None, error: BaseException, version: str) -> str:
    if address is None:
        return (
            f"a local Ray cluster cannot be started: {error}; look for room in /dev/shm and in "
            "/tmp/ray, where its logs are, and for free memory"
        )
    return (
        f"the Ray cluster at {address} cannot be had: {error}; check the address, that this "
        f"machine is one of its nodes, that it runs Ray {version}, and RAY_AUTH_MODE and the token "
        "if it asks for one"
    )


def _make_caller() -> Callable[[Callable[[], Any]], Any]:
    return operator.call
