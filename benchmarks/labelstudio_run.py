"""The run of `make bench-labelstudio`: server, annotators, `sync` again and again, kills, restarts.

Knows not what is wanted of it, nor how the databases are compared.
"""

from __future__ import annotations

import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from al_loop.errors import AlLoopError
from benchmarks.corpus import ROOT
from benchmarks.labelstudio_audit import Findings, audit
from benchmarks.labelstudio_people import Account, Annotator, make_account
from benchmarks.labelstudio_workspace import make_workspace
from labeling.server import EmbeddedServer

POLL_S = 0.05
QUIET_S = 5.0
"""So long nobody must have been handed a task before all counts as answered."""
LAST_SYNCS = 2
GIVE_UP_S = 3600.0


@dataclass(frozen=True, slots=True)
class Plan:
    tasks: int
    annotators: int
    restarts: int
    kills: int
    every_s: float
    seed: int


@dataclass(frozen=True, slots=True)
class Measured:
    """syncs_s: of every call that came to an end. failures: calls that found no server."""

    findings: Findings
    kills: int
    restarts: int
    failures: int
    push_s: float
    whole_s: float
    syncs_s: Sequence[float]
    peak_bytes: int
    server_bytes: int

    @property
    def median_s(self) -> float:
        return statistics.median(self.syncs_s)

    @property
    def longest_s(self) -> float:
        return max(self.syncs_s)


@dataclass(slots=True)
class _Seen:
    """What the run has seen so far."""

    kills: int = 0
    failures: int = 0
    syncs_s: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    server_bytes: int = 0


def run(folder: Path, plan: Plan, say: Callable[[str], None]) -> Measured:
    """All of it in `folder`. AL_LOOP_DATA_DIR must name `folder`/data."""
    server = EmbeddedServer(folder / "data" / "label-studio")
    try:
        running = server.up(say)
        accounts = [
            make_account(running.url, server.token, number) for number in range(plan.annotators)
        ]
        workspace = folder / "workspace"
        make_workspace(workspace, plan.tasks)
        return _Run(workspace, server, running.url, plan, say).whole(accounts)
    finally:
        server.down()


