"""What the port `Engine` promises, of a real local Ray cluster with two CPUs, and its faults."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from threading import Barrier, Lock

import numpy as np
import pytest

from al_loop.engine.local import LocalEngine
from al_loop.errors import AudioError, EngineError

if find_spec("ray") is None:
    pytest.skip("needs the extra `ray`", allow_module_level=True)

from al_loop.engine.ray import RayEngine

CLIPS = [f"clip {number}" for number in range(64)]
BLOCKS = [CLIPS[start : start + 8] for start in range(0, 64, 8)]
Refused = list[tuple[Sequence[str], str, str]]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """All engines of this process share the one that starts first; it ends what it started."""
    with RayEngine(num_cpus=2, cpus_each=0.1) as first:
        assert first.run(os.getpid) != os.getpid()
        from ray import cloudpickle

        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # actors import no test
        yield
    assert not is_connected()


def is_connected() -> bool:
    import ray

    return bool(ray.is_initialized())


def engine(actors: int = 1, attempts: int = 2) -> RayEngine:
    return RayEngine(actors=actors, cpus_each=0.1, attempts=attempts)


class Embedder:
    """Gives each clip a number that depends on the clip and on the batch that it is in."""

    def __call__(self, block: Sequence[str]) -> list[tuple[str, float]]:
        seeds = [int(name.split()[1]) for name in block]
        rows = np.stack([np.random.default_rng(seed).normal(size=64) for seed in seeds])
        scores = (rows @ rows.T).astype(np.float32).sum(axis=1)
        return list(zip(block, scores.tolist(), strict=True))


WHERE = """
from al_loop.engine.ray import RayEngine
with RayEngine(num_cpus=1) as engine:
    engine.run(int)
    import ray
    print(ray.util.get_node_ip_address())
