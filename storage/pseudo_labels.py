"""Pseudo-labels: texts that recognisers agree on, for clips that nobody has labelled.

Tables: pseudo_labels, pseudo_label_runs; reads of the catalogue, of answers, labels, tasks and
manifests, and of learned_examples. Knows not how such a text is found, or when it is believed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.records import JUNK, PSEUDO_LABEL, Example, PseudoLabel, Utterance
from storage.catalogue import Catalogue
from storage.database import as_json, now
from storage.hypotheses import CHUNK, Hypotheses
from storage.sql import OPEN, USABLE
from storage.unhearable import HEARABLE

FOLDER = "pseudo_labels"
"""Of the workspace; it keeps what recognisers read, and may be deleted."""
UNLEARNED = (
    "u.id NOT IN (SELECT utterance_id FROM manifest_examples) "
    "AND u.id NOT IN (SELECT utterance_id FROM learned_examples)"
)
"""By no checkpoint, and by no other recogniser of the workspace, as far as is written down."""
FREE = (
    "u.split = 'pool' AND u.id NOT IN (SELECT utterance_id FROM labels) "
    "AND u.id NOT IN (SELECT utterance_id FROM annotations WHERE deleted_at IS NULL) "
    f"AND u.id NOT IN (SELECT t.utterance_id FROM tasks t WHERE {OPEN}) AND {HEARABLE}"
)
"""Of annotators: no answer is there, settled or not, and none is waited for."""
PASSED = (
    "u.id NOT IN (SELECT utterance_id FROM gated "
    "WHERE utterance_id NOT IN (SELECT utterance_id FROM releases))"
)
"""No gate holds it back."""
BELIEVED = f"u.id IN (SELECT utterance_id FROM manifest_examples WHERE source = '{PSEUDO_LABEL}')"
"""A checkpoint may have learned it with a pseudo-label, and agrees with itself there."""
FRESH_JUNK = (
    "l.settled <> 'disputed' AND l.verdict IN (SELECT value FROM json_each(?)) "
    "AND l.settled_at > (SELECT coalesce(max(created_at), '') FROM manifests)"
)
"""A verdict since the last manifest: that what is there can get no text."""


class PseudoLabels(Catalogue, Hypotheses):
    """The texts as they were made last, a report of each time, and what they are made from."""

    def pseudo_label_folder(self) -> Path:
        """Where readings are kept, so that what was killed goes on."""
        folder = self.workspace.root / FOLDER
        folder.mkdir(exist_ok=True)
        return folder

    def put_pseudo_labels(
        self, round_number: int | None, labels: Iterable[PseudoLabel], report: Mapping[str, Any]
    ) -> None:
        """Replace all texts, and append the report of how they were made. None: by hand."""
        with self.transaction():
            self.db.execute("DELETE FROM pseudo_labels")
            self._put_all(
                "pseudo_labels",
                ("utterance_id", "text", "confidence", "made_by"),
                ((row.utterance_id, row.text, row.confidence, row.made_by) for row in labels),
            )
            self.db.table("pseudo_label_runs").insert(
                {"round": round_number, "report": as_json(report), "made_at": now()}
            )

    def pseudo_labels(self) -> list[PseudoLabel]:
        """All texts, by utterance id; also those that give way to a label by now."""
        rows = self.db.execute(
            "SELECT utterance_id, text, confidence, made_by FROM pseudo_labels ORDER BY 1"
        )
        return [PseudoLabel(*row) for row in rows]

    def last_pseudo_label_run(self) -> dict[str, Any] | None:
        """The report of the time that made the texts, with `round` and `made_at`."""
        row = self._row(
            "SELECT round, report, made_at FROM pseudo_label_runs ORDER BY id DESC LIMIT 1"
        )
        return row and {**json.loads(row[1]), "round": row[0], "made_at": row[2]}

    def pseudo_examples(self, source: str) -> list[Example]:
        """The texts as training examples of `source`, by utterance id; quality is confidence.

        Whatever annotators answered wins, a verdict too, and so does every other use of a clip; one
        that they are asked about is theirs.
        """
        rows = self.db.execute(
            "SELECT u.id, u.audio, u.duration_s, ?, u.language, p.text, p.confidence "
            "FROM pseudo_labels p JOIN utterances u ON u.id = p.utterance_id "
            f"WHERE {FREE} ORDER BY 1",
            [source],
        )
        return [Example(*row) for row in rows]

    def believed(self, language: str) -> list[PseudoLabel]:
        """The texts that a manifest holds as such, by utterance id, as they were made.

        Not of clips that annotators answered or are asked about, or that a gate holds back.
        """
        rows = self.db.execute(
            "SELECT p.utterance_id, p.text, p.confidence, p.made_by "
            "FROM pseudo_labels p JOIN utterances u ON u.id = p.utterance_id "
            f"WHERE u.language = ? AND {FREE} AND {PASSED} AND {BELIEVED} ORDER BY 1",
            [language],
        )
        return [PseudoLabel(*row) for row in rows]

    read_clip: Callable[[str], np.ndarray] | None = None
    """What workers read a clip with, by its name; whoever connects the loop sets it."""

    def samples(self, utterance: Utterance) -> np.ndarray:
        """The clip's samples (N,) float32 at 16 kHz. Raises AudioError as for a worker."""
        assert self.read_clip is not None
        return self.read_clip(utterance.audio)

    def calibration(self, language: str, most: int) -> list[Utterance]:
        """Clips whose words are known and that no recogniser has learned; their text is the truth.

        They are of the validation split, or labelled by annotators since the last manifest; never
        of an evaluation set. Without a text are those that got a verdict of `JUNK` since then: no
        word that is heard there is right. The `most` first ones by id, which is a hash: a random
        part.
        """
        rows = self.db.execute(
            "SELECT u.id, CASE WHEN l.verdict IS NULL THEN coalesce(l.text, u.text) END "
            "FROM utterances u LEFT JOIN labels l ON l.utterance_id = u.id AND u.split = 'pool' "
            f"AND ({USABLE} OR {FRESH_JUNK}) "
            "WHERE u.language = ? AND (u.split = 'validation' AND u.text IS NOT NULL "
            f"OR l.utterance_id IS NOT NULL) AND {UNLEARNED} ORDER BY 1 LIMIT ?",
            [json.dumps(JUNK), language, most],
        ).fetchall()
        said = dict(rows)
        return [replace(row, text=said[row.id]) for row in self.utterances(said)]

    def pseudo_candidates(self, checkpoint_id: str, language: str, most: int) -> list[Utterance]:
        """Clips of the pool that may get such a text: at most so many, by id.

        None of them is answered, waits for an answer, is held back by a gate, or was learned with
        such a text. What the checkpoint has heard comes first; of the rest the first ones by id,
        which is a hash.
        """
        cursor = self.db.execute(
            "SELECT u.id FROM utterances u WHERE u.language = ? "
            f"AND {FREE} AND {PASSED} AND NOT {BELIEVED} ORDER BY u.id",
            [language],
        )
        known = self.all_heard(checkpoint_id)
        heard: list[str] = []
        unheard: list[str] = []
        while len(heard) < most and (rows := cursor.fetchmany(CHUNK)):
            names = [row[0] for row in rows]
            for name, is_heard in zip(names, np.isin(np.array(names, "S64"), known), strict=True):
                (heard if is_heard else unheard).append(name)
            del unheard[most:]  # they come first by id
        return self.utterances([*heard, *unheard][:most])
