"""Volume against precision, the threshold chosen from it, and how sure a pseudo-label is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from al_loop.pseudo.threshold import (
    LEAST,
    MOST_POINTS,
    Judged,
    choose_threshold,
    confidence,
    curve,
)

SAMPLES = 200


def rng() -> np.random.Generator:
    return np.random.default_rng(17)


def graded(sizes: dict[float, tuple[int, int]], words: int = 10) -> list[Judged]:
    """agreement -> (clips, errors in each)."""
    return [
        Judged(agreement, errors, words)
        for agreement, (clips, errors) in sizes.items()
        for _ in range(clips)
    ]


GRADED = graded({1.0: (40, 0), 0.8: (40, 1), 0.5: (20, 5)})

# -- the curve -------------------------------------------------------------------------------------


def test_the_curve_by_hand() -> None:
    points = curve(GRADED, rng(), SAMPLES)
    assert [point.threshold for point in points] == [1.0, 0.8, 0.5]
    assert [point.kept for point in points] == [40, 80, 100]
    assert [point.kept_share for point in points] == [0.4, 0.8, 1.0]
    assert [point.precision for point in points] == pytest.approx([1.0, 0.95, 0.86])
    for point in points:
        assert point.precision_low < point.precision <= point.precision_high <= 1


def test_the_order_of_clips_does_not_matter() -> None:
    one, other = (curve(rows, rng(), SAMPLES) for rows in (GRADED, GRADED[::-1]))
    assert [(p.threshold, p.kept, p.precision) for p in one] == [
        (p.threshold, p.kept, p.precision) for p in other
    ]


def test_long_clips_count_by_their_words() -> None:
    (point,) = curve([Judged(0.9, 9, 90), Judged(0.9, 5, 10)], rng(), SAMPLES)
    assert point.precision == pytest.approx(1 - 14 / 100)


def test_no_error_in_a_few_words_is_no_certainty() -> None:
    """Wilson's interval of 30 of 30: from 1 / (1 + 1.96² / 30)."""
    (point,) = curve(graded({1.0: (3, 0)}), rng(), SAMPLES)
    assert point.precision == point.precision_high == 1
    assert point.precision_low == pytest.approx(1 / (1 + 1.959964**2 / 30), abs=1e-6)


def test_errors_that_come_together_widen_the_interval() -> None:
    even = curve(graded({0.9: (40, 1)}), rng(), SAMPLES)[0]
    uneven = curve([Judged(0.9, 10 * (place < 4), 10) for place in range(40)], rng(), SAMPLES)[0]
    assert even.precision == uneven.precision == pytest.approx(0.9)
    assert uneven.precision_low < even.precision_low - 0.02


def test_more_errors_than_words_are_below_nothing() -> None:
    (point,) = curve(graded({0.2: (5, 30)}), rng(), SAMPLES)
    assert point.precision == pytest.approx(-2)
    assert point.precision_low <= point.precision <= point.precision_high


def test_many_thresholds_are_thinned_over_the_volume() -> None:
    judged = [Judged(place / 999, 0, 5) for place in range(1000)]
    points = curve(judged, rng(), 20)
    kept = [point.kept for point in points]
    assert len(points) == MOST_POINTS
    assert (kept[0], kept[-1]) == (1, 1000)
    assert max(np.diff(kept)) <= 1000 / (MOST_POINTS - 1) + 1
    assert all(point.threshold == pytest.approx(1 - (point.kept - 1) / 999) for point in points)


def test_nothing_judged_has_no_curve() -> None:
    assert curve([], rng()) == []


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (Judged(math.nan, 0, 3), "clip 1 has the agreement nan"),
        (Judged(1.2, 0, 3), "clip 1 has the agreement 1.2"),
        (Judged(0.5, 0, 0), "clip 1 has 0 errors in 0 words"),
        (Judged(0.5, -1, 3), "clip 1 has -1 errors"),
    ],
)
def test_a_clip_that_cannot_be_judged_by_is_an_error(row: Judged, complaint: str) -> None:
    rows = [Judged(1.0, 0, 3), row]
    for function in (lambda: curve(rows, rng()), lambda: confidence(rows)):
        with pytest.raises(ValueError, match=complaint):
            function()


