"""What Label Studio holds against what al_loop has pulled, each read from its own database.

Reads both files past all code that is under test. Knows nothing of how the answers came about.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.labelstudio_people import Ledger


@dataclass(frozen=True, slots=True)
class Answer:
    """One annotation: its id, its task's, and what it says; text None for a verdict or a skip."""

    id: str
    task_id: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Findings:
    """Counts. tasks, annotations: on the server. twins: tasks beyond one for each key.

    lost, invented, different: annotations that only one side has, or that the sides tell
    differently. doubled: texts that al_loop counts more than once. forgotten: answers that the
    server said it took, and does not have.
    """

    tasks: int
    twins: int
    unasked: int
    annotations: int
    lost: int
    invented: int
    different: int
    doubled: int
    forgotten: int

    @property
    def faults(self) -> int:
        """All of them together; 0 is what is wanted."""
        return (
            self.twins
            + self.unasked
            + self.lost
            + self.invented
            + self.different
            + self.doubled
            + self.forgotten
        )


def audit(server: Path, ours: Path, project_id: int, ledgers: Iterable[Ledger]) -> Findings:
    """Compare the database files of both sides, when both are at rest."""
    keys = Counter(_task_keys(server, project_id))
    asked = set(_asked(ours))
    there = {row.id: row for row in _server_answers(server, project_id)}
    here = list(_our_answers(ours, project_id))
    pulled = {row.id: row for row in here}
    typed = Counter(row.text for row in here if row.text is not None)
    # what was deleted or replaced, or may have been, is not expected
    kept = {text for ledger in ledgers for text in ledger.taken - ledger.deleted}
    held = _typed_texts(server, project_id)
    both = there.keys() & pulled.keys()
    return Findings(
        tasks=sum(keys.values()),
        twins=sum(keys.values()) - len(keys),
        unasked=len(asked ^ keys.keys()),
        annotations=len(there),
        lost=len(there.keys() - pulled.keys()),
        invented=len(pulled.keys() - there.keys()),
        different=sum(there[name] != pulled[name] for name in both),
        doubled=len(here) - len(pulled) + sum(count - 1 for count in typed.values()),
        forgotten=len(kept - held),
    )


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        yield database


def _task_keys(server: Path, project_id: int) -> list[tuple[str, int, int]]:
    with _reading(server) as database:
        rows = database.execute("SELECT data FROM task WHERE project_id = ?", [project_id])
        found = [json.loads(row[0]) for row in rows]
    return [(data["utterance"], data["round"], data["copy"]) for data in found]


def _asked(ours: Path) -> list[tuple[str, int, int]]:
    with _reading(ours) as database:
        return database.execute("SELECT utterance_id, round, copy FROM tasks").fetchall()


def _server_answers(server: Path, project_id: int) -> list[Answer]:
    with _reading(server) as database:
        rows = database.execute(
            "SELECT c.id, c.task_id, c.result, c.was_cancelled FROM task_completion c "
            "JOIN task t ON t.id = c.task_id WHERE t.project_id = ?",
            [project_id],
        ).fetchall()
    return [
        Answer(str(id_), str(task_id), None if cancelled else _text(json.loads(result)))
        for id_, task_id, result, cancelled in rows
    ]


def _typed_texts(server: Path, project_id: int) -> set[str]:
    """Every text on the server, also that of skips and verdicts."""
    with _reading(server) as database:
        rows = database.execute(
            "SELECT c.result FROM task_completion c "
            "JOIN task t ON t.id = c.task_id WHERE t.project_id = ?",
            [project_id],
        ).fetchall()
    return {part["value"]["text"][0] for row in rows for part in _parts(row[0], "textarea")}


def _parts(result: str, kind: str) -> list[dict]:
    return [part for part in json.loads(result) if part["type"] == kind]


def _text(result: list[dict]) -> str | None:
    if any(part["type"] == "choices" for part in result):
        return None
    return next(part["value"]["text"][0] for part in result if part["type"] == "textarea")


def _our_answers(ours: Path, project_id: int) -> list[Answer]:
    with _reading(ours) as database:
        rows = database.execute(
            "SELECT id, task_id, text FROM annotations WHERE project_id = ? AND deleted_at IS NULL",
            [project_id],
        )
        return [Answer(*row) for row in rows]
