"""Read-only questions about what labels cost: the time of annotators.

Knows not what an hour of it is paid, nor what a better error rate is worth.
"""

from __future__ import annotations

from typing import Any

from storage.reading import Connection

SPENT_S = "min(a.lead_time_s, ?)"
"""What an answer took at most; the rest was a break."""


class CostQueries(Connection):
    """What annotators' time went into."""

    def costs(self, longest_answer_s: float) -> list[dict[str, Any]]:
        """What the answers to each round's tasks took: `answers`, `annotator_s`, `without_time`.

        Round 0 asks about evaluation sets alone. All rounds together are all that was spent. An
        answer without a measured time is counted in `without_time`, and costs nothing here.
        """
        return self._all(
            f"SELECT a.round, count(*) AS answers, total({SPENT_S}) AS annotator_s, "
            "sum(a.lead_time_s IS NULL) AS without_time FROM annotations a "
            "WHERE a.deleted_at IS NULL GROUP BY a.round ORDER BY a.round",
            [longest_answer_s],
        )

    def time_spent(self, longest_answer_s: float) -> list[dict[str, Any]]:
        """One row a round with a candidate: `annotator_s`, of all answers until it was recorded.

        Of all rounds' tasks and those of evaluation sets, whatever became of the answers; of a
        round that is not recorded, until now. That is what `al_loop.records.CurvePoint` counts.
        """
        return self._all(
            "WITH recorded AS MATERIALIZED (SELECT number, "
            "coalesce(julianday(recorded_at), 1e9) AS day FROM rounds "
            "WHERE candidate_id IS NOT NULL), "
            f"spent AS MATERIALIZED (SELECT julianday(a.created_at) AS day, {SPENT_S} AS seconds "
            "FROM annotations a WHERE a.deleted_at IS NULL) "
            "SELECT r.number AS round, "
            "(SELECT total(s.seconds) FROM spent s WHERE s.day <= r.day) AS annotator_s "
            "FROM recorded r ORDER BY r.number",
            [longest_answer_s],
        )
