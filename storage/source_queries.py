"""Read-only questions about data: sources, durations, speakers, refusals, and a label's origins.

A workspace may hold a million utterances, so what is asked of all of them is one pass over the
index `utterances_by_split`, but for speakers, of whom there is no index: they cost one pass over
the table, and are asked for once for each state of the database. Knows not what a source is for.
"""

from __future__ import annotations

from typing import Any

from storage.reading import Connection

LAST_CHARACTER = "\U0010ffff"
SHOWN = 10
"""Utterances that share a beginning, and examples of one reason, that come at once."""


class SourceQueries(Connection):
    """What there is to hear, where it comes from, and where it went."""

    def sources(self) -> list[dict[str, Any]]:
        """One row a source and split that has utterances; one without a split for other sources."""
        return self._all(
            "SELECT s.name AS source, s.kind, s.language, s.weight, u.split, "
            "coalesce(u.utterances, 0) AS utterances, coalesce(u.duration_s, 0) AS duration_s "
            "FROM sources s LEFT JOIN (SELECT split, source, count(*) AS utterances, "
            "sum(duration_s) AS duration_s FROM utterances GROUP BY split, source) u "
            "ON u.source = s.name ORDER BY s.name, u.split"
        )

    def manifest_rounds(self) -> list[int]:
        """The rounds that have a manifest."""
        rows = self._all("SELECT number FROM rounds WHERE manifest_id IS NOT NULL ORDER BY number")
        return [row["number"] for row in rows]

    def growth(self) -> list[dict[str, Any]]:
        """One row a source in the manifest of a round: its `examples` and their `duration_s`."""
        return self._all(
            "SELECT r.number AS round, m.source, m.kind, m.language, m.examples, m.duration_s "
            "FROM rounds r JOIN mixtures m ON m.manifest_id = r.manifest_id "
            "ORDER BY r.number, m.source"
        )

    def durations(self, bin_s: float, last_s: float) -> list[dict[str, Any]]:
        """How many utterances of a split and source last `from_s` to `from_s + bin_s`.

        The last bin begins at `last_s`, which is a multiple of `bin_s`, and has no end.
        """
        return self._all(
            "SELECT split, source, min(CAST(duration_s / ?1 AS INTEGER) * ?1, ?2) AS from_s, "
            "count(*) AS utterances, sum(duration_s) AS duration_s FROM utterances "
            "GROUP BY split, source, from_s ORDER BY split, source, from_s",
            [bin_s, last_s],
        )

    def duration_limits(self) -> list[dict[str, Any]]:
        """The `shortest` and the `longest` utterance of each split, in seconds, and the mean."""
        return self._all(
            "SELECT split, count(*) AS utterances, sum(duration_s) AS duration_s, "
            "min(duration_s) AS shortest, max(duration_s) AS longest, avg(duration_s) AS mean "
            "FROM utterances GROUP BY split ORDER BY split"
        )

    def speakers(self, limit: int) -> list[dict[str, Any]]:
        """Whose utterances last longest in all, and a first row for those of unknown speakers.

        speaker: None in that row. speakers: in every row, how many are known in all. taught_s: of
        what a model may learn from, now or once it is labelled; test_s: of evaluation sets.
        shared_s: in every row, of the evaluation sets' speakers who are in the former too.
        """
        return self._all(
            "WITH each AS MATERIALIZED (SELECT speaker, count(*) AS utterances, "
            "sum(duration_s) AS duration_s, "
            "total(iif(split IN ('pool', 'train', 'validation'), duration_s, 0)) AS taught_s, "
            "total(iif(split = 'test', duration_s, 0)) AS test_s "
            "FROM utterances GROUP BY speaker), "
            "whole AS (SELECT count(speaker) AS speakers, "
            "total(iif(speaker IS NOT NULL AND taught_s > 0, test_s, 0)) AS shared_s FROM each) "
            "SELECT each.*, whole.* FROM each, whole "
            "ORDER BY speaker IS NOT NULL, duration_s DESC, speaker LIMIT ?",
            [limit + 1],
        )

    def refusal_counts(self) -> list[dict[str, Any]]:
        """Why something was not taken in, how often, and when last; the most frequent first."""
        return self._all(
            "SELECT reason, count(*) AS refusals, max(refused_at) AS refused_at FROM refusals "
            "GROUP BY reason ORDER BY refusals DESC, reason"
        )

    def refusal_examples(self, reason: str, limit: int = SHOWN) -> list[dict[str, Any]]:
        """The newest of those that were refused for one reason."""
        return self._all(
            "SELECT origin, reason, detail, refused_at FROM refusals WHERE reason = ? "
            "ORDER BY refused_at DESC, origin LIMIT ?",
            [reason, limit],
        )

    def utterance_ids(self, beginning: str, limit: int = SHOWN) -> list[str]:
        """Ids that begin so, the first ones."""
        rows = self._all(
            "SELECT id FROM utterances WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
            [beginning, beginning + LAST_CHARACTER, limit],
        )
        return [row["id"] for row in rows]

    def newest_labels(self, limit: int = SHOWN) -> list[dict[str, Any]]:
        """The labels that were settled last."""
        return self._all(
            "SELECT l.utterance_id, u.source, l.text, l.verdict, l.settled_at FROM labels l "
            "JOIN utterances u ON u.id = l.utterance_id "
            "ORDER BY l.settled_at DESC, l.utterance_id LIMIT ?",
            [limit],
        )

    def leak_counts(self, round_number: int) -> dict[str, int]:
        """How many examples a round left out of training, by why: "audio" and "text"."""
        found = self._one(
            "SELECT total(l.reason = 'audio') AS audio, total(l.reason = 'text') AS text "
            "FROM leaks l JOIN rounds r ON r.manifest_id = l.manifest_id WHERE r.number = ?",
            [round_number],
        )
        return {reason: int(count) for reason, count in found.items()}

    def leaks(self, round_number: int, limit: int) -> list[dict[str, Any]]:
        """Some of what a round left out of training, because an evaluation set holds it too."""
        return self._all(
            "SELECT l.source, l.reason, l.text, e.source AS evaluation_set, l.utterance_id "
            "FROM leaks l JOIN rounds r ON r.manifest_id = l.manifest_id "
            "JOIN utterances e ON e.id = l.evaluation_id WHERE r.number = ? "
            "ORDER BY l.source, l.reason, l.text, l.utterance_id LIMIT ?",
            [round_number, limit],
        )

    def whereabouts(self, utterance_id: str) -> dict[str, list[dict[str, Any]]]:
        """Where an utterance went, beside what `utterance` and `answers_about` tell of it.

        tasks: oldest first. uses: the manifests that hold it, with the round and what became of its
        candidate. leaks: the rounds that left it out, for an evaluation set holds the same. draws:
        the evaluation sets that it was drawn for.
        """
        named = [utterance_id]
        return {
            "tasks": self._all(
                "SELECT t.round, t.copy, t.kind, t.rank, t.reason, t.hypothesis, t.answers, "
                "t.wanted, t.task_id, t.closed_at, "
                "replace(c.path, 'checkpoints/', '') AS checkpoint "
                "FROM tasks t LEFT JOIN checkpoints c ON c.id = t.checkpoint_id "
                "WHERE t.utterance_id = ? ORDER BY t.round, t.copy",
                named,
            ),
            "uses": self._all(
                "SELECT r.number AS round, m.source, m.text, m.quality, m.manifest_id, "
                "replace(c.path, 'checkpoints/', '') AS checkpoint, r.promoted "
                "FROM manifest_examples m JOIN rounds r ON r.manifest_id = m.manifest_id "
                "LEFT JOIN checkpoints c ON c.id = r.candidate_id "
                "WHERE m.utterance_id = ? ORDER BY r.number",
                named,
            ),
            "leaks": self._all(
                "SELECT r.number AS round, l.reason, l.evaluation_id, "
                "e.source AS evaluation_set FROM rounds r CROSS JOIN leaks l "
                "ON l.manifest_id = r.manifest_id AND l.utterance_id = ? "
                "JOIN utterances e ON e.id = l.evaluation_id ORDER BY r.number",
                named,
            ),
            "draws": self._all(
                "SELECT name AS evaluation_set, frozen_at FROM evaluation_draws "
                "WHERE utterance_id = ? ORDER BY name",
                named,
            ),
        }
