"""Whether a candidate takes the current checkpoint's place: one pure decision, in words too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.config import PromoteSettings
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
class Silence:
    """In how many of the same `clips`, where nobody speaks, each checkpoint heard words."""

    clips: int
    current: int
    candidate: int


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

    comparisons: with the checkpoint in use. There the target language may lose `rule.margin`
    points of WER, whatever the interval: a small evaluation set would let a real loss pass. Any
    other may lose `rule.max_retention_loss`, and what the paired 95% interval covers is no loss.

    earlier: with those that were promoted before it, by name, so that what is lost in small steps
    counts as a whole. A set is compared with the best of them alone, and any loss has to lie above
    the interval too: with one test for each, every promotion would make it likelier that a
    candidate fails one of them by chance.

    Silent clips are simply counted: the same clips, decoded greedily, leave nothing to chance.
    """

    def change(row: Comparison) -> tuple[Interval, bool, bool]:
        """The difference in WER; whether it exceeds what may be lost, and the interval as well."""
        allowed = rule.margin if row.language == target_language else rule.max_retention_loss
        found = paired_difference(row.current, row.candidate, rng, samples)
        exceeds = 100 * found.value > allowed
        return found, exceeds, exceeds and found.low > 0

    objections, passed = [], []
    for row in comparisons:
        found, exceeds, beyond = change(row)
        if exceeds if row.language == target_language else beyond:
            objections.append(f"{row.evaluation_set} got worse by {_points(found)}")
        else:
            passed.append(f"{row.evaluation_set} {_points(found)}")

    for name, row in _best(earlier):
        found, _, beyond = change(row)
        if beyond:
            objections.append(f"{row.evaluation_set} got worse by {_points(found)} since {name}")

    clips = f"{silence.clips} silent clips"
    heard = f"words in {silence.candidate} of {clips}, in {silence.current} before"
    if silence.candidate > silence.current:
        objections.append(heard)
    elif silence.clips:
        passed.append(heard)

    if objections:
        rest = f" (passed: {'; '.join(passed)})" if passed else ""
        return Decision(False, f"rejected: {'; '.join(objections)}{rest}")
    verdict = "promoted"
    if not comparisons:
        verdict = "promoted unseen"
        passed.insert(0, "there is no evaluation set to compare on")
    elif all(row.language != target_language for row in comparisons):
        passed.append(f"no evaluation set in {target_language}")
    return Decision(True, f"{verdict}: {'; '.join(passed)}")


def _best(earlier: Mapping[str, Sequence[Comparison]]) -> list[tuple[str, Comparison]]:
    """For each evaluation set the checkpoint that the candidate lost most to, with its name.

    Where all have heard the same clips, that is the one with the lowest WER.
    """
    best: dict[str, tuple[str, Comparison]] = {}
    for name, rows in earlier.items():
        for row in rows:
            known = best.get(row.evaluation_set)
            if known is None or _loss(row) > _loss(known[1]):
                best[row.evaluation_set] = name, row
    return [best[evaluation_set] for evaluation_set in sorted(best)]


def _loss(row: Comparison) -> float:
    """The rise in WER."""
    more = sum(count.word_errors for count in row.candidate)
    more -= sum(count.word_errors for count in row.current)
    return more / sum(count.words for count in row.current)


def _points(change: Interval) -> str:
    return (
        f"{100 * change.value:+.1f} points of WER "
        f"({100 * change.low:+.1f} to {100 * change.high:+.1f})"
    )
