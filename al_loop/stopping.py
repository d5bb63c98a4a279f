"""Whether more labels are worth their while, in numbers and in words. Pure.

Knows learning curves; knows neither arms nor annotators.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from al_loop.learning_curve import (
    FEWEST,
    HOUR_S,
    WIDTH_IN_SD,
    Curve,
    Gain,
    Measured,
    coming_gain,
    fit,
    forecast,
    line,
    marginal,
    mean_step_h,
    measured,
    recent,
    why_no_fit,
)
from al_loop.records import CurvePoint

SURE = 0.975
ENOUGH = 4
"""Points from which on words are as strong as the numbers. Ours."""
MATERIAL = 0.005
"""WER that the next round must gain, by the lower end of its interval, for the curve alone to say:
go on. Ours."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do. sureness: probability of what `text` says it is the probability of."""

    verdict: Literal["keep_labelling", "consider_stopping", "look_at_the_data", "too_early"]
    text: str
    sureness: float | None


def curve_report(
    points: Sequence[CurvePoint],
    language: str,
    rng: np.random.Generator,
    samples: int,
    budget_s: float,
) -> dict[str, Any]:
    """All of it, ready for JSON: points, curve, forecast, gains, advice.

    samples: resamples behind the bands. budget_s: seconds that a round asks for, which stand in
    for the mean labelled seconds of a round where no round has brought any.
    """
    rows = measured(points, language)
    step_h = mean_step_h(rows) or budget_s / HOUR_S
    lately = recent(rows)
    curve, why = None, why_no_fit(rows)
    if loss(rows):
        why = "the WER got worse, which no falling curve explains"
    elif why is None:
        curve = fit(rows, rng, samples)
    return {
        "language": language,
        "points": [
            {
                "round": row.round,
                "labelled_h": row.hours,
                "wer": row.wer,
                "wer_low": max(row.wer - row.sd * WIDTH_IN_SD / 2, 0.0),
                "wer_high": row.wer + row.sd * WIDTH_IN_SD / 2,
            }
            for row in rows
        ],
        "step_h": step_h,
        "line": line(curve, rows, step_h) if curve else [],
        "why_no_curve": why,
        "forecast": forecast(curve, rows, step_h) if curve else [],
        "marginal": asdict(marginal(curve, rows, step_h)) if curve else None,
        "recent": asdict(lately) if lately else None,
        "advice": asdict(advise(rows, curve, step_h)),
    }


def advise(points: Sequence[Measured], curve: Curve | None, step_h: float) -> Advice:
    """Keep labelling, consider stopping, look at the data, or too early to tell.

    A loss counts before all else, then a gain in the last rounds, then what the curve promises.
    Noise is that of the test clips and of a training's luck.
    """
    if lost := loss(points):
        return lost
    lately = recent(points)
    if lately is None:
        return Advice(
            "too_early",
            "too early to tell: there are no two rounds with different amounts of labels, measured "
            "on the same evaluation sets",
            None,
        )
    gained = f"rounds {lately.rounds[0]} to {lately.rounds[1]} gained {_per_hour(lately)}"
    careful = _careful(points)
    if lately.low > 0:
        return Advice(
            "keep_labelling",
            f"keep labelling: {gained} ({_percent(lately.probability)} sure that it is a gain)"
            f"{careful}",
            lately.probability,
        )
    if curve is not None:
        gains = coming_gain(curve, points, step_h)
        if np.percentile(gains, 100 * (1 - SURE)) >= MATERIAL:
            sure = float((gains >= MATERIAL).mean())
            return Advice(
                "keep_labelling",
                "keep labelling: the last rounds alone are within noise, but by the whole curve "
                f"the next one gains {_per_hour(marginal(curve, points, step_h))}; "
                f"{_percent(sure)} sure of {100 * MATERIAL:g} points or more in all{careful}",
                sure,
            )
    so_far = f"{gained}, {_percent(lately.probability)} sure that it is a gain at all"
    if len({row.hours for row in points}) < FEWEST:
        text = f"too early to tell: {so_far}, and two rounds make no curve; keep labelling"
        return Advice("too_early", text, lately.probability)
    return Advice(
        "consider_stopping",
        f"the gain per hour is within noise: {so_far}. Consider stopping; a larger evaluation set "
        f"would show smaller gains{careful}",
        lately.probability,
    )


def loss(points: Sequence[Measured]) -> Advice | None:
    """What to do where the last round is worse than the best before it, beyond noise."""
    if len(points) < 2:
        return None
    last, best = points[-1], min(points[:-1], key=lambda row: row.wer)
    chance = NormalDist().cdf((best.wer - last.wer) / math.hypot(last.noise, best.noise))
    # the best of many is lucky, so each of them counts (Bonferroni)
    sure = 1 - chance * (len(points) - 1)
    if sure <= SURE:
        return None
    return Advice(
        "look_at_the_data",
        f"the WER got worse, from {100 * best.wer:.1f}% in round {best.round} to "
        f"{100 * last.wer:.1f}% in round {last.round} ({_percent(sure)} sure that it is a loss): "
        "look at the data (leaks, verdicts, agreement of the annotators) before labelling more"
        f"{_careful(points)}",
        sure,
    )


def _careful(points: Sequence[Measured]) -> str:
    """What is added where there is little to go by."""
    if len(points) >= ENOUGH:
        return ""
    return f"; that is by {len(points)} rounds only, and another training may say otherwise"


def _per_hour(gain: Gain) -> str:
    return (
        f"{gain.points_per_h:.1f} points of WER a labelled hour ({gain.low:.1f} to {gain.high:.1f})"
    )


def _percent(probability: float) -> str:
    """Never 100%: an estimate is not a certainty."""
    if probability > 0.99:
        return "over 99%"
    return "under 1%" if probability < 0.01 else f"{probability:.0%}"
