"""Simulated loops: what each strategy had reached after each of its rounds. Knows no strategy.

Tables: simulations, simulation_points.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from al_loop.errors import WorkspaceError
from storage.database import Database, as_json, now

POINT_COLUMNS = (
    "strategy",
    "seed",
    "round",
    "labelled_s",
    "annotator_s",
    "chosen_s",
    "junk_s",
    "tasks",
    "junk_tasks",
    "wer",
    "words",
    "errors",
    "utterance_errors",
    "spearman",
    "spearman_low",
    "spearman_high",
)


class Simulations(Database):
    """The simulations and their points, so that one that was interrupted goes on."""

    def start_simulation(self, name: str, settings: Mapping[str, Any]) -> None:
        """Begin a simulation, or go on with the one of this name.

        Raises WorkspaceError when that one has other settings: their points do not compare.
        """
        wanted = as_json(settings)
        with self.transaction():
            row = self._row("SELECT settings FROM simulations WHERE name = ?", [name])
            if row is None:
                self._put_all(
                    "simulations", ("name", "settings", "started_at"), [(name, wanted, now())]
                )
            elif (old := json.loads(row[0])) != (new := json.loads(wanted)):
                changed = sorted(key for key in old | new if old.get(key) != new.get(key))
                raise WorkspaceError(
                    f"the simulation {name!r} was begun with other settings ({', '.join(changed)}"
                    " differ), and their points would not compare; set them back, or give this one "
                    "another name"
                )

    def finish_simulation(self, name: str) -> None:
        with self.transaction():
            self.db.execute(
                "UPDATE simulations SET finished_at = ? WHERE name = ? AND finished_at IS NULL",
                [now(), name],
            )

    def put_simulation_point(self, name: str, point: Mapping[str, Any]) -> None:
        """Keep what one strategy and seed had reached after one round.

        Its keys are POINT_COLUMNS; a point that is known is replaced.
        """
        with self.transaction():
            self._put_all(
                "simulation_points",
                ("simulation", *POINT_COLUMNS),
                [(name, *(point[column] for column in POINT_COLUMNS))],
            )

    def simulation_points(self, name: str) -> list[dict[str, Any]]:
        """All that is known of a simulation by now, by strategy, seed and round."""
        rows = self.db.execute(
            f"SELECT {', '.join(POINT_COLUMNS)} FROM simulation_points WHERE simulation = ? "
            "ORDER BY strategy, seed, round",
            [name],
        )
        return [dict(zip(POINT_COLUMNS, row, strict=True)) for row in rows]
