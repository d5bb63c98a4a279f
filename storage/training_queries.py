"""Read-only questions about trainings: epochs, steps, stages, settings, checkpoints.

A sidecar holds every step of its training, so only the one that is asked for is read. Knows not
how a model is trained.
"""

from __future__ import annotations

import json
from typing import Any

from storage.reading import Connection


class TrainingQueries(Connection):
    """What each round's training did, how long its stages took, and what became of it."""

    def training_record(self, round_number: int) -> dict[str, Any]:
        """The whole sidecar of a round's candidate; empty where the round trained none."""
        found = self._first(
            "SELECT c.sidecar FROM rounds r JOIN checkpoints c ON c.id = r.candidate_id "
            "WHERE r.number = ?",
            [round_number],
        )
        return json.loads(found["sidecar"]) if found else {}

    def trained_rounds(self) -> list[int]:
        """The rounds that have a candidate."""
        rows = self._all("SELECT number FROM rounds WHERE candidate_id IS NOT NULL ORDER BY number")
        return [row["number"] for row in rows]

    def stage_times(self) -> list[dict[str, Any]]:
        """One row a stage of a round, in the order in which they started.

        taken_s: from its first start to its end, with all pauses between; None until it ends.
        starts: since it last came to an end. "open" is what precedes a round's first stage; its end
        is the round's opening.
        """
        return self._all(
            "SELECT round, stage, started_at, finished_at, starts, failures, error, "
            "86400.0 * (julianday(finished_at) - julianday(started_at)) AS taken_s FROM "
            "(SELECT s.round, s.stage, s.started_at, s.starts, s.failures, s.error, "
            "coalesce(s.finished_at, iif(s.stage = 'open', r.opened_at, NULL)) AS finished_at "
            "FROM stage_runs s LEFT JOIN rounds r ON r.number = s.round) "
            "ORDER BY round, started_at, rowid"
        )

    def stage_settings(self, round_number: int) -> dict[str, Any]:
        """Stage -> all settings as they were when that stage of the round last started."""
        rows = self._all(
            "SELECT stage, settings FROM stage_runs WHERE round = ? ORDER BY started_at, rowid",
            [round_number],
        )
        return {row["stage"]: json.loads(row["settings"]) for row in rows}

    def checkpoints(self, sidecars: bool = True) -> list[dict[str, Any]]:
        """One row a checkpoint, newest last: what made it, and what became of it.

        `round` and `decision` are None of the base, `promoted` of what the gate has not judged.
        sidecars: whether to read them, which hold every step of a training.
        """
        sidecar = "c.sidecar, " if sidecars else ""
        return self._all(
            f"SELECT c.id, replace(c.path, 'checkpoints/', '') AS name, c.path, {sidecar}"
            "replace(parent.path, 'checkpoints/', '') AS parent, r.number AS round, r.promoted, "
            "r.decision, r.manifest_id, c.created_at, c.pruned_at, "
            "c.id = (SELECT checkpoint_id FROM promotions ORDER BY id DESC LIMIT 1) AS in_use, "
            "(SELECT promoted_by FROM promotions WHERE checkpoint_id = c.id "
            "ORDER BY id DESC LIMIT 1) AS promoted_by, "
            "(SELECT reason FROM promotions WHERE checkpoint_id = c.id "
            "ORDER BY id DESC LIMIT 1) AS reason "
            "FROM checkpoints c LEFT JOIN checkpoints parent ON parent.id = c.parent "
            "LEFT JOIN rounds r ON r.candidate_id = c.id ORDER BY c.rowid"
        )
