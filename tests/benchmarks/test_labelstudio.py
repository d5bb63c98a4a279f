"""The audit of `make bench-labelstudio` finds each fault that it looks for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.labelstudio import KILLS, RESTARTS, targets
from benchmarks.labelstudio_audit import Findings, audit
from benchmarks.labelstudio_people import Ledger
from benchmarks.labelstudio_run import Measured, Plan

PLAN = Plan(2, 1, RESTARTS, KILLS, 1.0, 0)
SOUND = Findings(2, 0, 0, 2, 0, 0, 0, 0, 0)
SERVER = """
CREATE TABLE task (id, project_id, data);
CREATE TABLE task_completion (id, task_id, result, was_cancelled);
"""
OURS = """
CREATE TABLE tasks (utterance_id, round, copy);
CREATE TABLE annotations (id, task_id, project_id, text, deleted_at);
"""


def answer(text: str, verdict: str | None = None) -> str:
    parts = [{"type": "textarea", "value": {"text": [text]}}]
    if verdict:
        parts.append({"type": "choices", "value": {"choices": [verdict]}})
    return json.dumps(parts)


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.executescript(statement)
        database.commit()


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two tasks with an answer each, a text and a verdict, that both sides tell alike."""
    server, ours = tmp_path / "server", tmp_path / "ours"
    keys = [json.dumps({"utterance": name, "round": 1, "copy": 0}) for name in "ab"]
    execute(
        server,
        SERVER,
        f"INSERT INTO task VALUES (1, 7, '{keys[0]}'), (2, 7, '{keys[1]}'), (3, 8, '{keys[0]}');"
        f"INSERT INTO task_completion VALUES (10, 1, '{answer('бир')}', 0), "
        f"(11, 2, '{answer('эки', 'bad_audio')}', 0), (12, 3, '{answer('үч')}', 0);",
    )
    execute(
        ours,
        OURS,
        "INSERT INTO tasks VALUES ('a', 1, 0), ('b', 1, 0);"
        "INSERT INTO annotations VALUES ('10', '1', 7, 'бир', NULL), ('11', '2', 7, NULL, NULL), "
        "('9', '1', 7, 'жок', '2026-01-01');",
    )
    return server, ours


def test_two_sides_that_agree_are_sound(sides: tuple[Path, Path]) -> None:
    assert audit(*sides, 7, [Ledger(taken={"бир", "эки"}, sent={"бир"})]) == SOUND
    assert SOUND.faults == 0


@pytest.mark.parametrize(
    ("side", "statement", "fault"),
    [
        (0, "INSERT INTO task SELECT 4, 7, data FROM task WHERE id = 1", "twins"),
        (0, "DELETE FROM task WHERE id = 2", "unasked"),
        (1, "DELETE FROM annotations WHERE id = '10'", "lost"),
        (1, "UPDATE annotations SET deleted_at = 'now' WHERE id = '11'", "lost"),
        (1, "INSERT INTO annotations VALUES ('13', '1', 7, 'төрт', NULL)", "invented"),
        (1, "UPDATE annotations SET text = 'эки' WHERE id = '10'", "different"),
        (1, "UPDATE annotations SET task_id = '2' WHERE id = '10'", "different"),
        (1, "INSERT INTO annotations VALUES ('10', '1', 7, 'бир', NULL)", "doubled"),
        (0, "DELETE FROM task_completion WHERE id = 10", "forgotten"),
    ],
)
def test_each_fault_is_found(
    sides: tuple[Path, Path], side: int, statement: str, fault: str
) -> None:
    execute(sides[side], statement)
    found = audit(*sides, 7, [Ledger(taken={"бир", "эки"}, sent={"бир"})])
    assert asdict(found)[fault] > 0
    assert found.faults > 0


def test_what_was_deleted_may_be_gone(sides: tuple[Path, Path]) -> None:
    ledger = Ledger(taken={"бир", "беш"}, sent={"бир"}, deleted={"беш"})
    assert audit(*sides, 7, [ledger]).forgotten == 0


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        (lambda row: row, []),
        (lambda row: replace(row, findings=replace(SOUND, tasks=1)), ["tasks_once"]),
        (lambda row: replace(row, findings=replace(SOUND, lost=1)), ["annotations_lost"]),
        (lambda row: replace(row, kills=KILLS - 1), ["kills"]),
        (lambda row: replace(row, restarts=0), ["restarts"]),
    ],
)
def test_targets(change: Callable[[Measured], Measured], missed: list[str]) -> None:
    found = Measured(SOUND, KILLS, RESTARTS, 0, 1.0, 2.0, [1.0], 1, 1)
    assert [row.name for row in targets(PLAN, change(found)) if not row.passed] == missed
