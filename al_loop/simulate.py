"""The loop replayed on labelled data: which strategy gets how far with how many labels.

For each seed there is a *start*: round 0, trained on a small part of the data, which then scores
the rest. Every strategy goes on from a copy of it. All of them run the rounds of `al_loop.round`,
each in a process of its own: see `al_loop.simulation.replay`. What is finished is in the
workspace's database; what is not goes on where it was.

Knows neither storage nor what recognises: both come as arguments.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from al_loop.config import Settings
from al_loop.errors import ConfigError
from al_loop.records import Stage
from al_loop.simulation.folders import START, Filled, Folders
from al_loop.simulation.material import Material, check, divide, keep
from al_loop.simulation.point import Point
from al_loop.simulation.processes import Part
from al_loop.simulation.replay import PROFILES, Plan, read_points
from al_loop.simulation.settings import DEFAULT, STRATEGIES, Simulation, identity, strategy_settings

START_ENDS_BEFORE: Stage = "select"


class Runner(Protocol):
    """Advances replays, some of them at once, and gives those that are done, in any order.

    What is put into `waiting` whenever one comes out is worked off too. Raises AlLoopError where
    one fails. Closed, it leaves no process behind.
    """

    def work_off(self, waiting: deque[Part]) -> Generator[Part, None, None]: ...


class Book(Protocol):
    """The store that keeps what simulations came to."""

    def start_simulation(self, name: str, settings: Mapping[str, Any]) -> None: ...
    def finish_simulation(self, name: str) -> None: ...
    def put_simulation_point(self, name: str, point: Mapping[str, Any]) -> None: ...
    def simulation_points(self, name: str) -> list[dict[str, Any]]: ...


def simulate(
    simulation: Simulation,
    settings: Settings,
    material: Material,
    folder: Path,
    book: Book,
    open_store: Callable[[Path], Filled],
    processes: Runner,
    say: Callable[[str], None],
) -> list[Point]:
    """Replay what is still missing; the points of all that was asked for come back.

    folder: where replays lie while they are at work, and where the first call keeps its material
    (see `al_loop.simulation.material.kept`). open_store: the store of the workspace in a
    folder. processes: where replays are advanced. Raises ConfigError for an unknown strategy,
    WorkspaceError for too little material or another simulation of the same name, AlLoopError when
    a replay fails; calling again goes on.
    """
    simulation = replace(simulation, strategies=tuple(dict.fromkeys(simulation.strategies)))
    unknown = sorted(set(simulation.strategies) - set(STRATEGIES))
    if unknown or not simulation.strategies:
        got = ", ".join(name or "an empty name" for name in unknown) or "none"
        raise ConfigError(f"strategies: got {got}, expected some of {', '.join(STRATEGIES)}")
    check(material, simulation.start_s, simulation.seeds, simulation.rounds, simulation.budget_s)
    keep(material, folder)
    book.start_simulation(simulation.name, identity(simulation, settings, material))
    folders = Folders(folder, material, open_store)
    _Run(simulation, settings, material, folders, book, processes, say).run()
    return [
        row
        for row in map(_from_row, book.simulation_points(simulation.name))
        if row.strategy in simulation.strategies and row.seed < simulation.seeds
    ]


# -- the replays ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """To advance the replay in `folder`. strategy: START is what the others go on from."""

    folder: Path
    seed: int
    strategy: str

    @property
    def label(self) -> str:
        return f"{self.strategy}, seed {self.seed}"

    def part(self, beside: int) -> Part:
        until = START_ENDS_BEFORE if self.strategy == START else None
        return Part(self.folder, until, self.label, beside)


@dataclass(slots=True)
class _Run:
    """One call of `simulate`."""

    simulation: Simulation
    settings: Settings
    material: Material
    folders: Folders
    book: Book
    processes: Runner
    say: Callable[[str], None]

    def run(self) -> None:
        seeds = [seed for seed in range(self.simulation.seeds) if self._missing(seed)]
        self._make_profiles(seeds)
        jobs = {job.folder: job for seed in seeds for job in self._first(seed)}
        waiting = deque(job.part(len(jobs)) for job in jobs.values())
        replays = sum(len(self._missing(seed)) for seed in seeds)
        with closing(self.processes.work_off(waiting)) as finished:
            for part in finished:
                for job in self._after(jobs[part.folder]):
                    jobs[job.folder] = job
                    waiting.append(job.part(replays))
        for seed in range(self.simulation.seeds):
            for name in self.simulation.strategies:
                self._reduce(self._job(seed, name))  # a kill may have come before it
        self.folders.clear(self.simulation.seeds)
        self.book.finish_simulation(self.simulation.name)

    def _missing(self, seed: int) -> list[str]:
        """The strategies that are not finished."""
        finished = {
            row["strategy"]
            for row in self.book.simulation_points(self.simulation.name)
            if (row["seed"], row["round"]) == (seed, self.simulation.rounds)
        }
        return [name for name in self.simulation.strategies if name not in finished]

    def _first(self, seed: int) -> list[_Job]:
        """What can be worked on at once: the start, or what has gone on from it already."""
        jobs = [self._job(seed, name) for name in self._missing(seed)]
        begun = all(job.folder.exists() for job in jobs)
        return jobs if begun else [self._start(seed)]

    def _after(self, job: _Job) -> list[_Job]:
        """What follows a job that has ended well."""
        if job.strategy == START:
            following = [self._job(job.seed, name) for name in self._missing(job.seed)]
            for row in following:
                if not row.folder.exists():
                    settings = self._settings(row.strategy, row.seed)
                    self.folders.go_on(job.folder, row.folder, settings, self._plan(row))
            return following
        points = read_points(job.folder)
        for point in points:
            self.book.put_simulation_point(self.simulation.name, _to_row(point))
        rates = ", ".join(f"{100 * point.wer:.1f}" for point in points)
        self.say(f"{job.label}: done, WER % {rates}")
        self._reduce(job)
        return []

    def _reduce(self, job: _Job) -> None:
        if not self.simulation.keep_checkpoints:
            self.folders.reduce(job.seed, job.strategy)

    def _start(self, seed: int) -> _Job:
        """What the strategies of a seed go on from: it scores everything, for all of them."""
        job = self._job(seed, START)
        if not job.folder.exists():
            settings = self._settings("mean_token_entropy", seed)
            rows = divide(self.material, self.simulation.start_s, seed)
            self.folders.make(job.folder, settings, self._plan(job), rows)
        return job

    def _make_profiles(self, seeds: Sequence[int]) -> None:
        """Have the clips profiled once for all seeds, unless every seed has begun."""
        if all(self.folders.replay(seed, START).exists() for seed in seeds):
            return
        folder = self.folders.profiles
        if not folder.exists():
            plan = Plan(PROFILES, 0, 0, "../replies.json")
            self.folders.make(folder, self._settings(DEFAULT, 0), plan, divide(self.material, 0, 0))
        with closing(self.processes.work_off(deque([Part(folder, None, PROFILES)]))) as finished:
            for _ in finished:
                pass

    def _job(self, seed: int, strategy: str) -> _Job:
        return _Job(self.folders.replay(seed, strategy), seed, strategy)

    def _plan(self, job: _Job) -> Plan:
        return Plan(job.strategy, job.seed, self.simulation.rounds, "../../replies.json")

    def _settings(self, strategy: str, seed: int) -> Settings:
        return strategy_settings(self.simulation, self.settings, strategy, seed)


# -- rows ----------------------------------------------------------------------------------------


def _to_row(point: Point) -> dict[str, Any]:
    """A point as the database keeps it."""
    pairs = list(zip(point.errors, point.words, strict=True))
    return asdict(point) | {
        "wer": point.wer,
        "errors": sum(point.errors),
        "words": sum(point.words),
        "utterance_errors": json.dumps(pairs),
    }


def _from_row(row: Mapping[str, Any]) -> Point:
    errors, words = zip(*json.loads(row["utterance_errors"]), strict=True)
    values = {name: row[name] for name in Point.__dataclass_fields__}
    return replace(Point(**values), errors=errors, words=words)
