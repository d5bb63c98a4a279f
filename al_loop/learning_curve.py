"""WER against labelled hours: what labels have brought, and what is still to be had. Pure.

The curve is an inverse power law, WER(h) = c + a (1 + h / h0)^-b, as error falls with the amount of
data (Hestness et al., "Deep learning scaling is predictable, empirically", arXiv 1712.00409) and as
Figueroa et al. fitted it to learning curves of active learning, weighted ("Predicting sample size
required for classification performance", BMC Med Inform Decis Mak 12:8, 2012). A few rounds do not
tell all four. So every resample of the points tries several values of two of them and keeps the
best, which makes the bands as wide as the ignorance: h0, what the model knew before the first
label, log-uniform around the hours of a round, and the floor c, uniform between 0 and the lowest
WER. That rule is ours: on 600 simulated curves of 3 to 8 points its 95% bands held the next round
in 95% and the third in 94%, those of a plain least-squares fit with a fixed h0 in 89% and 75%. With
a >= 0 and b from a grid the rest is linear: a fit cannot diverge, and data that do not fall give a
flat line.

A training has luck too: with another seed the same labels give another WER. It is added to a
point's noise in quadrature (`LUCK`), and more where the points scatter around a fit more than that.

Knows neither arms nor annotators. Noise is taken from the points' intervals as if their evaluation
sets were different ones; they are the same, so that real differences are a bit surer than said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from al_loop.records import CurvePoint

FEWEST = 3
"""Points at different labelled hours that a curve needs."""
TRIES = 8
KNOWN_BEFORE = 4.0
"""h0 lies between the hours of a round divided, and multiplied, by this."""
RECENT = 4
"""So many of the last rounds tell what the last labels brought."""
AHEAD = 3
ALIKE = 0.1
"""An evaluation set whose words changed by more than this share is another one. Ours."""
EXPONENTS = np.array([0.0, *np.geomspace(0.02, 3.0, 40)])
SMALLEST_SD = 0.001
LUCK = 0.035
"""Standard deviation of the WER between trainings on the same labels, as a share of it: 1 point at
29%. Ours, presumed and not measured; scatter around the fit widens it where there are more points
than a fit needs."""
WIDTH_IN_SD = 2 * NormalDist().inv_cdf(0.975)
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The candidate of one round on all evaluation sets together. wer, sd: fractions; sd is that of
    the choice of test clips."""

    round: int
    hours: float
    wer: float
    sd: float

    @property
    def noise(self) -> float:
        """The standard deviation with a training's luck."""
        return math.hypot(self.sd, LUCK * self.wer)


@dataclass(frozen=True, slots=True)
class Curve:
    """Resampled curves WER(h) = floor + span (1 + h / scale_h)^-exponent.

    floor, span, exponent, scale_h: (S,) float64. worst: the highest WER that was measured, above
    which nothing is forecast.
    """

    floor: np.ndarray
    span: np.ndarray
    exponent: np.ndarray
    scale_h: np.ndarray
    worst: float

    def draws_at(self, hours: float) -> np.ndarray:
        """(S,) float64: the WER at so many labelled hours, by every resample."""
        falling = (1 + hours / self.scale_h) ** -self.exponent
        return np.clip(self.floor + self.span * falling, 0, self.worst)

    def at(self, hours: float) -> tuple[float, float, float]:
        """The median of `draws_at`, and the ends of its 95% band."""
        low, middle, high = np.percentile(self.draws_at(hours), [2.5, 50, 97.5])
        return float(middle), float(low), float(high)


@dataclass(frozen=True, slots=True)
class Gain:
    """WER points gained per labelled hour, with its 95% interval; below zero: lost.

    probability: that it is above zero. rounds: those between which it was measured.
    """

    points_per_h: float
    low: float
    high: float
    probability: float
    rounds: tuple[int, int]


