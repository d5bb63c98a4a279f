"""The charts of what labels bring: the learning curve, and the arms over the rounds.

What a round's report holds and words in, Altair charts out. Knows neither Streamlit nor the
database, and no formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from ui.charts.rates import in_percent, series
from ui.charts.style import COLOURS, TEXT, round_axis, wer_axis
from ui.language import Say

Rows = Sequence[Mapping[str, Any]]

QUIET = "#888888"
ENDS = {"": "value", "_low": "low", "_high": "high"}
"""Of a measure and its interval: what a field's name ends with."""


def learning_curve_chart(
    points: Rows, line: Rows, forecast: Rows, hours: str, say: Say
) -> alt.LayerChart:
    """WER against hours: a point a round with its interval, the fitted curve, and the forecast.

    points, line, forecast: as `al_loop.stopping.curve_report` gives them, each with its `hours`;
    one point at least. Without a fit `line` and `forecast` are empty. hours: the axis's title.
    """
    x = alt.X("hours:Q", title=hours, scale=alt.Scale(zero=False))
    wer = wer_axis("WER")

    def rounds(rows: Rows) -> alt.Chart:
        frame = pd.DataFrame(rows)
        frame["said"] = [in_percent(row) for row in rows]
        frame["name"] = [f"{row['round']}" for row in rows]
        return alt.Chart(frame).encode(x=x, y=wer)

    tooltip = [
        alt.Tooltip("round:O", title=say("common.round")),
        alt.Tooltip("hours:Q", title=hours, format=".2f"),
        alt.Tooltip("said:N", title="WER %"),
    ]
    layers = []
    if line:
        fitted = alt.Chart(pd.DataFrame(line)).encode(x=x, y=wer)
        layers += [
            fitted.encode(y="wer_low:Q", y2="wer_high:Q").mark_area(opacity=0.15, color=COLOURS[0]),
            fitted.mark_line(strokeDash=[6, 4], color=COLOURS[0]),
        ]
    if forecast:
        ahead = rounds(forecast).encode(tooltip=tooltip)
        layers.append(ahead.mark_point(filled=False, size=80, opacity=1, color=COLOURS[0]))
    measured = rounds(points)
    layers += [
        measured.encode(y="wer_low:Q", y2="wer_high:Q").mark_rule(color=COLOURS[1]),
        measured.encode(tooltip=tooltip).mark_point(
            filled=True, size=80, opacity=1, color=COLOURS[1]
        ),
        measured.mark_text(align="left", dx=8, dy=-10, **TEXT).encode(text="name:N"),
    ]
    return alt.LayerChart(layer=layers, height=360)


def curve_described(points: Rows, say: Say) -> str:
    """The learning curve in words: how many points it has, and the last of them."""
    last = points[-1]
    return say(
        "learning.curve_described", count=len(points), last=last["round"], wer=in_percent(last)
    )


def arms_chart(rows: Rows, field: str, title: str, say: Say) -> alt.LayerChart:
    """One measure of the arms over the rounds, with 95% intervals.

    rows: with `round`, `arm`, and `field` with its `_low` and `_high`, which may be None; one at
    least. A measure between 0 and 1 is a rate, shown in percent.
    """
    frame = pd.DataFrame(rows)
    frame = frame[frame[field].notna()]
    frame["arm"] = [say(f"round.arm_{arm}") for arm in frame["arm"]]
    axis = alt.Axis(format="%") if field == "wer" else alt.Axis()
    colour, shape = series("arm", list(dict.fromkeys(frame["arm"])))
    base = alt.Chart(frame).encode(
        x=round_axis(say("common.round")),
        xOffset="arm:N",
        y=alt.Y(f"{field}:Q", title=title, axis=axis),
        color=colour,
    )
    form = ".1%" if field == "wer" else ".1f"
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        shape=shape,
        tooltip=[
            alt.Tooltip("round:O", title=say("common.round")),
            alt.Tooltip("arm:N", title=say("columns.arm")),
            *(
                alt.Tooltip(f"{field}{end}:Q", title=say(f"learning.end_{name}"), format=form)
                for end, name in ENDS.items()
            ),
        ],
    )
    rules = base.transform_filter(
        f"isValid(datum['{field}_low']) && isValid(datum['{field}_high'])"
    ).mark_rule()
    rules = rules.encode(y=alt.Y(f"{field}_low:Q", title=title, axis=axis), y2=f"{field}_high:Q")
    return alt.LayerChart(layer=[rules, points], height=280)


def saved_chart(rows: Rows, say: Say) -> alt.LayerChart:
    """Minutes saved by choosing, all rounds so far, with 95% intervals and a rule at nothing.

    rows: with `round`, `minutes` and its ends, which may be None where they have no bound.
    """
    frame = pd.DataFrame(rows)
    base = alt.Chart(frame).encode(
        x=round_axis(say("common.round")),
        y=alt.Y("minutes:Q", title=say("learning.minutes")),
    )
    rules = base.transform_filter("isValid(datum.minutes_low) && isValid(datum.minutes_high)")
    points = base.mark_point(filled=True, size=80, opacity=1, color=COLOURS[2]).encode(
        tooltip=[
            alt.Tooltip("round:O", title=say("common.round")),
            *(
                alt.Tooltip(f"minutes{end}:Q", title=say(f"learning.end_{name}"), format=".1f")
                for end, name in ENDS.items()
            ),
        ]
    )
    nothing = alt.Chart(pd.DataFrame([{"minutes": 0.0}])).mark_rule(strokeDash=[2, 3], color=QUIET)
    return alt.LayerChart(
        layer=[
            nothing.encode(y="minutes:Q"),
            rules.mark_rule(color=COLOURS[2]).encode(y="minutes_low:Q", y2="minutes_high:Q"),
            base.mark_line(color=COLOURS[2]),
            points,
        ],
        height=280,
    )
