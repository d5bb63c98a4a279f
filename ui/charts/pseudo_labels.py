"""Charts of pseudo-labels: volume against precision, and both from run to run. Pure: rows in,
charts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from ui.charts.style import COLOURS, TEXT
from ui.language import Say

Rows = Sequence[Mapping[str, Any]]

SHARE = alt.Axis(format=".0%", tickCount=8)
RUNS_PX, CURVE_PX = 220, 340


def volume_chart(
    curve: Rows, chosen: Mapping[str, Any] | None, target: float | None, say: Say
) -> alt.LayerChart:
    """Precision against the volume that a threshold keeps, with its 95% interval.

    Volume is hours of clips that nobody labelled; where they are not known, the share of the
    labelled ones. curve: rows of `ui.pseudo_labels.curve_of`. chosen: the one that the run took.
    """
    if any(row["hours"] is None for row in curve):
        x = alt.X("kept_share:Q", title=say("pseudo.axis_kept_share"), axis=SHARE)
    else:
        x = alt.X("hours:Q", title=say("pseudo.axis_hours"), axis=alt.Axis(tickCount=8))
    base = alt.Chart(pd.DataFrame(curve)).encode(x=x)
    band = base.transform_filter("isValid(datum.precision_low) && isValid(datum.precision_high)")
    layers: list[alt.Chart] = [
        band.mark_area(opacity=0.18, color=COLOURS[0]).encode(
            y=_precision("precision_low", say), y2="precision_high:Q"
        ),
        base.mark_line(color=COLOURS[0]).encode(y=_precision("precision", say)),
        base.mark_point(filled=True, size=45, opacity=1, color=COLOURS[0]).encode(
            y=_precision("precision", say),
            tooltip=[
                alt.Tooltip("threshold:Q", title=say("columns.threshold"), format=".3f"),
                alt.Tooltip("clips:Q", title=say("columns.clips"), format=".0f"),
                alt.Tooltip("kept_share:Q", title=say("columns.kept_share"), format=".1%"),
                alt.Tooltip("precision:Q", title=say("columns.precision"), format=".1%"),
            ],
        ),
    ]
    if target is not None:
        row = {"precision": target, "text": say("pseudo.target", target=target)}
        line = alt.Chart(pd.DataFrame([row])).encode(y=_precision("precision", say))
        layers.append(line.mark_rule(strokeDash=[5, 4], color=COLOURS[2]))
        words = line.mark_text(align="right", dx=-4, dy=-8, **TEXT)
        layers.append(words.encode(x=alt.value("width"), text="text:N"))
    if chosen is not None:
        text = say("pseudo.threshold", threshold=chosen["threshold"])
        mark = alt.Chart(pd.DataFrame([{**chosen, "text": text}])).encode(x=x)
        layers.append(mark.mark_rule(strokeDash=[2, 3], color=COLOURS[1]))
        point = mark.encode(y=_precision("precision", say))
        layers.append(
            point.mark_point(filled=True, size=140, opacity=1, shape="diamond", color=COLOURS[1])
        )
        layers.append(point.mark_text(align="left", dx=10, dy=-12, **TEXT).encode(text="text:N"))
    return alt.LayerChart(layer=layers, height=CURVE_PX)


def precision_chart(runs: Rows, say: Say) -> alt.LayerChart:
    """Precision of each run with its 95% interval. runs: rows of `ui.pseudo_labels.run_row`."""
    frame = pd.DataFrame(runs)
    base = alt.Chart(frame[frame["precision"].notna()]).encode(x=_run(runs, say))
    bounded = base.transform_filter("isValid(datum.precision_low) && isValid(datum.precision_high)")
    return alt.LayerChart(
        layer=[
            bounded.mark_rule(strokeWidth=2, color=COLOURS[0]).encode(
                y=_precision("precision_low", say), y2="precision_high:Q"
            ),
            base.mark_point(filled=True, size=80, opacity=1, color=COLOURS[0]).encode(
                y=_precision("precision", say),
                tooltip=[
                    alt.Tooltip("run:O", title=say("columns.run")),
                    alt.Tooltip("round:O", title=say("common.round")),
                    alt.Tooltip("precision:Q", title=say("columns.precision"), format=".1%"),
                ],
            ),
        ],
        height=RUNS_PX,
    )


def kept_chart(runs: Rows, say: Say) -> alt.LayerChart:
    """How many clips each run kept. runs: rows of `ui.pseudo_labels.run_row`."""
    frame = pd.DataFrame(runs)
    base = alt.Chart(frame[frame["kept"].notna()]).encode(
        x=_run(runs, say),
        y=alt.Y("kept:Q", title=say("columns.kept")),
        tooltip=[
            alt.Tooltip("run:O", title=say("columns.run")),
            alt.Tooltip("round:O", title=say("common.round")),
            alt.Tooltip("kept:Q", title=say("columns.kept"), format=".0f"),
        ],
    )
    numbers = base.mark_text(dy=-8, **TEXT).encode(text=alt.Text("kept:Q", format=".0f"))
    bars = base.mark_bar(color=COLOURS[2], size=28)
    return alt.LayerChart(layer=[bars, numbers], height=RUNS_PX)


def _run(runs: Rows, say: Say) -> alt.X:
    """All runs from left to right; also those that have nothing to show."""
    return alt.X(
        "run:O",
        title=say("columns.run"),
        axis=alt.Axis(labelAngle=0, labelOverlap=True),
        scale=alt.Scale(domain=[row["run"] for row in runs]),
    )


def _precision(field: str, say: Say) -> alt.Y:
    return alt.Y(
        f"{field}:Q",
        title=say("columns.precision"),
        axis=alt.Axis(format=".0%"),
        scale=alt.Scale(zero=False),
    )
