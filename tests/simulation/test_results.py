import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from al_loop.errors import WorkspaceError
from al_loop.metrics import Interval, wilson
from al_loop.simulation.point import Point
from al_loop.simulation.report import curve_table, report, summary_table, text, write_plot
from al_loop.simulation.results import Result, area, results, seconds_to

ROUNDS = np.array([0.0, 100.0, 200.0])
UTTERANCES = 40


def point(strategy: str, seed: int, number: int, wer: float, **changes: float) -> Point:
    """A point whose errors lie unevenly on utterances of ten words."""
    errors = [round(10 * wer) + (-1) ** index for index in range(UTTERANCES)]
    spent_s = changes.pop("chosen_s", 100.0 * number)
    values = {"junk_tasks": 0, **changes}
    return Point(
        strategy,
        seed,
        number,
        labelled_s=spent_s,
        annotator_s=4 * spent_s,
        chosen_s=spent_s,
        junk_s=0.0,
        tasks=25 * number,
        errors=errors,
        words=[10] * UTTERANCES,
        **values,
    )


def replays(curves: dict[str, Sequence[Sequence[float]]], **changes: float) -> list[Point]:
    """curves: for each strategy one curve a seed."""
    return [
        point(name, seed, number, wer, **changes)
        for name, seeds in curves.items()
        for seed, curve in enumerate(seeds)
        for number, wer in enumerate(curve)
    ]


def found(points: Sequence[Point], samples: int = 300) -> dict[str, Result]:
    return {row.strategy: row for row in results(points, np.random.default_rng(0), samples)}


@pytest.mark.parametrize(
    ("wer", "target", "seconds"),
    [
        ([0.8, 0.6, 0.4], 0.5, 150.0),
        ([0.8, 0.6, 0.4], 0.6, 100.0),
        ([0.8, 0.6, 0.4], 0.8, 0.0),  # it is there before it has asked anything
        ([0.8, 0.6, 0.4], 0.3, math.inf),
        ([0.8, 0.9, 0.4], 0.8, 0.0),
        ([0.8, 0.4, 0.9], 0.6, 50.0),  # what is lost again later was there all the same
        ([0.8, 0.9, 0.4], 0.65, 150.0),
        ([0.8, 0.8, 0.8], 0.7, math.inf),
    ],
)
def test_the_seconds_to_a_target_are_interpolated(
    wer: list[float], target: float, seconds: float
) -> None:
    assert seconds_to(ROUNDS, np.array(wer), target) == pytest.approx(seconds)


def test_the_area_ends_where_it_is_told_to() -> None:
    wer = np.array([0.8, 0.6, 0.2])
    assert area(ROUNDS, wer, 200.0) == pytest.approx((0.7 + 0.4) / 2)
    assert area(ROUNDS, wer, 150.0) == pytest.approx((0.7 * 100 + 0.5 * 50) / 150)
    assert area(ROUNDS, wer, 0.0) == 0.8


def test_a_strategy_that_learns_faster_saves_seconds() -> None:
    points = replays({"random": [(0.8, 0.6, 0.4)] * 2, "default": [(0.8, 0.4, 0.2)] * 2})
    rows = found(points)
    assert list(rows) == ["default", "random"]
    assert (rows["random"].seconds.value, rows["random"].share.value) == (200.0, 1.0)
    assert rows["default"].seconds.value == pytest.approx(100.0)
    assert rows["default"].share.value == pytest.approx(0.5)
    assert rows["default"].final_difference.value == pytest.approx(-0.2)
    assert rows["default"].area_difference.value == pytest.approx(-(0.1 + 0.2) / 2)
    # every utterance has two errors less, so that no resample says otherwise
    assert rows["default"].final_difference.low == pytest.approx(-0.2)
    assert rows["default"].final_difference.high == pytest.approx(-0.2)
    assert rows["random"].final_difference == Interval(0.0, 0.0, 0.0)
    step = rows["default"].steps[2]
    assert (step.round, step.chosen_s, step.annotator_s) == (2, 200.0, 800.0)
    assert step.wer.value == pytest.approx(0.2)
    assert step.wer.low < 0.2 < step.wer.high