def measured(points: Sequence[CurvePoint], language: str) -> list[Measured]:
    """One value a round over the evaluation sets of `language`, weighted by words; by round.

    The sets are those of the last round; a round that lacks one, or had another in its place, is
    left out, for its WER does not compare.
    """
    rounds: dict[int, dict[str, CurvePoint]] = {}
    for row in points:
        if row.language == language and row.words > 0 and math.isfinite(row.wer):
            rounds.setdefault(row.round, {})[row.evaluation_set] = row
    if not rounds:
        return []
    last = rounds[max(rounds)]
    found = []
    for number, sets in sorted(rounds.items()):
        if any(name not in sets or not _alike(sets[name], row) for name, row in last.items()):
            continue
        rows = [sets[name] for name in sorted(last)]
        words = sum(row.words for row in rows)
        wer = sum(row.words * row.wer for row in rows) / words
        sd = math.sqrt(sum((row.words * _sd(row)) ** 2 for row in rows)) / words
        found.append(Measured(number, rows[0].labelled_s / HOUR_S, wer, sd))
    return found


def _alike(one: CurvePoint, other: CurvePoint) -> bool:
    return abs(one.words - other.words) <= ALIKE * other.words


def _sd(row: CurvePoint) -> float:
    width = row.wer_high - row.wer_low
    return max(width / WIDTH_IN_SD, SMALLEST_SD) if math.isfinite(width) else SMALLEST_SD


def why_no_fit(points: Sequence[Measured]) -> str | None:
    """Why `fit` gives None, in words."""
    different = len({row.hours for row in points})
    if different >= FEWEST:
        return None
    return (
        f"a learning curve needs {FEWEST} rounds with different amounts of labels, measured on the "
        f"same evaluation sets; there are {different}"
    )


def fit(points: Sequence[Measured], rng: np.random.Generator, samples: int) -> Curve | None:
    """Weighted least-squares curves of resampled points; None where `why_no_fit`.

    The bootstrap is parametric: points move by their intervals, or by more where they scatter
    around the best curve more than that explains (training has luck too).
    """
    if why_no_fit(points):
        return None
    hours = np.array([row.hours for row in points])
    wer = np.array([row.wer for row in points])
    sd = np.array([row.noise for row in points])
    step_h = mean_step_h(points) or float(hours.max())

    def best_of_tries(drawn: np.ndarray) -> tuple[np.ndarray, Curve]:
        """The least weighted squares (S,), and the curves, for points `drawn` (S, N)."""
        best: np.ndarray = np.full((5, samples), np.inf)
        for _ in range(TRIES):
            scale_h = step_h * KNOWN_BEFORE ** rng.uniform(-1, 1, samples)
            floor = rng.uniform(0, wer.min(), samples)
            fell = _solve(1 + hours / scale_h[:, None], drawn - floor[:, None], sd)
            found = np.stack([*fell, floor, scale_h])
            best = np.where(found[0] < best[0], found, best)
        least, span, exponent, floor, scale_h = best
        return least, Curve(floor, span, exponent, scale_h, float(wer.max()))

    least, curves = best_of_tries(np.broadcast_to(wer, (samples, len(wer))))
    closest = least.argmin()
    # three things fit a curve, of four at the most; one fits a flat line
    spare = len(points) - (FEWEST if curves.span[closest] * curves.exponent[closest] else 1)
    excess = max(1.0, math.sqrt(least[closest] / spare)) if spare else 1.0
    noise = rng.standard_normal((samples, len(wer))) * sd * excess
    return best_of_tries(wer + noise)[1]


