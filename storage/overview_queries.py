"""Read-only questions by which the overview judges the loop: then and now, and what is amiss.

Knows neither what is better nor from where on something is amiss.
"""

from __future__ import annotations

import json
from typing import Any

from al_loop.records import UNKNOWN_ANNOTATOR
from storage.reading import Connection

ANSWERED = "t.kind = 'query' AND a.deleted_at IS NULL AND a.text IS NOT NULL"
"""A text about a member of a query batch. Other tasks are chosen because of what was answered."""

PENDING = "t.answers < t.wanted AND t.closed_at IS NULL AND t.server IS NOT NULL"
"""A task that annotators have before them."""
NEWEST_ANSWER = "SELECT max(updated_at) FROM annotations WHERE deleted_at IS NULL"


class OverviewQueries(Connection):
    """Where the loop began, what it leaves out, how answers compare, and what is awaited."""

    def first_checkpoint(self) -> dict[str, Any]:
        """Id and name of what the first round began with; empty before it."""
        return self._first(
            "SELECT c.id, replace(c.path, 'checkpoints/', '') AS name FROM rounds r "
            "JOIN checkpoints c ON c.id = r.checkpoint_id ORDER BY r.number LIMIT 1"
        )

    def heard_by_both(self, one: str, other: str, language: str) -> list[dict[str, Any]]:
        """What two checkpoints heard in each test clip of a language that both have decoded.

        evaluation_set, reference, and as `one` and `other` what they heard; by id.
        """
        return self._all(
            "SELECT u.source AS evaluation_set, u.text AS reference, a.text AS one, "
            "b.text AS other FROM utterances u "
            "CROSS JOIN hypotheses a ON a.checkpoint_id = ? AND a.utterance_id = u.id "
            "CROSS JOIN hypotheses b ON b.checkpoint_id = ? AND b.utterance_id = u.id "
            "WHERE u.split = 'test' AND u.language = ? AND u.text IS NOT NULL ORDER BY u.id",
            [one, other, language],
        )

    def newest_report(self) -> dict[str, Any]:
        """That of the newest round with a report; empty before the first."""
        found = self._first("SELECT report FROM reports ORDER BY round DESC LIMIT 1")
        return json.loads(found["report"]) if found else {}

    def left_out(self) -> dict[str, Any]:
        """What the newest manifest leaves out, for an evaluation set holds the same.

        round, the manifest's `examples`, `known`: how many the manifest before it left out
        already, and of the others how many by `audio` and by `text`, and their `sources` by name;
        empty before there is a manifest.
        """
        found = self._first(
            "WITH newest AS (SELECT number, manifest_id FROM rounds "
            "WHERE manifest_id IS NOT NULL ORDER BY number DESC LIMIT 1), "
            "before AS (SELECT r.manifest_id FROM newest n JOIN rounds r "
            "ON r.manifest_id <> n.manifest_id ORDER BY r.number DESC LIMIT 1), "
            "kept_out AS MATERIALIZED (SELECT l.source, l.reason, EXISTS (SELECT 1 FROM before b "
            "JOIN leaks e ON e.manifest_id = b.manifest_id AND e.utterance_id = l.utterance_id "
            "AND e.reason = l.reason) AS known FROM newest n "
            "JOIN leaks l ON l.manifest_id = n.manifest_id) "
            "SELECT n.number AS round, (SELECT count(*) FROM manifest_examples m "
            "WHERE m.manifest_id = n.manifest_id) AS examples, "
            "(SELECT count(*) FROM kept_out WHERE known) AS known, "
            "(SELECT count(*) FROM kept_out WHERE NOT known AND reason = 'audio') AS audio, "
            "(SELECT count(*) FROM kept_out WHERE NOT known AND reason = 'text') AS text, "
            "(SELECT json_group_array(source) FROM (SELECT DISTINCT source FROM kept_out "
            "WHERE NOT known ORDER BY source)) AS sources FROM newest n"
        )
        return found and {**found, "sources": json.loads(found["sources"])}

    def awaited(self) -> dict[str, Any]:
        """How many tasks the open round waits for, and since when nothing has happened to them.

        tasks: pushed, and neither answered by all that were asked nor closed. What an earlier round
        went on without is not among them. pushed_at: of the round. answered_at: of the newest
        answer to whatever task. Both may be None.
        """
        return self._one(
            f"SELECT (SELECT count(*) FROM tasks t WHERE {PENDING} "
            "AND t.round = (SELECT number FROM rounds WHERE stage = 'pull')) AS tasks, "
            "(SELECT pushed_at FROM rounds WHERE stage = 'pull') AS pushed_at, "
            f"({NEWEST_ANSWER}) AS answered_at"
        )

    def awaited_sets(self) -> list[dict[str, Any]]:
        """As `awaited`, of each `evaluation_set` that is not frozen and has such tasks.

        pushed_at: nobody writes down when its tasks are pushed, but by its newest answer they were;
        None before that.
        """
        return self._all(
            "SELECT d.name AS evaluation_set, "
            f"count(DISTINCT CASE WHEN {PENDING} THEN t.utterance_id END) AS tasks, "
            f"max(a.updated_at) AS pushed_at, ({NEWEST_ANSWER}) AS answered_at "
            "FROM evaluation_draws d CROSS JOIN tasks t ON t.utterance_id = d.utterance_id "
            "LEFT JOIN annotations a ON a.utterance_id = t.utterance_id AND a.round = t.round "
            "AND a.copy = t.copy AND a.deleted_at IS NULL "
            "WHERE d.frozen_at IS NULL GROUP BY d.name HAVING tasks > 0 ORDER BY d.name"
        )

    def holds_audio(self) -> bool:
        """Whether anything was taken in at all."""
        found: int = self._one("SELECT EXISTS (SELECT 1 FROM utterances) AS found")["found"]
        return bool(found)

    def drafts(self) -> list[dict[str, Any]]:
        """One row a text that an annotator made of a draft: `annotator`, `round`, `text`, `shown`.

        By time. word_probs: JSON, the probability of each word of the draft, where they are known.
        """
        return self._all(
            "SELECT a.annotator, a.round, a.text, a.shown, t.word_probs FROM annotations a "
            "JOIN tasks t ON t.utterance_id = a.utterance_id AND t.round = a.round "
            f"AND t.copy = a.copy WHERE {ANSWERED} AND trim(coalesce(a.shown, '')) <> '' "
            "ORDER BY a.created_at, a.utterance_id, a.copy, a.id"
        )

    def answered_twice(self) -> list[dict[str, Any]]:
        """Texts of two annotators about the same task, as `one` and `other`, the latest last.

        answered_at: when there were both. Whoever was deleted on the server may be either of them,
        and is left out.
        """
        return self._all(
            "SELECT a.text AS one, b.text AS other, max(a.created_at, b.created_at) AS answered_at "
            "FROM tasks t CROSS JOIN annotations a ON a.utterance_id = t.utterance_id "
            "AND a.round = t.round AND a.copy = t.copy "
            "CROSS JOIN annotations b ON b.utterance_id = t.utterance_id "
            "AND b.round = t.round AND b.copy = t.copy AND b.annotator > a.annotator "
            f"WHERE t.answers > 1 AND {ANSWERED} AND b.deleted_at IS NULL AND b.text IS NOT NULL "
            "AND ? NOT IN (a.annotator, b.annotator) "
            "ORDER BY answered_at, a.utterance_id, a.annotator, b.annotator",
            [UNKNOWN_ANNOTATOR],
        )