# -- the threshold ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "bound", "kept"),
    [
        (0.99, "estimate", 40),
        (0.95, "estimate", 80),
        (0.95, "low", 40),
        (0.90, "low", 80),
        (0.5, "low", 100),
    ],
)
def test_the_largest_volume_that_keeps_the_promise(precision: float, bound: str, kept: int) -> None:
    found = choose_threshold(GRADED, precision, rng(), SAMPLES, bound=bound)
    assert found is not None
    assert found.kept == kept
    assert found in curve(GRADED, rng(), SAMPLES)


def test_a_promise_that_none_keeps() -> None:
    assert choose_threshold(GRADED, 0.999, rng(), SAMPLES) is None
    assert choose_threshold([], 0.5, rng()) is None


def test_too_few_clips_promise_nothing() -> None:
    few = graded({1.0: (19, 0), 0.1: (30, 90)}, words=100)
    assert choose_threshold(few, 0.9, rng(), SAMPLES) is None
    found = choose_threshold(few, 0.9, rng(), SAMPLES, fewest=19)
    assert found is not None
    assert found.kept == 19


def test_the_lower_bound_is_kept_by_clips_unseen() -> None:
    """Clips of a known kind, 30 times: the promise holds on average, and nearly every time."""
    draws = np.random.default_rng(5)

    def sample(count: int) -> list[Judged]:
        agreement = draws.integers(0, 11, count) / 10
        errors = draws.binomial(8, 0.5 * (1 - agreement))
        return [Judged(float(a), int(e), 8) for a, e in zip(agreement, errors, strict=True)]

    held = []
    for _ in range(30):
        found = choose_threshold(sample(300), 0.9, draws, SAMPLES)
        assert found is not None
        kept = [row for row in sample(3000) if row.agreement >= found.threshold]
        held.append(1 - sum(row.errors for row in kept) / sum(row.words for row in kept))
    assert np.mean(held) > 0.9
    assert sum(precision >= 0.9 for precision in held) >= 27


@pytest.mark.parametrize("precision", [0.0, -1.0, 1.1, math.nan])
def test_a_wish_that_is_none_is_an_error(precision: float) -> None:
    with pytest.raises(ValueError, match="wished precision"):
        choose_threshold(GRADED, precision, rng())


# -- confidence ------------------------------------------------------------------------------------


def test_confidence_is_the_share_of_right_words() -> None:
    sure = confidence(GRADED)
    assert sure(np.array([1.0, 0.8, 0.5])) == pytest.approx([1.0, 0.9, 0.5])
    assert sure(np.array([0.65])) == pytest.approx([0.7])  # between two, in proportion
    assert sure(np.array([0.0, 0.2])) == pytest.approx([0.5, 0.5])


def test_it_never_falls_and_pools_what_would_by_words() -> None:
    sure = confidence([Judged(0.9, 3, 10), Judged(0.5, 3, 30), Judged(0.1, 1, 2)])
    assert sure(np.array([0.1, 0.5, 0.9])) == pytest.approx([0.5, 34 / 40, 34 / 40])
    draws = np.random.default_rng(1)
    noisy = confidence(
        [Judged(float(draws.random()), int(draws.integers(0, 9)), 8) for _ in range(200)]
    )
    found = noisy(np.linspace(-1, 2, 301))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= LEAST
    assert found.max() <= 1


def test_it_is_above_nothing_even_where_all_is_wrong() -> None:
    sure = confidence(graded({0.0: (3, 30), 1.0: (3, 0)}))
    assert sure(np.array([0.0, 1.0])) == pytest.approx([LEAST, 1.0])


def test_one_clip_is_enough_and_none_is_not() -> None:
    assert confidence([Judged(0.7, 1, 4)])(np.array([0.1, 0.9])) == pytest.approx([0.75, 0.75])
    assert confidence(GRADED)(np.array([])).shape == (0,)
    with pytest.raises(ValueError, match="no labelled clip"):
        confidence([])


def test_an_agreement_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a number"):
        confidence(GRADED)(np.array([0.5, math.nan]))
