"""Predicted working time: a guess at first, then what annotators needed, without their breaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from al_loop.acquisition.effort import BEFORE, FEWEST, fit
from al_loop.metrics import word_errors
from al_loop.records import Answer
from tests.acquisition.rows import answer, clip


def timed(number: int) -> Answer:
    """6 s, and 3 s for each second and word error, a fifth more or less."""
    row = answer(clip("easy" if number % 2 else "noisy", number))
    assert row.text is not None
    assert row.hypothesis is not None
    needed_s = 6 + 3 * row.duration_s + 3 * word_errors(row.text, row.hypothesis.text)
    return replace(row, lead_time_s=needed_s * (0.8 + 0.4 * (number * 7 % 11) / 10))


def seconds(answers: list[Answer], errors: float = 4.0) -> float:
    return float(fit(answers).seconds(np.array([5.0]), np.array([errors]))[0])


def test_until_enough_answers_are_timed_it_is_a_guess() -> None:
    rows = [timed(number) for number in range(FEWEST)]
    useless = [replace(row, lead_time_s=None) for row in rows]
    useless += [replace(row, lead_time_s=0.0) for row in rows]
    useless += [answer(clip("reversed", number)) for number in range(FEWEST)]
    found = fit([*rows[:-1], *useless])
    assert (found.each_s, found.audio_factor, found.error_s) == BEFORE
    assert found.answers == 0
    assert fit(rows).answers == FEWEST


def test_it_learns_from_the_times() -> None:
    rows = [timed(number) for number in range(80)]
    assert seconds(rows) == pytest.approx(6 + 15 + 12, rel=0.1)
    assert seconds(rows, errors=8.0) > seconds(rows) + 4


def test_breaks_do_not_count() -> None:
    rows = [timed(number) for number in range(80)]
    broken = [replace(row, lead_time_s=3600.0) if n % 8 == 0 else row for n, row in enumerate(rows)]
    assert seconds(broken) == pytest.approx(seconds(rows), rel=0.1)


def test_no_coefficient_is_below_zero() -> None:
    rows = [replace(timed(number), lead_time_s=10.0) for number in range(40)]
    found = fit(rows)
    assert min(found.each_s, found.audio_factor, found.error_s) >= 0
    assert seconds(rows) == pytest.approx(10, rel=0.05)
