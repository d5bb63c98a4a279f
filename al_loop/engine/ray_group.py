"""One piece of work in several processes of a Ray cluster that form a torch.distributed group.

Ray Train's TorchTrainer starts them. A group of which one has died is begun again as a whole; what
it goes on from is the work's own affair. Does not know what the work is, nor how the cluster is
reached.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from al_loop.engine.backlog import is_memory
from al_loop.engine.ray_host import Finished, Raised
from al_loop.errors import EngineError

LOG = logging.getLogger("al_loop")
ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths mean what they mean to the driver
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    # how long a group waits for room: nodes that an autoscaler brings take minutes
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",
}
"""Read by Ray Train when it is imported, and by its controller."""
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
ON_LOOPBACK = {"GLOO_SOCKET_IFNAME": LOOPBACK, "NCCL_SOCKET_IFNAME": LOOPBACK}
NO_ROOM = ("WorkerGroupStartupTimeoutError", "InsufficientClusterResourcesError")
NEED_LESS = "lower train.processes, engine.cpus_each or engine.gpus_each"
LEAST_CPU = 0.001
"""Ray reserves no place for what occupies nothing."""
MOST_SAID = 250
"""Letters of what Ray says about a death."""


@dataclass(frozen=True, slots=True)
class Group:
    """So many processes, and what each of them occupies. is_local: all on this machine."""

    size: int
    cpus_each: float
    gpus_each: float
    is_local: bool


@dataclass(frozen=True, slots=True)
class Died:
    why: str


class Told(Exception):
    """What the work raised in one process. of_peer: it may only have lost another process."""

    def __init__(self, raised: Raised, of_peer: bool) -> None:
        super().__init__(raised, of_peer)
        self.raised = raised
        self.of_peer = of_peer

    def __str__(self) -> str:
        return self.raised.summary


def run_group(work: Callable[[], Any], group: Group, attempts: int) -> Any:
    """Do the work in every process of the group; returns what it returned in the first.

    attempts: groups that may die. A RuntimeError counts as a death until the last of them, for that
    is how torch says that another process is gone. Raises what the work raised in any process,
    and EngineError where groups die, or the cluster has no room for one. An interrupted call
    leaves the group to whoever disconnects from the cluster.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from ray import cloudpickle

    pickled = cloudpickle.dumps(work)
    _look_for_room(group)
    for left in reversed(range(attempts)):
        outcome = _beside(lambda: _fit(pickled, group))
        if isinstance(outcome, Finished):
            return pickle.loads(outcome.result)
        if isinstance(outcome, Told):
            why = str(outcome)
            if not outcome.of_peer or not left:
                raise outcome.raised.error()
        else:
            why = outcome.why
        if left:
            LOG.warning(
                "one of %d processes was lost (%s); all are started again, and go on from what "
                "they saved",
                group.size,
                why,
            )
    raise EngineError(
        f"one of {group.size} processes died in each of {attempts} attempts; the last: {why}. Look "
        "at the memory of the machines, and lower train.batch_size where it is short; what was "
        "saved is there for the next call"
    )


def _look_for_room(group: Group) -> None:
    """Raises EngineError where there is none and never will be: a local cluster does not grow."""
    short = _short_of(group)
    if short and group.is_local:
        raise EngineError(f"{short}; {NEED_LESS}, or name a cluster")
    if short:
        waits = os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"]
        LOG.warning("%s; waiting %s s for the cluster to grow", short, waits)


def _short_of(group: Group) -> str:
    """What the cluster has too little of, free or not; empty where it is large enough."""
    import ray

    there = ray.cluster_resources()
    needed = {"CPU": group.size * group.cpus_each, "GPU": group.size * group.gpus_each}
    return "; ".join(
        f"{group.size} processes need {amount:g} {name}, and Ray has {there.get(name, 0):g}"
        for name, amount in needed.items()
        if there.get(name, 0) < amount
    )


