"""Ablations: what a model reached that was trained on a part of the sources. Knows no training.

Tables: ablations, ablation_results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from al_loop.errors import WorkspaceError
from storage.database import Database, as_json, now

RESULT_COLUMNS = (
    "variant",
    "seed",
    "evaluation_set",
    "language",
    "examples",
    "audio_s",
    "draws",
    "utterance_errors",
)
LISTS = ("variant", "utterance_errors")


class Ablations(Database):
    """The ablations and their results, so that one that was interrupted goes on."""

    def start_ablation(self, name: str, settings: Mapping[str, Any]) -> None:
        """Begin an ablation, or go on with the one of this name.

        Raises WorkspaceError when that one has other settings: its results do not compare.
        """
        wanted = as_json(settings)
        with self.transaction():
            row = self._row("SELECT settings FROM ablations WHERE name = ?", [name])
            if row is None:
                self._put_all(
                    "ablations", ("name", "settings", "started_at"), [(name, wanted, now())]
                )
            elif (old := json.loads(row[0])) != (new := json.loads(wanted)):
                changed = sorted(key for key in old | new if old.get(key) != new.get(key))
                raise WorkspaceError(
                    f"the ablation {name!r} was begun with other settings ({', '.join(changed)} "
                    "differ), and its results would not compare; set them back, or give this one "
                    "another name with --name"
                )

    def finish_ablation(self, name: str) -> None:
        with self.transaction():
            self.db.execute(
                "UPDATE ablations SET finished_at = ? WHERE name = ? AND finished_at IS NULL",
                [now(), name],
            )

    def put_ablation_results(self, name: str, results: Iterable[Mapping[str, Any]]) -> None:
        """Keep what one variant reached with one seed, on all evaluation sets at once.

        Keys of each are RESULT_COLUMNS, `variant` and `utterance_errors` being lists; what is known
        is replaced. The ablation is not finished then.
        """
        rows = [
            (name, *(json.dumps(row[key]) if key in LISTS else row[key] for key in RESULT_COLUMNS))
            for row in results
        ]
        with self.transaction():
            self._put_all("ablation_results", ("ablation", *RESULT_COLUMNS), rows)
            self.db.execute("UPDATE ablations SET finished_at = NULL WHERE name = ?", [name])

    def ablation_results(self, name: str) -> list[dict[str, Any]]:
        """All that is known of an ablation by now, by evaluation set, variant and seed."""
        rows = self.db.execute(
            f"SELECT {', '.join(RESULT_COLUMNS)} FROM ablation_results WHERE ablation = ? "
            "ORDER BY evaluation_set, variant, seed",
            [name],
        )
        found = [dict(zip(RESULT_COLUMNS, row, strict=True)) for row in rows]
        return [row | {key: json.loads(row[key]) for key in LISTS} for row in found]
