"""Clips of the pool that no worker could work on: they are asked about only when somebody says so.

Table: unhearable. Knows not what workers do.
"""

from __future__ import annotations

from collections.abc import Iterable

from storage.database import Database, now

HEARABLE = "u.id NOT IN (SELECT utterance_id FROM unhearable)"


class Unhearable(Database):
    """The clips with their reasons; ingesting or releasing one forgets its reason."""

    def put_unhearable(self, refusals: Iterable[tuple[str, str, str]]) -> None:
        """refusals: utterance id, the reason's short name, and a sentence, of each."""
        with self.transaction():
            self._put_all(
                "unhearable",
                ("utterance_id", "reason", "detail", "refused_at"),
                ((*row, now()) for row in refusals),
            )

    def unhearable(self) -> dict[str, tuple[str, str]]:
        """Reason and sentence by utterance id."""
        rows = self.db.execute("SELECT utterance_id, reason, detail FROM unhearable ORDER BY 1")
        return {row[0]: (row[1], row[2]) for row in rows}
