"""Labelled hours as annotators' hours: what the learning curve's labels cost, and will cost. Pure.

A round's manifest holds so many labelled hours, and until it was recorded annotators had spent so
many hours, junk and evaluation sets included. Between rounds the time is taken to grow evenly, and
beyond the last one as it did in the last. Knows no error rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Hours:
    """Pairs of labelled and annotators' hours, both rising. ratio: of the last ones."""

    labelled: tuple[float, ...]
    spent: tuple[float, ...]
    ratio: float

    def at(self, labelled_h: float) -> float:
        """The annotators' hours behind so many labelled hours."""
        beyond = max(labelled_h - self.labelled[-1], 0.0)
        return float(np.interp(labelled_h, self.labelled, self.spent)) + beyond * self.ratio


def measured_hours(
    points: Sequence[Mapping[str, Any]], time_spent: Sequence[Mapping[str, Any]]
) -> Hours | None:
    """The pairs of a report's curve; None where no time was measured, or nothing is labelled.

    points: with `round` and `labelled_h`. time_spent: with `round` and `annotator_s`.
    """
    spent_h = {row["round"]: row["annotator_s"] / HOUR_S for row in time_spent}
    pairs: dict[float, float] = {}
    for row in points:
        if row["round"] in spent_h:
            known = pairs.get(row["labelled_h"], 0.0)
            pairs[row["labelled_h"]] = max(known, spent_h[row["round"]])
    labelled = sorted(pairs)
    if not labelled or not labelled[-1] or not max(pairs.values()):
        return None
    # labels that were withdrawn can make the hours fall; time that is spent does not come back
    spent = np.maximum.accumulate([pairs[hours] for hours in labelled])
    grown, took = labelled[-1], spent[-1]
    if len(labelled) > 1 and spent[-1] > spent[-2]:
        grown, took = labelled[-1] - labelled[-2], spent[-1] - spent[-2]
    return Hours(tuple(labelled), tuple(map(float, spent)), float(took / grown))
