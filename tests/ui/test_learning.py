"""The learning curve's view, on workspaces that a real Store has filled."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from al_loop.config import Settings
from al_loop.hours import Hours, measured_hours
from al_loop.overview import expected
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from tests.ui.conftest import OpenView, texts
from tests.ui.reports import ANSWERS, again, report
from tests.ui.workspaces import record_round
from ui.charts.learning import arms_chart, curve_described, learning_curve_chart, saved_chart
from ui.language import Say
from ui.sentences import between
from ui.views.learning import along, arm_rows


def said(page: AppTest) -> str:
    return "\n".join(block.value for block in (*page.markdown, *page.caption, *page.info))


def table(page: AppTest, column: str) -> pd.DataFrame:
    """The only table with this column."""
    found = [row.value for row in page.dataframe if column in row.value.columns]
    assert len(found) == 1, [list(row.value.columns) for row in page.dataframe]
    return cast(pd.DataFrame, found[0])


def recorded(store: Store, reports: list[dict[str, Any]]) -> None:
    """Rounds 0, 1, …; of all but the first there is one of these reports."""
    record_round(store, 0)
    for number, found in enumerate(reports, 1):
        record_round(store, number)
        store.put_report(number, found)


# -- what is missing -------------------------------------------------------------------------------


def test_before_the_first_report(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    page = open_view("learning", workspace.root)
    assert "No round is recorded yet" in page.info[0].value
    assert f"al-loop -w {workspace.root} round" in texts(page)


def test_a_round_without_answers_and_points(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    recorded(store, [report([], points=[])])
    page = open_view("learning", workspace.root)
    assert "No candidate was measured" in page.info[0].value
    assert "nothing to compare" in said(page)
    assert "too few answers to learn from" in said(page)
    assert "Minutes saved cannot be told yet" in said(page)
    assert not page.dataframe


# -- the learning curve ----------------------------------------------------------------------------


def test_the_curve_stands_against_annotators_hours_or_labelled_ones(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    recorded(store, [report(), report([*ANSWERS, *again(2)], 2), report(number=3)])
    page = open_view("learning", workspace.root)
    (hours,) = page.selectbox
    assert hours.value == "annotators' hours"
    assert "each labelled hour is taken to need" in said(page)
    page = open_view("learning", workspace.root, hours="labelled hours")
    assert page.selectbox[0].value == "labelled hours"
    assert "each labelled hour is taken to need" not in said(page)
    assert "Round 4 should bring WER to" in said(page)
    assert "Keep labelling" in said(page)


def test_without_measured_time_there_is_no_choice(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    recorded(store, [report()])
    store.db.execute("UPDATE annotations SET lead_time_s = NULL")
    page = open_view("learning", workspace.root)
    assert not page.selectbox
    assert "Annotators' hours are not known" in said(page)


def test_the_time_is_that_of_the_record_stage(workspace: Workspace, store: Store) -> None:
    for number in range(3):
        record_round(store, number)
    store.db.execute("UPDATE annotations SET lead_time_s = 5000 WHERE id = 'a1-0'")
    store.db.execute("UPDATE annotations SET created_at = '2999-01-01T00:00:00Z' WHERE round = 2")
    store.db.execute("UPDATE rounds SET recorded_at = '2025-01-01T00:00:00Z' WHERE number = 0")
    with Reader(workspace) as reader:
        spent = {row["round"]: row["annotator_s"] for row in reader.time_spent(600.0)}
        assert sum(row["annotator_s"] for row in reader.costs(600.0)) == 600 + 3 + 12
    assert spent == {row.round: row.annotator_s for row in store.curve_points(600.0)}
    assert spent == {0: 0, 1: 603, 2: 603}


def test_hours_are_measured_then_even_then_as_in_the_last_round() -> None:
    points = [{"round": number, "labelled_h": hours} for number, hours in enumerate((0, 1, 3))]
    spent = [
        {"round": number, "annotator_s": 3600.0 * hours} for number, hours in enumerate((1, 4, 14))
    ]
    hours = measured_hours(points, spent)
    assert hours == Hours((0, 1, 3), (1, 4, 14), 5)
    assert [hours.at(labelled) for labelled in (0, 1, 2, 3, 4)] == [1, 4, 9, 14, 19]
    assert along([{"labelled_h": 2.0}], hours) == [{"labelled_h": 2.0, "hours": 9}]
    assert along([{"labelled_h": 2.0}], None) == [{"labelled_h": 2.0, "hours": 2.0}]


def test_hours_of_labels_that_were_withdrawn_do_not_come_back() -> None:
    points = [{"round": number, "labelled_h": hours} for number, hours in enumerate((0, 2, 1))]
    spent = [
        {"round": number, "annotator_s": 3600.0 * hours} for number, hours in enumerate((0, 3, 9))
    ]
    hours = measured_hours(points, spent)
    assert hours is not None
    assert hours.spent == (0, 9, 9)
    assert hours.ratio == 4.5  # in all, for the last step took nothing


@pytest.mark.parametrize("spent_s", [[], [0.0, 0.0]])
def test_no_hours_where_none_were_measured(spent_s: list[float]) -> None:
    points = [{"round": number, "labelled_h": float(number)} for number in range(2)]
    rows = [{"round": number, "annotator_s": taken} for number, taken in enumerate(spent_s)]
    assert measured_hours(points, rows) is None


def test_the_chart_has_points_line_band_and_forecast() -> None:
    curve = report(number=3)["curve"]
    assert curve["line"]
    shown = {name: along(curve[name], None) for name in ("points", "line", "forecast")}
    drawn = learning_curve_chart(**shown, hours="hours", say=Say("en")).to_dict()
    assert [row["mark"]["type"] for row in drawn["layer"]] == [
        *("area", "line", "point", "rule", "point", "text")
    ]
    held = [row for data in drawn["datasets"].values() for row in data]
    assert {row["said"] for row in held if row.get("round") == 0} == {"60.0 (58.0–62.0)"}
    assert {row["round"] for row in held if "round" in row} == set(range(7))
    band = drawn["layer"][0]["encoding"]
    assert (band["y"]["field"], band["y2"]["field"]) == ("wer_low", "wer_high")
    assert "in round 3 it is 42.0 (40.0–44.0)" in curve_described(curve["points"], Say("en"))


def test_without_a_fit_the_chart_is_points_alone() -> None:
    curve = report(number=1)["curve"]
    assert not curve["line"]
    points = along(curve["points"], None)
    drawn = learning_curve_chart(points, [], [], "hours", Say("en")).to_dict()
    assert [row["mark"]["type"] for row in drawn["layer"]] == ["rule", "point", "text"]


def test_what_is_expected_is_asked_for_by_the_round_s_number(
    workspace: Workspace, store: Store
) -> None:
    recorded(store, [report(), report(number=3)])
    with Reader(workspace) as reader:
        assert expected(reader, Settings(), 1) is None
        found = expected(reader, Settings(), 2)
    assert found is not None
    assert found.round == 4


def test_why_there_is_no_forecast(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    recorded(store, [report()])
    page = open_view("learning", workspace.root)
    assert "There is no forecast:" in said(page)
    assert "a learning curve needs 3 rounds" in texts(page)


# -- the arms --------------------------------------------------------------------------------------


def test_the_arms_are_those_of_the_report(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    found = report([*ANSWERS, *again(2)], 2)
    recorded(store, [report(), found])
    page = open_view("learning", workspace.root)

    arms = table(page, "edits_per_minute")
    acquired, control = (found["round"]["arms"][name] for name in ("acquired", "control"))
    assert list(arms["arm"]) == ["acquired", "control"] * 2
    assert list(arms["of_rounds"]) == ["round 2"] * 2 + ["all rounds"] * 2
    newest = arms[:2]
    assert list(newest["clips"]) == [6, 7]
    assert list(newest["labelled"]) == [6, 6]
    assert list(newest["junk_share"]) == pytest.approx([0, 100 / 7])
    assert list(newest["wer"]) == pytest.approx([55, 100 / 6])
    assert list(newest["wer_low"]) == pytest.approx(
        [100 * acquired["wer_low"], 100 * control["wer_low"]]
    )
    assert list(newest["edits_per_minute"]) == pytest.approx([11, 10 / 3.5])
    assert list(newest["edits_per_minute_high"]) == pytest.approx(
        [acquired["edits_per_minute_high"], control["edits_per_minute_high"]]
    )
    assert list(newest["arm_minutes"]) == pytest.approx([3, 3.5])
    difference, saved = found["all"]["difference"], found["all"]["saved"]
    assert between(difference, "edits_per_minute") in said(page)
    assert between(difference, "wer", 100) in said(page)
    assert f"saved {between(saved, 'minutes')} minutes" in said(page)


def test_arms_over_the_rounds_are_drawn_with_their_intervals() -> None:
    reports = [report(), report([*ANSWERS, *again(2)], 2)]
    rows = arm_rows(reports)
    assert [(row["round"], row["arm"]) for row in rows] == [
        (number, arm) for number in (1, 2) for arm in ("acquired", "control")
    ]
    drawn = arms_chart(rows, "edits_per_minute", "edits", Say("en")).to_dict()
    held = [row for data in drawn["datasets"].values() for row in data]
    assert [row["edits_per_minute"] for row in held] == pytest.approx([11, 10 / 3.5] * 2)
    rule, point = drawn["layer"]
    assert rule["encoding"]["y2"]["field"] == "edits_per_minute_high"
    assert point["encoding"]["shape"]["field"] == "arm"  # colour is not alone


def test_saved_minutes_without_a_bound_have_no_rule() -> None:
    rows = [{"round": 1, "minutes": 2.0, "minutes_low": -1.0, "minutes_high": None}]
    drawn = saved_chart(rows, Say("en")).to_dict()
    assert any("isValid" in str(layer.get("transform")) for layer in drawn["layer"])
    assert between(rows[0], "minutes") == "+2.0 (-1.0 … +∞)"


# -- the prediction --------------------------------------------------------------------------------


def test_the_predictor_s_correlations_and_calibration(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    found = report()
    recorded(store, [found])
    page = open_view("learning", workspace.root)
    quality = found["predictor"]

    correlations = table(page, "statistic").set_index("statistic")
    assert set(correlations.index) == {"predicted WER", *quality["statistics"]}
    entropy = quality["statistics"]["mean_token_entropy"]
    assert list(correlations.loc["mean_token_entropy"]) == pytest.approx(
        [entropy[name] for name in ("value", "low", "high", "answers")]
    )
    assert correlations["correlation"].dropna().is_monotonic_decreasing
    assert pd.isna(correlations.loc["no_speech_prob", "correlation"])  # it never varies

    calibration = table(page, "predicted")
    assert list(calibration["answers"]) == [row["answers"] for row in quality["calibration"]]
    assert list(calibration["true_wer"]) == pytest.approx(
        [100 * row["true"] for row in quality["calibration"]]
    )
    assert "From 12 answers" in said(page)
    assert "On the control arm" in said(page)


@pytest.mark.parametrize("language", ["ru", "ky"])
def test_other_languages(
    open_view: OpenView, workspace: Workspace, store: Store, language: str
) -> None:
    recorded(store, [report(), report([*ANSWERS, *again(2)], 2), report(number=3)])
    workspace.config.write_text("dashboard.hour_cost = 3\n")
    shown = said(open_view("learning", workspace.root, language))
    assert "WER" in shown
    assert "Keep labelling" not in shown