"""


def test_a_local_cluster_is_heard_on_the_loopback_address_only() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", WHERE], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["127.0.0.1"]


@pytest.mark.parametrize("actors", [1, 2, 4])
def test_results_are_those_of_the_local_engine(actors: int) -> None:
    here = list(LocalEngine().map(Embedder, BLOCKS))
    there = list(engine(actors).map(Embedder, BLOCKS))
    assert sorted(there) == sorted(here)


def test_one_actor_begins_no_block_before_the_result_is_taken() -> None:
    begun = []

    def blocks() -> Iterator[int]:
        for block in count():
            begun.append(block)
            yield block

    results = engine().map(lambda: lambda block: -block, blocks())
    assert begun == []
    for number in range(5):
        assert next(results) == -number
        assert begun == list(range(number + 1))
    results.close()  # type: ignore[attr-defined]


def test_no_more_is_taken_from_an_endless_iterator_than_actors_have_lanes_for() -> None:
    taken = count()

    class Worker:
        lanes = 2

        def __call__(self, block: int) -> int:
            time.sleep(0.001)
            return block

    results = engine(2).map(Worker, taken)
    found = {next(results) for _ in range(200)}
    assert len(found) == 200
    assert next(taken) <= 200 + 2 * 2
    results.close()  # type: ignore[attr-defined]


class Lanes:
    """A worker of two lanes; each block waits until its partner has begun. 3 fails beside 4."""

    lanes = 2

    def __init__(self) -> None:
        self.partners = Barrier(2, timeout=20)

    def __call__(self, block: int) -> int:
        self.partners.wait()
        if block == 3:
            raise AudioError("corrupt", "block 3")
        time.sleep(0.3 if block == 4 else 0)
        return block


def test_what_a_worker_raises_comes_out_behind_what_the_others_had_in_hand() -> None:
    results = engine().map(Lanes, [0, 2, 3, 4, 6, 8])
    found = [next(results), next(results), next(results)]
    assert sorted(found) == [0, 2, 4]  # 4 beside the one that fails
    with pytest.raises(AudioError, match="corrupt: block 3") as caught:
        next(results)
    assert caught.value.reason == "corrupt"
    assert "in __call__" in str(caught.value.__cause__)


def test_what_the_maker_raises_comes_out() -> None:
    def make_worker() -> Callable[[int], int]:
        raise ZeroDivisionError("no model")

    taken = count()
    with pytest.raises(ZeroDivisionError, match="no model"):
        next(engine().map(make_worker, taken))
    assert next(taken) == 0


def test_a_result_that_does_not_pickle_is_no_death_and_refuses_nobody() -> None:
    refused: Refused = []
    results = engine().map(lambda: lambda block: Lock(), [["a", "b"]], lambda *x: refused.append(x))
    with pytest.raises(RuntimeError, match=r"cannot pickle '_thread\.lock' object"):
        list(results)
    assert refused == []


def test_a_killed_actors_blocks_are_done_by_another() -> None:
    class Worker:
        def __call__(self, block: int) -> tuple[int, int]:
            time.sleep(0.02)
            return block, os.getpid()

    found: list[tuple[int, int]] = []

    def blocks() -> Iterator[int]:
        """Until three actors were seen; a busy machine takes its time to start one."""
        ends = time.monotonic() + 60
        for block in count():
            if len({pid for _, pid in found}) == 3 or time.monotonic() > ends:
                return
            yield block

    results = engine(2).map(Worker, blocks())
    found += [next(results) for _ in range(6)]
    os.kill(found[-1][1], signal.SIGKILL)
    for row in results:
        found.append(row)
    assert sorted(block for block, _ in found) == list(range(len(found)))
    assert len({pid for _, pid in found}) == 3


def die_of(poison: str, block: Sequence[str]) -> list[str]:
    if poison in block:
        os.kill(os.getpid(), signal.SIGKILL)
    return list(block)


def test_a_clip_that_kills_is_refused_and_every_other_is_done_once() -> None:
    blocks = [["a", "b", "poison", "c"], ["d", "e"], ["f", "g"]]
    refused: Refused = []
    made = lambda: partial(die_of, "poison")  # noqa: E731
    done = engine(2, attempts=1).map(made, blocks, lambda *row: refused.append(row))
    assert sorted(name for names in done for name in names) == list("abcdefg")
    ((block, reason, detail),) = refused
    assert (block, reason) == (["poison"], "worker_died")
    assert "died with nothing else in hand: 1; the last: its worker process has died" in detail
    assert len(detail) < 500


def test_the_log_says_which_worker_did_what_and_which_one_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    blocks = [["a", "b"], ["poison", "c"]]
    made = lambda: partial(die_of, "poison")  # noqa: E731
    with caplog.at_level(logging.INFO, "al_loop"):
        list(engine(attempts=1).map(made, blocks, lambda *row: None))
    done, lost = (
        [vars(row) for row in caplog.records if row.levelno == level]
        for level in (logging.INFO, logging.WARNING)
    )
    assert [row["clips"] for row in done] == [2, 1]
    workers = [row["worker"] for row in done]
    assert all(row.startswith(f"{socket.gethostname()} ") for row in workers)
    assert len(set(workers)) == 2
    assert all(0 <= row["seconds"] < 5 for row in done)
    assert [(row["reason"], row["clips"]) for row in lost] == [
        ("worker_died", 2),
        ("worker_died", 1),
    ]
    assert lost[0]["worker"] == workers[0]
    assert "process has died" in lost[0]["detail"]


def test_a_clip_that_is_too_large_or_unreadable_is_refused_by_its_reason() -> None:
    class Worker:
        def __call__(self, block: Sequence[str]) -> list[str]:
            if "huge" in block:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
            if "bad" in block:
                raise AudioError("corrupt", "cannot be decoded")
            return list(block)

    refused: Refused = []
    blocks = [["a", "bad"], ["huge"], ["b"]]
    done = engine(attempts=1).map(Worker, blocks, lambda *row: refused.append(row))
    assert sorted(name for names in done for name in names) == ["a", "b"]
    assert sorted((block[0], reason) for block, reason, _ in refused) == [
        ("bad", "corrupt"),
        ("huge", "out_of_memory"),
    ]


def test_too_large_a_block_is_done_in_halves_by_the_same_worker() -> None:
    """As by the local engine; with `refuse` or without."""

    class Worker:
        def __call__(self, block: Sequence[str]) -> tuple[list[str], int]:
            if len(block) > 2 or "huge" in block:
                raise MemoryError
            return list(block), os.getpid()

    done = list(engine(attempts=1).map(Worker, [CLIPS]))
    assert sorted(name for names, _ in done for name in names) == sorted(CLIPS)
    assert len({pid for _, pid in done}) == 1
    with pytest.raises(EngineError, match=r"huge: out_of_memory: .*lower model\.memory_mb"):
        list(engine(attempts=1).map(Worker, [["a", "huge"]]))


def test_four_clips_that_kill_are_refused_though_nothing_else_is_left_to_do() -> None:
    refused: Refused = []
    blocks = [["a poison"], ["b poison"], ["c poison"], ["d poison"]]
    made = lambda: lambda block: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
    assert list(engine(attempts=1).map(made, blocks, lambda *row: refused.append(row))) == []
    assert [block for block, _, _ in refused] == blocks


def test_what_refuse_or_the_blocks_raise_comes_out_behind_what_the_others_had_in_hand() -> None:
    def refuse(block: int, reason: str, detail: str) -> None:
        raise EngineError("too many")

    results = engine().map(Lanes, [3, 4, 6, 8], refuse)
    assert next(results) == 4  # beside the one that fails
    with pytest.raises(EngineError, match="too many"):
        next(results)

    def blocks() -> Iterator[int]:
        yield 0
        yield 4  # it takes its time
        raise ZeroDivisionError

    results = engine().map(Lanes, blocks())
    assert [next(results), next(results)] == [0, 4]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_workers_that_die_whatever_they_get_end_the_run_without_refusing_the_pool() -> None:
    refused: Refused = []
    blocks = [[f"{block} {place}" for place in range(64)] for block in range(3)]
    made = lambda: lambda block: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
    with pytest.raises(EngineError, match="4 workers died and nothing was finished"):
        list(engine(attempts=1).map(made, blocks, lambda *row: refused.append(row)))
    assert refused == []


class Kept:
    """Makes a worker that counts its calls; says that it is to be kept."""

    kept = True

    def __call__(self) -> Callable[[int], tuple[int, int]]:
        numbers = count(1)
        return lambda block: (os.getpid(), next(numbers))


def test_a_kept_worker_serves_the_next_map_until_another_kind_comes() -> None:
    one = engine()
    made = Kept()
    ((pid, _),) = one.map(made, [0])
    assert list(one.map(made, [0])) == [(pid, 2)]
    assert one.run(os.getpid) != pid
    ((other, calls),) = one.map(made, [0])
    assert (other != pid, calls) == (True, 1)
    one.close()
    assert is_connected()  # it was there before


def test_run_does_again_what_killed_nobody_twice(tmp_path: Path) -> None:
    mark = tmp_path / "was here"

    def work() -> str:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    assert engine().run(work) == "done"
    with pytest.raises(ZeroDivisionError):
        engine().run(lambda: 1 / 0)


DRIVER = """
import os, sqlite3, sys, time
from pathlib import Path
from al_loop.engine.ray import RayEngine

