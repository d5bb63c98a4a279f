"""The dashboard's charts: rows of the read-only queries in, Altair charts out.

Knows neither Streamlit nor the database. Text takes the colour of the page around it, so that it
is read on light and on dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from al_loop.report import percent, with_interval

Rows = Sequence[Mapping[str, Any]]

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
"""Okabe and Ito (2008), Color Universal Design: those with 3:1 contrast on light and on dark.

A fifth evaluation set starts again with the first; its points have another shape."""

ROUND = alt.X("round:O", title="Round", axis=alt.Axis(labelAngle=0))
TEXT: dict[str, Any] = {"fontSize": 12, "color": "currentColor"}
SET_LEGEND = alt.Legend(title=None, orient="top", symbolOpacity=1)


def error_rate_chart(rates: Rows) -> alt.LayerChart:
    """WER per round, one line an evaluation set, with 95% intervals and every point's numbers.

    rates: rows of `Reader.error_rates`, one at least.
    """
    frame = pd.DataFrame(rates)
    frame["WER %"] = [with_interval(row) for row in rates]
    frame["CER %"] = [with_interval(row, "cer") for row in rates]
    frame["numbers"] = [
        f"{percent(row['wer'])}\n{percent(row['wer_low'])} to {percent(row['wer_high'])}"
        for row in rates
    ]
    # A round's highest point is labelled above it, the others below: two sets never collide.
    frame["above"] = frame["wer"] == frame.groupby("round")["wer"].transform("max")

    base = alt.Chart(frame).encode(
        x=ROUND,
        y=alt.Y("wer:Q", title="WER", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
    )
    coloured = base.encode(
        color=alt.Color("evaluation_set:N", legend=SET_LEGEND, scale=alt.Scale(range=COLOURS))
    )
    interval = coloured.encode(y="wer_low:Q", y2="wer_high:Q")
    points = coloured.mark_point(filled=True, size=80, opacity=1).encode(
        shape=alt.Shape("evaluation_set:N", legend=SET_LEGEND),
        tooltip=[
            alt.Tooltip("evaluation_set:N", title="Evaluation set"),
            alt.Tooltip("language:N", title="Language"),
            alt.Tooltip("round:O", title="Round"),
            "WER %:N",
            "CER %:N",
            alt.Tooltip("utterances:Q", title="Utterances"),
            alt.Tooltip("words:Q", title="Words"),
        ],
    )
    above, below = (
        base.transform_filter(condition)
        .mark_text(align="left", dx=8, dy=dy, lineBreak="\n", lineHeight=14, **TEXT)
        .encode(text="numbers:N")
        for condition, dy in (("datum.above", -22), ("!datum.above", 14))
    )
    return alt.LayerChart(
        layer=[
            interval.mark_area(opacity=0.15),
            interval.mark_rule(opacity=0.6),
            coloured.mark_line(),
            points,
            above,
            below,
        ],
        height=360,
        description="WER per round, one line for each evaluation set, with 95% intervals. "
        "The table of error rates holds the same numbers.",
    )


def minutes_chart(rounds: Rows) -> alt.LayerChart:
    """Labelled minutes per round. rounds: rows of `Reader.rounds`, one at least."""
    base = alt.Chart(pd.DataFrame(rounds)).encode(
        x=ROUND,
        y=alt.Y("labelled_min:Q", title="Labelled minutes"),
        tooltip=[
            alt.Tooltip("round:O", title="Round"),
            alt.Tooltip("labelled_min:Q", title="Labelled minutes", format=".1f"),
            alt.Tooltip("labelled:Q", title="Labelled utterances"),
        ],
    )
    numbers = base.mark_text(dy=-10, **TEXT).encode(text=alt.Text("labelled_min:Q", format=".1f"))
    return alt.LayerChart(
        layer=[base.mark_bar(color=COLOURS[0]), numbers],
        height=240,
        description="Labelled minutes of audio per round. The table of rounds holds the same "
        "numbers.",
    )


def learning_curve_chart(curve: Mapping[str, Any]) -> alt.LayerChart:
    """WER against labelled hours: a point a round with its interval, and the fitted curve.

    curve: what `al_loop.stopping.curve_report` gave, with one point at least. Without a fitted
    `line` and a `forecast` there are the points alone.
    """
    hours = alt.X("labelled_h:Q", title="Labelled hours", scale=alt.Scale(zero=False))
    wer = alt.Y("wer:Q", title="WER", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False))
    tooltip: list[str | alt.Tooltip] = [
        alt.Tooltip("round:O", title="Round"),
        alt.Tooltip("labelled_h:Q", title="Labelled hours", format=".2f"),
        "WER %:N",
    ]

    def rounds(rows: Rows) -> alt.Chart:
        frame = pd.DataFrame(rows)
        frame["WER %"] = [with_interval(row) for row in rows]
        frame["name"] = [f"round {row['round']}" for row in rows]
        return alt.Chart(frame).encode(x=hours, y=wer)

    layers = []
    if curve["line"]:
        fitted = alt.Chart(pd.DataFrame(curve["line"])).encode(x=hours, y=wer)
        band = fitted.encode(y="wer_low:Q", y2="wer_high:Q")
        layers += [
            band.mark_area(opacity=0.15, color=COLOURS[0]),
            fitted.mark_line(strokeDash=[6, 4], color=COLOURS[0]),
        ]
    if curve["forecast"]:
        ahead = rounds(curve["forecast"]).encode(tooltip=tooltip)
        layers.append(ahead.mark_point(filled=False, size=80, opacity=1, color=COLOURS[0]))
    measured = rounds(curve["points"])
    layers += [
        measured.encode(y="wer_low:Q", y2="wer_high:Q").mark_rule(color=COLOURS[1]),
        measured.encode(tooltip=tooltip).mark_point(
            filled=True, size=80, opacity=1, color=COLOURS[1]
        ),
        measured.mark_text(align="left", dx=8, dy=-10, **TEXT).encode(text="name:N"),
    ]
    return alt.LayerChart(
        layer=layers,
        height=320,
        description="WER against labelled hours, a point for each round with its 95% interval; "
        "where there is a fitted curve, it is dashed in its 95% band, with the rounds to come as "
        "hollow points. The sentences beside it hold the last point and the forecast.",
    )
