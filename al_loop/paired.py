"""Whether one checkpoint hears better than another: their error rates on the same clips. Pure.

Where both have decoded the same test clips, the difference is paired and its interval a bootstrap
over these (`al_loop.metrics`). Else it is that of two measurements which are taken for independent,
as they are not, so that its interval is wider than it need be. Both are of the two checkpoints as
they are: whether another training would say the same is a question for `al_loop.stopping`.

Knows neither the database nor what follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from al_loop.metrics import Z, count_errors, paired_difference
from al_loop.text import normalise

SEED = 0
"""Of the resamples: who asks again gets the same answer."""
ALIKE = 0.1
"""An evaluation set whose words changed by more than this share is another one. Ours."""

count = lru_cache(maxsize=50_000)(count_errors)
"""Test clips are compared again and again, whenever anything else in the database has changed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Error rates of two checkpoints, and the change from the first to the second; below 0: better.

    All are fractions, over all evaluation sets that both were measured on; low, high: the change's
    95% interval. clips: how many both heard; None where the sets' own intervals were compared.
    """

    before: float
    after: float
    change: float
    low: float
    high: float
    clips: int | None

    @property
    def sureness(self) -> float:
        """The probability that the second is better, by a normal distribution of this width."""
        sd = (self.high - self.low) / (2 * Z)
        if not sd:
            return 0.5 if not self.change else float(self.change < 0)
        return NormalDist().cdf(-self.change / sd)


def paired(rows: Sequence[Mapping[str, Any]], language: str, samples: int) -> Difference | None:
    """The difference on clips that both have heard; None where there are no two such clips.

    rows: `reference`, and what was heard as `one` and as `other`. Clips whose reference holds no
    word are left out. samples: resamples behind the interval.
    """
    spoken = [row for row in rows if normalise(row["reference"], language)]
    if len(spoken) < 2:
        return None
    before, after = (
        [count(row["reference"], row[side], language) for row in spoken]
        for side in ("one", "other")
    )
    words = sum(row.words for row in before)
    change = paired_difference(before, after, np.random.default_rng(SEED), samples)
    return Difference(
        sum(row.word_errors for row in before) / words,
        sum(row.word_errors for row in after) / words,
        change.value,
        change.low,
        change.high,
        len(spoken),
    )


def by_intervals(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Difference | None:
    """The difference of rows of evaluations; None where no evaluation set is in both.

    Sets count by their words. One whose words changed by more than `ALIKE` is another set.
    """
    known = {row["evaluation_set"]: row for row in before if row["words"]}
    pairs = [
        (known[row["evaluation_set"]], row)
        for row in after
        if row["evaluation_set"] in known and alike(known[row["evaluation_set"]], row)
    ]
    if not pairs:
        return None
    words = sum(row["words"] for _, row in pairs)
    rates, variances = [], []
    for side in (0, 1):
        rows = [pair[side] for pair in pairs]
        weights = [row["words"] / words for _, row in pairs]
        rates.append(math.fsum(w * row["wer"] for w, row in zip(weights, rows, strict=True)))
        widths = [row["wer_high"] - row["wer_low"] for row in rows]
        variances.append(
            math.fsum((w * width / 2) ** 2 for w, width in zip(weights, widths, strict=True))
        )
    half, change = math.sqrt(sum(variances)), rates[1] - rates[0]
    return Difference(rates[0], rates[1], change, change - half, change + half, None)


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two evaluations are of about as many words, as those of one set are."""
    return abs(one["words"] - other["words"]) <= ALIKE * max(one["words"], other["words"])