def test_seeds_that_differ_make_intervals_wider() -> None:
    alike = replays({"random": [(0.8, 0.6, 0.5)] * 3})
    apart = replays({"random": [(0.8, 0.6, 0.5), (0.8, 0.6, 0.4), (0.8, 0.6, 0.6)]})
    narrow, wide = (found(points)["random"].steps[2].wer for points in (alike, apart))
    assert narrow.value == pytest.approx(wide.value) == pytest.approx(0.5)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_what_never_gets_there_says_so() -> None:
    points = replays({"random": [(0.8, 0.6, 0.4)], "margin": [(0.8, 0.7, 0.6)]})
    row = found(points)["margin"]
    assert (row.seconds.value, row.share.value, row.share.high) == (math.inf,) * 3
    assert text(row.share, 100, 0) == "never (never to never)"
    assert summary_table([row])[1][0][2].startswith("never")


def test_a_baseline_that_learns_nothing_cannot_be_beaten_by_seconds() -> None:
    rows = found(replays({"random": [(0.6, 0.8, 0.8)], "margin": [(0.6, 0.6, 0.6)]}))
    assert rows["random"].share.value == rows["margin"].share.value == 1.0


def test_curves_are_compared_over_the_seconds_that_all_have_spent() -> None:
    points = replays({"random": [(0.8, 0.6, 0.4)]})
    points += [
        point("margin", 0, number, wer, chosen_s=spent_s)
        for number, (wer, spent_s) in enumerate([(0.8, 0.0), (0.6, 50.0), (0.4, 100.0)])
    ]
    rows = found(points)
    assert rows["random"].area.value == pytest.approx(0.7)
    assert rows["margin"].area.value == pytest.approx(0.6)
    assert rows["margin"].share.value == pytest.approx(0.5)


def test_only_seeds_that_all_strategies_have_count() -> None:
    points = replays({"random": [(0.8, 0.6, 0.4), (0.8, 0.6, 0.2)], "margin": [(0.8, 0.6, 0.4)]})
    assert found(points)["random"].steps[-1].wer.value == pytest.approx(0.4)
    with pytest.raises(WorkspaceError, match="random"):
        found(replays({"margin": [(0.8, 0.6)]}))
    with pytest.raises(WorkspaceError, match="a seed with all rounds"):
        found([row for row in points if (row.strategy, row.round) != ("margin", 2)])


def test_shares_of_nothing_and_of_all_have_intervals() -> None:
    none, fifth = wilson(0, 60), wilson(12, 60)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.0602, abs=1e-3)  # Wilson's own formula by hand
    assert (fifth.low, fifth.high) == pytest.approx((0.118, 0.318), abs=1e-3)
    assert math.isnan(wilson(0, 0).value)


def test_correlations_are_averaged_where_every_seed_has_one() -> None:
    known = {"spearman": 0.6, "spearman_low": 0.5, "spearman_high": 0.69}
    points = replays({"random": [(0.8, 0.6)] * 2}, **known)
    step = found(points)["random"].steps[1]
    assert step.spearman is not None
    assert step.spearman.value == pytest.approx(0.6)
    assert 0.5 < step.spearman.low < 0.6 < step.spearman.high < 0.69  # two seeds know more than one
    assert found([*points[:-1], point("random", 1, 1, 0.6)])["random"].steps[1].spearman is None


def test_results_are_repeated() -> None:
    points = replays({"random": [(0.8, 0.6, 0.5), (0.8, 0.6, 0.4)]})
    assert found(points) == found(points)


def test_tables_say_what_was_found() -> None:
    points = replays({"random": [(0.8, 0.6, 0.4)], "default": [(0.8, 0.4, 0.3)]}, junk_tasks=5)
    rows = list(found(points).values())
    columns, lines = curve_table(rows)
    assert len(lines) == 6
    assert dict(zip(columns, lines[1], strict=True))["audio min asked"] == "1.7"
    assert lines[1][:2] == ["default", "1"]
    columns, lines = summary_table(rows)
    assert [line[0] for line in lines] == ["default", "random"]
    assert dict(zip(columns, lines[0], strict=True))["junk %"].startswith("10 (")


