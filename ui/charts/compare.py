"""Two rounds, or two simulations, as pictures. Pure: rows and words in, charts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ui.charts.style import COLOURS, wer_axis
from ui.language import Say

SHAPES = ["circle", "square"]
LEGEND = alt.Legend(orient="top", symbolOpacity=1, symbolStrokeWidth=0, labelLimit=400)
ROW_PX = 44
WIDTH_PX = 720
"""Of the downloads; on the page charts are as wide as it is."""


def rates_chart(
    rows: Sequence[Mapping[str, Any]], rounds: tuple[int, int], say: Say
) -> alt.LayerChart:
    """WER of each evaluation set after both rounds, with 95% intervals."""
    names = [say("compare.after_round", round=number) for number in rounds]
    values = [
        {
            "evaluation_set": row["evaluation_set"],
            "after": name,
            "wer": row[f"wer_{side}"],
            "low": row[f"wer_{side}_low"],
            "high": row[f"wer_{side}_high"],
        }
        for row in rows
        for side, name in zip(("from", "to"), names, strict=True)
    ]
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("evaluation_set:N", title=None, axis=alt.Axis(labelLimit=200)),
        yOffset=alt.YOffset("after:N", sort=names),
        color=alt.Color(
            "after:N",
            title=None,
            sort=names,
            scale=alt.Scale(domain=names, range=COLOURS[:2]),
            legend=LEGEND,
        ),
        tooltip=_tooltips(say, "evaluation_set", "after"),
    )
    x = alt.X("wer:Q", title="WER %", axis=alt.Axis(format=".0%"), scale=alt.Scale(zero=False))
    interval = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="WER %"), x2="high:Q")
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=x,
        shape=alt.Shape("after:N", title=None, sort=names, scale=_shapes(names), legend=LEGEND),
    )
    return alt.LayerChart(layer=[interval, points], height=alt.Step(ROW_PX), width=WIDTH_PX)


def curves_chart(rows: Sequence[Mapping[str, Any]], say: Say) -> alt.LayerChart:
    """WER against the minutes of audio that were asked about, with 95% intervals."""
    names = list(dict.fromkeys(row["compared"] for row in rows))
    values = [
        {
            "compared": row["compared"],
            "minutes": row["minutes"],
            "wer": row["wer"],
            "low": row["wer_low"],
            "high": row["wer_high"],
        }
        for row in rows
    ]
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("minutes:Q", title=say("compare.axis_minutes")),
        color=alt.Color(
            "compared:N",
            title=None,
            sort=names,
            scale=alt.Scale(domain=names, range=COLOURS[:2]),
            legend=LEGEND,
        ),
    )
    band = base.mark_area(opacity=0.18).encode(y=wer_axis("WER", "low"), y2="high:Q")
    line = base.mark_line().encode(
        y=wer_axis("WER"),
        strokeDash=alt.StrokeDash("compared:N", sort=names, legend=None),
    )
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        y=wer_axis("WER"),
        shape=alt.Shape("compared:N", title=None, sort=names, scale=_shapes(names), legend=LEGEND),
        tooltip=_tooltips(say, "compared"),
    )
    return alt.LayerChart(layer=[band, line, points], height=320, width=WIDTH_PX)


def _shapes(names: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=SHAPES[: len(names)])


def _tooltips(say: Say, *names: str) -> list[alt.Tooltip]:
    rates = [
        alt.Tooltip(f"{name}:Q", title=say(f"columns.{heading}"), format=".1%")
        for name, heading in (("wer", "wer"), ("low", "wer_low"), ("high", "wer_high"))
    ]
    return [*(alt.Tooltip(f"{name}:N", title=" ") for name in names), *rates]