folder, address = Path(sys.argv[1]), sys.argv[2]
database = sqlite3.connect(folder / "done.db")
database.execute("CREATE TABLE IF NOT EXISTS done (block INTEGER PRIMARY KEY, pid INTEGER)")
done = {block for (block,) in database.execute("SELECT block FROM done")}

def make_worker():
    def work(block):
        with open(folder / f"begun {block}", "a") as begun:
            begun.write("x")
        time.sleep(0.05)
        return block, os.getpid()
    return work

with RayEngine(address, actors=2, cpus_each=0.1) as engine:
    for row in engine.map(make_worker, [row for row in range(30) if row not in done]):
        with database:
            database.execute("INSERT INTO done VALUES (?, ?)", row)
        print(row[0], flush=True)
"""


def test_a_killed_driver_leaves_no_actor_and_a_block_of_each_to_be_done_again(
    tmp_path: Path,
) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-c", DRIVER, str(tmp_path), address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        for _ in range(8):
            assert driver.stdout.readline()
        driver.kill()
    database = sqlite3.connect(tmp_path / "done.db")
    actors = {pid for (pid,) in database.execute("SELECT pid FROM done")}
    assert 0 < len(actors) <= 2
    ends = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in actors) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not [pid for pid in actors if Path(f"/proc/{pid}").exists()]

    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    done = [block for (block,) in database.execute("SELECT block FROM done")]
    begun = Counter(len((tmp_path / f"begun {block}").read_text()) for block in range(30))
    database.close()
    assert sorted(done) == list(range(30))
    assert begun[2] <= 2
    assert begun[1] + begun[2] == 30


MOURNER = """
import os, signal, sys, time
from al_loop.engine.ray import RayEngine

def make_worker():
    return lambda block: os.kill(os.getpid(), signal.SIGKILL)

with RayEngine(sys.argv[1], cpus_each=0.1, attempts=2) as engine:
    list(engine.map(make_worker, [["poison"]], lambda *row: print(row[1], file=sys.stderr)))
    time.sleep(1)
"""


def test_ray_says_nothing_on_stdout_when_a_worker_dies() -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-c", MOURNER, address]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "worker_died" in ended.stderr
    assert ended.stdout == ""


def test_actors_that_this_machine_has_no_room_for_are_not_waited_for() -> None:
    with pytest.raises(EngineError, match="each actor needs 3 CPU, and this machine offers Ray 2;"):
        RayEngine(cpus_each=3).run(print)


def test_a_local_cluster_that_does_not_start_has_no_address_to_be_checked() -> None:
    told = "from al_loop.engine.ray import RayEngine; RayEngine(num_cpus=-1).run(print)"
    ended = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=False, timeout=60
    )
    assert "EngineError: a local Ray cluster cannot be started: " in ended.stderr
    assert "address" not in ended.stderr.splitlines()[-1]


def test_a_cluster_that_is_not_there_is_named() -> None:
    told = "from al_loop.engine.ray import RayEngine; RayEngine('127.0.0.1:1').run(print)"
    ended = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=False, timeout=60
    )
    assert "EngineError: the Ray cluster at 127.0.0.1:1 cannot be had" in ended.stderr
