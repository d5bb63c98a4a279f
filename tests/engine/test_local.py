"""What the port `Engine` promises, of the engine that is this process."""

from collections.abc import Callable, Iterator
from threading import Barrier, Event

import pytest

from al_loop.engine.local import LocalEngine


def test_one_worker_does_all_blocks_in_their_order() -> None:
    made = []

    def make_worker() -> Callable[[int], str]:
        made.append("worker")
        return lambda block: f"{made[-1]} did {block}"

    done = LocalEngine().map(make_worker, [3, 1, 2])
    assert list(done) == ["worker did 3", "worker did 1", "worker did 2"]
    assert made == ["worker"]


def test_a_result_comes_before_the_next_block_is_begun() -> None:
    begun = []

    def blocks() -> Iterator[int]:
        for block in range(3):
            begun.append(block)
            yield block

    results = LocalEngine().map(lambda: lambda block: block, blocks())
    assert next(results) == 0
    assert begun == [0]


def test_what_the_work_raises_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        LocalEngine().run(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(LocalEngine().map(lambda: lambda block: 1 / block, [0]))


def test_run_returns_the_result() -> None:
    assert LocalEngine().run(lambda: "done") == "done"


class Lanes:
    """A worker of two lanes; each block waits until its partner has begun, or has been begun."""

    lanes = 2

    def __init__(self) -> None:
        self.partners = Barrier(2, timeout=10)

    def __call__(self, block: int) -> int:
        self.partners.wait()
        if block == 3:
            raise ZeroDivisionError
        return block


def test_lanes_work_at_once() -> None:
    assert sorted(LocalEngine().map(Lanes, [0, 2, 1, 4])) == [0, 1, 2, 4]


class Quick:
    lanes = 2

    def __call__(self, block: int) -> int:
        return block


def test_no_block_is_taken_before_a_lane_is_free() -> None:
    begun = []

    def blocks() -> Iterator[int]:
        for block in range(10):
            begun.append(block)
            yield block

    results = LocalEngine().map(Quick, blocks())
    assert next(results) in {0, 1}
    assert begun == [0, 1]


def test_a_slow_block_does_not_hold_up_what_is_finished() -> None:
    slow = Event()

    class Worker:
        lanes = 2

        def __call__(self, block: int) -> int:
            if block == 0:
                slow.wait(timeout=10)
            return block

    results = LocalEngine().map(Worker, range(4))
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    slow.set()
    assert list(results) == [0]


def test_what_a_lane_raises_comes_out_behind_what_the_others_had_in_hand() -> None:
    results = LocalEngine().map(Lanes, [0, 2, 3, 4, 6, 8])
    found = [next(results), next(results)]
    assert sorted(found) == [0, 2]
    assert next(results) == 4  # beside the one that fails
    with pytest.raises(ZeroDivisionError):
        next(results)
