"""Charts of a training: loss, learning rate, gradient norm, stages, the gate. Pure: rows in, charts
out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from ui.charts.style import COLOURS, TEXT
from ui.language import Say
from ui.trainings import thinned

Rows = Sequence[Mapping[str, Any]]
Values = Sequence[float | None]

ROW_PX, BAR_PX, STEPS_PX = 54, 24, 320
AROUND_PX = 110
"""Of a chart's height, what axis, titles and legend take: on a page it holds them too."""
LEGEND: dict[str, Any] = {"title": None, "orient": "top", "symbolOpacity": 1}


def loss_chart(losses: Values, epochs: Rows, say: Say) -> alt.LayerChart:
    """Loss at each step, and the validation loss at the end of each epoch where there is one."""
    names = [say("training.of_steps"), say("training.of_validation")]
    colour = alt.Color(
        "which:N", scale=alt.Scale(domain=names, range=COLOURS), legend=alt.Legend(**LEGEND)
    )
    layers = [
        _steps(losses, say("columns.loss"), say, which=names[0])
        .mark_line(strokeWidth=1.5)
        .encode(color=colour)
    ]
    held_out = [
        {"step": row["last_step"], "value": row["validation_loss"], "which": names[1]}
        for row in epochs
        if row.get("validation_loss") is not None
    ]
    if held_out:
        points = _chart(held_out, say("columns.loss"), say).encode(color=colour)
        layers += [
            points.mark_line(strokeDash=[5, 4]),
            points.mark_point(filled=True, size=80, opacity=1, shape="diamond"),
            points.mark_text(dy=-12, **TEXT).encode(
                text=alt.Text("value:Q", format=".3f"), color=alt.ColorValue("currentColor")
            ),
        ]
    return alt.LayerChart(layer=layers, height=STEPS_PX)


def norm_chart(norms: Values, bound: float | None, say: Say) -> alt.LayerChart:
    """Gradient norm at each step, before clipping, and the bound that its mean is to stay below."""
    title = say("training.axis_norm")
    layers: list[alt.Chart] = [
        _steps(norms, title, say, which="").mark_line(strokeWidth=1.5, color=COLOURS[0])
    ]
    if bound is not None:
        row = [{"value": bound, "text": say("training.bound", bound=bound)}]
        line = alt.Chart(pd.DataFrame(row)).encode(y=alt.Y("value:Q", title=title))
        layers += [
            line.mark_rule(strokeDash=[6, 4], strokeWidth=2, color=COLOURS[1]),
            line.mark_text(align="right", dx=-4, dy=-8, **TEXT).encode(
                text="text:N", x=alt.value("width")
            ),
        ]
    return alt.LayerChart(layer=layers, height=STEPS_PX)


def rate_chart(rates: Values, say: Say) -> alt.Chart:
    """The learning rate at each step."""
    chart = _steps(rates, say("training.axis_rate"), say, which="", number="~e")
    return chart.mark_line(strokeWidth=2, color=COLOURS[0]).properties(height=STEPS_PX)


def stages_chart(stages: Rows, say: Say) -> alt.LayerChart:
    """Minutes that each stage took. stages: `stage` and `taken_min`, in their order."""
    frame = pd.DataFrame(stages)
    base = alt.Chart(frame).encode(
        y=alt.Y(
            "stage:N", sort=list(frame["stage"]), title=None, axis=alt.Axis(labelOverlap=False)
        ),
        x=alt.X("taken_min:Q", title=say("columns.minutes"), axis=alt.Axis(tickCount=8)),
        tooltip=[
            alt.Tooltip("stage:N", title=say("columns.stage")),
            alt.Tooltip("taken_min:Q", title=say("columns.taken_min"), format=".1f"),
        ],
    )
    numbers = base.mark_text(align="left", dx=4, **TEXT).encode(
        text=alt.Text("taken_min:Q", format=".1f")
    )
    return alt.LayerChart(
        layer=[base.mark_bar(color=COLOURS[0]), numbers], height=BAR_PX * len(frame) + AROUND_PX
    )


def gate_chart(rates: Rows, say: Say) -> alt.LayerChart:
    """WER of the checkpoint in use and of the candidate, with intervals, an evaluation set a row.

    rates: rows of `Reader.before_and_after`, one at least.
    """
    names = {"before": say("training.in_use"), "after": say("training.candidate")}
    rows = [
        {
            "evaluation_set": f"{row['evaluation_set']} ({row['language']})",
            "which": name,
            "wer": row[side],
            "low": row[f"{side}_low"],
            "high": row[f"{side}_high"],
        }
        for row in rates
        for side, name in names.items()
        if row[side] is not None
    ]
    which = list(names.values())
    legend = alt.Legend(**LEGEND)
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("evaluation_set:N", title=None, axis=alt.Axis(labelLimit=220, labelOverlap=False)),
        yOffset=alt.YOffset("which:N", sort=which),
        color=alt.Color("which:N", scale=alt.Scale(domain=which, range=COLOURS), legend=legend),
        tooltip=[
            alt.Tooltip("evaluation_set:N", title=say("columns.evaluation_set")),
            alt.Tooltip("which:N", title=say("columns.checkpoint")),
            alt.Tooltip("wer:Q", title="WER", format=".1%"),
            alt.Tooltip("low:Q", title=say("columns.share_low"), format=".1%"),
            alt.Tooltip("high:Q", title=say("columns.share_high"), format=".1%"),
        ],
    )
    wer = alt.X("wer:Q", title="WER", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False))
    interval = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="WER"), x2="high:Q")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=wer,
        shape=alt.Shape(
            "which:N", scale=alt.Scale(domain=which, range=["diamond", "circle"]), legend=legend
        ),
    )
    return alt.LayerChart(layer=[interval, points], height=ROW_PX * len(rates) + AROUND_PX)


def _steps(values: Values, title: str, say: Say, *, which: str, number: str = ".3f") -> alt.Chart:
    rows = [{"step": step, "value": value, "which": which} for step, value in thinned(values)]
    return _chart(rows, title, say, number)


def _chart(rows: Rows, title: str, say: Say, number: str = ".3f") -> alt.Chart:
    return alt.Chart(pd.DataFrame(rows, columns=["step", "value", "which"])).encode(
        x=alt.X("step:Q", title=say("training.axis_step")),
        y=alt.Y("value:Q", title=title, axis=alt.Axis(format="~e" if number == "~e" else "")),
        tooltip=[
            alt.Tooltip("step:Q", title=say("training.axis_step")),
            alt.Tooltip("value:Q", title=title, format=number),
        ],
    )
