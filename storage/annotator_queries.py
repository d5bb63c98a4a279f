"""Read-only questions about annotators: what each of them answered. Knows not what it is worth."""

from __future__ import annotations

from typing import Any

from al_loop.records import EVALUATION_ROUND
from storage.reading import Connection


class AnnotatorQueries(Connection):
    """What was answered, and what waits for an answer."""

    def workspace_id(self) -> str:
        """The workspace's random id, which is made once."""
        found: str = self._one("SELECT id FROM workspace")["id"]
        return found

    def open_tasks(self) -> list[dict[str, Any]]:
        """One row a round and kind with tasks that wait for an answer: `tasks`, `missing` answers.

        unpushed: of the tasks, those that Label Studio does not hold yet. pushed_at: when the
        round's batch was; None before that, and of evaluation sets, which are of no batch.
        """
        return self._all(
            "SELECT t.round, t.kind, count(*) AS tasks, sum(t.wanted - t.answers) AS missing, "
            "sum(t.task_id IS NULL) AS unpushed, iif(t.round = ?, NULL, r.pushed_at) AS pushed_at "
            "FROM tasks t INDEXED BY open_tasks LEFT JOIN rounds r ON r.number = t.round "
            "WHERE t.answers < t.wanted AND t.closed_at IS NULL "
            "GROUP BY t.round, t.kind ORDER BY t.round, t.kind",
            [EVALUATION_ROUND],
        )

    def annotator_answers(self) -> list[dict[str, Any]]:
        """One row an answer that counts, with its task: all that `annotations` has, and `kind`.

        truth: of a gold task, what is said in the clip.
        """
        return self._all(
            "SELECT a.id, a.task_id, a.utterance_id, a.round, a.copy, a.annotator, a.text, "
            "a.verdict, a.lead_time_s, a.shown, a.unsure, a.created_at, a.updated_at, t.kind, "
            "CASE WHEN t.kind = 'gold' THEN coalesce(u.text, l.text) END AS truth "
            "FROM annotations a JOIN tasks t ON t.utterance_id = a.utterance_id "
            "AND t.round = a.round AND t.copy = a.copy "
            "JOIN utterances u ON u.id = a.utterance_id "
            "LEFT JOIN labels l ON l.utterance_id = a.utterance_id "
            "WHERE a.deleted_at IS NULL "
            "ORDER BY a.utterance_id, a.round, a.copy, a.created_at, a.id"
        )
