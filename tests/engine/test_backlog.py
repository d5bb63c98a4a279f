"""What is done again, and who is blamed for a worker's death."""

from itertools import count

from al_loop.engine.backlog import Backlog, Convicted, Job


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
