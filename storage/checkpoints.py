"""Checkpoints: their rows, their folders, how each did. Knows not which one is in use.

Tables: checkpoints, evaluations, silence_evaluations. Which one is in use, and which ones keep
their weights, is in `storage.promotions`; what each heard, in `storage.hypotheses`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from al_loop.errors import WorkspaceError
from al_loop.records import Checkpoint, Evaluation, SilenceEvaluation
from storage.database import now
from storage.hypotheses import Hypotheses
from storage.workspace import UNFINISHED, whole_folder

SCRATCH = ".training"


class Checkpoints(Hypotheses):
    """The checkpoints with their sidecars and error rates, and the folders that hold weights.

    Made over the hypotheses, whose unfinished files go when those of checkpoints do.
    """

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

    def word_error_rate(self, checkpoint_id: str, language: str) -> float | None:
        """Of all words of that language's evaluation sets, as measured last; None: never."""
        rate = self._row(
            "SELECT sum(e.wer * e.words) / sum(e.words) FROM evaluations e "
            "WHERE e.checkpoint_id = ?1 AND e.language = ?2 AND e.round = (SELECT max(n.round) "
            "FROM evaluations n WHERE n.checkpoint_id = ?1 "
            "AND n.evaluation_set = e.evaluation_set)",
            [checkpoint_id, language],
        )[0]
        return None if rate is None else float(rate)

    # -- folders -----------------------------------------------------------------------------------

    def weights_folder(self, checkpoint: Checkpoint) -> Path:
        """Where the checkpoint's files lie. Raises WorkspaceError when they are deleted."""
        folder = self.workspace.root / checkpoint.path
        if not folder.is_dir():
            raise WorkspaceError(
                f"the weights of {checkpoint.name} are deleted; name another checkpoint, or put "
                f"{folder} back from a backup"
            )
        return folder

    @contextmanager
    def new_checkpoint_folder(self, name: str) -> Iterator[Path]:
        """A folder under `checkpoints/` that appears under its name only when it is whole."""
        target = self.workspace.checkpoints / name
        shutil.rmtree(target, ignore_errors=True)  # whole, but never recorded
        with whole_folder(target) as folder:
            yield folder

    def scratch_folder(self, name: str) -> Path:
        """The folder in which the training of that name saves, and finds its saves again.

        What other trainings left goes at once, and `prune` takes away the rest.
        """
        target = self.workspace.checkpoints / f"{name}{SCRATCH}"
        self._delete_leftovers(but=target)
        target.mkdir(exist_ok=True)
        return target

    def _delete_leftovers(self, but: Path | None = None) -> None:
        """Delete what trainings saved, checkpoints half written, and files of hypotheses that no
        row names: under the workspace's lock, nobody is writing any."""
        self.delete_unnamed_parts()
        for folder in self.workspace.checkpoints.iterdir():
            if folder.suffix in (SCRATCH, UNFINISHED) and folder != but:
                shutil.rmtree(folder, ignore_errors=True)
