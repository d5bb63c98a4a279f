"""Training sets: what may be trained on, and what each manifest held. Knows no training.

Tables: manifests, manifest_examples, mixtures, leaks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from al_loop.records import Example, Leak, Manifest, MixtureRow
from storage.database import Database, now

EXAMPLE_COLUMNS = "u.id, u.audio, u.duration_s, u.source, u.language, u.text"


class Manifests(Database):
    """The manifests with their mixtures and leaks, and the examples that they are made of."""

    def training_examples(self, in_house_source: str) -> list[Example]:
        """Every example that may be trained on: the train splits, and the in-house labels.

        Utterances of an evaluation set are never among them, labelled or not, nor are labels that
        annotators dispute.
        """
        rows = self.db.execute(
            f"SELECT {EXAMPLE_COLUMNS}, 1.0 FROM utterances u WHERE u.split = 'train' "
            "UNION ALL SELECT u.id, u.audio, u.duration_s, ?, u.language, l.text, l.quality "
            "FROM labels l JOIN utterances u ON u.id = l.utterance_id "
            "WHERE u.split = 'pool' AND l.text IS NOT NULL AND l.settled <> 'disputed' ORDER BY 1",
            [in_house_source],
        )
        return [Example(*row) for row in rows]

    def validation_examples(self) -> list[Example]:
        """What tells a training when to stop."""
        rows = self.db.execute(
            f"SELECT {EXAMPLE_COLUMNS} FROM utterances u WHERE u.split = 'validation' ORDER BY u.id"
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
                        "quality": example.quality,
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

    def put_leaks(self, manifest_id: str, leaks: Iterable[Leak]) -> None:
        """Remember what was left out of a manifest, and why."""
        with self.transaction():
            self.db.table("leaks").upsert_all(
                ({"manifest_id": manifest_id, **asdict(row)} for row in leaks),
                pk=("manifest_id", "utterance_id"),
            )

    def manifest(self, manifest_id: str) -> Manifest:
        examples = self.db.execute(
            "SELECT u.id, u.audio, u.duration_s, m.source, u.language, m.text, m.quality "
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
