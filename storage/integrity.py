"""What may be wrong with a workspace's database itself, for `doctor`. Reads only.

Tables: workspace, utterances, hypothesis_parts, promotions, checkpoints, and the record of
migrations.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.reading import Connection

MOST_DAMAGES = 3


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as the database knows it. sample_hash: of its samples."""

    utterance_id: str
    audio: str
    sample_hash: str


class Integrity(Connection):
    """Raises WorkspaceError where there is no database yet, or where it cannot be read."""

    def damage(self) -> list[str]:
        """What SQLite finds wrong with the file, a few lines of it; reads all of it.

        And what is wrong with the files of hypotheses that stand for a part of its rows.
        """
        rows = self._all(f"PRAGMA quick_check({MOST_DAMAGES})")
        found = [str(value) for row in rows for value in row.values() if value != "ok"]
        return found or self._damaged_parts()[:MOST_DAMAGES]

    def _damaged_parts(self) -> list[str]:
        parts = self._all("SELECT file, hypotheses FROM hypothesis_parts ORDER BY number")
        if not parts:
            return []
        from storage.parts import damage

        checked = (damage(self.hypotheses / row["file"], row["hypotheses"]) for row in parts)
        return [line for line in checked if line is not None]

    def migrations(self) -> tuple[list[str], list[str]]:
        """The steps of the schema that wait to be taken, and those that this version lacks."""
        import sqlite_utils

        from storage.migrations import migrations

        db = sqlite_utils.Database(self.connection)
        steps = [row.name for row in migrations.pending(sqlite_utils.Database(memory=True))]
        taken = [row.name for row in migrations.applied(db)]
        pending = [name for name in steps if name not in taken]
        return pending, [name for name in taken if name not in steps]

    def workspace_id(self) -> str:
        return str(self._one("SELECT id FROM workspace")["id"])

    def some_clips(self, count: int) -> list[Clip]:
        """So many clips, of all splits, others every time."""
        rows = self._all(
            "SELECT id, audio, sample_hash FROM utterances WHERE rowid IN "
            "(SELECT rowid FROM utterances ORDER BY random() LIMIT ?)",
            [count],
        )
        return [Clip(row["id"], row["audio"], row["sample_hash"]) for row in rows]

    def clip(self, utterance_id: str) -> Clip | None:
        rows = self._all(
            "SELECT id, audio, sample_hash FROM utterances WHERE id = ?", [utterance_id]
        )
        return Clip(rows[0]["id"], rows[0]["audio"], rows[0]["sample_hash"]) if rows else None

    def checkpoint_in_use(self) -> Path | None:
        """Its folder; None before the first round."""
        found = self._first(
            "SELECT c.path FROM promotions p JOIN checkpoints c ON c.id = p.checkpoint_id "
            "ORDER BY p.id DESC LIMIT 1"
        )
        return self.path.parent / found["path"] if found else None
