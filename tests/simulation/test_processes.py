import os
import sys
import threading
import time
from collections import deque
from pathlib import Path

import pytest

from al_loop.errors import AlLoopError
from al_loop.simulation.processes import LOG, Part, Processes


def test_rounds_are_told_and_the_rest_is_in_the_log(tmp_path: Path) -> None:
    program = (
        "import os, sys; print('round 1: train'); print('  heard 5 of 10 clips'); "
        "print(sys.argv[1:], os.environ['OMP_NUM_THREADS'])"
    )
    said: list[str] = []
    Processes(2, said.append, (sys.executable, "-c", program)).run(
        Part(tmp_path, "select", "margin", 5)
    )
    assert said == ["margin: round 1: train"]
    log = (tmp_path / LOG).read_text(encoding="utf-8")
    threads = max((os.cpu_count() or 1) // 2, 1)
    assert log.splitlines()[1:] == [
        "  heard 5 of 10 clips",
        f"{[str(tmp_path), '--until', 'select']} {threads}",
    ]


def test_what_runs_can_be_ended_and_nothing_starts_afterwards(tmp_path: Path) -> None:
    said: list[str] = []
    program = "import time; print('round 1: train'); time.sleep(60)"
    processes = Processes(1, said.append, (sys.executable, "-c", program))
    waiting = threading.Thread(target=processes.run, args=(Part(tmp_path, None, "margin"),))
    waiting.start()
    for _ in range(100):
        if said:
            break
        time.sleep(0.05)
    processes.stop()
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    processes.run(Part(tmp_path, None, "margin"))
    assert said == ["margin: round 1: train"]


def test_what_is_put_in_on_the_way_is_worked_off_too(tmp_path: Path) -> None:
    waiting = deque([Part(tmp_path, None, "first")])
    done = []
    for part in Processes(2, [].append, (sys.executable, "-c", "")).work_off(waiting):
        done.append(part.label)
        if part.label == "first":
            waiting += [Part(tmp_path, None, "second"), Part(tmp_path, None, "third")]
    assert (done[0], sorted(done[1:])) == ("first", ["second", "third"])


def test_the_others_end_with_one_that_fails(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    program = "import sys, time; sys.exit(1) if sys.argv[1].endswith('bad') else time.sleep(60)"
    waiting = deque(Part(tmp_path / name, None, name) for name in ("good", "bad"))
    begun = time.monotonic()
    with pytest.raises(AlLoopError, match="bad ended with status 1"):
        list(Processes(2, [].append, (sys.executable, "-c", program)).work_off(waiting))
    assert time.monotonic() - begun < 30


def test_one_that_runs_alone_has_all_cores(tmp_path: Path) -> None:
    program = "import os; print(os.environ['OMP_NUM_THREADS'])"
    Processes(64, [].append, (sys.executable, "-c", program)).run(Part(tmp_path, None, "margin"))
    assert (tmp_path / LOG).read_text(encoding="utf-8").split() == [str(os.cpu_count())]
