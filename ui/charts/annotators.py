"""Charts of annotators' work: who answered when, figures with intervals, and over the rounds.

Pure: rows in, charts out. Names come as they are to be shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from ui.charts.style import COLOURS, TEXT, round_axis
from ui.language import Say

Rows = Sequence[Mapping[str, Any]]

ROW_PX = 24
AROUND_PX = 110
"""Of a chart's height, what axis, titles and legend take: on a page it holds them too."""
LEGEND: dict[str, Any] = {"title": None, "orient": "top", "symbolOpacity": 1}


def days_chart(days: Rows, say: Say) -> alt.Chart:
    """Who answered how much on which day: the larger the circle, the more.

    days: `annotator`, `day`, `answers` and `minutes`, one row at least.
    """
    frame = pd.DataFrame(days)
    order = sorted(set(frame["annotator"]), key=lambda name: (len(name), name))
    return (
        alt.Chart(frame)
        .mark_circle(color=COLOURS[0], opacity=0.9)
        .encode(
            x=alt.X("day:T", title=say("columns.day"), axis=alt.Axis(format="%m-%d", tickCount=10)),
            y=alt.Y(
                "annotator:N",
                sort=order,
                title=None,
                axis=alt.Axis(labelLimit=200, labelOverlap=False, grid=True),
            ),
            size=alt.Size(
                "answers:Q",
                scale=alt.Scale(range=[10, 300]),
                legend=alt.Legend(title=say("columns.answers"), orient="top"),
            ),
            tooltip=[
                alt.Tooltip("annotator:N", title=say("columns.annotator")),
                alt.Tooltip("day:T", title=say("columns.day"), format="%Y-%m-%d"),
                alt.Tooltip("answers:Q", title=say("columns.answers")),
                alt.Tooltip("minutes:Q", title=say("columns.minutes"), format=".1f"),
            ],
        )
        .properties(height=ROW_PX * len(order) + AROUND_PX)
    )


def figure_chart(rows: Rows, title: str, say: Say) -> alt.LayerChart:
    """One figure of every annotator with its 95% interval, the highest on top.

    rows: `annotator`, `share`, `share_low`, `share_high` and `counted`, one at least. title: of
    the figure.
    """
    frame = pd.DataFrame(rows)
    order = list(frame.sort_values("share", ascending=False)["annotator"])
    base = alt.Chart(frame).encode(
        y=alt.Y(
            "annotator:N", sort=order, title=None, axis=alt.Axis(labelLimit=200, labelOverlap=False)
        ),
        tooltip=[
            alt.Tooltip("annotator:N", title=say("columns.annotator")),
            alt.Tooltip("share:Q", title=title, format=".1%"),
            alt.Tooltip("share_low:Q", title=say("columns.share_low"), format=".1%"),
            alt.Tooltip("share_high:Q", title=say("columns.share_high"), format=".1%"),
            alt.Tooltip("counted:Q", title=say("columns.counted")),
        ],
    )
    share = alt.X(
        "share:Q",
        title=title,
        axis=alt.Axis(format=".0%", tickCount=8),
        scale=alt.Scale(zero=False),
    )
    interval = base.mark_rule(color=COLOURS[0], strokeWidth=2).encode(
        x=alt.X("share_low:Q", title=title), x2="share_high:Q"
    )
    points = base.mark_point(color=COLOURS[0], filled=True, size=80, opacity=1).encode(x=share)
    numbers = base.mark_text(dy=-10, **TEXT).encode(x=share, text=alt.Text("share:Q", format=".0%"))
    return alt.LayerChart(
        layer=[interval, points, numbers], height=1.3 * ROW_PX * len(frame) + AROUND_PX
    )


def rounds_chart(rows: Rows, say: Say) -> alt.LayerChart:
    """Agreement and unchanged drafts by round with 95% intervals.

    rows: `round`, `figure` as it is to be shown, `share`, `share_low`, `share_high`, one at least.
    """
    frame = pd.DataFrame(rows)
    domain = list(dict.fromkeys(frame["figure"]))
    legend = alt.Legend(**LEGEND)
    base = alt.Chart(frame).encode(
        x=round_axis(say("common.round")),
        y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
        color=alt.Color("figure:N", scale=alt.Scale(domain=domain, range=COLOURS), legend=legend),
    )
    interval = base.encode(y=alt.Y("share_low:Q", title=None), y2="share_high:Q")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        shape=alt.Shape(
            "figure:N", scale=alt.Scale(domain=domain, range=["circle", "square"]), legend=legend
        ),
        tooltip=[
            alt.Tooltip("round:O", title=say("common.round")),
            alt.Tooltip("figure:N", title=say("columns.figure")),
            alt.Tooltip("share:Q", title="%", format=".1%"),
            alt.Tooltip("share_low:Q", title=say("columns.share_low"), format=".1%"),
            alt.Tooltip("share_high:Q", title=say("columns.share_high"), format=".1%"),
            alt.Tooltip("counted:Q", title=say("columns.counted")),
        ],
    )
    return alt.LayerChart(
        layer=[interval.mark_rule(opacity=0.6), base.mark_line(), points], height=340
    )
