"""What the port `Engine` promises, of the engine that is this process."""

from collections.abc import Callable, Iterator

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