def test_a_report_measures_against_what_it_is_told(tmp_path: Path) -> None:
    points = replays({"random": [(0.8, 0.6, 0.4)], "margin": [(0.8, 0.4, 0.3)]})
    rng = np.random.default_rng(0)
    assert "min to random's final WER" in "\n".join(
        report(points, rng, 100, tmp_path / "wer.svg", "random")
    )
    assert (tmp_path / "wer.svg").read_text(encoding="utf-8").startswith("<svg")
    lines = report(replays({"margin": [(0.8, 0.4)]}), rng, 100, tmp_path / "wer.svg", "margin")
    assert "min to margin's final WER" in "\n".join(lines)


def test_a_plot_is_of_the_kind_that_its_name_says(tmp_path: Path) -> None:
    write_plot(list(found(replays({"random": [(0.8, 0.6)]})).values()), tmp_path / "wer.png")
    assert (tmp_path / "wer.png").read_bytes().startswith(b"\x89PNG")


def test_intervals_hold_the_truth_where_few_seeds_differ() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        points = replays(
            {
                name: [(0.6, 0.5 + 0.1 * round(rng.normal(0, 1.0))) for _ in range(3)]
                for name in ("random", "margin")
            }
        )
        difference = found(points, 200)["margin"].final_difference
        held += difference.low <= 0 <= difference.high
    assert held >= 53


def test_one_seed_covers_test_clips_only_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one = replays({"random": [(0.8, 0.6)]})
    said = report(one, rng, 100, tmp_path / "wer.svg", "random")
    assert "95% intervals cover the choice of test clips only" in "\n".join(said)
    three = replays({"random": [(0.8, 0.6)] * 3})
    said = report(three, rng, 100, tmp_path / "wer.svg", "random")
    assert "on a t scale (2 degrees of freedom)" in "\n".join(said)


def test_what_saves_audio_may_cost_time() -> None:
    points = replays({"random": [(0.8, 0.6, 0.4)], "default": [(0.8, 0.4, 0.2)]})
    points = [
        replace(row, annotator_s=12.0 * row.chosen_s) if row.strategy == "default" else row
        for row in points
    ]
    rows = found(points)
    assert rows["default"].share.value == pytest.approx(0.5)
    assert rows["default"].annotator_share.value == pytest.approx(1.5)
    assert rows["default"].annotator_seconds.value == pytest.approx(1200)
    # up to the 800 s that random took: at 0 and 800 s it stands at 0.8 and 0.8 - 0.4 * 2 / 3
    assert rows["default"].annotator_area.value == pytest.approx(0.8 - 0.4 / 3)
    columns, lines = summary_table(list(rows.values()))
    shown = dict(zip(columns, lines[0], strict=True))
    assert shown["% of random's"].startswith("50 (")
    assert shown["% of random's annotator time"].startswith("150 (")


def test_strategies_on_one_curve_are_equal_however_much_they_spent(tmp_path: Path) -> None:
    points = [
        point(name, 0, number, 0.8 - 0.1 * number, chosen_s=100.0 * number)
        for name, rounds in (("random", (0, 1, 2, 4)), ("margin", (0, 1, 2, 3)))
        for number in rounds
    ]
    numbered = [
        replace(row, round=place)
        for name in ("random", "margin")
        for place, row in enumerate(row for row in points if row.strategy == name)
    ]
    row = found(numbered)["margin"]
    assert row.final_difference.value == pytest.approx(0)
    assert row.area_difference.value == pytest.approx(0)
    assert row.spent == pytest.approx(0.75)
    rng = np.random.default_rng(0)
    said = report(numbered, rng, 100, tmp_path / "wer.svg", "random")
    assert said[-1].startswith("warning: margin asked about 75% of the audio that random did")
    assert len([line for line in said if line.startswith("warning")]) == 1
