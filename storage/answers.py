"""Tasks, annotations and labels: what annotators are asked, and what they answered.

Knows Label Studio's ids, but not Label Studio, nor how annotations settle on a label. What a query
batch consists of is decided in `storage.selections`.

Tables: query_batches, annotations, labels; of workspace the project and the high-water mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from al_loop.records import Annotation, Label, Refusal, Task, Utterance
from storage.catalogue import Catalogue
from storage.database import now


class Answers(Catalogue):
    """The query batches with their tasks, and the answers to them.

    Made over the catalogue, which keeps the refusals: an answer about a stranger is refused.
    """

    # -- the project -------------------------------------------------------------------------------

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

    # -- query batches -----------------------------------------------------------------------------

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

    def unheard(self, round_number: int, checkpoint_id: str) -> list[Utterance]:
        """The batch's utterances that the checkpoint has not decoded, and nobody can be shown."""
        return self._utterances(
            "WHERE id IN (SELECT utterance_id FROM query_batches WHERE round = ?) AND NOT EXISTS "
            "(SELECT 1 FROM hypotheses h WHERE h.checkpoint_id = ? AND h.utterance_id = u.id)",
            [round_number, checkpoint_id],
        )

    def mark_pushed(self, task_ids: Mapping[str, str]) -> None:
        """Remember Label Studio's task id of each utterance."""
        with self.transaction():
            for utterance_id, task_id in task_ids.items():
                self.db.execute(
                    "UPDATE query_batches SET task_id = ? WHERE utterance_id = ?",
                    [task_id, utterance_id],
                )

    def answered(self, round_number: int) -> tuple[int, int]:
        """How many of the batch's utterances have an answer, and how many it has."""
        return self._row(
            "SELECT count(DISTINCT a.utterance_id), count(DISTINCT b.utterance_id) "
            "FROM query_batches b LEFT JOIN annotations a ON a.utterance_id = b.utterance_id "
            "WHERE b.round = ?",
            [round_number],
        )

    def unanswered(self) -> int:
        """How many utterances of all batches nobody has answered."""
        return int(
            self._row(
                "SELECT count(*) FROM query_batches "
                "WHERE utterance_id NOT IN (SELECT utterance_id FROM annotations)"
            )[0]
        )

    # -- annotations and labels --------------------------------------------------------------------

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
