"""What the select stages decided: query batches, what the gates hold back, what was released.

Tables: query_batches, selections, gated, gate_counts, releases. Knows not how a batch is chosen;
what annotators are asked because of it is in `storage.tasks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from al_loop.errors import WorkspaceError
from al_loop.records import Gated, Selection
from storage.database import as_json, now
from storage.hypotheses import Hypotheses
from storage.selection_queries import HELD_BACK

SHOWN = 3
"""Ids that a message names."""


class Selections(Hypotheses):
    """The query batches as they were chosen, and the gates' reasons.

    Made over the hypotheses: those of what is chosen are rows from then on.
    """

    def put_selection(self, round_number: int, selection: Selection) -> None:
        """Keep a round's batch, how it was chosen, and what was held back.

        Of every gated utterance the newest reason is kept. What this selection lets through loses
        its own; what was asked about in spite of its gate keeps it, for the answer tells whether
        the gate was right. A round's selection may be kept again as long as its batch is empty.
        """
        with self.transaction():
            self.db.table("query_batches").insert_all(
                {"round": round_number, **asdict(choice)} for choice in selection.choices
            )
            self.keep_as_rows(row.utterance_id for row in selection.choices)
            self._put_all(
                "selections", ("round", "facts"), [(round_number, as_json(selection.facts))]
            )
            self.db.execute(
                "DELETE FROM gated WHERE utterance_id NOT IN "
                "(SELECT utterance_id FROM query_batches WHERE arm = 'explored')"
            )
            self._put_gated(round_number, selection.gated)
            self._count_gated(round_number)

    def top_up(self, round_number: int, selection: Selection) -> None:
        """Add what this selection chose to a round's batch, behind all that is in it.

        How the batch itself was chosen stays as it is, and so does what was held back; what is
        asked about in spite of its gate gets its reason.
        """
        chosen = {row.utterance_id for row in selection.choices}
        with self.transaction():
            (start,) = self._row(
                "SELECT coalesce(max(rank) + 1, 0) FROM query_batches WHERE round = ?",
                [round_number],
            )
            self.db.table("query_batches").insert_all(
                {"round": round_number, **asdict(choice), "rank": start + place, "top_up": 1}
                for place, choice in enumerate(selection.choices)
            )
            self.keep_as_rows(chosen)
            self._put_gated(
                round_number, [row for row in selection.gated if row.utterance_id in chosen]
            )
            self._count_gated(round_number)

    def is_topped_up(self, round_number: int) -> bool:
        """Whether anything was added to a round's batch after it was chosen."""
        (found,) = self._row(
            "SELECT EXISTS (SELECT 1 FROM query_batches WHERE round = ? AND top_up = 1)",
            [round_number],
        )
        return bool(found)

    def _put_gated(self, round_number: int, gated: Iterable[Gated]) -> None:
        self._put_all(
            "gated",
            ("utterance_id", "round", "gate", "value", "limit_value"),
            (
                (row.utterance_id, round_number, row.gate, float(row.value), float(row.limit))
                for row in sorted(gated, key=lambda row: row.utterance_id)
            ),
        )

    def _count_gated(self, round_number: int) -> None:
        """Count once what is asked for at every look at the dashboard."""
        self.db.execute("DELETE FROM gate_counts WHERE round = ?", [round_number])
        self.db.execute(
            "INSERT INTO gate_counts (round, gate, utterances, duration_s) "
            "SELECT ?, g.gate, count(*), sum(u.duration_s) FROM gated g "
            f"CROSS JOIN utterances u ON u.id = g.utterance_id WHERE g.{HELD_BACK} GROUP BY g.gate",
            [round_number],
        )

    def arms(self, round_number: int) -> set[str]:
        """The arms that a round's batch has clips of, without what topped it up."""
        rows = self.db.execute(
            "SELECT DISTINCT arm FROM query_batches WHERE round = ? AND top_up = 0", [round_number]
        )
        return {row[0] for row in rows}

    def release(self, name: str, reason: str) -> str:
        """Have no gate hold back the utterance with this id, or the only one whose id begins so.

        One that no worker could work on is tried again. Its whole id comes back. Raises
        WorkspaceError where `name` fits none or several.
        """
        rows = self.db.execute(
            "SELECT id FROM utterances WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            [name, f"{name}\U0010ffff", SHOWN + 1],
        ).fetchall()
        found = [row[0] for row in rows]
        if not name or (len(found) != 1 and name not in found):
            fitting = f"several: {', '.join(found[:SHOWN])}, …" if found else "none"
            raise WorkspaceError(
                f"{name!r} is the id, or the beginning of the id, of {fitting}; expected one "
                "utterance, by its id as the list of gated clips shows it"
            )
        with self.transaction():
            self.db.table("releases").insert(
                {"utterance_id": found[0], "reason": reason, "released_at": now()}
            )
            self.db.execute("DELETE FROM unhearable WHERE utterance_id = ?", [found[0]])
        return found[0]

    def released(self) -> set[str]:
        """Ids of the utterances that no gate may hold back."""
        return {row[0] for row in self.db.execute("SELECT utterance_id FROM releases")}
