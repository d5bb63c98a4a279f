"""Rounds and their stages: where the loop stands. Knows not what a stage does.

Tables: rounds, stage_runs; a stage that is finished has nothing in hand in progress. What the gate
decided of a round is in `storage.promotions`, its manifest in `storage.manifests`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from al_loop.records import Round, Stage
from storage.database import now
from storage.promotions import Promotions

ROUND_COLUMNS = (
    "number, seed, stage, checkpoint_id, candidate_id, manifest_id, opened_at, pushed_at"
)
FORGET_FAILURES = "failures = 0, starts = 0, error = NULL, retry_at = NULL"


class Rounds(Promotions):
    """The rounds, and how often each stage was started and failed.

    Made over the promotions: the first round that opens puts its checkpoint in use.
    """

    def open_round(self) -> Round | None:
        """The round that is under way, if any."""
        return self._round("WHERE stage IS NOT NULL ORDER BY number DESC LIMIT 1")

    def last_round(self) -> Round | None:
        return self._round("ORDER BY number DESC LIMIT 1")

    def last_recorded_round(self) -> Round | None:
        return self._round("WHERE stage IS NULL ORDER BY number DESC LIMIT 1")

    def _round(self, where: str) -> Round | None:
        rows = self.db.execute(f"SELECT {ROUND_COLUMNS} FROM rounds {where}").fetchall()
        return Round(*rows[0]) if rows else None

    def start_round(self, number: int, seed: int, stage: Stage, checkpoint_id: str) -> Round:
        """Open a round; the checkpoint that the first one begins with is then in use."""
        with self.transaction():
            self.db.table("rounds").insert(
                {
                    "number": number,
                    "seed": seed,
                    "stage": stage,
                    "checkpoint_id": checkpoint_id,
                    "opened_at": now(),
                }
            )
            if self.current_checkpoint_id() is None:
                self._put_in_use(checkpoint_id, number, "start", "the loop begins with it")
            # what kept it from being opened is over
            self.db.execute(f"UPDATE stage_runs SET {FORGET_FAILURES} WHERE round = ?", [number])
        opened = self.open_round()
        assert opened is not None
        return opened

    def set_pushed_at(self, round_number: int) -> None:
        with self.transaction():
            self.db.execute(
                "UPDATE rounds SET pushed_at = ? WHERE number = ?", [now(), round_number]
            )

    def last_pushed_at(self) -> str | None:
        """When the newest batch was pushed; None before the first."""
        return self._row("SELECT max(pushed_at) FROM rounds")[0]

    def set_candidate(self, round_number: int, checkpoint_id: str) -> None:
        with self.transaction():
            self.db.execute(
                "UPDATE rounds SET candidate_id = ? WHERE number = ?",
                [checkpoint_id, round_number],
            )

    # -- stages ------------------------------------------------------------------------------------

    def start_stage(self, round_number: int, stage: str, settings: str) -> int:
        """Note that a stage starts, under these settings (JSON).

        Returns how often it has started since it last came to any end, this time included.
        """
        with self.transaction():
            self.db.execute(
                "INSERT INTO stage_runs (round, stage, started_at, starts, settings) "
                "VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE "
                "SET starts = starts + 1, settings = excluded.settings",
                [round_number, stage, now(), settings],
            )
        return int(
            self._row(
                "SELECT starts FROM stage_runs WHERE round = ? AND stage = ?",
                [round_number, stage],
            )[0]
        )

    def fail_stage(self, round_number: int, stage: str, error: str, retry_at: str) -> None:
        with self.transaction():
            self.db.execute(
                "UPDATE stage_runs SET failures = failures + 1, starts = 0, error = ?, "
                "retry_at = ? WHERE round = ? AND stage = ?",
                [error, retry_at, round_number, stage],
            )

    def forget_failures(self, round_number: int, stage: str) -> None:
        """The stage works, though it may not be finished."""
        with self.transaction():
            self.db.execute(
                f"UPDATE stage_runs SET {FORGET_FAILURES} WHERE round = ? AND stage = ?",
                [round_number, stage],
            )

    def failures(self, round_number: int, stage: str) -> tuple[int, str | None]:
        """How often the stage failed since it last succeeded, and when it may be tried again."""
        rows = self.db.execute(
            "SELECT failures, retry_at FROM stage_runs WHERE round = ? AND stage = ?",
            [round_number, stage],
        ).fetchall()
        return rows[0] if rows else (0, None)

    @contextmanager
    def finishing(self, round_number: int, stage: Stage, following: Stage | None) -> Iterator[None]:
        """One transaction that holds a stage's results and the step to the following stage."""
        with self.transaction():
            yield
            self.forget_failures(round_number, stage)
            self.db.execute(
                "UPDATE stage_runs SET finished_at = ? WHERE round = ? AND stage = ?",
                [now(), round_number, stage],
            )
            self.db.execute("DELETE FROM progress WHERE round = ?", [round_number])
            self.db.execute(
                "UPDATE rounds SET stage = ?, recorded_at = ? WHERE number = ?",
                [following, None if following else now(), round_number],
            )
