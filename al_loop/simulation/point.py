"""What a replay has reached after a round, as a value. Knows nothing of how it came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """What a replay had reached when a round was recorded.

    labelled_s: audio with a text by then. chosen_s: audio that annotators had listened to, junk_s
    and junk_tasks the part that they found unusable; annotator_s: the time that it took them.
    errors, words: of the round's candidate, for every test utterance in the order of ids.
    spearman: rank correlation of the acquisition scores with the true WER, over what the round
    chose from, junk left out, with its 95% interval; None where the round had no scores.
    """

    strategy: str
    seed: int
    round: int
    labelled_s: float
    annotator_s: float
    chosen_s: float
    junk_s: float
    tasks: int
    junk_tasks: int
    errors: Sequence[int]
    words: Sequence[int]
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None

    @property
    def wer(self) -> float:
        return sum(self.errors) / sum(self.words)
