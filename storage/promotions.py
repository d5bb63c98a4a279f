"""Which checkpoint is in use, and which ones keep their weights. Knows not how one is judged.

Table: promotions. Its newest row names the checkpoint in use; rows are added, never changed.
"""

from __future__ import annotations

from pathlib import Path

from al_loop.errors import WorkspaceError
from al_loop.records import Checkpoint
from storage.checkpoints import Checkpoints
from storage.database import now
from storage.workspace import delete_folder


class Promotions(Checkpoints):
    """The ledger of what was put in use: by the gate, by hand, by a rollback or as the start.

    Made over the checkpoints: what may be put in use, and what loses its weights.
    """

    def current_checkpoint_id(self) -> str | None:
        """The checkpoint in use: the one promoted last."""
        rows = self.db.execute(
            "SELECT checkpoint_id FROM promotions ORDER BY id DESC LIMIT 1"
        ).fetchall()
        return rows[0][0] if rows else None

    def checkpoint_in_use(self) -> Checkpoint:
        """Raises WorkspaceError before the first round."""
        current = self.current_checkpoint_id()
        found = None if current is None else self.checkpoint(current)
        if found is None:
            raise WorkspaceError("no checkpoint is in use yet; `al-loop round` makes the first")
        return found

    def promoted_checkpoints(self) -> list[Checkpoint]:
        """What was put in use, oldest first, without what was rolled back; the last is in use."""
        line: list[str] = []
        rows = self.db.execute("SELECT checkpoint_id, promoted_by FROM promotions ORDER BY id")
        for checkpoint_id, way in rows:
            if way == "rollback":
                line.pop()  # the row names the one that is last then
            else:
                line.append(checkpoint_id)
        return [found for row in line if (found := self.checkpoint(row))]

    def decide(self, round_number: int, promoted: bool, decision: str) -> None:
        """Keep what the gate decided about the round's candidate, which it may put in use."""
        with self.transaction():
            in_use = self.current_checkpoint_id()
            self.db.execute(
                "UPDATE rounds SET promoted = ?, decision = ?, compared_with = ? WHERE number = ?",
                [int(promoted), decision, in_use, round_number],
            )
            (candidate_id,) = self._row(
                "SELECT candidate_id FROM rounds WHERE number = ?", [round_number]
            )
            if promoted and candidate_id != in_use:  # somebody may have been faster, by hand
                self._put_in_use(candidate_id, round_number, "gate", decision)

    def promote(self, checkpoint_id: str, reason: str) -> None:
        """Put a checkpoint in use by hand."""
        self._put_in_use_by_hand(checkpoint_id, "hand", reason)

    def rollback(self, reason: str) -> Checkpoint:
        """Put the checkpoint in use that was so before the present one.

        Raises WorkspaceError where nothing was in use before.
        """
        *_, before, _ = [None, None, *self.promoted_checkpoints()]
        if before is None:
            raise WorkspaceError(
                "nothing was in use before the present checkpoint; `al-loop promote` takes any "
                "other by its name"
            )
        return self._put_in_use_by_hand(before.id, "rollback", reason)

    def _put_in_use_by_hand(self, checkpoint_id: str, way: str, reason: str) -> Checkpoint:
        found = self.checkpoint(checkpoint_id)
        assert found is not None, checkpoint_id
        self.weights_folder(found)
        with self.transaction():
            (newest,) = self._row("SELECT max(number) FROM rounds")
            self._put_in_use(checkpoint_id, newest, way, reason)
            # the gate is to compare with what is in use now, which needs its error rates
            self.db.execute("UPDATE rounds SET stage = 'evaluate' WHERE stage = 'promote'")
            self.db.execute("UPDATE checkpoints SET pruned_at = NULL WHERE id = ?", [checkpoint_id])
        return found

    def _put_in_use(
        self, checkpoint_id: str, round_number: int | None, way: str, reason: str
    ) -> None:
        self.db.table("promotions").insert(
            {
                "checkpoint_id": checkpoint_id,
                "round": round_number,
                "promoted_by": way,
                "reason": reason,
                "promoted_at": now(),
            }
        )

    def prune(self, newest: int, promoted: int | None) -> list[str]:
        """Delete the weights of old checkpoints; the names of those that are new to it come back.

        Kept are the base, the checkpoint in use, the `newest` ones, and the `promoted` ones that
        were promoted last (None: all). Rows are marked before folders are deleted; what a kill
        leaves, the next call deletes. What trainings saved on their way goes too, and what a killed
        one did not finish. No round may be at work elsewhere.
        """
        self._delete_leftovers()
        with self.transaction():
            rows = self.db.execute(
                "UPDATE checkpoints SET pruned_at = ? WHERE pruned_at IS NULL "
                "AND parent IS NOT NULL AND id <> ? "
                "AND id NOT IN (SELECT id FROM checkpoints ORDER BY rowid DESC LIMIT ?) "
                "AND id NOT IN (SELECT checkpoint_id FROM promotions GROUP BY checkpoint_id "
                "ORDER BY max(id) DESC LIMIT ?) RETURNING path",
                [now(), self.current_checkpoint_id(), newest, -1 if promoted is None else promoted],
            ).fetchall()
        for (path,) in self.db.execute("SELECT path FROM checkpoints WHERE pruned_at IS NOT NULL"):
            delete_folder(self.workspace.root / path)
        return [Path(path).name for (path,) in rows]
