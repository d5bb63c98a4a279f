"""Whether a candidate takes the current checkpoint's place: one pure decision, in words too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.metrics import Interval, paired_difference
from al_loop.records import ErrorCounts


@dataclass(frozen=True, slots=True)
class Comparison:
    """Current and candidate checkpoint on one evaluation set, utterance by utterance."""

    evaluation_set: str
    language: str
    current: Sequence[ErrorCounts]
    candidate: Sequence[ErrorCounts]


@dataclass(frozen=True, slots=True)
class Decision:
    promoted: bool
    reason: str


def decide(
    comparisons: Sequence[Comparison],
    target_language: str,
    max_retention_loss: float,
    rng: np.random.Generator,
    samples: int,
) -> Decision:
    """Promote unless the target language got worse, or another language much worse.

    Worse: the paired 95% interval of the difference in WER lies above zero. Much worse: worse, and
    by more than `max_retention_loss` points.
    """
    if not comparisons:
        return Decision(True, "promoted unseen: there is no evaluation set to compare on")
    differences = {
        row.evaluation_set: paired_difference(row.current, row.candidate, rng, samples)
        for row in comparisons
    }
    languages = {row.evaluation_set: row.language for row in comparisons}
    objections = [
        f"{name} got worse by {_points(change)}"
        for name, change in differences.items()
        if change.low > 0
        and (languages[name] == target_language or 100 * change.value > max_retention_loss)
    ]
    if objections:
        return Decision(False, "rejected: " + "; ".join(objections))
    return Decision(True, "promoted: " + _summary(differences))


def _summary(differences: Mapping[str, Interval]) -> str:
    return "; ".join(f"{name} {_points(change)}" for name, change in differences.items())


def _points(change: Interval) -> str:
    return (
        f"{100 * change.value:+.1f} points of WER "
        f"({100 * change.low:+.1f} to {100 * change.high:+.1f})"
    )
