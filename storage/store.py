"""The one writer of a workspace's database. Knows SQL; knows neither torch nor Label Studio.

Each public method that writes is one transaction, so a process killed at any instant leaves the
state before it or after it. Writes that other processes may repeat after a kill are upserts.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlite_utils

from al_loop.errors import WorkspaceError
from al_loop.records import (
    HELD_OUT,
    Annotation,
    Checkpoint,
    Choice,
    Evaluation,
    Example,
    Hypothesis,
    Label,
    Leak,
    Manifest,
    MixtureRow,
    Refusal,
    Round,
    SilenceEvaluation,
    Source,
    Stage,
    Task,
    Utterance,
)
from storage.migrations import migrations
from storage.workspace import Workspace, delete_folder, whole_folder

BUSY_TIMEOUT_MS = 30_000
SCRATCH = ".training"
ROUND_COLUMNS = (
    "number, seed, stage, checkpoint_id, candidate_id, manifest_id, opened_at, pushed_at"
)
FORGET_FAILURES = "failures = 0, starts = 0, error = NULL, retry_at = NULL"
EXAMPLE_COLUMNS = "u.id, u.audio, u.duration_s, u.source, u.language, u.text"
UTTERANCE_COLUMNS = (
    "id, sample_hash, audio, duration_s, source, language, split, text, speaker, origin"
)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Store:
    """All that the loop remembers. Migrates the database when it is made."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        workspace.create_folders()
        self.db = sqlite_utils.Database(str(workspace.database))
        self.db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        self.db.enable_wal()
        self.db.execute("PRAGMA foreign_keys = ON")
        if migrations.pending(self.db):
            migrations.apply(self.db)
        with self.transaction():
            self.db.execute(
                "INSERT INTO workspace (id, created_at) SELECT ?, ? "
                "WHERE NOT EXISTS (SELECT 1 FROM workspace)",
                [uuid.uuid4().hex, now()],
            )

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; inside another one, part of it.

        The write lock is taken at once. A transaction that reads first and writes later would fail
        when another process wrote in between, and no timeout helps against that.
        """
        if self.db.conn.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.commit()
        except BaseException:
            self.db.rollback()
            raise

    # -- the workspace and its catalogue ---------------------------------------------------------

    @property
    def workspace_id(self) -> str:
        return str(self._row("SELECT id FROM workspace")[0])

    @property
    def project_id(self) -> int | None:
        return self._row("SELECT project_id FROM workspace")[0]

    def set_project(self, server: str, project_id: int) -> None:
        """Remember Label Studio's project.

        Another one than before is pulled from its beginning, and gets the unanswered tasks.
        """
        with self.transaction():
            if self._row("SELECT server, project_id FROM workspace") == (server, project_id):
                return
            self.db.execute(
                "UPDATE workspace SET server = ?, project_id = ?, high_water = NULL",
                [server, project_id],
            )
            self.db.execute(
                "UPDATE query_batches SET task_id = NULL "
                "WHERE utterance_id NOT IN (SELECT utterance_id FROM annotations)"
            )

    def put_source(self, source: Source) -> None:
        """Add a source, or change its weight. Its kind and language are fixed once it exists."""
        known = self.source(source.name)
        if known and (known.kind, known.language) != (source.kind, source.language):
            raise WorkspaceError(
                f"source {source.name!r} is already {known.kind} in {known.language}, "
                f"not {source.kind} in {source.language}; give this data another --source"
            )
        with self.transaction():
            self.db.table("sources").upsert(asdict(source), pk="name")

    def source(self, name: str) -> Source | None:
        rows = self.db.execute(
            "SELECT name, kind, language, weight FROM sources WHERE name = ?", [name]
        ).fetchall()
        return Source(*rows[0]) if rows else None

    def sources(self) -> list[Source]:
        rows = self.db.execute("SELECT name, kind, language, weight FROM sources ORDER BY name")
        return [Source(*row) for row in rows]

    def find(self, utterance_id: str, sample_hash: str) -> Utterance | None:
        """The utterance with these bytes, or with these samples in another encoding."""
        rows = self.db.execute(
            f"SELECT {UTTERANCE_COLUMNS} FROM utterances WHERE id = ? OR sample_hash = ?",
            [utterance_id, sample_hash],
        ).fetchall()
        return Utterance(*rows[0]) if rows else None

    def add(self, utterances: Sequence[Utterance], refusals: Sequence[Refusal]) -> set[str]:
        """Take in one block of ingested rows. An utterance that is known is overwritten.

        Left out, and returned, are the ids of those that would enter an evaluation set although a
        manifest holds them: a checkpoint may have learned from them.
        """
        with self.transaction():
            learned = {
                row[0]
                for row in self.db.execute(
                    "SELECT utterance_id FROM manifest_examples "
                    "WHERE utterance_id IN (SELECT value FROM json_each(?))",
                    [json.dumps([row.id for row in utterances if row.split in HELD_OUT])],
                )
            }
            self.db.table("utterances").upsert_all(
                (asdict(row) for row in utterances if row.id not in learned), pk="id"
            )
            self._refuse(refusals)
        return learned

    def _refuse(self, refusals: Iterable[Refusal]) -> None:
        self.db.table("refusals").upsert_all(
            ({**asdict(row), "refused_at": now()} for row in refusals), pk=("origin", "reason")
        )

    # -- rounds and their stages -----------------------------------------------------------------

    def open_round(self) -> Round | None:
        """The round that is under way, if any."""
        return self._round("WHERE stage IS NOT NULL ORDER BY number DESC LIMIT 1")

    def last_round(self) -> Round | None:
        return self._round("ORDER BY number DESC LIMIT 1")

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
            self.db.execute(
                "UPDATE rounds SET stage = ?, recorded_at = ? WHERE number = ?",
                [following, None if following else now(), round_number],
            )

    # -- score and select ------------------------------------------------------------------------

    def pool(self) -> list[Utterance]:
        """Utterances that may be chosen: in the pool, in no batch yet, not labelled."""
        return self._utterances(
            "WHERE split = 'pool' AND id NOT IN (SELECT utterance_id FROM query_batches) "
            "AND id NOT IN (SELECT utterance_id FROM labels)"
        )

    def evaluation_utterances(self) -> list[Utterance]:
        return self._utterances("WHERE split = 'test'")

    def silence_utterances(self) -> list[Utterance]:
        """Clips in which nobody speaks."""
        return self._utterances("WHERE split = 'silence'")

    def _utterances(self, where: str) -> list[Utterance]:
        rows = self.db.execute(f"SELECT {UTTERANCE_COLUMNS} FROM utterances {where} ORDER BY id")
        return [Utterance(*row) for row in rows]

    def heard(self, checkpoint_id: str) -> set[str]:
        """Ids of the utterances that this checkpoint has decoded."""
        rows = self.db.execute(
            "SELECT utterance_id FROM hypotheses WHERE checkpoint_id = ?", [checkpoint_id]
        )
        return {row[0] for row in rows}

    def add_hypotheses(self, checkpoint_id: str, hypotheses: Iterable[Hypothesis]) -> None:
        with self.transaction():
            self.db.table("hypotheses").upsert_all(
                (
                    {
                        "checkpoint_id": checkpoint_id,
                        **{name: getattr(row, name) for name in HYPOTHESIS_COLUMNS},
                        "embedding": np.asarray(row.embedding, dtype="<f4").tobytes(),
                    }
                    for row in hypotheses
                ),
                pk=("checkpoint_id", "utterance_id"),
            )

    def hypotheses(self, checkpoint_id: str, utterance_ids: Iterable[str]) -> dict[str, Hypothesis]:
        """What the checkpoint heard in those utterances, by utterance id."""
        columns = ", ".join(f"h.{name}" for name in HYPOTHESIS_COLUMNS)
        rows = self.db.execute(
            f"SELECT {columns}, h.embedding FROM json_each(?) wanted "
            "JOIN hypotheses h ON h.utterance_id = wanted.value WHERE h.checkpoint_id = ?",
            [json.dumps(list(utterance_ids)), checkpoint_id],
        )
        return {
            row[0]: Hypothesis(
                **dict(zip(HYPOTHESIS_COLUMNS, row, strict=False)),
                embedding=np.frombuffer(row[-1], dtype="<f4"),
            )
            for row in rows
        }

    def put_batch(self, round_number: int, choices: Iterable[Choice]) -> None:
        with self.transaction():
            self.db.table("query_batches").insert_all(
                {"round": round_number, **asdict(choice)} for choice in choices
            )

    # -- push and pull ---------------------------------------------------------------------------

    def unpushed(self, round_number: int, checkpoint_id: str) -> list[Task]:
        """The batch's tasks that Label Studio is not known to hold, most valuable first."""
        rows = self.db.execute(
            "SELECT b.utterance_id, b.round, b.rank, u.audio, u.duration_s, h.text, "
            "b.acquisition_score FROM query_batches b JOIN utterances u ON u.id = b.utterance_id "
            "JOIN hypotheses h ON h.utterance_id = b.utterance_id AND h.checkpoint_id = ? "
            "WHERE b.round = ? AND b.task_id IS NULL ORDER BY b.rank",
            [checkpoint_id, round_number],
        )
        return [Task(*row) for row in rows]

    def mark_pushed(self, task_ids: Mapping[str, str]) -> None:
        """Remember Label Studio's task id of each utterance."""
        with self.transaction():
            for utterance_id, task_id in task_ids.items():
                self.db.execute(
                    "UPDATE query_batches SET task_id = ? WHERE utterance_id = ?",
                    [task_id, utterance_id],
                )

    def set_pushed_at(self, round_number: int) -> None:
        with self.transaction():
            self.db.execute(
                "UPDATE rounds SET pushed_at = ? WHERE number = ?", [now(), round_number]
            )

    @property
    def high_water(self) -> str | None:
        return self._row("SELECT high_water FROM workspace")[0]

    def take_annotations(
        self,
        annotations: Sequence[Annotation],
        refusals: Iterable[Refusal],
        high_water: str | None,
    ) -> None:
        """Keep what a pull brought, and from where the next one starts.

        An answer about an utterance that this workspace does not hold is refused.
        """
        known = {
            row[0]
            for row in self.db.execute(
                "SELECT id FROM utterances WHERE id IN (SELECT value FROM json_each(?))",
                [json.dumps([row.utterance_id for row in annotations])],
            )
        }
        strangers = [
            Refusal(
                f"task {row.task_id}",
                "unknown_utterance",
                f"annotation {row.id} is about {row.utterance_id}, not in this workspace",
            )
            for row in annotations
            if row.utterance_id not in known
        ]
        with self.transaction():
            place = dict(
                zip(
                    ("server", "project_id"),
                    self._row("SELECT ifnull(server, ''), ifnull(project_id, 0) FROM workspace"),
                    strict=True,
                )
            )
            self.db.table("annotations").upsert_all(
                (place | asdict(row) for row in annotations if row.utterance_id in known),
                pk=("server", "project_id", "utterance_id", "id"),
            )
            self._refuse([*refusals, *strangers])
            self.db.execute("UPDATE workspace SET high_water = ?", [high_water])

    def answered(self, round_number: int) -> tuple[int, int]:
        """How many of the batch's utterances have an answer, and how many it has."""
        return self._row(
            "SELECT count(DISTINCT a.utterance_id), count(DISTINCT b.utterance_id) "
            "FROM query_batches b LEFT JOIN annotations a ON a.utterance_id = b.utterance_id "
            "WHERE b.round = ?",
            [round_number],
        )

    def last_pushed_at(self) -> str | None:
        """When the newest batch was pushed; None before the first."""
        return self._row("SELECT max(pushed_at) FROM rounds")[0]

    def unanswered(self) -> int:
        """How many utterances of all batches nobody has answered."""
        return int(
            self._row(
                "SELECT count(*) FROM query_batches "
                "WHERE utterance_id NOT IN (SELECT utterance_id FROM annotations)"
            )[0]
        )

    # -- merge and train -------------------------------------------------------------------------

    def annotations(self) -> dict[str, list[Annotation]]:
        """All annotations, by utterance id."""
        rows = self.db.execute(
            "SELECT id, task_id, utterance_id, annotator, text, verdict, lead_time_s, "
            "created_at, updated_at FROM annotations ORDER BY utterance_id, updated_at, id"
        )
        grouped: dict[str, list[Annotation]] = {}
        for row in rows:
            grouped.setdefault(row[2], []).append(Annotation(*row))
        return grouped

    def put_labels(self, labels: Iterable[Label]) -> None:
        """Keep the labels; `settled_at` of one that did not change stays."""
        columns = ("utterance_id", "text", "verdict", "annotation_ids")
        with self.transaction():
            known = set(self.db.execute(f"SELECT {', '.join(columns)} FROM labels"))
            rows = [
                (label.utterance_id, label.text, label.verdict, json.dumps(label.annotation_ids))
                for label in labels
            ]
            self.db.table("labels").upsert_all(
                (
                    {**dict(zip(columns, row, strict=True)), "settled_at": now()}
                    for row in rows
                    if row not in known
                ),
                pk="utterance_id",
            )

    def training_examples(self, in_house_source: str) -> list[Example]:
        """Every example that may be trained on: the train splits, and the in-house labels.

        Utterances of an evaluation set are never among them, labelled or not.
        """
        rows = self.db.execute(
            f"SELECT {EXAMPLE_COLUMNS} FROM utterances u WHERE u.split = 'train' "
            "UNION ALL SELECT u.id, u.audio, u.duration_s, ?, u.language, l.text "
            "FROM labels l JOIN utterances u ON u.id = l.utterance_id "
            "WHERE u.split = 'pool' AND l.text IS NOT NULL ORDER BY 1",
            [in_house_source],
        )
        return [Example(*row) for row in rows]

    def put_manifest(self, round_number: int, manifest: Manifest) -> None:
        with self.transaction():
            self.db.table("manifests").insert(
                {"id": manifest.id, "created_at": now()}, pk="id", ignore=True
            )
            self.db.table("manifest_examples").insert_all(
                (
                    {
                        "manifest_id": manifest.id,
                        "utterance_id": example.utterance_id,
                        "source": example.source,
                        "text": example.text,
                    }
                    for example in manifest.examples
                ),
                pk=("manifest_id", "utterance_id"),
                ignore=True,
            )
            self.db.table("mixtures").insert_all(
                ({"manifest_id": manifest.id, **asdict(row)} for row in manifest.mixture),
                pk=("manifest_id", "source"),
                ignore=True,
            )
            self.db.execute(
                "UPDATE rounds SET manifest_id = ? WHERE number = ?", [manifest.id, round_number]
            )

    def sample_hashes(self) -> dict[str, str]:
        """The hash of every utterance's samples, by its id."""
        return dict(self.db.execute("SELECT id, sample_hash FROM utterances").fetchall())

    def put_leaks(self, manifest_id: str, leaks: Iterable[Leak]) -> None:
        """Remember what was left out of a manifest, and why."""
        with self.transaction():
            self.db.table("leaks").upsert_all(
                ({"manifest_id": manifest_id, **asdict(row)} for row in leaks),
                pk=("manifest_id", "utterance_id"),
            )

    def manifest(self, manifest_id: str) -> Manifest:
        examples = self.db.execute(
            "SELECT u.id, u.audio, u.duration_s, m.source, u.language, m.text "
            "FROM manifest_examples m JOIN utterances u ON u.id = m.utterance_id "
            "WHERE m.manifest_id = ? ORDER BY u.id",
            [manifest_id],
        )
        rows = self.db.execute(
            "SELECT source, kind, language, weight, examples, duration_s, target_share, "
            "realised_share, most_repeats, draws FROM mixtures WHERE manifest_id = ? "
            "ORDER BY source",
            [manifest_id],
        )
        return Manifest(
            manifest_id,
            [Example(*row) for row in examples],
            [MixtureRow(*row) for row in rows],
        )

    def validation_examples(self) -> list[Example]:
        """What tells a training when to stop."""
        rows = self.db.execute(
            f"SELECT {EXAMPLE_COLUMNS} FROM utterances u WHERE u.split = 'validation' ORDER BY u.id"
        )
        return [Example(*row) for row in rows]

    def scratch_folder(self, name: str) -> Path:
        """The folder in which the training of that name saves, and finds its saves again.

        Those of other trainings go at once, and `prune` takes away what is left.
        """
        target = self.workspace.checkpoints / f"{name}{SCRATCH}"
        self._delete_scratch(but=target)
        target.mkdir(exist_ok=True)
        return target

    def _delete_scratch(self, but: Path | None = None) -> None:
        for folder in self.workspace.checkpoints.glob(f"*{SCRATCH}"):
            if folder != but:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def new_checkpoint_folder(self, name: str) -> Iterator[Path]:
        """A folder under `checkpoints/` that appears under its name only when it is whole."""
        target = self.workspace.checkpoints / name
        shutil.rmtree(target, ignore_errors=True)  # whole, but never recorded
        with whole_folder(target) as folder:
            yield folder

    def checkpoint(self, checkpoint_id: str) -> Checkpoint | None:
        rows = self.db.execute(
            "SELECT id, path, parent, sidecar FROM checkpoints WHERE id = ?", [checkpoint_id]
        ).fetchall()
        if not rows:
            return None
        found_id, path, parent, sidecar = rows[0]
        return Checkpoint(found_id, path, parent, json.loads(sidecar))

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        with self.transaction():
            self.db.table("checkpoints").insert(
                {
                    "id": checkpoint.id,
                    "path": checkpoint.path,
                    "parent": checkpoint.parent,
                    "sidecar": json.dumps(checkpoint.sidecar, ensure_ascii=False),
                    "created_at": now(),
                },
                pk="id",
                ignore=True,
            )

    def set_candidate(self, round_number: int, checkpoint_id: str) -> None:
        with self.transaction():
            self.db.execute(
                "UPDATE rounds SET candidate_id = ? WHERE number = ?",
                [checkpoint_id, round_number],
            )

    # -- evaluate, promote, record ---------------------------------------------------------------

    def put_evaluations(
        self,
        round_number: int,
        checkpoint_id: str,
        evaluations: Iterable[Evaluation],
        silence: SilenceEvaluation,
    ) -> None:
        """Keep how one checkpoint did on every evaluation set, and on silence where it heard any.

        What an earlier try of the same round stored is replaced.
        """
        with self.transaction():
            if silence.clips:
                self.db.table("silence_evaluations").upsert(
                    {"round": round_number, "checkpoint_id": checkpoint_id, **asdict(silence)},
                    pk=("round", "checkpoint_id"),
                )
            self.db.table("evaluations").upsert_all(
                (
                    {"round": round_number, "checkpoint_id": checkpoint_id, **asdict(row)}
                    for row in evaluations
                ),
                pk=("round", "checkpoint_id", "evaluation_set"),
            )

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

    def weights_folder(self, checkpoint: Checkpoint) -> Path:
        """Where the checkpoint's files lie. Raises WorkspaceError when they are deleted."""
        folder = self.workspace.root / checkpoint.path
        if not folder.is_dir():
            raise WorkspaceError(
                f"the weights of {checkpoint.name} are deleted; name another checkpoint, or put "
                f"{folder} back from a backup"
            )
        return folder

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

    def find_checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint whose folder has this name, or the only one whose name begins so.

        Raises WorkspaceError with the names that there are.
        """
        known = {
            Path(path).name: checkpoint_id
            for checkpoint_id, path in self.db.execute("SELECT id, path FROM checkpoints")
        }
        matching = [name] if name in known else sorted(row for row in known if row.startswith(name))
        if len(matching) != 1:
            raise WorkspaceError(
                f"{name!r} is the name, or the beginning of the name, of {len(matching)} "
                f"checkpoints, expected one; here are {', '.join(sorted(known)) or 'none'} "
                "(`al-loop checkpoints` shows more)"
            )
        found = self.checkpoint(known[matching[0]])
        assert found is not None
        return found

    def prune(self, newest: int, promoted: int | None) -> list[str]:
        """Delete the weights of old checkpoints; the names of those that are new to it come back.

        Kept are the base, the checkpoint in use, the `newest` ones, and the `promoted` ones that
        were promoted last (None: all). Rows are marked before folders are deleted; what a kill
        leaves, the next call deletes. What trainings saved on their way goes too.
        """
        self._delete_scratch()
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

    def _row(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        return self.db.execute(sql, parameters).fetchone()


HYPOTHESIS_COLUMNS = (
    "utterance_id",
    "text",
    "token_count",
    "mean_log_prob",
    "mean_token_entropy",
    "no_speech_prob",
    "compression_ratio",
)
