"""The models that made what training may use, with their licences. Knows no licence's meaning.

Table: makers. Reads utterances.
"""

from __future__ import annotations

from storage.database import Database


class Makers(Database):
    """Who spoke, cut or translated, and what was spoken already."""

    def put_maker(self, name: str, licence: str) -> None:
        """Keep a model's licence, or the one that it has by now; an unknown one hides none that
        was stated. name: as `made_by` has it."""
        with self.transaction():
            self.db.execute(
                "INSERT INTO makers (name, licence) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET licence = excluded.licence "
                "WHERE excluded.licence <> 'unknown'",
                [name, licence],
            )

    def makers(self) -> dict[str, str]:
        """The licence of each model, by its name."""
        return dict(self.db.execute("SELECT name, licence FROM makers ORDER BY name").fetchall())

    def made(self, source: str, maker: str) -> list[tuple[str, str | None, str, str]]:
        """Text, speaker, origin and file of each labelled clip of a source that a model made."""
        return self.db.execute(
            "SELECT text, speaker, origin, audio FROM utterances "
            "WHERE split IN ('train', 'validation') AND source = ? AND made_by = ? "
            "AND text IS NOT NULL ORDER BY id",
            [source, maker],
        ).fetchall()