def _solve(
    amount: np.ndarray, above: np.ndarray, sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least weighted squares, span and exponent, (S,) each, of the rows of `above` (S, N).

    amount: (S, N), 1 + h / h0. above: WER above the floor. The exponent is searched on a grid; for
    each of its values the span is linear: variable projection (Golub and Pereyra, 1973).
    """
    weight = sd**-2
    least: np.ndarray = np.full(len(above), np.inf)
    span: np.ndarray = np.zeros(len(above))
    exponent: np.ndarray = np.zeros(len(above))
    for steep in EXPONENTS:
        shape = amount**-steep
        rise = np.clip((above * shape) @ weight / (shape**2 @ weight), 0, None)
        squares = (above - rise[:, None] * shape) ** 2 @ weight
        better = squares < least
        least = np.where(better, squares, least)
        span, exponent = np.where(better, rise, span), np.where(better, steep, exponent)
    return least, span, exponent


def mean_step_h(points: Sequence[Measured]) -> float:
    """Mean labelled hours that a round added; 0 where none did."""
    if len(points) < 2:
        return 0.0
    first, last = points[0], points[-1]
    return max(last.hours - first.hours, 0.0) / (last.round - first.round)


def forecast(curve: Curve, points: Sequence[Measured], step_h: float) -> list[dict[str, Any]]:
    """The next rounds, each with `step_h` more labelled hours, with 95% bands."""
    last = points[-1]
    return [
        {"round": last.round + ahead, **_on_curve(curve, last.hours + ahead * step_h)}
        for ahead in range(1, AHEAD + 1)
    ]


def line(curve: Curve, points: Sequence[Measured], step_h: float) -> list[dict[str, float]]:
    """The curve itself, from the first point to the last forecast, to be drawn."""
    ends = points[0].hours, points[-1].hours + AHEAD * step_h
    return [_on_curve(curve, float(hours)) for hours in np.linspace(*ends, 30)]


def _on_curve(curve: Curve, hours: float) -> dict[str, float]:
    wer, low, high = curve.at(hours)
    return {"labelled_h": hours, "wer": wer, "wer_low": low, "wer_high": high}


def coming_gain(curve: Curve, points: Sequence[Measured], step_h: float) -> np.ndarray:
    """(S,) float64: by how much the WER falls with the next `step_h` labelled hours."""
    here = points[-1].hours
    return curve.draws_at(here) - curve.draws_at(here + step_h)


def marginal(curve: Curve, points: Sequence[Measured], step_h: float) -> Gain:
    """What the next `step_h` labelled hours bring an hour, by the curve, which never rises."""
    gains = coming_gain(curve, points, step_h)
    low, middle, high = 100 * np.percentile(gains, [2.5, 50, 97.5]) / step_h
    rounds = points[-1].round, points[-1].round + 1
    return Gain(float(middle), float(low), float(high), float((gains > 0).mean()), rounds)


def recent(points: Sequence[Measured]) -> Gain | None:
    """What the last labels brought: the weighted slope over RECENT rounds, or over more where these
    all had the same hours.

    None where there are no two rounds with different hours. It may be negative.
    """
    if not points or all(row.hours == points[-1].hours for row in points):
        return None
    first = next(
        place for place in reversed(range(len(points))) if points[place].hours != points[-1].hours
    )
    rows = points[min(first, max(len(points) - RECENT, 0)) :]
    hours = np.array([row.hours for row in rows])
    wer = np.array([row.wer for row in rows])
    weight = np.array([row.noise**-2 for row in rows])
    centred = hours - (weight @ hours) / weight.sum()
    spread = float(weight @ centred**2)
    slope = float((weight * centred) @ wer) / spread
    rest = wer - (weight @ wer) / weight.sum() - slope * centred
    # scatter around the line beyond what noise explains is noise too
    excess = math.sqrt(float(weight @ rest**2) / (len(rows) - 2)) if len(rows) > 2 else 1.0
    sd = max(excess, 1.0) / math.sqrt(spread)
    gain, half = -100 * slope, 100 * sd * WIDTH_IN_SD / 2
    rounds = rows[0].round, rows[-1].round
    return Gain(gain, gain - half, gain + half, NormalDist().cdf(-slope / sd), rounds)
