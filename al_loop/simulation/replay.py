"""One replay: a workspace's own rounds with references in the annotators' place.

A replay is a folder: al_loop.toml, `replay.json` (what it is), `points/` (what its rounds came to),
and all that a workspace has. It is advanced by a process of its own, and killed at any instant it
goes on from there. Knows nothing of other replays, or of what theirs came to.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_loop.errors import WorkspaceError
from al_loop.records import Stage
from al_loop.simulation.oracle import ReferenceOracle, read_replies
from al_loop.simulation.point import Point
from al_loop.simulation.points import correlation, reached

if TYPE_CHECKING:
    from al_loop.round import Loop

PROFILES = "profiles"
"""The strategy of a replay without rounds, whose clips are only profiled."""
OPENING = "open"
"""The stage before a round's first, as `al_loop.round` calls it."""
PLAN, POINTS, ASKED = "replay.json", "points", "asked.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay is. replies: the file with the answers, relative to the replay's folder."""

    strategy: str
    seed: int
    rounds: int
    replies: str


def reference_oracle(folder: Path, language: str) -> ReferenceOracle:
    """Who answers in the replay in `folder`. Raises WorkspaceError where there is none."""
    replies = read_replies(folder / read_plan(folder).replies)
    return ReferenceOracle(replies, folder / ASKED, language)


def replay(loop: Loop, folder: Path, until: Stage | None = None) -> None:
    """Advance the replay in `folder` until its rounds are recorded, or until before a stage.

    Raises what a failing stage raised, WorkspaceError when a round cannot go on.
    """
    plan = read_plan(folder)
    _forget_kills(loop)
    if plan.strategy == PROFILES:
        _profile(loop)
        return
    replies = read_replies(folder / plan.replies)
    while True:
        last = loop.store.last_round()
        if last is not None and last.stage is None:
            _write(folder, last.number, "reached", reached(loop, last, replies))
            if last.number >= plan.rounds:
                return
        outcome = loop.advance(insist=True, until=until or "select")
        if outcome.kind == "stopped":
            if until is not None:
                return
            assert outcome.round is not None
            _write(folder, outcome.round, "correlation", correlation(loop, replies))
            outcome = loop.advance(insist=True)
        if outcome.kind != "recorded":
            raise WorkspaceError(f"the replay in {folder} cannot go on: {outcome.message}")


def _forget_kills(loop: Loop) -> None:
    """Whoever calls has ended it before: that it was killed often is no failure of the stage."""
    current, last = loop.store.open_round(), loop.store.last_round()
    if current is not None and current.stage is not None:
        loop.store.forget_failures(current.number, current.stage)
    else:
        loop.store.forget_failures(0 if last is None else last.number + 1, OPENING)


def _profile(loop: Loop) -> None:
    """Have all clips profiled by the base, and nothing else."""
    loop.advance(insist=True, until="merge")
    base_id = loop.store.current_checkpoint_id()
    base = loop.store.checkpoint(base_id) if base_id else None
    assert base is not None  # round 0 was opened with it
    rule = loop.settings
    loop.listening.profile(base, rule.embedding.encoder, rule.gates.related_languages)


def leave_with_the_driver() -> None:
    """End this process when the one that started it is gone: standard input then ends."""
    threading.Thread(target=_leave_at_the_end_of_input, daemon=True).start()


def _leave_at_the_end_of_input() -> None:
    while os.read(0, 1):  # nothing is ever written to it
        pass
    os._exit(1)


# -- files ---------------------------------------------------------------------------------------


def write_plan(plan: Plan, folder: Path) -> None:
    (folder / PLAN).write_text(json.dumps(asdict(plan)), encoding="utf-8")


def read_plan(folder: Path) -> Plan:
    """Raises WorkspaceError where the folder is no replay."""
    try:
        return Plan(**json.loads((folder / PLAN).read_text(encoding="utf-8")))
    except FileNotFoundError as exc:
        raise WorkspaceError(
            f"{folder}: no {PLAN} here, so this is no replay; `al-loop simulate` makes them"
        ) from exc


def read_points(folder: Path) -> list[Point]:
    """What the replay's rounds came to, as far as they are recorded."""
    plan = read_plan(folder)
    points = []
    for path in sorted((folder / POINTS).glob("*-reached.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        scores = path.with_name(path.name.replace("reached", "correlation"))
        if scores.exists():
            values |= json.loads(scores.read_text(encoding="utf-8"))
        points.append(Point(plan.strategy, plan.seed, **values))
    return points


def _write(folder: Path, round_number: int, what: str, values: Mapping[str, Any]) -> None:
    (folder / POINTS).mkdir(exist_ok=True)
    path = folder / POINTS / f"{round_number:03d}-{what}.json"
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    os.replace(unfinished, path)
