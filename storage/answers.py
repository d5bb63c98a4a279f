"""Annotations and labels: what annotators answered, and what it settled on.

Knows Label Studio's ids, but not Label Studio, nor how annotations settle on a label. What was
asked is in `storage.tasks`.

Tables: annotations, labels; of tasks the count of answers, of projects the high-water mark, of
workspace whether follow-ups are due.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from al_loop.records import (
    Annotation,
    AskedTask,
    Case,
    Label,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    Refusal,
    TaskKey,
    TaskKind,
)
from storage.catalogue import UNKNOWN_TASK
from storage.database import now
from storage.projects import AT_PLACE
from storage.sql import OPEN, QUERY, WAITED_FOR
from storage.tasks import KEY, Tasks, probabilities, task_origin

COUNTING: tuple[TaskKind, ...] = ("query", "repeat", "adjudication", "evaluation")
"""Kinds of tasks whose answers may become a label; those of gold tasks are known."""
ANNOTATION_COLUMNS = (
    "id, task_id, utterance_id, round, copy, annotator, text, verdict, lead_time_s, created_at, "
    "updated_at, shown, unsure"
)
PUT_ANNOTATION = (
    f"INSERT INTO annotations (server, project_id, {ANNOTATION_COLUMNS}) "
    f"VALUES (?, ?, {', '.join('?' for _ in ANNOTATION_COLUMNS.split(', '))}) "
    "ON CONFLICT DO UPDATE SET task_id = excluded.task_id, annotator = excluded.annotator, "
    "text = excluded.text, verdict = excluded.verdict, lead_time_s = excluded.lead_time_s, "
    "shown = excluded.shown, unsure = excluded.unsure, created_at = excluded.created_at, "
    "updated_at = excluded.updated_at, deleted_at = NULL "
    # a server that was set back to an older backup shows what was changed since
    "WHERE excluded.updated_at > annotations.updated_at OR annotations.deleted_at IS NOT NULL "
    "OR excluded.updated_at = annotations.updated_at AND (excluded.text IS NOT annotations.text "
    "OR excluded.verdict IS NOT annotations.verdict OR excluded.unsure <> annotations.unsure)"
)
WITHDRAW = (
    f"UPDATE annotations SET deleted_at = ? WHERE {AT_PLACE} AND {KEY} AND task_id = ? "
    "AND updated_at < ? AND deleted_at IS NULL AND id NOT IN (SELECT value FROM json_each(?))"
)
COUNT_ANSWERS = (
    "UPDATE tasks SET answers = (SELECT count(*) FROM annotations a "
    "WHERE a.utterance_id = tasks.utterance_id AND a.round = tasks.round AND a.copy = tasks.copy "
    f"AND a.deleted_at IS NULL) WHERE {KEY}"
)
LABEL_COLUMNS = ("utterance_id", "text", "verdict", "annotation_ids", "settled", "quality", "flags")


class Answers(Tasks):
    """The answers to the tasks, over which this is made."""

    # -- annotations -------------------------------------------------------------------------------

    def take(self, place: Place, pulled: Pulled) -> int:
        """Keep one page of what a pull of the project brought. Returns how many answers changed.

        An answer that its task does not show, though the task was changed after it, was withdrawn,
        and counts no more. An answer that is older than what is known of it, or that is missing
        where its task was not changed, was lost on the server: what is known stays. Answers to what
        this workspace never asked are refused.
        """
        with self.transaction():
            known = self._known_keys(pulled.tasks)
            tasks = [row for row in pulled.tasks if row.key in known]
            changed = self.db.conn.executemany(
                PUT_ANNOTATION,
                (
                    (place.server, place.project_id, *_values(answer, known[row.key]))
                    for row in tasks
                    for answer in row.annotations
                ),
            ).rowcount
            withdrawn = self.db.conn.executemany(
                WITHDRAW,
                (
                    (
                        now(),
                        place.server,
                        place.project_id,
                        *row.key,
                        row.task_id,
                        row.updated_at,
                        json.dumps([answer.id for answer in row.annotations]),
                    )
                    for row in tasks
                ),
            ).rowcount
            self.db.conn.executemany(COUNT_ANSWERS, (row.key for row in tasks))
            strangers = [row for row in pulled.tasks if row.annotations and row.key not in known]
            self._refuse([*pulled.refusals, *map(_stranger, strangers)])
            if pulled.high_water is not None:
                self._set_of_project("high_water", place, pulled.high_water)
            total = max(changed, 0) + max(withdrawn, 0)  # -1: there was nothing to execute
            if total:
                self.db.execute("UPDATE workspace SET follow_ups_due = 1")
        return total

    def follow_ups_due(self) -> bool:
        """Whether answers changed since follow-ups were planned."""
        return bool(self._row("SELECT follow_ups_due FROM workspace")[0])

    def plan_follow_ups(self, planned: Iterable[PlannedTask]) -> None:
        """Have these asked because of the answers that there are."""
        with self.transaction():
            self.add_tasks(planned)
            self.db.execute("UPDATE workspace SET follow_ups_due = 0")

    def _known_keys(self, tasks: Iterable[PulledTask]) -> dict[TaskKey, str | None]:
        """What every task of ours among these shows."""
        rows = self.db.execute(
            "SELECT utterance_id, round, copy, hypothesis FROM tasks "
            "WHERE utterance_id IN (SELECT value FROM json_each(?))",
            [json.dumps([row.key.utterance_id for row in tasks])],
        )
        return {TaskKey(*key): shown for *key, shown in rows}

    def answered(self, round_number: int) -> tuple[int, int]:
        """How many utterances of the batch have an answer, and how many it has.

        Without what was chosen later to top it up, and what was closed without an answer.
        """
        answered, total = self._row(
            "SELECT total(t.answers > 0), count(*) FROM query_batches b "
            f"LEFT JOIN tasks t ON {QUERY} WHERE b.round = ? AND {WAITED_FOR}",
            [round_number],
        )
        return int(answered), total

    def unanswered(self) -> int:
        """How many tasks wait for an answer that may become a label, or change one."""
        sql = (
            f"SELECT count(*) FROM tasks t WHERE {OPEN} "
            "AND t.kind IN ('query', 'repeat', 'adjudication') AND t.round > 0"
        )
        return int(self._row(sql)[0])

    def cases(
        self, kinds: Collection[TaskKind] = COUNTING, utterance_ids: Iterable[str] | None = None
    ) -> list[Case]:
        """All that was asked and answered about every utterance with an answer, by id.

        kinds: of tasks that are looked at. utterance_ids: of these only.
        """
        wanted = "t.kind IN (SELECT value FROM json_each(?))"
        parameters = [json.dumps(list(kinds))]
        if utterance_ids is not None:
            wanted += " AND t.utterance_id IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps(list(utterance_ids)))
        columns = ", ".join(f"a.{name}" for name in ANNOTATION_COLUMNS.split(", "))
        annotations: dict[str, list[Annotation]] = {}
        for row in self.db.execute(
            f"SELECT {columns} FROM annotations a JOIN tasks t ON t.utterance_id = a.utterance_id "
            f"AND t.round = a.round AND t.copy = a.copy WHERE a.deleted_at IS NULL AND {wanted} "
            "ORDER BY a.utterance_id, a.updated_at, a.id",
            parameters,
        ):
            annotations.setdefault(row[2], []).append(_annotation(row))
        tasks: dict[str, list[AskedTask]] = {name: [] for name in annotations}
        for *key, kind, is_open, shown, probs in self.db.execute(
            f"SELECT t.utterance_id, t.round, t.copy, t.kind, {OPEN}, t.hypothesis, t.word_probs "
            f"FROM tasks t WHERE {wanted} ORDER BY 1, 2, 3",
            parameters,
        ):
            if key[0] in tasks:
                asked = AskedTask(TaskKey(*key), kind, bool(is_open), shown, probabilities(probs))
                tasks[key[0]].append(asked)
        return [
            Case(row, tasks[row.id], annotations[row.id]) for row in self.utterances(annotations)
        ]

    # -- labels ------------------------------------------------------------------------------------

    def put_labels(self, labels: Iterable[Label], unsettled: Iterable[str] = ()) -> None:
        """Keep the labels; `settled_at` of one that did not change stays.

        unsettled: utterances whose answers settle on nothing. Their labels go, and so do those
        whose answers were all withdrawn.
        """
        rows = [
            (
                label.utterance_id,
                label.text,
                label.verdict,
                json.dumps(list(label.annotation_ids)),
                label.settled,
                label.quality,
                json.dumps(list(label.flags), ensure_ascii=False),
            )
            for label in labels
        ]
        with self.transaction():
            self.db.execute(
                "DELETE FROM labels WHERE utterance_id IN (SELECT value FROM json_each(?)) "
                "OR utterance_id IN (SELECT a.utterance_id FROM annotations a JOIN tasks t "
                "ON t.utterance_id = a.utterance_id AND t.round = a.round AND t.copy = a.copy "
                "WHERE t.kind <> 'gold' "
                "GROUP BY a.utterance_id HAVING count(*) = count(a.deleted_at))",
                [json.dumps(list(unsettled))],
            )
            known = set(self.db.execute(f"SELECT {', '.join(LABEL_COLUMNS)} FROM labels"))
            self._put_all(
                "labels",
                (*LABEL_COLUMNS, "settled_at"),
                ((*row, now()) for row in rows if row not in known),
            )

    def known_texts(self, utterance_ids: Iterable[str]) -> dict[str, str]:
        """What is said in those of the utterances of which it is known, by id.

        It is the text that an utterance came with, or else its label's.
        """
        return dict(
            self.db.execute(
                "SELECT u.id, coalesce(u.text, l.text) FROM utterances u "
                "LEFT JOIN labels l ON l.utterance_id = u.id "
                "WHERE u.id IN (SELECT value FROM json_each(?)) "
                "AND coalesce(u.text, l.text) IS NOT NULL",
                [json.dumps(list(utterance_ids))],
            ).fetchall()
        )


def _values(answer: Annotation, shown: str | None) -> tuple[Any, ...]:
    """The annotation as the columns keep it; `shown`: by its task, where it does not say itself."""
    return (
        answer.id,
        answer.task_id,
        *answer.key,
        answer.annotator,
        answer.text,
        answer.verdict,
        answer.lead_time_s,
        answer.created_at,
        answer.updated_at,
        shown if answer.shown is None else answer.shown,
        int(answer.unsure),
    )


def _annotation(row: Sequence[Any]) -> Annotation:
    values = [*row[:2], TaskKey(*row[2:5]), *row[5:-1], bool(row[-1])]
    return Annotation(*values)


def _stranger(task: PulledTask) -> Refusal:
    key = task.key
    return Refusal(
        task_origin(task.task_id),
        UNKNOWN_TASK,
        f"annotation {task.annotations[0].id} is about {key.utterance_id}, round {key.round}, copy "
        f"{key.copy}, which this workspace never asked",
    )
