"""What rounds are judged by, and the reports that come of it. Knows not how they are made.

Table: reports. Reads of most others: what annotators made of what they were shown, and what each
round's candidate reached with how many labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from al_loop.records import IN_HOUSE, Answer, CurvePoint
from storage.database import as_json, now
from storage.hypotheses import HYPOTHESIS_COLUMNS, hypothesis_of
from storage.profiles import Profiles

DECIDING_LEAD_TIME_S = (
    "(SELECT min(a.lead_time_s, ?) FROM annotations a WHERE a.utterance_id = l.utterance_id "
    "AND a.id = json_extract(l.annotation_ids, '$[0]') AND a.text IS l.text "
    "AND a.verdict IS l.verdict AND a.deleted_at IS NULL ORDER BY a.updated_at DESC LIMIT 1)"
)
"""Ids of annotations are unique only within a project, so two may have the one that decided; and
what was changed after it decided took other time."""


class Reports(Profiles):
    """The evidence on acquisition. Made over the profiles, which belong to an answer."""

    def answers(self, encoder: str, longest_answer_s: float = math.inf) -> list[Answer]:
        """Every labelled utterance of the query batches, by round and rank.

        A label that annotators dispute is none: nobody knows what was said.
        The hypothesis is that of the checkpoint which was in use when the batch was chosen, and
        `trusted` what that selection made of it. longest_answer_s: what an answer took at most, the
        rest was a break.
        """
        columns = ", ".join(f"h.{name}" for name in HYPOTHESIS_COLUMNS)
        rows = self.db.execute(
            "WITH doubted AS MATERIALIZED (SELECT round FROM selections "
            "WHERE json_extract(facts, '$.trusted') = 0) "
            "SELECT b.utterance_id, b.round, b.arm, u.language, u.duration_s, l.text, l.verdict, "
            f"{DECIDING_LEAD_TIME_S}, b.round NOT IN (SELECT round FROM doubted), {columns} "
            "FROM query_batches b "
            "JOIN labels l ON l.utterance_id = b.utterance_id AND l.settled <> 'disputed' "
            "JOIN utterances u ON u.id = b.utterance_id JOIN rounds r ON r.number = b.round "
            "LEFT JOIN hypotheses h ON h.checkpoint_id = r.checkpoint_id "
            "AND h.utterance_id = b.utterance_id ORDER BY b.round, b.rank",
            [longest_answer_s],
        ).fetchall()
        profiles = self.profiles(encoder, [row[0] for row in rows])
        return [
            Answer(
                id_,
                number,
                arm,
                language,
                duration_s,
                text,
                verdict,
                None if heard[0] is None else hypothesis_of(heard),
                profiles.get(id_),
                lead_s,
                bool(trusted),
            )
            for (
                id_, number, arm, language, duration_s, text, verdict, lead_s, trusted, *heard
            ) in rows
        ]  # fmt: skip

    def curve_points(self, longest_answer_s: float) -> list[CurvePoint]:
        """What each round's candidate reached on each evaluation set, and with how many labels.

        annotator_s: of all annotations made until the round was recorded, or until now. One counts
        `longest_answer_s` at most, the rest was a break; one without a measured time counts
        nothing, and so does one that was withdrawn.
        """
        rows = self.db.execute(
            "WITH spent AS MATERIALIZED (SELECT r.number, r.candidate_id, "
            "(SELECT coalesce(sum(u.duration_s), 0) FROM manifest_examples m "
            "JOIN utterances u ON u.id = m.utterance_id "
            "WHERE m.manifest_id = r.manifest_id AND m.source = ?) AS labelled_s, "
            "(SELECT coalesce(sum(min(a.lead_time_s, ?)), 0) FROM annotations a "
            "WHERE a.deleted_at IS NULL AND (r.recorded_at IS NULL "
            "OR julianday(a.created_at) <= julianday(r.recorded_at))) "
            "AS annotator_s FROM rounds r WHERE r.candidate_id IS NOT NULL) "
            "SELECT s.number, e.evaluation_set, e.language, e.words, s.labelled_s, s.annotator_s, "
            "e.wer, e.wer_low, e.wer_high FROM spent s JOIN evaluations e "
            "ON e.round = s.number AND e.checkpoint_id = s.candidate_id "
            "ORDER BY s.number, e.evaluation_set",
            [IN_HOUSE, longest_answer_s],
        )
        return [CurvePoint(*row) for row in rows]

    def put_report(self, round_number: int, report: Mapping[str, Any]) -> None:
        """Keep a round's report, in place of one that an earlier try made."""
        with self.transaction():
            self._put_all(
                "reports", ("round", "report", "made_at"), [(round_number, as_json(report), now())]
            )
