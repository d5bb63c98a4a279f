"""Read-only questions about acquisition: batches, gates, reports, simulations.

What was kept as JSON comes back as the values that it was made of. Knows not what is in it.
"""

from __future__ import annotations

import json
from typing import Any

from storage.part_queries import PartQueries
from storage.sql import QUERY, SAID

HELD_BACK = "utterance_id NOT IN (SELECT utterance_id FROM query_batches)"
"""Some are asked about in spite of their gate, to test it; those are in a batch."""
SHOWN = 200
"""Gated clips that come at once."""


class SelectionQueries(PartQueries):
    """What was chosen, what was held back, and what came of it."""

    def selections(self) -> list[dict[str, Any]]:
        """One row a round that asked: `round` and its `facts`."""
        return self._decoded("SELECT round, facts FROM selections ORDER BY round", "facts")

    def selection(self, round_number: int) -> dict[str, Any]:
        """The facts of one round's selection; empty before it."""
        found = self._first("SELECT facts FROM selections WHERE round = ?", [round_number])
        return json.loads(found["facts"]) if found else {}

    def reports(self) -> list[dict[str, Any]]:
        """One row a reported round: `round`, `made_at` and its `report`."""
        return self._decoded("SELECT round, made_at, report FROM reports ORDER BY round", "report")

    def report(self, round_number: int) -> dict[str, Any]:
        """One round's report; empty before it is made."""
        found = self._first("SELECT report FROM reports WHERE round = ?", [round_number])
        return json.loads(found["report"]) if found else {}

    def batch(self, round_number: int) -> list[dict[str, Any]]:
        """The query batch of a round by rank, with what was shown and what came back.

        hypothesis: by the checkpoint that chose the round's batch. shown: to annotators, perhaps by
        a newer one; None of what was not offered yet. after: by the round's candidate, None of what
        it did not hear. label: None of what is not settled, too; its text is then in disputed.
        gate: None but for what was asked about in spite of one.
        """
        return self._all(
            "SELECT b.utterance_id, b.rank, b.arm, b.acquisition_score, b.top_up, "
            "t.answers > 0 AS answered, u.source, u.speaker, u.language, "
            "u.duration_s, u.audio, h.text AS hypothesis, t.hypothesis AS shown, "
            f"a.text AS after, {SAID}, l.verdict, l.settled, l.quality, l.flags, g.gate "
            "FROM query_batches b JOIN rounds r ON r.number = b.round "
            "JOIN utterances u ON u.id = b.utterance_id "
            f"LEFT JOIN tasks t ON {QUERY} "
            "LEFT JOIN hypotheses h ON h.checkpoint_id = r.checkpoint_id "
            "AND h.utterance_id = b.utterance_id "
            "LEFT JOIN hypotheses a ON a.checkpoint_id = r.candidate_id "
            "AND a.utterance_id = b.utterance_id "
            "LEFT JOIN labels l ON l.utterance_id = b.utterance_id "
            "LEFT JOIN gated g ON g.utterance_id = b.utterance_id "
            "WHERE b.round = ? ORDER BY b.rank",
            [round_number],
        )

    def gate_counts(self) -> list[dict[str, Any]]:
        """How much each gate holds back, `utterances` and their `duration_s`; the most first."""
        return self._all(
            "SELECT gate, utterances, duration_s FROM gate_counts "
            "WHERE round = (SELECT max(round) FROM selections) ORDER BY utterances DESC, gate"
        )

    def gated(self, limit: int = SHOWN, gate: str | None = None) -> list[dict[str, Any]]:
        """Some of what the gates, or one of them, hold back, and why: the first ids.

        Ids are hashes, so this is as good as a random sample. `limit`: the gate's then. hypothesis:
        None where the gate spared the decoding. released: 1 once no gate may hold it, which the
        next selection heeds.
        """
        found = self._all(
            "SELECT g.utterance_id, u.source, u.duration_s, u.audio, g.round, g.gate, g.value, "
            'g.limit_value AS "limit", h.text AS hypothesis, r.checkpoint_id, '
            "g.utterance_id IN (SELECT utterance_id FROM releases) AS released "
            f"FROM (SELECT * FROM gated WHERE {HELD_BACK} AND (?1 IS NULL OR gate = ?1) "
            "ORDER BY utterance_id LIMIT ?2) g "
            "JOIN utterances u ON u.id = g.utterance_id JOIN rounds r ON r.number = g.round "
            "LEFT JOIN hypotheses h ON h.checkpoint_id = r.checkpoint_id "
            "AND h.utterance_id = g.utterance_id ORDER BY g.utterance_id",
            [gate, limit],
        )
        self._fill_hypotheses(found)
        for row in found:
            del row["checkpoint_id"]
        return found

    def simulations(self) -> list[dict[str, Any]]:
        """One row a simulation, oldest first; `finished_at` is None of one that may go on."""
        return self._decoded(
            "SELECT name, settings, started_at, finished_at, (SELECT count(*) "
            "FROM simulation_points p WHERE p.simulation = s.name) AS points "
            "FROM simulations s ORDER BY started_at, name",
            "settings",
        )

    def simulation_points(self, name: str) -> list[dict[str, Any]]:
        """What each strategy and seed of a simulation had reached after each round."""
        return self._all(
            "SELECT * FROM simulation_points WHERE simulation = ? ORDER BY strategy, seed, round",
            [name],
        )

    def _decoded(self, sql: str, column: str) -> list[dict[str, Any]]:
        return [row | {column: json.loads(row[column])} for row in self._all(sql)]
