from collections.abc import Sequence
from pathlib import Path

import pytest

from al_loop.metrics import Interval
from al_loop.records import ErrorCounts, Example
from al_loop.whisper.features import MAX_WINDOW_S, window_s
from benchmarks.training import OWN, PADDED, Measured, targets
from benchmarks.training_side import Plan, read_plan, write_plan


def make_plan() -> Plan:
    draws = [Example(id_, f"/clips/{id_}.flac", 1.5, "corpus_ky", "ky", "өмүр") for id_ in "ab"]
    return Plan([draws, draws[::-1]], 1e-4, 8, 0)


def side(seconds: float, errors: int) -> Measured:
    counts: Sequence[ErrorCounts] = [ErrorCounts(errors, 10, 0, 1)]
    return Measured(seconds, 2**30, counts, counts, counts)


def test_both_sides_read_the_plan_that_was_written(tmp_path: Path) -> None:
    plan = make_plan()
    write_plan(plan, tmp_path)
    assert read_plan(tmp_path) == plan


def test_a_clip_that_is_drawn_twice_is_one_clip() -> None:
    assert make_plan().clips == {"ky": 2}


@pytest.mark.parametrize(("low", "passed"), [(-0.01, True), (0.0, True), (0.001, False)])
def test_equal_within_the_interval_is_enough(low: float, passed: bool) -> None:
    sides = {"al_loop": side(1.0, 4), "notebook": side(6.0, 3)}
    speed, wer = targets(sides, Interval(0.1, low, 0.2))
    assert (speed.measured, speed.passed) == ("6.0x", True)
    assert wer.measured == f"40.0% against 30.0%, 10.0 ({100 * low:.1f} to 20.0) points"
    assert wer.passed is passed


def test_test_clips_are_decoded_in_their_own_windows_and_in_30_s() -> None:
    own, padded = (window_s(4.0, row.padding_s, row.bucket_s) for row in (OWN, PADDED))
    assert (own, padded) == (6.0, MAX_WINDOW_S)
