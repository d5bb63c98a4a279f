"""Whether labelling pays: the learning curve with forecast, the arms, and the prediction of WER.

Shows what the rounds' reports hold, which `al_loop.evidence` and `al_loop.stopping` made; knows no
formula of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from al_loop.hours import Hours, measured_hours
from al_loop.overview import expected
from al_loop.verdict import look_ahead
from storage.queries import Reader
from ui.charts.learning import arms_chart, curve_described, learning_curve_chart, saved_chart
from ui.elements import as_code, choose, show_chart, show_missing, show_table, show_text
from ui.sentences import between, expected_sentence, outlook
from ui.view import View

ARM_COLUMNS = (
    "of_rounds",
    "arm",
    "clips",
    "labelled",
    "junk_share",
    "wer",
    "wer_low",
    "wer_high",
    "edits_per_minute",
    "edits_per_minute_low",
    "edits_per_minute_high",
    "arm_minutes",
)
COMPARED = ("acquired", "control")
Report = Mapping[str, Any]


def show(view: View) -> None:
    reports = view.ask(Reader.reports)
    if not reports:
        show_missing(view, view.say("learning.no_report"), "round")
        return
    newest = reports[-1]["report"]
    show_curve(view, newest, reports[-1]["round"])
    show_arms(view, [row["report"] for row in reports])
    show_saved(view, [row["report"] for row in reports])
    show_predictor(view, newest["predictor"])


# -- the learning curve ----------------------------------------------------------------------------


def show_curve(view: View, report: Report, round_number: int) -> None:
    """round_number: of the round that the report is about."""
    curve, say = report["curve"], view.say
    st.markdown(outlook(look_ahead(curve), say))
    if not curve["points"]:
        show_missing(view, say("learning.no_points"), "ingest MANIFEST --source NAME --split test")
        return
    spent = view.ask(Reader.time_spent, view.settings.labels.longest_answer_s)
    hours = measured_hours(curve["points"], spent)
    if ahead := view.ask(expected, view.settings, round_number):
        st.markdown(expected_sentence(ahead, view.settings, say, as_code))
    st.subheader(say("learning.curve_title"), anchor=False)
    of_annotators, of_labels = say("learning.annotator_hours"), say("learning.labelled_hours")
    chosen = of_labels
    if hours:
        options = [of_annotators, of_labels]
        chosen = choose(say("learning.against"), options, of_annotators, "hours")
    shown = {
        name: along(curve[name], hours if chosen == of_annotators else None)
        for name in ("points", "line", "forecast")
    }
    chart = learning_curve_chart(**shown, hours=chosen, say=say)
    show_chart(view, chart, "learning-curve", curve_described(curve["points"], say))
    said = [say("learning.curve_caption", language=as_code(curve["language"]))]
    if chosen == of_annotators and hours:
        said.append(say("learning.hours_caption", ratio=hours.ratio))
    elif hours is None:
        said.append(say("learning.no_hours"))
    st.caption(" ".join(said))
    if curve["why_no_curve"]:
        st.caption(say("learning.no_forecast"))
        show_text(curve["why_no_curve"])


def along(rows: Sequence[Mapping[str, Any]], hours: Hours | None) -> list[dict[str, Any]]:
    """Rows of a curve with their place on the axis, `hours`: labelled ones where none are given."""
    return [
        {**row, "hours": hours.at(row["labelled_h"]) if hours else row["labelled_h"]}
        for row in rows
    ]


# -- the arms --------------------------------------------------------------------------------------


def arm_rows(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """One row a round and arm with an answer: the acquired one, and the control arm."""
    return [
        {"round": report["number"], "arm": arm, **report["round"]["arms"][arm]}
        for report in reports
        for arm in COMPARED
        if report["round"]["arms"][arm]["tasks"]
    ]


def show_arms(view: View, reports: Sequence[Report]) -> None:
    say, newest = view.say, reports[-1]
    st.subheader(say("learning.arms_title"), anchor=False)
    rows = arm_rows(reports)
    if not rows:
        st.caption(say("learning.no_answers"))
        return
    difference = newest["all"]["difference"]
    for field in ("edits_per_minute", "wer"):
        if difference[field] is None:
            st.caption(say(f"learning.{field}_unknown"))
            show_text(difference[f"{field}_reason"])
        else:
            said = between(difference, field, 100 if field == "wer" else 1)
            st.markdown(say(f"learning.{field}_difference", difference=said))
    left, right = st.columns(2)
    for place, field in ((left, "edits_per_minute"), (right, "wer")):
        if any(row[field] is not None for row in rows):
            with place:
                chart = arms_chart(rows, field, say(f"learning.{field}_title"), say)
                show_chart(view, chart, f"arms-{field}", say(f"learning.{field}_described"))
    st.caption(say("learning.arms_caption"))
    show_arms_table(view, newest)


def show_arms_table(view: View, report: Report) -> None:
    """The arms of the newest round, then those of all rounds so far."""
    parts = {view.say("learning.of_round", round=report["number"]): report["round"]}
    if report["asked_rounds"] > 1:
        parts[view.say("learning.of_all")] = report["all"]
    rows = [
        {
            **row,
            "of_rounds": name,
            "arm": view.say(f"round.arm_{arm}"),
            "clips": row["tasks"],
            "arm_minutes": row["annotator_s"] / 60,
        }
        for name, part in parts.items()
        for arm, row in part["arms"].items()
        if row["tasks"]
    ]
    show_table(view, rows, ARM_COLUMNS, view.say("learning.arms_title"))


def show_saved(view: View, reports: Sequence[Report]) -> None:
    """Annotators' minutes that choosing saved, of all rounds so far, after each round."""
    say, saved = view.say, reports[-1]["all"]["saved"]
    st.subheader(say("learning.saved_title"), anchor=False)
    if saved["minutes"] is None:
        st.caption(say("learning.saved_unknown"))
        show_text(saved["reason"])
        return
    sentence = say("learning.saved", minutes=between(saved, "minutes"))
    st.markdown(sentence)
    rows = [
        {"round": report["number"], **report["all"]["saved"]}
        for report in reports
        if report["all"]["saved"]["minutes"] is not None
    ]
    show_chart(view, saved_chart(rows, say), "minutes-saved", sentence)
    st.caption(say("learning.saved_caption"))


