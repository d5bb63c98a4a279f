"""Read-only questions about single clips: what was heard in them, said in them, and answered.

Knows not how texts are compared.
"""

from __future__ import annotations

import json
from typing import Any

from storage.part_queries import PartQueries
from storage.sql import COMPARED_WITH, IN_USE, SAID

WEIGHED = (
    "a.deleted_at IS NULL AND row_number() OVER (PARTITION BY a.id ORDER BY a.deleted_at, "
    "a.text IS l.text AND a.verdict IS l.verdict DESC, a.updated_at DESC) "
    "<= (SELECT count(*) FROM json_each(l.annotation_ids) e WHERE e.value = a.id)"
)
"""An answer that the label was settled from. Ids of annotations are unique only within a project:
of two with one id it is that which says what the label says, and of such the newest."""


class TranscriptQueries(PartQueries):
    """What checkpoints heard, and what annotators made of it."""

    def utterance(self, utterance_id: str) -> dict[str, Any]:
        """One clip: all that `utterances` has, with its place in a batch, its gate and its label.

        kind: of its source. asked_in, rank, arm, acquisition_score, top_up are None of
        what was never in a query batch; gate, value, limit of what no gate holds back; label,
        verdict, settled, quality, annotation_ids, flags (empty lists) of what is not labelled.
        disputed: the label's text where annotators dispute it, and label is None. Empty where there
        is no such clip.
        """
        found = self._first(
            "SELECT u.*, s.kind, b.round AS asked_in, b.rank, b.arm, b.acquisition_score, "
            "b.top_up, g.round AS gated_in, g.gate, g.value, "
            'g.limit_value AS "limit", u.id IN (SELECT utterance_id FROM releases) AS released, '
            f"{SAID}, l.verdict, l.settled, l.quality, l.settled_at, "
            "coalesce(l.annotation_ids, '[]') AS annotation_ids, "
            "coalesce(l.flags, '[]') AS flags FROM utterances u "
            "LEFT JOIN sources s ON s.name = u.source "
            "LEFT JOIN query_batches b ON b.utterance_id = u.id "
            "LEFT JOIN gated g ON g.utterance_id = u.id "
            "LEFT JOIN labels l ON l.utterance_id = u.id WHERE u.id = ?",
            [utterance_id],
        )
        lists = ("annotation_ids", "flags")
        return found and found | {name: json.loads(found[name]) for name in lists}

    def heard_by(self, utterance_id: str) -> list[dict[str, Any]]:
        """What each checkpoint heard in a clip, the oldest checkpoint first.

        made_in: the round that made the checkpoint, None of the base.
        """
        found = self._all(
            "SELECT c.id AS checkpoint_id, ? AS utterance_id, "
            "replace(c.path, 'checkpoints/', '') AS checkpoint, r.number AS made_in, "
            "h.text AS hypothesis FROM checkpoints c "
            "LEFT JOIN hypotheses h ON h.checkpoint_id = c.id AND h.utterance_id = ? "
            "LEFT JOIN rounds r ON r.candidate_id = c.id WHERE h.text IS NOT NULL "
            "OR c.id IN (SELECT checkpoint_id FROM hypothesis_parts) ORDER BY c.rowid",
            [utterance_id, utterance_id],
        )
        self._fill_hypotheses(found)
        for row in found:
            del row["utterance_id"]
        return [row for row in found if row["hypothesis"] is not None]

    def answers_about(self, utterance_id: str) -> list[dict[str, Any]]:
        """Every annotation of a clip, in the order of time; those that were withdrawn too.

        weighed: 1 of those that the label was settled from.
        """
        return self._all(
            "SELECT a.id, a.round, a.copy, t.kind, a.annotator, a.text, a.verdict, a.lead_time_s, "
            f"a.shown, a.unsure, a.created_at, a.updated_at, a.deleted_at, {WEIGHED} AS weighed "
            "FROM annotations a LEFT JOIN tasks t ON t.utterance_id = a.utterance_id "
            "AND t.round = a.round AND t.copy = a.copy "
            "LEFT JOIN labels l ON l.utterance_id = a.utterance_id "
            "WHERE a.utterance_id = ? ORDER BY a.updated_at, a.id",
            [utterance_id],
        )

    def tested(self, round_number: int) -> list[dict[str, Any]]:
        """Reference and hypothesis of every test utterance by the checkpoint in use after a round.

        Empty where no checkpoint is known to be in use, or it never heard them.
        """
        return self._all(
            "SELECT u.id AS utterance_id, u.source, u.speaker, u.language, u.duration_s, "
            "u.text AS reference, h.text AS hypothesis FROM rounds r "
            "CROSS JOIN utterances u ON u.split = 'test' "
            f"JOIN hypotheses h ON h.checkpoint_id = {IN_USE} AND h.utterance_id = u.id "
            "WHERE r.number = ? ORDER BY u.source, u.id",
            [round_number],
        )

    def judged_in(self, round_number: int) -> dict[str, Any]:
        """Which checkpoints a round is about, each an id and, as `…_name`, its name, or None.

        asked_with: whose hypotheses its batch was chosen by. compared_with: in use when its
        candidate was judged. candidate: what it trained. Empty before the round.
        """
        name = "(SELECT replace(path, 'checkpoints/', '') FROM checkpoints WHERE id = {})".format
        return self._first(
            f"SELECT r.checkpoint_id AS asked_with, {name('r.checkpoint_id')} AS asked_with_name, "
            f"{COMPARED_WITH} AS compared_with, {name(COMPARED_WITH)} AS compared_with_name, "
            f"r.candidate_id AS candidate, {name('r.candidate_id')} AS candidate_name "
            "FROM rounds r WHERE r.number = ?",
            [round_number],
        )

    def in_use_after(self, round_number: int) -> dict[str, Any]:
        """The checkpoint in use after a round: its `id` and `name`; empty before the round."""
        return self._first(
            "SELECT c.id, replace(c.path, 'checkpoints/', '') AS name FROM rounds r "
            f"JOIN checkpoints c ON c.id = {IN_USE} WHERE r.number = ?",
            [round_number],
        )

    def test_utterances(self, language: str) -> list[dict[str, Any]]:
        """What is measured on in a language, by id: `utterance_id`, `source`, `reference`."""
        return self._all(
            "SELECT id AS utterance_id, source, duration_s, text AS reference FROM utterances "
            "WHERE split = 'test' AND language = ? ORDER BY id",
            [language],
        )

    def simulated_strategies(self, name: str) -> list[str]:
        """The strategies of which a simulation has points."""
        rows = self._all(
            "SELECT DISTINCT strategy FROM simulation_points WHERE simulation = ? "
            "ORDER BY strategy",
            [name],
        )
        return [row["strategy"] for row in rows]
