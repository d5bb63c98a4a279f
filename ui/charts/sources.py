"""Charts of the data: shares of sources, growth, durations, speakers. Pure: rows in, charts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from ui.charts.style import COLOURS, TEXT, round_axis
from ui.language import Say

Rows = Sequence[Mapping[str, Any]]

NAMED = len(COLOURS) - 1
"""Sources with a colour of their own in the chart of growth; the others are one."""
ROW_PX, BAR_PX, FACET_PX = 34, 22, 90
AROUND_PX = 110
"""Of a chart's height, what axis, titles and legend take: on a page it holds them too."""
LEGEND: dict[str, Any] = {"title": None, "orient": "top", "symbolOpacity": 1}


def shares_chart(mixture: Rows, say: Say) -> alt.LayerChart:
    """Target against realised share, a line a source. mixture: rows of `Reader.mixture`."""
    frame = pd.DataFrame(mixture)
    order = list(frame.sort_values("target_share", ascending=False)["source"])
    wide = alt.Chart(frame).encode(y=_names("source", order))
    target, realised = say("data.target"), say("data.realised")
    points = pd.concat(
        frame.assign(share=frame[column], which=name)
        for column, name in (("target_share", target), ("realised_share", realised))
    )
    which = [target, realised]
    dots = (
        alt.Chart(points)
        .mark_point(size=130, filled=True, opacity=1)
        .encode(
            y=_names("source", order),
            x=alt.X(
                "share:Q",
                title=say("data.axis_share"),
                axis=alt.Axis(format="%", tickCount=8),
                scale=alt.Scale(domainMin=0),
            ),
            color=alt.Color(
                "which:N",
                scale=alt.Scale(domain=which, range=COLOURS[:2]),
                legend=alt.Legend(**LEGEND),
            ),
            shape=alt.Shape(
                "which:N",
                scale=alt.Scale(domain=which, range=["diamond", "circle"]),
                legend=alt.Legend(**LEGEND),
            ),
            tooltip=[
                alt.Tooltip("source:N", title=say("columns.source")),
                alt.Tooltip("which:N", title=say("data.axis_share")),
                alt.Tooltip("share:Q", title="%", format=".1%"),
            ],
        )
    )
    between = wide.mark_rule(strokeWidth=3, opacity=0.4).encode(
        x="target_share:Q", x2="realised_share:Q"
    )
    numbers = wide.mark_text(align="left", dx=12, **TEXT).encode(
        x="furthest:Q", text=alt.Text("realised_share:Q", format=".1%")
    )
    numbers = numbers.transform_calculate(furthest="max(datum.target_share, datum.realised_share)")
    return alt.LayerChart(layer=[between, dots, numbers], height=ROW_PX * len(frame) + AROUND_PX)


def growth_chart(growth: Rows, say: Say) -> alt.Chart:
    """Minutes in each round's manifest, stacked by source. growth: rows of `Reader.growth`."""
    frame = pd.DataFrame(growth)
    frame["minutes"] = frame["duration_s"] / 60
    largest = frame.groupby("source")["minutes"].max().sort_values(ascending=False)
    order = list(largest.index)
    if len(order) > len(COLOURS):
        others = say("data.other_sources")
        order = [*order[:NAMED], others]
        frame["source"] = frame["source"].where(frame["source"].isin(order[:NAMED]), others)
    frame = frame.groupby(["round", "source"], as_index=False)["minutes"].sum()
    frame["place"] = frame["source"].map(order.index)
    return (
        alt.Chart(frame)
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            x=round_axis(say("common.round")),
            y=alt.Y("minutes:Q", title=say("data.axis_minutes")),
            color=alt.Color(
                "source:N",
                sort=order,
                scale=alt.Scale(domain=order, range=COLOURS),
                legend=alt.Legend(**LEGEND),
            ),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("round:O", title=say("common.round")),
                alt.Tooltip("source:N", title=say("columns.source")),
                alt.Tooltip("minutes:Q", title=say("data.axis_minutes"), format=".1f"),
            ],
        )
        .properties(height=340)
    )


def durations_chart(durations: Rows, bin_s: float, say: Say) -> alt.FacetChart:
    """How long the clips are, a row of bars a split. durations: rows of `Reader.durations`."""
    frame = (
        pd.DataFrame(durations).groupby(["split", "from_s"], as_index=False).sum(numeric_only=True)
    )
    frame["to_s"] = frame["from_s"] + bin_s
    bars = (
        alt.Chart()
        .mark_bar(color=COLOURS[0], binSpacing=1)
        .encode(
            x=alt.X("from_s:Q", bin="binned", title=say("data.axis_seconds")),
            x2="to_s:Q",
            y=alt.Y("utterances:Q", title=None, axis=alt.Axis(tickCount=3)),
            tooltip=[
                alt.Tooltip("split:N", title=say("columns.split")),
                alt.Tooltip("from_s:Q", title=say("data.axis_seconds")),
                alt.Tooltip("utterances:Q", title=say("columns.utterances")),
            ],
        )
        .properties(height=FACET_PX, width=640)
    )
    return alt.FacetChart(
        data=frame,
        facet=alt.FacetFieldDef(field="split", type="nominal", title=None),
        columns=1,
        spec=bars,
    ).resolve_scale(y="independent")


def speakers_chart(speakers: Rows, say: Say) -> alt.LayerChart:
    """Whose clips last longest. speakers: rows of `Reader.speakers`, of known speakers."""
    frame = pd.DataFrame(speakers)
    frame["minutes"] = frame["duration_s"] / 60
    base = alt.Chart(frame).encode(
        y=_names("speaker", list(frame["speaker"])),
        x=alt.X("minutes:Q", title=say("data.axis_minutes"), axis=alt.Axis(tickCount=8)),
        tooltip=[
            alt.Tooltip("speaker:N", title=say("columns.speaker")),
            alt.Tooltip("minutes:Q", title=say("data.axis_minutes"), format=".1f"),
            alt.Tooltip("utterances:Q", title=say("columns.utterances")),
        ],
    )
    numbers = base.mark_text(align="left", dx=4, **TEXT).encode(
        text=alt.Text("minutes:Q", format=".1f")
    )
    return alt.LayerChart(
        layer=[base.mark_bar(color=COLOURS[0]), numbers], height=BAR_PX * len(frame) + AROUND_PX
    )


def _names(field: str, order: Sequence[str]) -> alt.Y:
    return alt.Y(
        f"{field}:N",
        sort=list(order),
        title=None,
        axis=alt.Axis(labelLimit=220, labelOverlap=False),
    )