def _fit(pickled: bytes, group: Group) -> Finished | Told | Died:
    """One group, until it has finished or failed. Raises EngineError where it cannot be begun."""
    import ray.train.torch
    from ray.exceptions import RayError

    train: Any = ray.train  # its annotations are those of Train V1
    needed = {"CPU": group.cpus_each or LEAST_CPU} | (
        {"GPU": group.gpus_each} if group.gpus_each else {}
    )
    with tempfile.TemporaryDirectory() as folder:  # Ray Train wants one, and puts a mark there
        trainer = train.torch.TorchTrainer(
            lambda: _take_part(pickled),
            torch_config=_torch_config("cpu:gloo,cuda:nccl" if group.gpus_each >= 1 else "gloo"),
            scaling_config=train.ScalingConfig(
                num_workers=group.size,
                use_gpu=group.gpus_each > 0,
                resources_per_worker=needed,
            ),
            run_config=train.RunConfig(
                storage_path=folder,
                failure_config=train.FailureConfig(max_failures=0, controller_failure_limit=0),
                worker_runtime_env={"env_vars": ON_LOOPBACK if group.is_local else {}},
            ),
        )
        try:
            return Finished(trainer.fit().return_value)
        except train.WorkerGroupError as exc:
            return _blamed(exc.worker_failures)
        except train.ControllerError as exc:
            return _not_begun(exc.controller_failure, group)
        except (RayError, train.TrainingFailedError) as exc:
            return Died(_short(exc))


def _take_part(pickled: bytes) -> bytes | None:
    """One process's part, in that process. Returns a pickle of the result in the first."""
    import torch.distributed
    from ray import cloudpickle

    try:
        result = cloudpickle.loads(pickled)()
        if torch.distributed.get_rank() > 0:
            return None
        answer: bytes = cloudpickle.dumps(result)
    except Exception as exc:
        plain = type(exc) is RuntimeError or isinstance(exc, torch.distributed.DistError)
        raise Told(Raised.of(exc), of_peer=plain and not is_memory(exc)) from None
    return answer


def _blamed(failures: Mapping[int, Exception]) -> Told | Died:
    """What was at fault, of all that failed at about the same time."""
    told = [error for error in failures.values() if isinstance(error, Told)]
    for error in told:
        if not error.of_peer:
            return error
    for failure in failures.values():
        if not isinstance(failure, Told):
            return Died(_short(getattr(failure, "health_check_failure", failure)))
    return told[0]


def _not_begun(failure: Exception, group: Group) -> Died:
    """Raises EngineError where there was no room."""
    # Ray Train does not export these errors
    if type(failure).__name__ in NO_ROOM:
        short = _short_of(group) or (
            f"{group.size} processes of {group.cpus_each:g} CPU and {group.gpus_each:g} GPU found "
            "no room beside what else the cluster does"
        )
        raise EngineError(f"{short}; {NEED_LESS}, or add nodes") from failure
    return Died(_short(failure))


def _short(error: Exception) -> str:
    said = " ".join(str(error).split())
    return (said.partition("The actor is dead because ")[2] or said)[:MOST_SAID]


def _beside(call: Callable[[], Any]) -> Any:
    """The call in a thread: in the main one Ray Train would make Ctrl-C end this process with 0."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:
            future.set_exception(exc)

    threading.Thread(target=work, daemon=True).start()
    return future.result()


def _torch_config(backend: str) -> Any:
    """Ray Train's, but for the store by which the processes find one another: torch's own is heard
    on all addresses of a node, this one on the address that Ray goes by, a local cluster's being
    the loopback one."""
    import ray
    from ray.train.torch import TorchConfig

    class Backend(TorchConfig().backend_cls):  # type: ignore[misc]
        def on_start(self, worker_group: Any, backend_config: Any) -> None:
            size = len(worker_group)
            place = worker_group.execute_single(0, _listen)
            joining = [
                worker_group.execute_single_async(
                    rank, _join, place, rank, size, backend, backend_config.timeout_s
                )
                for rank in range(size)
            ]
            ray.get(joining)

    class Config(TorchConfig):
        @property
        def backend_cls(self) -> type:
            return Backend

    return Config(backend)


def _listen() -> tuple[str, int, int]:
    """Address, port and file descriptor of a socket of this process."""
    import ray

    host = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    port = listener.getsockname()[1]
    return host, port, listener.detach()


def _join(place: tuple[str, int, int], rank: int, size: int, backend: str, timeout_s: int) -> None:
    """Enter the group. place: of the first process, which answers there."""
    import torch.distributed

    host, port, descriptor = place
    limit = timedelta(seconds=timeout_s)
    store = torch.distributed.TCPStore(
        host,
        port,
        size,
        is_master=rank == 0,
        timeout=limit,
        wait_for_workers=False,
        master_listen_fd=descriptor if rank == 0 else None,
    )
    torch.distributed.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=limit
    )
