"""Read-only questions about a workspace, for `status`, the dashboard and the demo's table.

Values come back as plain dictionaries, one a row, or as dataclasses. Questions about acquisition
are in `storage.selection_queries`, those about annotators in `storage.annotator_queries`, and the
connection is in `storage.reading`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from al_loop.records import TRANSLATED_BY
from storage.annotator_queries import AnnotatorQueries
from storage.cost_queries import CostQueries
from storage.overview_queries import OverviewQueries
from storage.provenance_queries import ProvenanceQueries
from storage.selection_queries import SelectionQueries
from storage.source_queries import SourceQueries
from storage.sql import COMPARED_WITH, IN_USE, QUERY, USABLE, WAITED_FOR
from storage.training_queries import TrainingQueries
from storage.transcript_queries import TranscriptQueries

POOL = (
    "WITH whole AS (SELECT count(*) AS n, total(duration_s) AS s FROM utterances "
    "WHERE split = 'pool'), "
    "asked AS (SELECT count(*) AS n, total(u.duration_s) AS s FROM "
    "(SELECT utterance_id FROM query_batches UNION SELECT utterance_id FROM labels "
    "UNION SELECT utterance_id FROM unhearable) a "
    "CROSS JOIN utterances u ON u.id = a.utterance_id WHERE u.split = 'pool') "
    "SELECT whole.n - asked.n AS n, "
    "iif(whole.n = asked.n, 0, whole.s - asked.s) AS s FROM whole, asked"
)
"""What may be chosen: all of the pool less what was asked about or cannot be worked on, which is
little. The sum over all reads one index; asking each of a million about that would read every
row."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where the loop stands. `stage`: None when the last round is recorded. `failed_stage`: what
    failed last and has not worked since; "open" is what precedes a round's first stage. `tasks`,
    `answered`: of what the round waits for. `pushed_at`: when its tasks were."""

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
    pushed_at: str | None = None


class Reader(
    SelectionQueries,
    TranscriptQueries,
    AnnotatorQueries,
    CostQueries,
    OverviewQueries,
    SourceQueries,
    ProvenanceQueries,
    TrainingQueries,
):
    """All questions to one workspace's database. Raises WorkspaceError where there is none yet."""

    def status(self) -> Status:
        last = self._first(
            "SELECT number, stage, pushed_at FROM rounds ORDER BY number DESC LIMIT 1"
        )
        failure = self._first(
            "SELECT stage, failures, error, retry_at FROM stage_runs WHERE error IS NOT NULL "
            "ORDER BY round DESC LIMIT 1"
        )
        pool = self._one(POOL)
        labelled = self._one(
            "SELECT count(*) AS n, coalesce(sum(u.duration_s), 0) AS s FROM labels l "
            "JOIN utterances u ON u.id = l.utterance_id "
            f"WHERE {USABLE} AND u.split NOT IN ('reserved', 'test')"
        )
        batch = self._one(
            "SELECT count(*) AS tasks, "
            "coalesce(sum(t.answers > 0), 0) AS answered FROM query_batches b "
            f"LEFT JOIN tasks t ON {QUERY} WHERE b.round = ? AND {WAITED_FOR}",
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
            pushed_at=last.get("pushed_at"),
        )

    def unhearable(self) -> list[dict[str, Any]]:
        """Clips of the pool that no worker could work on: how many `utterances` a `reason`."""
        return self._all(
            "SELECT reason, count(*) AS utterances FROM unhearable "
            "GROUP BY reason ORDER BY utterances DESC, reason"
        )

    def work(self) -> list[dict[str, Any]]:
        """What is in hand, and what killed processes left: rows of the table `progress`.

        Nobody clears up behind a command that was killed: after a day it is left out.
        """
        return self._all(
            "SELECT * FROM progress WHERE round IS NOT NULL "
            "OR updated_at > strftime('%Y-%m-%dT%H:%M:%S', 'now', '-1 day') ORDER BY started_at"
        )

    def error_rates(self) -> list[dict[str, Any]]:
        """The figures of the checkpoint in use after each recorded round, per evaluation set."""
        return self._all(
            "SELECT r.number AS round, e.evaluation_set, e.language, e.utterances, e.words, "
            "e.wer, e.wer_low, e.wer_high, e.cer, e.cer_low, e.cer_high, "
            "e.raw_wer, e.raw_wer_low, e.raw_wer_high, e.raw_cer, e.raw_cer_low, e.raw_cer_high, "
            "e.substitutions, e.deletions, e.insertions, e.foreign_share, e.checkpoint_id "
            "FROM rounds r JOIN evaluations e ON e.round = r.number "
            f"AND e.checkpoint_id = {IN_USE} "
            "WHERE r.stage IS NULL ORDER BY r.number, e.evaluation_set"
        )

    def before_and_after(self, round_number: int) -> list[dict[str, Any]]:
        """WER per evaluation set of the checkpoint then in use, and of the round's candidate.

        The other figures are the candidate's, or of the one in use where there is no candidate.
        """
        return self._all(
            "SELECT b.evaluation_set, b.language, b.wer AS before, b.wer_low AS before_low, "
            "b.wer_high AS before_high, a.wer AS after, a.wer_low AS after_low, "
            "a.wer_high AS after_high, n.cer, n.cer_low, n.cer_high, n.raw_wer, n.words, "
            "n.substitutions, n.deletions, n.insertions, n.foreign_share FROM rounds r "
            f"JOIN evaluations b ON b.round = r.number AND b.checkpoint_id = {COMPARED_WITH} "
            "LEFT JOIN evaluations a ON a.round = r.number AND a.checkpoint_id = r.candidate_id "
            "AND a.evaluation_set = b.evaluation_set "
            "JOIN evaluations n ON n.rowid = coalesce(a.rowid, b.rowid) "
            "WHERE r.number = ? ORDER BY b.evaluation_set",
            [round_number],
        )

    def silence_before_and_after(self, round_number: int) -> dict[str, Any]:
        """In how many silent clips words were heard, as in `before_and_after`; empty: no clips."""
        return self._first(
            "SELECT b.clips AS clips_before, b.hallucinated AS before, a.clips AS clips_after, "
            "a.hallucinated AS after FROM rounds r JOIN silence_evaluations b "
            f"ON b.round = r.number AND b.checkpoint_id = {COMPARED_WITH} "
            "LEFT JOIN silence_evaluations a "
            "ON a.round = r.number AND a.checkpoint_id = r.candidate_id WHERE r.number = ?",
            [round_number],
        )

    def rounds(self) -> list[dict[str, Any]]:
        """One row a round: tasks, answers, labels, their minutes, and the decision.

        tasks, answered: of what the round waits for, as in `Status`. topped_up: clips that were
        chosen later. labelled, labelled_min: of all that the round asked about.
        hallucinated_share: of the silence set's clips, by the checkpoint in use after the round.
        """
        return self._all(
            "SELECT r.number AS round, r.stage, r.opened_at, r.recorded_at, r.promoted, "
            "r.decision, "
            "(SELECT group_concat(replace(c.path, 'checkpoints/', '') || ': ' || p.reason, '; ') "
            "FROM promotions p JOIN checkpoints c ON c.id = p.checkpoint_id "
            "WHERE p.round = r.number AND p.promoted_by IN ('hand', 'rollback')) AS by_hand, "
            "(SELECT 1.0 * s.hallucinated / s.clips FROM silence_evaluations s "
            f"WHERE s.round = r.number AND s.checkpoint_id = {IN_USE}) AS hallucinated_share, "
            f"coalesce(sum({WAITED_FOR}), 0) AS tasks, "
            f"coalesce(sum({WAITED_FOR} AND t.answers > 0), 0) AS answered, "
            "coalesce(sum(b.top_up), 0) AS topped_up, "
            f"coalesce(sum({USABLE}), 0) AS labelled, "
            f"coalesce(sum(CASE WHEN {USABLE} THEN u.duration_s END), 0) / 60 "
            "AS labelled_min "
            "FROM rounds r LEFT JOIN query_batches b ON b.round = r.number "
            f"LEFT JOIN tasks t ON {QUERY} "
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

    def makers_of_round(self, round_number: int) -> list[dict[str, Any]]:
        """The models that spoke, cut or translated what a round trained on.

        Rows of `maker`, `examples` and `licence`, which is None where none is on record.
        """
        return self._all(
            "WITH learned AS (SELECT u.made_by, u.text_origin FROM manifest_examples e "
            "JOIN rounds r ON r.manifest_id = e.manifest_id "
            "JOIN utterances u ON u.id = e.utterance_id WHERE r.number = ?), "
            "named AS (SELECT made_by AS maker FROM learned UNION ALL "
            "SELECT substr(text_origin, instr(text_origin, ?) + length(?)) FROM learned "
            "WHERE instr(text_origin, ?)) "
            "SELECT maker, count(*) AS examples, licence FROM named "
            "LEFT JOIN makers ON makers.name = maker "
            "WHERE maker IS NOT NULL GROUP BY maker ORDER BY maker",
            [round_number, *[TRANSLATED_BY] * 3],
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

    def checkpoint_in_use(self) -> dict[str, Any]:
        """Its id and name, and as `rates` its newest figures; empty before the first round."""
        found = self._first(
            "SELECT c.id, replace(c.path, 'checkpoints/', '') AS name "
            "FROM promotions p JOIN checkpoints c ON c.id = p.checkpoint_id "
            "ORDER BY p.id DESC LIMIT 1"
        )
        return found and found | {"rates": self.evaluations(found["id"])}

    def evaluations(self, checkpoint_id: str) -> list[dict[str, Any]]:
        """The newest WER and CER of a checkpoint on each evaluation set that it was measured on.

        kind: where the set's audio comes from.
        """
        return self._all(
            "SELECT e.*, s.kind FROM evaluations e "
            "LEFT JOIN sources s ON s.name = e.evaluation_set "
            "WHERE e.checkpoint_id = ? AND e.round = (SELECT max(round) FROM evaluations n "
            "WHERE n.checkpoint_id = e.checkpoint_id AND n.evaluation_set = e.evaluation_set) "
            "ORDER BY e.evaluation_set",
            [checkpoint_id],
        )

    def silence(self, checkpoint_id: str) -> dict[str, Any] | None:
        """How many silent clips a checkpoint heard last, and in how many it heard words."""
        rows = self._all(
            "SELECT clips, hallucinated FROM silence_evaluations "
            "WHERE checkpoint_id = ? AND clips > 0 ORDER BY round DESC LIMIT 1",
            [checkpoint_id],
        )
        return rows[0] if rows else None