class _Run:
    def __init__(
        self,
        workspace: Path,
        server: EmbeddedServer,
        url: str,
        plan: Plan,
        say: Callable[[str], None],
    ) -> None:
        self.workspace = workspace
        self.database = workspace / "al_loop.db"
        self.server = server
        self.url = url
        self.plan = plan
        self.say = say
        self.rng = np.random.default_rng(plan.seed)
        self.people: list[Annotator] = []
        self.over = False
        self.restarts = 0
        self.restart_error: BaseException | None = None
        self.seen = _Seen()

    def whole(self, accounts: Sequence[Account]) -> Measured:
        start = time.monotonic()
        push_s = None
        restarter = threading.Thread(target=self._restart, daemon=True)
        restarter.start()
        quiet_since = time.monotonic()
        while not self.over:
            self._sync(self._kill_after())
            self._hire(accounts)
            if push_s is None and self._pushed() >= self.plan.tasks:
                push_s = time.monotonic() - start
                self.say(f"pushed after {push_s:.0f} s")
            if push_s is None or not all(person.idle for person in self.people):
                quiet_since = time.monotonic()
            done = self.seen.kills >= self.plan.kills and not restarter.is_alive()
            self.over = done and time.monotonic() - quiet_since > QUIET_S
            self._check(start)
            if not self.over:
                time.sleep(self.plan.every_s)
        for person in self.people:
            person.join()
        ended = len(self.seen.syncs_s)
        while len(self.seen.syncs_s) < ended + LAST_SYNCS:
            self._sync(None)
            self._check(start)
        whole_s = time.monotonic() - start
        project_id = self._project_id()
        assert push_s is not None
        assert project_id is not None
        ledgers = [person.ledger for person in self.people]
        database = self.server.home / "data" / "label_studio.sqlite3"
        return Measured(
            findings=audit(database, self.database, project_id, ledgers),
            kills=self.seen.kills,
            restarts=self.restarts,
            failures=self.seen.failures,
            push_s=push_s,
            whole_s=whole_s,
            syncs_s=self.seen.syncs_s,
            peak_bytes=self.seen.peak_bytes,
            server_bytes=self.seen.server_bytes,
        )

    def _check(self, start: float) -> None:
        if self.restart_error is not None:
            raise self.restart_error
        if time.monotonic() - start > GIVE_UP_S:
            raise AlLoopError(
                f"not done after {GIVE_UP_S:.0f} s: {self._pushed()} tasks pushed, "
                f"{sum(person.ledger.answers for person in self.people)} answers, "
                f"{self.seen.kills} kills, {self.restarts} restarts; look into {self.workspace}"
            )

    # -- the loop ----------------------------------------------------------------------------------

    def _kill_after(self) -> float | None:
        """Seconds after which to kill the next call; None to let it live, as every third one is."""
        calls = self.seen.kills + self.seen.failures + len(self.seen.syncs_s)
        if self.seen.kills >= self.plan.kills or calls % 3 == 0:
            return None
        usual_s = self.seen.syncs_s[-1] if self.seen.syncs_s else 4.0
        return float(self.rng.uniform(0.1, 1.0)) * usual_s

    def _sync(self, kill_after_s: float | None) -> None:
        command = [sys.executable, "-m", "al_loop", "-w", str(self.workspace)]
        start = time.monotonic()
        process = subprocess.Popen(
            [*command, "labelstudio", "sync"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        killed = False
        while process.poll() is None:
            self.seen.peak_bytes = max(self.seen.peak_bytes, _peak(process.pid))
            self.seen.server_bytes = max(self.seen.server_bytes, self._server_peak())
            if kill_after_s is not None and time.monotonic() - start > kill_after_s and not killed:
                process.send_signal(signal.SIGKILL)
                killed = True
            time.sleep(POLL_S)
        _, said = process.communicate()
        if process.returncode == -signal.SIGKILL:
            self.seen.kills += 1
        elif process.returncode == 0:
            self.seen.syncs_s.append(time.monotonic() - start)
        elif process.returncode == 1:  # our own message: the server was away
            self.seen.failures += 1
            self.say(said.strip()[:200])
        else:
            raise AlLoopError(f"sync ended with {process.returncode}: {said[-2000:]}")

    # -- the people --------------------------------------------------------------------------------

    def _hire(self, accounts: Sequence[Account]) -> None:
        """Annotators begin as soon as there is a project, while tasks are still being pushed."""
        project_id = self._project_id()
        if self.people or project_id is None:
            return
        self.people = [
            Annotator(self.url, account, project_id, number, lambda: self.over)
            for number, account in enumerate(accounts)
        ]
        for person in self.people:
            person.start()

    # -- the server --------------------------------------------------------------------------------

    def _restart(self) -> None:
        """Once in mid-push, then at equal distances while annotators answer."""
        try:
            self._restart_when(lambda: self._imported() > self.plan.tasks / 4)
            for number in range(1, self.plan.restarts):
                share = number / self.plan.restarts
                self._restart_when(lambda share=share: self._answers() > share * self.plan.tasks)
        except BaseException as exc:  # the main thread raises it
            self.restart_error = exc

    def _restart_when(self, due: Callable[[], bool]) -> None:
        while not due():
            time.sleep(POLL_S)
        self.say(f"restarting the server: {self._imported()} tasks, {self._answers()} answers")
        self.server.down()
        self.server.up()
        self.restarts += 1

    def _imported(self) -> int:
        """Tasks that the server has, whether or not the loop knows."""
        database = self.server.home / "data" / "label_studio.sqlite3"
        return int(_value(database, "SELECT count(*) FROM task") or 0)

    def _answers(self) -> int:
        return sum(person.ledger.answers for person in self.people)

    def _server_peak(self) -> int:
        try:
            return _peak(int((self.server.home / "server.pid").read_text()))
        except (OSError, ValueError):  # it is being restarted
            return 0

    # -- what the loop knows -----------------------------------------------------------------------

    def _pushed(self) -> int:
        return int(
            _value(self.database, "SELECT count(*) FROM tasks WHERE task_id IS NOT NULL") or 0
        )

    def _project_id(self) -> int | None:
        found = _value(
            self.database, "SELECT project_id FROM projects ORDER BY found_at DESC LIMIT 1"
        )
        return None if found is None else int(found)


def _value(database: Path, sql: str) -> int | None:
    """The first value of the first row; None where there is none."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.execute("PRAGMA busy_timeout = 30000")
        row = connection.execute(sql).fetchone()
    return None if row is None else row[0]


def _peak(pid: int) -> int:
    """The most bytes that a process has held; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    peaks = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0].split()[1]) * 1024 if peaks else 0
