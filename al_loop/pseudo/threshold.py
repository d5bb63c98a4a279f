"""How many pseudo-labels to keep: volume against precision, measured on labelled clips. Pure.

Recognisers also transcribe clips whose truth is known. There the share of right words can be
counted for every agreement that a filter could ask for; what it asks for is then the lowest that
still keeps the wished precision. The labelled clips must be as the unlabelled ones are, and none
of the recognisers may have been trained on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from al_loop.metrics import error_rate, wilson

MOST_POINTS = 50
"""Thresholds on a curve, spread evenly over the volume; each costs a bootstrap. Ours."""
FEWEST = 20
"""Clips that a threshold must keep to be chosen: of fewer no interval says anything. Ours."""
LEAST = 0.01
"""Of a confidence: a weight must be above 0. Ours."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled clip's pseudo-label against its truth. words: those of the truth, at least 1."""

    agreement: float
    errors: int
    words: int


@dataclass(frozen=True, slots=True)
class Point:
    """What a filter keeps that asks for at least `threshold` of agreement.

    kept: clips. kept_share: of all clips. precision: 1 - errors / words of what is kept, the share
    of right words (below 0 where more is wrong than there are words), with its 95% interval.
    """

    threshold: float
    kept: int
    kept_share: float
    precision: float
    precision_low: float
    precision_high: float


def curve(judged: Sequence[Judged], rng: np.random.Generator, samples: int = 1000) -> list[Point]:
    """Volume against precision, by falling threshold; the last point keeps everything.

    The interval is a bootstrap over clips (`al_loop.metrics.error_rate`), widened to Wilson's over
    words: of clips without an error every resample has none, and a bootstrap would be certain.
    At most `MOST_POINTS` points. Empty where nothing was judged. Raises ValueError for a clip
    whose agreement is not from 0 to 1, or whose truth has no word.
    """
    _check(judged)
    if not judged:
        return []
    rows = sorted(judged, key=lambda row: -row.agreement)
    agreement = np.array([row.agreement for row in rows])
    errors = np.array([row.errors for row in rows], dtype=np.float64)
    words = np.array([row.words for row in rows], dtype=np.float64)
    points = []
    for kept in _volumes(agreement):
        rate = error_rate(errors[:kept], words[:kept], rng, samples)
        total = int(words[:kept].sum())
        chance = wilson(max(total - int(errors[:kept].sum()), 0), total)
        value = 1 - rate.value
        points.append(
            Point(
                threshold=float(agreement[kept - 1]),
                kept=kept,
                kept_share=kept / len(rows),
                precision=value,
                precision_low=min(1 - rate.high, chance.low),
                precision_high=max(1 - rate.low, chance.high) if value >= 0 else 1 - rate.low,
            )
        )
    return points


def choose_threshold(
    judged: Sequence[Judged],
    precision: float,
    rng: np.random.Generator,
    samples: int = 1000,
    bound: Literal["low", "estimate"] = "low",
    fewest: int = FEWEST,
) -> Point | None:
    """The largest volume whose precision reaches the target; None where none does.

    bound: what must reach it, the lower end of the interval or the estimate itself. fewest: clips
    that must be kept. The best of many intervals promises a little more than one alone does.
    """
    if not 0 < precision <= 1:
        raise ValueError(f"the wished precision is {precision}: it must be above 0, at most 1")
    reaching = [
        point
        for point in curve(judged, rng, samples)
        if point.kept >= fewest
        and (point.precision_low if bound == "low" else point.precision) >= precision
    ]
    return max(reaching, key=lambda point: point.kept, default=None)


def confidence(judged: Sequence[Judged]) -> Callable[[np.ndarray], np.ndarray]:
    """How sure a pseudo-label of some agreement is: agreement (M,) -> (M,) float64 in (0, 1].

    The expected share of right words, by isotonic regression, each clip weighing by its words:
    never falling with agreement. Zadrozny and Elkan, "Transforming classifier scores into accurate
    multiclass probability estimates" (KDD 2002). Outside of what was judged the nearest value.
    Raises ValueError where nothing was judged, and for an agreement that is not a number.
    """
    from sklearn.isotonic import IsotonicRegression

    _check(judged)
    if not judged:
        raise ValueError("no labelled clip was judged: a confidence needs at least one")
    right = np.array([1 - row.errors / row.words for row in judged])
    fitted = IsotonicRegression(y_min=LEAST, y_max=1.0, out_of_bounds="clip").fit(
        np.array([row.agreement for row in judged]),
        np.clip(right, LEAST, 1.0),
        sample_weight=np.array([row.words for row in judged], dtype=np.float64),
    )

    def sure(agreement: np.ndarray) -> np.ndarray:
        given = np.asarray(agreement, dtype=np.float64)
        if np.isnan(given).any():
            raise ValueError("an agreement is not a number")
        if not given.size:
            return np.zeros(0)
        return np.clip(fitted.predict(given), LEAST, 1.0)

    return sure


def _volumes(agreement: np.ndarray) -> list[int]:
    """How many clips are kept at each threshold; agreement (N,) falls. Equal ones go together."""
    last = [*np.flatnonzero(np.diff(agreement)), len(agreement) - 1]
    kept = [int(place) + 1 for place in last]
    if len(kept) <= MOST_POINTS:
        return kept
    wished = np.linspace(kept[0], kept[-1], MOST_POINTS)
    return sorted({kept[int(place)] for place in np.searchsorted(kept, wished)})


def _check(judged: Sequence[Judged]) -> None:
    for place, row in enumerate(judged):
        if not 0 <= row.agreement <= 1:
            raise ValueError(f"clip {place} has the agreement {row.agreement}, not from 0 to 1")
        if row.words < 1 or row.errors < 0:
            raise ValueError(
                f"clip {place} has {row.errors} errors in {row.words} words: a truth without a "
                "word cannot be judged by"
            )
