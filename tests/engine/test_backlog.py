"""What is done again, and who is blamed for a worker's death."""

from itertools import count

from al_loop.engine.backlog import Backlog, Convicted, Job, Refuse, sentence, settle
from al_loop.errors import AudioError, EngineError


def take(backlog: Backlog[list[str]], idle: bool = True) -> Job[list[str]]:
    job = backlog.take(idle)
    assert job is not None
    return job


def test_blocks_are_taken_one_by_one() -> None:
    numbers = count()
    backlog = Backlog(numbers, attempts=2)
    assert [backlog.take(idle=False).block for _ in range(3)] == [0, 1, 2]
    assert next(numbers) == 3
    assert not backlog.is_done()


def test_it_is_done_when_nothing_is_left_or_to_be_done_again() -> None:
    backlog = Backlog([["a"]], attempts=2)
    job = take(backlog)
    assert backlog.take(idle=True) is None
    assert backlog.is_done()
    backlog.died([job], "worker_died", "killed")
    assert not backlog.is_done()
    assert take(backlog) is job


def test_blocks_that_ran_out_are_asked_again() -> None:
    waiting = [["a"]]

    class Source:
        def __iter__(self) -> "Source":
            return self

        def __next__(self) -> list[str]:
            if not waiting:
                raise StopIteration
            return waiting.pop()

    backlog = Backlog(Source(), attempts=2)
    take(backlog)
    assert backlog.take(idle=True) is None
    assert backlog.is_done()
    waiting.append(["b"])
    assert take(backlog).block == ["b"]
    assert not backlog.is_done()
    assert backlog.take(idle=True) is None
    assert backlog.is_done()


def test_what_is_done_again_is_done_alone_and_before_all_else() -> None:
    backlog = Backlog([["a"], ["b"], ["c"]], attempts=2)
    first, second = take(backlog), take(backlog, idle=False)
    backlog.died([first, second], "worker_died", "killed")
    assert backlog.take(idle=False) is None
    assert [take(backlog).block, take(backlog).block] == [["a"], ["b"]]
    assert take(backlog, idle=False).block == ["c"]


def test_a_death_in_company_convicts_nobody() -> None:
    backlog = Backlog([["a"], ["b"]], attempts=1)
    jobs = [take(backlog), take(backlog)]
    for _ in range(5):
        assert backlog.died(jobs, "worker_died", "killed") is None
        jobs = [take(backlog), take(backlog)]
    assert [job.deaths for job in jobs] == [0, 0]


def test_the_clip_that_kills_is_found_and_all_others_are_done() -> None:
    clips = [f"clip {number}" for number in range(64)]
    backlog, deaths, done = Backlog([clips], attempts=3), 0, []
    convicted: list[Convicted[list[str]]] = []
    while (job := backlog.take(idle=True)) is not None:
        if "clip 37" not in job.block:
            done += job.block
            continue
        deaths += 1
        if found := backlog.died([job], "worker_died", "it was killed"):
            convicted.append(found)
    assert convicted == [
        Convicted(
            ["clip 37"],
            "worker_died",
            "workers that died with nothing else in hand: 3; the last: it was killed",
        )
    ]
    assert sorted(done) == sorted(set(clips) - {"clip 37"})
    assert deaths == 3 + 5 + 3  # the whole, 32 to 2 clips, the clip


def test_what_is_blamed_for_a_bad_clip_is_halved_at_once() -> None:
    backlog = Backlog([["a", "b", "c"]], attempts=3)
    assert backlog.blame(take(backlog), "corrupt", "cannot be decoded") is None
    halves = [take(backlog), take(backlog)]
    assert [half.block for half in halves] == [["a"], ["b", "c"]]
    found = backlog.blame(halves[0], "corrupt", "cannot be decoded")
    assert found == Convicted(["a"], "corrupt", "cannot be decoded")


def test_what_cannot_be_halved_is_convicted_whole() -> None:
    backlog = Backlog(["one text"], attempts=1)
    job = backlog.take(idle=True)
    assert job is not None
    found = backlog.died([job], "worker_died", "killed")
    assert found is not None
    assert found.block == "one text"


def refusing(refused: list[tuple[list[str], str, str]]) -> Refuse:
    return lambda *row: refused.append(row)


def test_what_a_block_has_no_memory_for_is_halved_and_its_one_clip_refused() -> None:
    refused: list[tuple[list[str], str, str]] = []
    backlog = Backlog([["a", "b"]], attempts=3)
    assert settle(backlog, take(backlog), MemoryError(), refusing(refused)) is None
    first, second = take(backlog), take(backlog)
    error = RuntimeError("CUDA out of memory")
    assert settle(backlog, first, error, refusing(refused)) is None
    assert refused == [(["a"], "out_of_memory", "CUDA out of memory")]
    ending = settle(backlog, second, error, None)
    assert isinstance(ending, EngineError)
    assert str(ending).startswith("b: out_of_memory: CUDA out of memory; lower model.memory_mb")
    assert ending.__cause__ is error


def test_work_that_memory_is_too_small_for_is_told_what_to_lower() -> None:
    backlog = Backlog([len], attempts=3)
    job = backlog.take(idle=True)
    assert job is not None
    ending = settle(backlog, job, MemoryError(), None)
    assert str(ending) == (
        "out_of_memory: MemoryError; lower model.memory_mb, or train.batch_size where it trains"
    )


def test_what_is_unreadable_ends_the_run_where_nobody_asks_for_refusals() -> None:
    backlog, error = Backlog([["a", "b"]], attempts=3), AudioError("corrupt", "cannot be decoded")
    assert settle(backlog, take(backlog), error, None) is error
    assert backlog.take(idle=True) is None


def test_what_refuse_raises_ends_the_run() -> None:
    def refuse(block: list[str], reason: str, detail: str) -> None:
        raise EngineError("too many")

    backlog = Backlog([["a"]], attempts=3)
    error = AudioError("corrupt", "cannot be decoded")
    assert str(settle(backlog, take(backlog), error, refuse)) == "too many"
    assert str(sentence(Convicted(["a"], "worker_died", "killed"), refuse)) == "too many"
    assert str(sentence(Convicted(["a"], "worker_died", "killed"), None)) == (
        "a: worker_died: killed"
    )
