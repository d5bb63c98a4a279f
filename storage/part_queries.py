"""Read-only questions about hypotheses that lie in files. Knows not who asks.

What is chosen or measured on has rows, so that SQL finds it; a clip that is only looked at may have
none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from storage.reading import Connection


class PartQueries(Connection):
    """Loads NumPy and pyarrow only where there are such files."""

    def _fill_hypotheses(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write the text into each row that has none as its `hypothesis`, where a file holds one.

        The rows have a `checkpoint_id` and an `utterance_id` besides.
        """
        wanted: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row["hypothesis"] is None:
                wanted.setdefault(row["checkpoint_id"], []).append(row)
        for checkpoint_id, lacking in wanted.items():
            parts = self._all(
                "SELECT file FROM hypothesis_parts WHERE checkpoint_id = ? ORDER BY number DESC",
                [checkpoint_id],
            )
            texts: dict[str, str] = {}
            left = {row["utterance_id"] for row in lacking}
            for part in parts:
                from storage.parts import find_in_part

                path = self.hypotheses / part["file"]
                texts |= dict(find_in_part(path, left - texts.keys(), ("utterance_id", "text")))
            for row in lacking:
                row["hypothesis"] = texts.get(row["utterance_id"])
