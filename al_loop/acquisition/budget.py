"""What a batch may cost, and the most that one speaker or one source may have of it. Pure.

Counts in seconds, of audio or of an annotator's time: whichever the costs are in.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

NOBODY = -1
"""The code of an unknown speaker, whom no quota binds."""
TINY = 1e-9
"""Of the budget: what floating point may add."""


class Purse:
    """A budget that is spent clip by clip. left: what is not spent yet; reserved: what of that is
    kept for later."""

    def __init__(self, budget: float, speaker_share: float, source_share: float) -> None:
        self.left = budget
        self.reserved = 0.0
        self.speaker_limit = speaker_share * budget
        self.source_limit = source_share * budget
        self.slack = TINY * budget
        self.of_speaker: dict[int, float] = defaultdict(float)
        self.of_source: dict[int, float] = defaultdict(float)

    def holds(self, cost: float) -> bool:
        """Whether there is room for `cost`."""
        return float(cost) <= self.left - self.reserved + self.slack

    def allows(self, cost: float, speaker: int, source: int) -> bool:
        """Whether both quotas do. None forbids a first clip, or small batches would be empty."""
        spoken, taken = self.of_speaker[int(speaker)], self.of_source[int(source)]
        if speaker != NOBODY and spoken and spoken + cost > self.speaker_limit + self.slack:
            return False
        return not taken or taken + cost <= self.source_limit + self.slack

    def open_to(self, costs: np.ndarray, speakers: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """(N,) bool: which of N clips the quotas allow, each by itself."""
        bills = zip(costs.tolist(), speakers.tolist(), sources.tolist(), strict=True)
        return np.array([self.allows(*bill) for bill in bills], dtype=bool)

    def spend(self, cost: float, speaker: int, source: int) -> None:
        """Spend `cost`, whatever there is room for: the control arm asks no quota."""
        self.left -= float(cost)
        self.of_speaker[int(speaker)] += float(cost)
        self.of_source[int(source)] += float(cost)
