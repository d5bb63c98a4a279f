"""What each checkpoint heard in each utterance, with its statistics. Knows not what they are for.

Table: hypotheses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from al_loop.records import Hypothesis
from storage.database import Database

HYPOTHESIS_COLUMNS = (
    "utterance_id",
    "text",
    "token_count",
    "mean_log_prob",
    "mean_token_entropy",
    "no_speech_prob",
    "compression_ratio",
)


class Hypotheses(Database):
    """The hypotheses; an embedding, `(D,) float32`, is kept as its little-endian bytes."""

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
