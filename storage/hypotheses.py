"""What each checkpoint heard in each utterance, with its statistics. Knows not what they are for.

Table: hypotheses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from al_loop.records import Hypothesis
from storage.database import Database

HYPOTHESIS_STATISTICS = (
    "mean_log_prob",
    "mean_token_entropy",
    "top_token_entropy",
    "tsallis_entropy",
    "renyi_entropy",
    "mean_margin",
    "no_speech_prob",
    "compression_ratio",
)
HYPOTHESIS_COLUMNS = ("utterance_id", "text", "token_count", *HYPOTHESIS_STATISTICS)


def hypothesis_of(row: Sequence[Any]) -> Hypothesis:
    """The hypothesis of one row of HYPOTHESIS_COLUMNS; SQLite keeps what is no number as NULL."""
    utterance_id, text, token_count, *statistics = row
    numbers = (math.nan if value is None else value for value in statistics)
    return Hypothesis(utterance_id, text, token_count, *numbers)


class Hypotheses(Database):
    """The hypotheses, with the length of their texts: a pool's numbers are read without texts."""

    def heard(self, checkpoint_id: str, utterance_ids: Iterable[str]) -> set[str]:
        """Those of the utterances that this checkpoint has decoded."""
        rows = self.db.execute(
            "SELECT h.utterance_id FROM json_each(?) wanted "
            "CROSS JOIN hypotheses h ON h.utterance_id = wanted.value WHERE h.checkpoint_id = ?",
            [json.dumps(list(utterance_ids)), checkpoint_id],
        )
        return {row[0] for row in rows}

    def add_hypotheses(self, checkpoint_id: str, hypotheses: Iterable[Hypothesis]) -> None:
        with self.transaction():
            self._put_all(
                "hypotheses",
                ("checkpoint_id", *HYPOTHESIS_COLUMNS, "word_count", "character_count"),
                (
                    (
                        checkpoint_id,
                        *(getattr(row, name) for name in HYPOTHESIS_COLUMNS),
                        len(row.text.split()),
                        len(row.text),
                    )
                    for row in hypotheses
                ),
            )

    def hypotheses(self, checkpoint_id: str, utterance_ids: Iterable[str]) -> dict[str, Hypothesis]:
        """What the checkpoint heard in those utterances, by utterance id."""
        columns = ", ".join(f"h.{name}" for name in HYPOTHESIS_COLUMNS)
        # CROSS keeps SQLite from going through all hypotheses, with the ids for each
        rows = self.db.execute(
            f"SELECT {columns} FROM json_each(?) wanted "
            "CROSS JOIN hypotheses h ON h.utterance_id = wanted.value WHERE h.checkpoint_id = ?",
            [json.dumps(list(utterance_ids)), checkpoint_id],
        )
        return {row[0]: hypothesis_of(row) for row in rows}
