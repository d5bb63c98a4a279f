"""Read-only questions about annotators: what each of them answered. Knows not what it is worth."""

from __future__ import annotations

from typing import Any

from storage.reading import Connection


class AnnotatorQueries(Connection):
    """What was answered, and what was asked beside the batches."""

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
