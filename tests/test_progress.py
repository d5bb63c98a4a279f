"""How far work is: counted by the loop, kept now and then, judged from outside."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from al_loop.config import Settings
from al_loop.engine.local import LocalEngine
from al_loop.errors import AlLoopError, AudioError
from al_loop.listening import Listening
from al_loop.logs import about
from al_loop.progress import STILL_S, Standing, Tally, has_ended, standing, this_process
from al_loop.records import Checkpoint, Hypothesis, Source, Utterance
from al_loop.report import pace, span, status_lines, work_line
from al_loop.wiring import open_workspace
from storage.queries import Reader
from storage.store import Store
from tests.fakes import FakeRecognizer, clips, hear, make_world

BEGAN = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


class Kept:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def start_progress(self, process: str, *facts: Any) -> None:
        self.calls.append(("start", *facts))

    def put_progress(self, process: str, done: int) -> None:
        self.calls.append(("put", done))

    def end_progress(self, process: str) -> None:
        self.calls.append(("end",))


def test_a_count_is_kept_once_a_second_and_when_all_are_done() -> None:
    kept, times = Kept(), iter([0.0, 0.5, 1.2, 1.2, 1.5, 9.0])
    with about(round=3, stage="score"):
        tally = Tally(kept, "heard", 40, 4, lambda: next(times))
    assert [tally.add(8) for _ in range(3)] == [False, True, False]
    assert tally.add(16)
    tally.end()
    assert kept.calls == [("start", "heard", 40, 4, 3, "score"), ("put", 16), ("put", 40), ("end",)]


def test_a_command_is_named_where_there_is_no_stage() -> None:
    kept = Kept()
    with about(command="ablate"):
        Tally(kept, "heard", 1)
    Tally(kept, "heard", 1)
    assert [call[-2:] for call in kept.calls] == [(None, "ablate"), (None, None)]


def row(done: int = 600, process: str = "", **changes: Any) -> dict[str, Any]:
    """600 of 6,000 clips in 60 seconds, by four workers."""
    return {
        "process": process or this_process(),
        "round": 3,
        "stage": "score",
        "what": "heard",
        "done": done,
        "total": 6000,
        "workers": 4,
        "started_at": BEGAN.isoformat(),
        "updated_at": (BEGAN + timedelta(minutes=1)).isoformat(),
    } | changes


def dead() -> str:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return this_process().replace(str(os.getpid()), str(child.pid), 1)


AT = BEGAN + timedelta(seconds=70)


def test_work_that_goes_on_has_a_pace_and_a_rest() -> None:
    assert standing(row(), AT) == Standing(10.0, 530.0, None)
    late = BEGAN + timedelta(minutes=5)
    assert standing(row(5900), late) == Standing(5900 / 60, 0.0, None)
    assert work_line(row(), AT) == (
        "score: heard 600 of 6,000 clips, 4 workers, 10 a second, about 9 minutes left"
    )


def test_before_the_first_block_there_is_no_pace() -> None:
    fresh = row(0, workers=1, stage=None, updated_at=BEGAN.isoformat())
    assert standing(fresh, AT) == Standing(None, None, None)
    assert work_line(fresh, AT) == "a command: heard 0 of 6,000 clips"


def test_work_stands_still_when_its_process_has_ended() -> None:
    left = row(process=dead())
    assert standing(left, AT).still_since == left["updated_at"]
    assert work_line(left, AT) == (
        "score: heard 600 of 6,000 clips; it stands still since 2026-01-31 08:01 UTC"
    )


@pytest.mark.parametrize("elsewhere", ["", "1 on another machine"])
def test_work_that_is_silent_for_long_stands_still(elsewhere: str) -> None:
    quiet = row(process=elsewhere)
    minute = timedelta(minutes=1)
    assert standing(quiet, BEGAN + minute + timedelta(seconds=STILL_S)).still_since is None
    assert standing(quiet, BEGAN + 2 * minute + timedelta(seconds=STILL_S)).still_since


def test_only_a_process_of_this_machine_is_known_to_have_ended() -> None:
    assert has_ended(dead())
    assert not has_ended(this_process())
    assert not has_ended("1 on another machine")
    init = this_process().replace(str(os.getpid()), "1", 1)
    assert not has_ended(init)  # it may be somebody else's


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (1234.5, "1,234 a second"),
        (35.2, "35 a second"),
        (3.52, "3.5 a second"),
        (0.2, "12 a minute"),
    ],
)
def test_the_pace_in_words(rate: float, said: str) -> None:
    assert pace(rate) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "1 seconds"),
        (89.4, "89 seconds"),
        (2520, "42 minutes"),
        (3 * 3600, "3 hours"),
        (5 * 86400, "5 days"),
    ],
)
def test_a_rest_in_words(seconds: float, said: str) -> None:
    assert span(seconds) == said


# -- the loop itself ----------------------------------------------------------------------------

CHECKPOINT = Checkpoint("c", "checkpoints/c", None, {})


class Watched(FakeRecognizer):
    """Notes how far the work is whenever a block is worked on; cannot read the clip `bad`."""

    def __init__(self, store: Store, bad: str) -> None:
        super().__init__(store.workspace.root)
        self.reader = Reader(store.workspace)
        self.bad = bad
        self.seen: list[dict[str, Any]] = []

    def listener(self, checkpoint: str):  # type: ignore[no-untyped-def]
        def listen(block: list[Utterance]) -> list[Hypothesis]:
            self.seen += self.reader.work()
            if self.bad in {row.id for row in block}:
                raise AudioError("corrupt", "cannot be decoded")
            return [hear(row.id, 1) for row in block]

        return listen


@pytest.fixture
def log(store: Store) -> Iterator[Path]:
    """The log that the commands write, of a workspace that they have opened."""
    logger = logging.getLogger("al_loop")
    kept, level = logger.handlers, logger.level
    logger.handlers = []
    open_workspace(store.workspace.root)[2].close()
    yield store.workspace.logs / "al_loop.log"
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level = kept, level


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_what_is_heard_is_counted_and_logged_and_then_nothing_is_in_hand(
    store: Store, log: Path
) -> None:
    rows = clips("radio", "pool", 12)
    store.put_source(Source("radio", "open_source", "ky"))
    store.add(rows, [])
    store.put_checkpoint(CHECKPOINT)
    recognizer = Watched(store, rows[5].id)
    with about(round=4, stage="score"):
        Listening(store, LocalEngine(), lambda: recognizer, lambda _: None).listen(CHECKPOINT, rows)
    first = recognizer.seen[0]
    assert (first["what"], first["total"], first["done"]) == ("heard", 12, 0)
    assert (first["round"], first["stage"], first["workers"]) == (4, "score", 1)
    assert first["process"] == this_process()
    assert Reader(store.workspace).work() == []
    found = lines(log)
    assert {(row["round"], row["stage"], row["what"]) for row in found} == {(4, "score", "heard")}
    done = [row for row in found if row["message"] == "a block is done"]
    assert sum(row["clips"] for row in done) == 11
    assert {row["worker"] for row in done} == {"lane 1"}
    warned = [row for row in found if row["level"] == "WARNING"]
    assert [row["utterance"] for row in warned if "utterance" in row] == [rows[5].id]
    assert {row["reason"] for row in warned} == {"corrupt"}
    data = status_lines(Reader(store.workspace), Settings())[2]
    assert "11 clips" in data
    assert "; 1 could not be worked on (corrupt 1)" in data


def test_work_that_fails_is_not_in_hand(store: Store) -> None:
    rows = clips("radio", "test", 3)
    store.put_source(Source("radio", "open_source", "ky"))
    store.add(rows, [])
    store.put_checkpoint(CHECKPOINT)
    recognizer = Watched(store, rows[0].id)
    listening = Listening(store, LocalEngine(), lambda: recognizer, lambda _: None)
    with pytest.raises(AudioError):
        listening.listen(CHECKPOINT, rows)
    assert recognizer.seen
    assert Reader(store.workspace).work() == []


def test_every_line_of_a_round_names_it_and_its_stage(store: Store, log: Path) -> None:
    world = make_world(store)
    world.advance()
    world.advance()
    world.recognizer.failure = AlLoopError("no room")
    world.oracle.answer(*world.oracle.unanswered)
    with pytest.raises(AlLoopError):
        world.advance()
    blocks = [row for row in lines(log) if row["message"] == "a block is done"]
    assert {(row["round"], row["stage"]) for row in blocks} >= {(0, "evaluate"), (1, "score")}
    assert {row["what"] for row in blocks} <= {"heard", "profiled", "weighed"}
    failed = lines(log)[-1]
    assert (failed["level"], failed["round"], failed["stage"]) == ("ERROR", 1, "train")
    assert failed["message"] == "failed: no room"


def test_the_status_says_what_is_in_hand_and_what_a_killed_process_left(store: Store) -> None:
    world = make_world(store)
    world.advance()
    store.start_progress(this_process(), "heard", 100_000, 4, 1, "score")
    store.put_progress(this_process(), 0)
    said = status_lines(Reader(store.workspace), world.settings)
    assert len(said) == 6
    assert said[5] == "work:     score: heard 0 of 100,000 clips, 4 workers"
    store.end_progress(this_process())
    store.start_progress(dead(), "heard", 100_000, 4, 1, "score")
    assert "; it stands still since 20" in status_lines(Reader(store.workspace), world.settings)[5]
