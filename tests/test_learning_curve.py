import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from al_loop.evidence_lines import curve_lines
from al_loop.learning_curve import (
    LUCK,
    Measured,
    fit,
    forecast,
    marginal,
    measured,
    recent,
    why_no_fit,
)
from al_loop.records import CurvePoint
from al_loop.stopping import advise, curve_report

SD = 0.01


def points(
    wers: Sequence[float], hours: Sequence[float] | None = None, sd: float = SD, name: str = "a"
) -> list[CurvePoint]:
    """One point a round, half an hour apart unless said otherwise."""
    hours = np.arange(len(wers)) / 2 if hours is None else hours
    return [
        CurvePoint(number, name, "ky", 1000, 3600 * at, 0.0, wer, wer - 1.96 * sd, wer + 1.96 * sd)
        for number, (wer, at) in enumerate(zip(wers, hours, strict=True))
    ]


def report(wers: Sequence[float], **rest: Any) -> dict[str, Any]:
    found = curve_report(points(wers, **rest), "ky", np.random.default_rng(0), 300, 1800)
    json.dumps(found, allow_nan=False)
    assert curve_lines(found)
    return found


def power_law(hours: float) -> float:
    return 0.1 + 0.5 * (1 + hours / 0.4) ** -0.6


def test_the_next_rounds_of_a_power_law_are_forecast() -> None:
    found = report([power_law(number / 2) for number in range(5)])
    for ahead, row in enumerate(found["forecast"]):
        hours = (5 + ahead) / 2
        assert (row["round"], row["labelled_h"]) == (5 + ahead, hours)
        assert row["wer_low"] < power_law(hours) < row["wer_high"]
        assert row["wer"] == pytest.approx(power_law(hours), abs=0.03)
    widths = [row["wer_high"] - row["wer_low"] for row in found["forecast"]]
    assert widths == sorted(widths)
    truth = 200 * (power_law(2.0) - power_law(2.5))
    assert found["marginal"]["low"] < truth < found["marginal"]["high"]
    assert found["line"][0]["labelled_h"] == 0
    assert found["line"][-1]["wer"] == found["forecast"][-1]["wer"]


def test_surer_points_count_more() -> None:
    rows = points([0.5, 0.4, 0.35, 0.33])
    rows[1] = points([0.5, 0.6], sd=0.1)[1]
    curve = fit(measured(rows, "ky"), np.random.default_rng(0), 200)
    assert curve is not None
    assert curve.at(0.5)[0] < 0.45


def test_the_same_generator_gives_the_same_band() -> None:
    assert report([0.5, 0.4, 0.35]) == report([0.5, 0.4, 0.35])


@pytest.mark.parametrize("wers", [[0.5, 0.4], [0.5], []])
def test_too_few_points_are_no_curve_but_say_so(wers: list[float]) -> None:
    rows = measured(points(wers), "ky")
    assert fit(rows, np.random.default_rng(0), 100) is None
    assert f"there are {len(wers)}" in (why_no_fit(rows) or "")
    found = report(wers)
    assert (found["forecast"], found["marginal"]) == ([], None)
    assert "no forecast: a learning curve needs 3 rounds" in " ".join(curve_lines(found))


def test_rounds_without_further_labels_are_one_amount() -> None:
    found = report([0.5, 0.4, 0.39], hours=[0.1, 0.1, 0.1])
    assert "there are 1" in found["why_no_curve"]
    assert found["advice"]["verdict"] == "too_early"
    assert found["step_h"] == 0.5  # what a round would ask for


@pytest.mark.parametrize(
    "wers",
    [[0.4] * 4, [0.4, 0.41, 0.38, 0.41, 0.4], [1.2, 0.3, 0.31, 0.3, 0.3], [0.0] * 3, [0.5, 0.4, 0]],
)
def test_forecasts_stay_between_nothing_and_the_worst_seen(wers: list[float]) -> None:
    forecasts = report(wers)["forecast"]
    assert len(forecasts) == 3
    for row in forecasts:
        assert 0 <= row["wer_low"] <= row["wer"] <= row["wer_high"] <= max(wers)


def test_a_point_without_width_does_no_harm() -> None:
    assert report([0.5, 0.4, 0.35], sd=0.0)["forecast"]
    rows = points([0.5, 0.4, 0.35])
    rows.append(CurvePoint(3, "a", "ky", 1000, 5400.0, 0.0, float("nan"), 0.0, 0.0))
    assert [row.round for row in measured(rows, "ky")] == [0, 1, 2]


def test_recent_gain_is_the_slope_in_points_an_hour() -> None:
    gain = recent(measured(points([0.5, 0.4]), "ky"))
    assert gain is not None
    assert gain.points_per_h == pytest.approx(20)
    # the sd of a difference of two over half an hour, by the test clips and by luck
    sd = np.sqrt(2 * SD**2 + LUCK**2 * (0.5**2 + 0.4**2))
    assert gain.high - gain.points_per_h == pytest.approx(1.96 * 100 * sd / 0.5, rel=1e-3)
    assert gain.rounds == (0, 1)


