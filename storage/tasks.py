"""What annotators are asked: planned, shown, pushed, swept. Knows Label Studio's ids, but not it.

Table: tasks. Which utterances a query batch consists of is in `storage.selections`; what is
answered, in `storage.answers`. A task is *open* while it has fewer answers that count than it wants
and is not closed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from al_loop.records import (
    Place,
    PlannedTask,
    Task,
    TaskKey,
    TaskKind,
    Utterance,
    WordConfidence,
)
from storage.database import as_json, now
from storage.projects import Projects
from storage.sql import OPEN

WANTED: Mapping[TaskKind, int] = {"evaluation": 2}
"""Answers that a task waits for, by kind: one where nothing is said here."""
KEY = "utterance_id = ? AND round = ? AND copy = ?"
TASKS = (
    "SELECT t.task_id, t.utterance_id, t.round, t.copy, t.kind, t.rank, u.audio, u.duration_s, "
    "t.hypothesis, t.checkpoint_id, t.word_probs, coalesce(b.acquisition_score, "
    "(SELECT n.acquisition_score FROM query_batches n WHERE n.round = t.round AND n.rank <= t.rank "
    "ORDER BY n.rank DESC LIMIT 1), 0) FROM tasks t INDEXED BY open_tasks "
    "JOIN utterances u ON u.id = t.utterance_id "
    "LEFT JOIN query_batches b ON b.utterance_id = t.utterance_id "
)
"""Of open tasks, which are few among all: the index has no others. One that is of no batch has a
neighbour's score, for its own would tell what it is."""


