"""Hypotheses against the references of the evaluation sets. Pure: an evaluation set is what the
test split of one source holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from al_loop.metrics import count_errors, evaluate
from al_loop.promotion import Comparison
from al_loop.records import (
    STANDARD_SILENCE,
    Evaluation,
    Hypothesis,
    SilenceEvaluation,
    Utterance,
    content_hash,
)
from al_loop.text import normalise


def group_by_set(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Test utterances by evaluation set, in the order of its name."""
    sets: dict[str, list[Utterance]] = {}
    for row in sorted(utterances, key=lambda row: (row.source, row.id)):
        sets.setdefault(row.source, []).append(row)
    return sets


def evaluate_sets(
    utterances: Sequence[Utterance],
    heard: Mapping[str, Hypothesis],
    checkpoint_id: str,
    samples: int,
) -> list[Evaluation]:
    """WER and CER of one checkpoint on every evaluation set.

    The bootstrap's seed follows from checkpoint and set, so the same hypotheses get the same
    interval in every round.
    """
    return [
        evaluate(
            name,
            rows[0].language,
            [row.text or "" for row in rows],
            [heard[row.id].text for row in rows],
            np.random.default_rng(int(content_hash([checkpoint_id, name])[:16], 16)),
            samples,
        )
        for name, rows in group_by_set(utterances).items()
    ]


def compare_sets(
    utterances: Sequence[Utterance],
    current: Mapping[str, Hypothesis],
    candidate: Mapping[str, Hypothesis],
) -> list[Comparison]:
    """Two checkpoints on every evaluation set, for a paired test."""
    return [
        Comparison(
            name,
            rows[0].language,
            [count_errors(row.text or "", current[row.id].text, row.language) for row in rows],
            [count_errors(row.text or "", candidate[row.id].text, row.language) for row in rows],
        )
        for name, rows in group_by_set(utterances).items()
    ]


def silence_set(utterances: Sequence[Utterance]) -> Sequence[Utterance]:
    """Of the silent clips those that are listened to: the standard ones only where all are."""
    return [row for row in utterances if row.source != STANDARD_SILENCE] or utterances


def evaluate_silence(
    utterances: Sequence[Utterance], heard: Mapping[str, Hypothesis]
) -> SilenceEvaluation:
    """One checkpoint on the clips of the silence set, of which there may be none.

    Whisper's own rule for silence is not applied: what is written here is what an annotator sees.
    """
    words = sum(bool(normalise(heard[row.id].text, row.language)) for row in utterances)
    return SilenceEvaluation(len(utterances), words)
