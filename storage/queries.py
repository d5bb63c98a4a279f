"""Read-only questions about a workspace, for `status`, the dashboard and the demo's table.

Opens the database read-only with the standard library alone, so that `status` starts fast and a
dashboard can never write. Values come back as plain dictionaries, one a row, or as dataclasses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from al_loop.errors import WorkspaceError
from storage.workspace import Workspace

IN_USE = "CASE WHEN r.promoted = 1 THEN r.candidate_id ELSE r.checkpoint_id END"
"""The checkpoint in use after a round."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where the loop stands. `stage`: None when the last round is recorded. `failed_stage`: what
    failed last and has not worked since; "open" is what precedes a round's first stage."""

    round: int | None
    stage: str | None
    failed_stage: str | None
    failures: int
    error: str | None
    retry_at: str | None
    pool: int
    pool_s: float
    labelled: int
    labelled_s: float
    tasks: int
    answered: int
    refused: int


class Reader:
    """Questions to one workspace's database. Raises WorkspaceError where there is none yet.

    Inside a `with` block all answers come from one snapshot: the loop may write meanwhile.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.path: Path = workspace.database
        if not self.path.is_file():
            raise WorkspaceError(
                f"{workspace.root} holds no data yet: `al-loop ingest` brings audio in"
            )
        # each thread of the dashboard makes its own Reader
        try:
            self.connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)
        except sqlite3.Error as exc:
            raise WorkspaceError(f"{self.path}: cannot be opened for reading: {exc}") from exc
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA query_only = ON")

    def __enter__(self) -> Self:
        self.connection.execute("BEGIN")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def status(self) -> Status:
        last = self._first("SELECT number, stage FROM rounds ORDER BY number DESC LIMIT 1")
        failure = self._first(
            "SELECT stage, failures, error, retry_at FROM stage_runs WHERE error IS NOT NULL "
            "ORDER BY round DESC LIMIT 1"
        )
        pool = self._one(
            "SELECT count(*) AS n, coalesce(sum(duration_s), 0) AS s FROM utterances "
            "WHERE split = 'pool' AND id NOT IN (SELECT utterance_id FROM query_batches) "
            "AND id NOT IN (SELECT utterance_id FROM labels)"
        )
        labelled = self._one(
            "SELECT count(*) AS n, coalesce(sum(u.duration_s), 0) AS s FROM labels l "
            "JOIN utterances u ON u.id = l.utterance_id WHERE l.text IS NOT NULL"
        )
        batch = self._one(
            "SELECT count(DISTINCT b.utterance_id) AS tasks, "
            "count(DISTINCT a.utterance_id) AS answered FROM query_batches b "
            "LEFT JOIN annotations a ON a.utterance_id = b.utterance_id WHERE b.round = ?",
            [last.get("number")],
        )
        return Status(
            round=last.get("number"),
            stage=last.get("stage"),
            failed_stage=failure.get("stage"),
            failures=failure.get("failures", 0),
            error=failure.get("error"),
            retry_at=failure.get("retry_at"),
            pool=pool["n"],
            pool_s=pool["s"],
            labelled=labelled["n"],
            labelled_s=labelled["s"],
            tasks=batch["tasks"],
            answered=batch["answered"],
            refused=self._one("SELECT count(*) AS n FROM refusals")["n"],
        )

    def error_rates(self) -> list[dict[str, Any]]:
        """WER and CER of the checkpoint in use after each recorded round, per evaluation set."""
        return self._all(
            "SELECT r.number AS round, e.evaluation_set, e.language, e.utterances, e.words, "
            "e.wer, e.wer_low, e.wer_high, e.cer, e.cer_low, e.cer_high, e.checkpoint_id "
            "FROM rounds r JOIN evaluations e ON e.round = r.number "
            f"AND e.checkpoint_id = {IN_USE} "
            "WHERE r.stage IS NULL ORDER BY r.number, e.evaluation_set"
        )

    def before_and_after(self, round_number: int) -> list[dict[str, Any]]:
        """WER per evaluation set of the checkpoint a round began with, and of its candidate."""
        return self._all(
            "SELECT b.evaluation_set, b.language, b.wer AS before, b.wer_low AS before_low, "
            "b.wer_high AS before_high, a.wer AS after, a.wer_low AS after_low, "
            "a.wer_high AS after_high FROM rounds r "
            "JOIN evaluations b ON b.round = r.number AND b.checkpoint_id = r.checkpoint_id "
            "LEFT JOIN evaluations a ON a.round = r.number AND a.checkpoint_id = r.candidate_id "
            "AND a.evaluation_set = b.evaluation_set WHERE r.number = ? ORDER BY b.evaluation_set",
            [round_number],
        )

    def rounds(self) -> list[dict[str, Any]]:
        """One row a round: tasks, answers, labels, their minutes, and the decision."""
        return self._all(
            "SELECT r.number AS round, r.stage, r.opened_at, r.recorded_at, r.promoted, "
            "r.decision, "
            "count(b.utterance_id) AS tasks, "
            "sum(EXISTS (SELECT 1 FROM annotations a WHERE a.utterance_id = b.utterance_id)) "
            "AS answered, "
            "sum(l.text IS NOT NULL) AS labelled, "
            "coalesce(sum(CASE WHEN l.text IS NOT NULL THEN u.duration_s END), 0) / 60 "
            "AS labelled_min "
            "FROM rounds r LEFT JOIN query_batches b ON b.round = r.number "
            "LEFT JOIN labels l ON l.utterance_id = b.utterance_id "
            "LEFT JOIN utterances u ON u.id = b.utterance_id "
            "GROUP BY r.number ORDER BY r.number"
        )

    def mixture(self, round_number: int) -> list[dict[str, Any]]:
        """The table of sources that a round trained on."""
        return self._all(
            "SELECT m.source, m.kind, m.language, m.weight, m.examples, m.duration_s, "
            "m.target_share, m.realised_share, m.most_repeats FROM mixtures m "
            "JOIN rounds r ON r.manifest_id = m.manifest_id WHERE r.number = ? ORDER BY m.source",
            [round_number],
        )

    def transcripts(self) -> list[dict[str, Any]]:
        """Reference and hypothesis of every test utterance, after each recorded round."""
        return self._all(
            "SELECT r.number AS round, u.source AS evaluation_set, u.language, u.id, "
            "u.text AS reference, h.text AS hypothesis FROM rounds r "
            f"JOIN hypotheses h ON h.checkpoint_id = {IN_USE} "
            "JOIN utterances u ON u.id = h.utterance_id AND u.split = 'test' "
            "WHERE r.stage IS NULL ORDER BY r.number, u.source, u.id"
        )

    def refusals(self) -> list[dict[str, Any]]:
        return self._all(
            "SELECT origin, reason, detail, refused_at FROM refusals ORDER BY refused_at, origin"
        )

    def checkpoint_path(self) -> str | None:
        """The folder, in the workspace, of the checkpoint in use."""
        rows = self._all(
            f"SELECT c.path FROM rounds r JOIN checkpoints c ON c.id = {IN_USE} "
            "ORDER BY r.number DESC LIMIT 1"
        )
        return rows[0]["path"] if rows else None

    def _first(self, sql: str) -> dict[str, Any]:
        """The first row; empty where there is none."""
        rows = self._all(sql)
        return rows[0] if rows else {}

    def _one(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        return self._all(sql, parameters)[0]

    def _all(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        try:
            return [dict(row) for row in self.connection.execute(sql, parameters)]
        except sqlite3.Error as exc:
            raise WorkspaceError(f"{self.path} cannot be read: {exc}") from exc
