"""Whether a candidate takes the current checkpoint's place: one pure decision, in words too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.config import PromoteSettings
from al_loop.metrics import Interval, error_rate, paired_difference
from al_loop.records import ErrorCounts


@dataclass(frozen=True, slots=True)
class Comparison:
    """Current and candidate checkpoint on one evaluation set, utterance by utterance."""

    evaluation_set: str
    language: str
    current: Sequence[ErrorCounts]
    candidate: Sequence[ErrorCounts]


@dataclass(frozen=True, slots=True)
class Silence:
    """Whether each checkpoint heard words in clips where nobody speaks, clip by clip."""

    current: Sequence[bool]
    candidate: Sequence[bool]


@dataclass(frozen=True, slots=True)
class Decision:
    promoted: bool
    reason: str


def decide(
    comparisons: Sequence[Comparison],
    earlier: Mapping[str, Sequence[Comparison]],
    silence: Silence,
    target_language: str,
    rule: PromoteSettings,
    rng: np.random.Generator,
    samples: int,
) -> Decision:
    """Promote unless a language lost more than it may, or more silent clips are given words.

    comparisons: with the checkpoint in use. earlier: with those that were promoted before it, by
    name, so that what is lost in small steps counts as a whole. A language lost more than
    it may where the paired 95% interval of the difference in WER lies above zero, and the
    difference above `rule.margin` (the target language) or `rule.max_retention_loss` (any other).
    Of silence the interval alone decides.
    """

    def change(row: Comparison) -> tuple[Interval, bool]:
        """The difference in WER, and whether it is more than the language may lose."""
        allowed = rule.margin if row.language == target_language else rule.max_retention_loss
        found = paired_difference(row.current, row.candidate, rng, samples)
        return found, found.low > 0 and 100 * found.value > allowed

    objections, passed = [], []
    for row in comparisons:
        found, lost = change(row)
        if lost:
            objections.append(f"{row.evaluation_set} got worse by {_points(found)}")
        else:
            passed.append(f"{row.evaluation_set} {_points(found)}")

    worst: dict[str, tuple[Interval, str]] = {}
    for name, rows in earlier.items():
        for row in rows:
            found, lost = change(row)
            known = worst.get(row.evaluation_set)
            if lost and (known is None or found.value > known[0].value):
                worst[row.evaluation_set] = found, name
    for evaluation_set, (found, name) in sorted(worst.items()):
        objections.append(f"{evaluation_set} got worse by {_points(found)} since {name}")

    if silence.current:
        found = _more_often(silence, rng, samples)
        if found.low > 0:
            objections.append(f"words in silent clips rose by {_points(found, 'clips')}")
        else:
            passed.append(f"words in silent clips {_points(found, 'clips')}")

    if objections:
        rest = f" (passed: {'; '.join(passed)})" if passed else ""
        return Decision(False, f"rejected: {'; '.join(objections)}{rest}")
    if not passed:
        return Decision(True, "promoted unseen: there is no evaluation set to compare on")
    return Decision(True, f"promoted: {'; '.join(passed)}")


def _more_often(silence: Silence, rng: np.random.Generator, samples: int) -> Interval:
    """By how much the share of silent clips in which words are heard rose; paired."""
    rise = np.array(silence.candidate, dtype=int) - np.array(silence.current, dtype=int)
    return error_rate(rise, np.ones_like(rise), rng, samples)


def _points(change: Interval, of: str = "WER") -> str:
    return (
        f"{100 * change.value:+.1f} points of {of} "
        f"({100 * change.low:+.1f} to {100 * change.high:+.1f})"
    )