def test_a_curve_gains_less_at_its_end_than_before() -> None:
    rows = measured(points([power_law(number / 2) for number in range(5)]), "ky")
    curve = fit(rows, np.random.default_rng(0), 300)
    lately = recent(rows)
    assert curve is not None
    assert lately is not None
    coming = marginal(curve, rows, 0.5)
    assert 0 <= coming.low < coming.points_per_h < lately.points_per_h
    assert forecast(curve, rows, 0.5)[0]["wer"] < rows[-1].wer


def test_sets_are_weighted_by_words_and_others_left_out() -> None:
    small = CurvePoint(0, "b", "ky", 3000, 0.0, 0.0, 0.7, 0.7, 0.7)
    russian = CurvePoint(0, "c", "ru", 9000, 0.0, 0.0, 0.1, 0.1, 0.1)
    (row,) = measured([*points([0.3]), small, russian], "ky")
    assert row.wer == pytest.approx(0.6)


def test_a_round_that_lacks_a_set_does_not_compare() -> None:
    late = points([0.3, 0.3, 0.3], name="b")[1:]
    assert [row.round for row in measured([*points([0.5, 0.4, 0.3]), *late], "ky")] == [1, 2]
    grown = CurvePoint(2, "a", "ky", 2000, 3600.0, 0.0, 0.3, 0.29, 0.31)
    assert [row.round for row in measured([*points([0.5, 0.4]), grown], "ky")] == [2]


@pytest.mark.parametrize(
    ("wers", "verdict", "words"),
    [
        ([0.5, 0.4, 0.33, 0.28], "keep_labelling", "rounds 0 to 3 gained 14."),
        ([0.5, 0.4], "keep_labelling", "over 99% sure that it is a gain"),
        ([0.4, 0.395], "too_early", "two rounds make no curve"),
        ([0.5, 0.3, 0.3, 0.305, 0.3], "consider_stopping", "within noise"),
        ([0.4, 0.35, 0.33, 0.40], "look_at_the_data", "from 33.0% in round 2 to 40.0% in round 3"),
        ([0.5], "too_early", "no two rounds"),
    ],
)
def test_advice(wers: list[float], verdict: str, words: str) -> None:
    found = report(wers)["advice"]
    assert found["verdict"] == verdict
    assert words in found["text"]
    assert found["sureness"] is None or 0 <= found["sureness"] <= 1


def test_what_got_worse_is_not_forecast_to_fall() -> None:
    found = report([0.3, 0.35, 0.4])
    assert found["forecast"] == []
    assert found["why_no_curve"] == "the WER got worse, which no falling curve explains"


def test_noise_alone_seldom_raises_an_alarm() -> None:
    rng = np.random.default_rng(7)
    verdicts = [report(list(0.35 + rng.normal(0, SD, 6)))["advice"]["verdict"] for _ in range(60)]
    assert verdicts.count("consider_stopping") >= 52
    assert verdicts.count("look_at_the_data") <= 2


@pytest.mark.parametrize("rounds", [3, 4, 6])
def test_luck_of_trainings_alone_seldom_raises_an_alarm(rounds: int) -> None:
    rng = np.random.default_rng(rounds)
    verdicts = [
        advise(
            [
                Measured(number, number / 2, 0.3 + rng.normal(0, 0.01), 0.003)
                for number in range(rounds)
            ],
            None,
            0.5,
        ).verdict
        for _ in range(300)
    ]
    assert verdicts.count("keep_labelling") <= 18
    assert verdicts.count("look_at_the_data") <= 18


def test_scatter_beyond_luck_is_noise_too() -> None:
    calm, wild = (
        recent([Measured(number, number / 2, wer, 0.003) for number, wer in enumerate(wers)])
        for wers in ([0.4, 0.37, 0.34, 0.31], [0.4, 0.3, 0.41, 0.31])
    )
    assert calm is not None
    assert wild is not None
    assert wild.high - wild.low > 2 * (calm.high - calm.low)
    assert calm.low > 0 > wild.low


def test_few_rounds_speak_softly() -> None:
    three, four = (report([0.5, 0.4, 0.33, 0.28][:count])["advice"] for count in (3, 4))
    assert three["verdict"] == four["verdict"] == "keep_labelling"
    assert three["text"].endswith(
        "that is by 3 rounds only, and another training may say otherwise"
    )
    assert "only" not in four["text"]


def test_a_loss_without_further_labels_is_a_loss() -> None:
    found = report([0.5, 0.4, 0.3, 0.6, 0.6, 0.6, 0.6], hours=[0, 0.5, 1, 1, 1, 1, 1])
    assert found["advice"]["verdict"] == "look_at_the_data"
    found = report([0.5, 0.4, 0.3, 0.6], hours=[1, 1, 1, 1])
    assert found["advice"]["verdict"] == "look_at_the_data"


def test_recent_gain_reaches_back_to_different_hours() -> None:
    gain = recent(measured(points([0.6, 0.3, 0.3, 0.3, 0.3], hours=[0, 1, 1, 1, 1]), "ky"))
    assert gain is not None
    assert gain.rounds == (0, 4)
    assert gain.points_per_h == pytest.approx(30)
