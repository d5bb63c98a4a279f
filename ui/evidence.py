"""The dashboard's sections on whether choosing pays: a round's report, and what simulations say.

Reads through the read-only queries; knows no formula, for the reports hold the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn

from al_loop.evidence_lines import curve_lines, lines
from al_loop.report import predictor_lines
from storage.queries import Reader
from ui import columns
from ui.charts import learning_curve_chart
from ui.elements import Rows, show_table, show_text

ARM_RATES = ["junk_share", "wer", "wer_low", "wer_high"]


def show_evidence(reader: Reader, rounds: Rows) -> None:
    """The report of a round, at first the newest recorded one. rounds: one at least, by number."""
    st.subheader("Is choosing worth it?", anchor=False)
    recorded = {row["round"]: row["stage"] is None for row in rounds}
    numbers = sorted(recorded, reverse=True)
    newest = next((number for number in numbers if recorded[number]), numbers[0])
    number = st.selectbox("Report of round", numbers, numbers.index(newest), width=200)
    if reason := reader.selection(number).get("reason"):
        show_text(f"round {number}: {reason}")
    report = reader.report(number)
    if not report:
        when = "was recorded without one" if recorded[number] else "gets it when it is recorded"
        st.caption(f"There is no report: round {number} {when}.")
        return
    curve, arms = report["curve"], report["round"]["arms"]
    # the table says what the lines of the arms say, and the curve's lines stand beside it
    tabled = tuple(f"  {arm}: " for arm in arms)
    elsewhere = curve_lines(curve)
    show_text(
        "\n".join(
            line for line in lines(report) if not line.startswith(tabled) and line not in elsewhere
        )
    )
    show_arms(report)
    left, right = st.columns([3, 2])
    with left:
        st.subheader("What labels bring, and what to do", anchor=False)
        show_text("\n".join(elsewhere))
        if curve["points"]:
            st.altair_chart(learning_curve_chart(curve), width="stretch")
    with right:
        st.subheader("How well WER is predicted", anchor=False)
        show_predictor(report["predictor"])


def show_arms(report: Mapping[str, Any]) -> None:
    """The arms that were asked about, of the round and then of all rounds so far."""
    parts = {f"round {report['number']}": report["round"]}
    if report["asked_rounds"] > 1:
        parts["all rounds"] = report["all"]
    rows = [
        {"of": name, "arm": arm, **row, "annotator_min": row["annotator_s"] / 60}
        for name, part in parts.items()
        for arm, row in part["arms"].items()
        if row["tasks"]
    ]
    if rows:
        frame = pd.DataFrame(rows)
        frame[ARM_RATES] = frame[ARM_RATES].astype(float) * 100  # a rate may be missing
        show_table(frame, columns.ARMS)


def show_predictor(quality: Mapping[str, Any] | None) -> None:
    """Its error in words, the rank correlations of all statistics, and its calibration."""
    if quality is None:
        show_text("\n".join(predictor_lines(None)))
        return
    show_text("\n".join(predictor_lines({**quality, "statistics": {}, "calibration": []})))
    correlations = {"predicted WER": quality["out_of_fold"], **quality["statistics"]}
    frame = pd.DataFrame(
        [{"statistic": name, **(row or {})} for name, row in correlations.items()],
        columns=list(columns.CORRELATIONS),
    )
    show_table(frame.sort_values("value", ascending=False), columns.CORRELATIONS)
    calibration = pd.DataFrame(quality["calibration"])
    calibration[["predicted", "true"]] *= 100
    show_table(calibration, columns.CALIBRATION)


def show_simulations(reader: Reader) -> None:
    """WER of every strategy after each round, the mean over seeds; nothing without simulations."""
    rows = [
        {
            **point,
            "simulation": simulation["name"],
            "state": "finished" if simulation["finished_at"] else "may go on",
        }
        for simulation in reversed(reader.simulations())
        for point in reader.simulation_points(simulation["name"])
    ]
    if not rows:
        return
    st.subheader("Simulations: WER % after each round, the mean over seeds", anchor=False)
    points = pd.DataFrame(rows)
    points["wer"] *= 100
    names = ["simulation", "state", "strategy"]
    wer = points.pivot_table("wer", names, "round", sort=False)
    wer = wer[sorted(wer.columns)]
    wer.columns = [f"round {number}" for number in wer.columns]
    grouped = points.groupby(names, sort=False)
    last = points[points["round"] == grouped["round"].transform("max")].groupby(names, sort=False)
    frame = wer.assign(
        seeds=grouped["seed"].nunique(),
        minutes=last["chosen_s"].mean() / 60,
        junk_share=100 * last["junk_tasks"].sum() / last["tasks"].sum(),
    ).reset_index()
    shown = dict(columns.SIMULATIONS)
    tail = {name: shown.pop(name) for name in ("minutes", "junk_share")}
    rates = {name: NumberColumn(name.capitalize(), format="%.1f") for name in wer.columns}
    show_table(frame, {**shown, **rates, **tail})
    st.caption("`al-loop simulate --name NAME` prints the intervals, and what each one saves.")