# -- the prediction --------------------------------------------------------------------------------


def show_predictor(view: View, quality: Mapping[str, Any] | None) -> None:
    """Its error, the rank correlations of all statistics, and its calibration."""
    say = view.say
    st.subheader(say("learning.predictor_title"), anchor=False)
    if quality is None:
        st.caption(say("learning.no_predictor"))
        return
    st.markdown(say("learning.predictor", answers=quality["answers"], mae=100 * quality["mae"]))
    if control := quality["control"]:
        said = say("learning.on_control", answers=control["answers"], mae=100 * control["mae"])
        st.markdown(said)
    left, right = st.columns([3, 2])
    with left:
        ours = say("learning.predicted_wer")
        correlations = {ours: quality["out_of_fold"], **quality["statistics"]}
        frame = pd.DataFrame(
            {
                "statistic": name,
                **{
                    f"correlation{end}": (row or {}).get(end.lstrip("_") or "value")
                    for end in ("", "_low", "_high")
                },
                "answers": (row or {}).get("answers"),
            }
            for name, row in correlations.items()
        )
        columns = ["statistic", "correlation", "correlation_low", "correlation_high", "answers"]
        ordered = frame.sort_values("correlation", ascending=False)
        show_table(view, ordered, columns, say("learning.correlations"))
    with right:
        calibration = [{**row, "true_wer": row["true"]} for row in quality["calibration"]]
        columns = ["answers", "predicted", "true_wer"]
        show_table(view, calibration, columns, say("learning.calibration"))
    st.caption(say("learning.predictor_caption"))
