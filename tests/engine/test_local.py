"""What the port `Engine` promises, of the engine that is this process."""

import logging
from collections.abc import Callable, Iterator
from threading import Barrier, Event

import pytest

from al_loop.engine.local import LocalEngine
from al_loop.errors import AudioError, EngineError


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


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_clip_that_cannot_be_read_or_held_is_refused_and_the_others_are_done(lanes: int) -> None:
    class Worker:
        def __call__(self, block: list[str]) -> list[str]:
            if "bad" in block:
                raise AudioError("corrupt", "cannot be decoded")
            if "huge" in block:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
            return block

    Worker.lanes = lanes  # type: ignore[attr-defined]
    refused: list[tuple[list[str], str, str]] = []
    blocks = [["a", "bad", "b"], ["huge"], ["c", "d"]]
    done = LocalEngine().map(Worker, blocks, lambda *row: refused.append(row))
    assert sorted(name for block in done for name in block) == ["a", "b", "c", "d"]
    assert sorted((block, reason) for block, reason, _ in refused) == [
        (["bad"], "corrupt"),
        (["huge"], "out_of_memory"),
    ]


def test_what_is_nobodys_fault_is_raised_though_clips_may_be_refused() -> None:
    refused: list[tuple[list[str], str, str]] = []
    results = LocalEngine().map(
        lambda: lambda block: 1 / 0, [["a"], ["b"]], lambda *row: refused.append(row)
    )
    with pytest.raises(ZeroDivisionError):
        list(results)
    assert refused == []


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_log_says_which_lane_did_what_and_what_is_done_again(
    lanes: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Worker:
        def __call__(self, block: list[str]) -> list[str]:
            if "bad" in block:
                raise AudioError("corrupt", "cannot be decoded")
            return block

    Worker.lanes = lanes  # type: ignore[attr-defined]
    with caplog.at_level(logging.INFO, "al_loop"):
        list(LocalEngine().map(Worker, [["a", "b", "c"], ["d", "bad"]], lambda *row: None))
    done, again = (
        [vars(row) for row in caplog.records if row.levelno == level]
        for level in (logging.INFO, logging.WARNING)
    )
    assert sorted(row["clips"] for row in done) == [1, 3]
    assert {row["worker"] for row in done} <= {f"lane {n + 1}" for n in range(lanes)}
    assert all(0 <= row["seconds"] < 5 for row in done)
    ((clips, reason, detail),) = [(row["clips"], row["reason"], row["detail"]) for row in again]
    assert (clips, reason, detail) == (2, "corrupt", "cannot be decoded")


@pytest.mark.parametrize("lanes", [1, 2])
def test_too_large_a_block_is_done_in_halves_though_no_clip_may_be_refused(lanes: int) -> None:
    class Worker:
        def __call__(self, block: list[str]) -> list[str]:
            if len(block) > 1 or block == ["huge"]:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
            return block

    Worker.lanes = lanes  # type: ignore[attr-defined]
    assert sorted(LocalEngine().map(Worker, [["a", "b", "c"]])) == [["a"], ["b"], ["c"]]
    with pytest.raises(EngineError, match=r"huge: out_of_memory: .*lower model\.memory_mb"):
        list(LocalEngine().map(Worker, [["a", "huge"]]))


def test_what_refuse_raises_comes_out_behind_what_the_lanes_had_in_hand() -> None:
    class Unreadable(Lanes):
        def __call__(self, block: int) -> int:
            self.partners.wait()
            if block == 3:
                raise AudioError("corrupt", "block 3")
            slow.wait(0.2)
            return block

    def refuse(block: int, reason: str, detail: str) -> None:
        raise EngineError("too many")

    slow = Event()
    results = LocalEngine().map(Unreadable, [3, 4, 6, 8], refuse)
    assert next(results) == 4
    with pytest.raises(EngineError, match="too many"):
        next(results)


def test_what_the_blocks_raise_comes_out_behind_what_the_lanes_have_in_hand() -> None:
    slow = Event()

    class Worker:
        lanes = 2

        def __call__(self, block: int) -> int:
            if block == 1:
                slow.wait(timeout=10)
            return block

    def blocks() -> Iterator[int]:
        yield 0
        yield 1
        slow.set()
        raise ZeroDivisionError

    results = LocalEngine().map(Worker, blocks())
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