class Tasks(Projects):
    """The tasks. Made over the projects in which they lie."""

    # -- planned -----------------------------------------------------------------------------------

    def add_tasks(self, planned: Iterable[PlannedTask]) -> None:
        """Have these asked. What has the same key as a task that is known is passed over."""
        with self.transaction():
            self.db.conn.executemany(
                "INSERT INTO tasks (utterance_id, round, copy, kind, rank, reason, hypothesis, "
                "wanted) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    (
                        *row.key,
                        row.kind,
                        row.rank,
                        row.reason,
                        row.hypothesis,
                        WANTED.get(row.kind, 1),
                    )
                    for row in planned
                ),
            )

    def next_copies(self, utterance_ids: Iterable[str], round_number: int) -> dict[str, int]:
        """The copy that a further task about each of these utterances would be in that round."""
        wanted = list(utterance_ids)
        found = dict.fromkeys(wanted, 0)
        found |= dict(
            self.db.execute(
                "SELECT utterance_id, max(copy) + 1 FROM tasks WHERE round = ? "
                "AND utterance_id IN (SELECT value FROM json_each(?)) GROUP BY utterance_id",
                [round_number, json.dumps(wanted)],
            ).fetchall()
        )
        return found

    def next_rank(self, round_number: int) -> int:
        """The rank behind all tasks of the round."""
        sql = "SELECT coalesce(max(rank) + 1, 0) FROM tasks WHERE round = ?"
        return int(self._row(sql, [round_number])[0])

    def open_tasks(self) -> int:
        """How many tasks wait for an answer, without those of evaluation sets."""
        sql = f"SELECT count(*) FROM tasks t WHERE {OPEN} AND t.kind <> 'evaluation'"
        return int(self._row(sql)[0])

    def unanswered_reasons(self) -> set[tuple[str, str, str]]:
        """(utterance id, kind, reason) of every task without an answer, closed or not."""
        rows = self.db.execute("SELECT utterance_id, kind, reason FROM tasks WHERE answers = 0")
        return set(rows)

    # -- shown -------------------------------------------------------------------------------------

    def unshown(self) -> list[Utterance]:
        """What is to be asked about, as soon as some checkpoint has heard it."""
        return self._utterances(
            f"WHERE id IN (SELECT t.utterance_id FROM tasks t WHERE {OPEN} AND t.task_id IS NULL "
            "AND t.hypothesis IS NULL)"
        )

    def unmarked(self) -> list[tuple[str, str]]:
        """Utterance id and text of what will be shown without a probability for its words."""
        return self.db.execute(
            f"SELECT DISTINCT t.utterance_id, t.hypothesis FROM tasks t WHERE {OPEN} "
            "AND t.task_id IS NULL AND t.hypothesis <> '' AND t.word_probs = '[]' ORDER BY 1, 2"
        ).fetchall()

    def show(self, checkpoint_id: str, confidences: Iterable[WordConfidence]) -> None:
        """Have tasks that are not pushed show these texts.

        One that is to show another text keeps it; one that is to show this very text, whoever
        heard it, gets the probabilities of its words.
        """
        with self.transaction():
            self.db.conn.executemany(
                "UPDATE tasks AS t SET hypothesis = ?1, word_probs = ?2, "
                "checkpoint_id = iif(t.hypothesis IS NULL, ?3, t.checkpoint_id) "
                f"WHERE t.utterance_id = ?4 AND {OPEN} AND t.task_id IS NULL "
                "AND coalesce(t.hypothesis, ?1) = ?1",
                (
                    (row.text, as_json(list(row.probabilities)), checkpoint_id, row.utterance_id)
                    for row in confidences
                ),
            )

    def copy_probabilities(self, checkpoint_id: str) -> None:
        """Have tasks that are not pushed show what is known of their words already.

        It is known where another task of the same utterance shows the same text, which this
        checkpoint has heard and weighed.
        """
        known = (
            "FROM tasks k WHERE k.utterance_id = t.utterance_id AND k.hypothesis = t.hypothesis "
            "AND k.checkpoint_id = ?1 AND k.word_probs <> '[]'"
        )
        with self.transaction():
            self.db.execute(
                f"UPDATE tasks AS t SET word_probs = (SELECT k.word_probs {known} LIMIT 1) "
                f"WHERE {OPEN} AND t.task_id IS NULL AND t.hypothesis <> '' "
                f"AND t.word_probs = '[]' AND EXISTS (SELECT 1 {known})",
                [checkpoint_id],
            )

    def outdated(self, place: Place, checkpoint_id: str) -> dict[str, Task]:
        """By task id, the open tasks there that show what another checkpoint has heard."""
        rows = self.db.execute(
            f"{TASKS} WHERE {OPEN} AND t.server = ? AND t.project_id = ? AND t.checkpoint_id <> ? "
            "ORDER BY t.round, t.rank, t.utterance_id, t.copy",
            [place.server, place.project_id, checkpoint_id],
        )
        return {row[0]: _task(row) for row in rows}

    def mark_shown(self, tasks: Iterable[Task]) -> None:
        """Remember that these are shown as they are here."""
        with self.transaction():
            self.db.conn.executemany(
                f"UPDATE tasks SET hypothesis = ?, word_probs = ?, checkpoint_id = ? WHERE {KEY}",
                (
                    (row.hypothesis, as_json(list(row.word_probs)), row.checkpoint_id, *row.key)
                    for row in tasks
                ),
            )

    # -- pushed ------------------------------------------------------------------------------------

    def unpushed(self) -> list[Task]:
        """What Label Studio is not known to hold and has a text to show, most valuable first."""
        rows = self.db.execute(
            f"{TASKS} WHERE {OPEN} AND t.task_id IS NULL AND t.hypothesis IS NOT NULL "
            "ORDER BY t.round, t.rank, t.utterance_id, t.copy"
        )
        return [_task(row) for row in rows]

    def mark_pushed(self, place: Place, task_ids: Mapping[TaskKey, str]) -> None:
        """Remember Label Studio's id of each task.

        Of one that was there before, answers may have been refused when this workspace did not know
        it, as when an older one was restored: then the project is read from its beginning again.
        """
        with self.transaction():
            self.db.conn.executemany(
                f"UPDATE tasks SET server = ?, project_id = ?, task_id = ? WHERE {KEY}",
                (
                    (place.server, place.project_id, task_id, *key)
                    for key, task_id in task_ids.items()
                ),
            )
            if self._forgive(task_origin(task_id) for task_id in task_ids.values()):
                self._set_of_project("high_water", place, None)

    def sweep(self, place: Place, task_ids: Mapping[TaskKey, str], again: bool) -> int:
        """Compare the open tasks of a project with all that it holds; returns how many it lacks.

        again: whether these are to be pushed again, or closed.
        """
        rows = self.db.execute(
            f"SELECT t.utterance_id, t.round, t.copy, t.task_id FROM tasks t WHERE {OPEN} "
            "AND t.server = ? AND t.project_id = ?",
            [place.server, place.project_id],
        )
        known = {TaskKey(*key): task_id for *key, task_id in rows}
        lost = known.keys() - task_ids.keys()
        renamed = {
            key: task_ids[key]
            for key, task_id in known.items() - task_ids.items()
            if key in task_ids
        }
        with self.transaction():
            self.mark_pushed(place, renamed)
            if again:
                self.db.conn.executemany(
                    "UPDATE tasks SET server = NULL, project_id = NULL, task_id = NULL "
                    f"WHERE {KEY}",
                    lost,
                )
            else:
                self.db.conn.executemany(
                    f"UPDATE tasks SET closed_at = ? WHERE {KEY}", ((now(), *key) for key in lost)
                )
                if lost:  # what waited for them need not wait any more
                    self.db.execute("UPDATE workspace SET follow_ups_due = 1")
            self._set_swept(place)
        return len(lost)


def task_origin(task_id: str) -> str:
    """What a refused answer to this task is listed under."""
    return f"task {task_id}"


def _task(row: Any) -> Task:
    _, utterance_id, number, copy, kind, rank, audio, duration_s, text, by, probs, score = row
    key = TaskKey(utterance_id, number, copy)
    return Task(key, kind, rank, audio, duration_s, text, by, probabilities(probs), score)


def probabilities(stored: str) -> list[float]:
    """As the column `word_probs` keeps them; nan for what was not a number."""
    return [math.nan if value is None else value for value in json.loads(stored)]
