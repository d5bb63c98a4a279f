"""What each source brings, as pictures. Pure: rows and words in, charts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from ui.charts.style import COLOURS, TEXT
from ui.language import Say

ROW_PX, WIDTH_PX = 34, 560


def ablation_chart(rows: Sequence[Mapping[str, Any]], say: Say) -> alt.FacetChart:
    """WER after each step with its 95% interval, a panel an evaluation set.

    rows: `step`, `evaluation_set`, and `wer` with its `_low` and `_high`, in the order of steps.
    """
    frame = pd.DataFrame(rows)
    order = list(dict.fromkeys(frame["step"]))
    base = alt.Chart().encode(
        y=alt.Y("step:N", sort=order, title=None, axis=alt.Axis(labelLimit=260, labelOverlap=False))
    )
    axis = alt.Axis(format=".0%", tickCount=8)
    x = alt.X("wer:Q", title="WER %", axis=axis, scale=alt.Scale(zero=False))
    low = alt.X("wer_low:Q", title="WER %", axis=axis, scale=alt.Scale(zero=False))
    tooltips = [
        alt.Tooltip("step:N", title=say("columns.step")),
        alt.Tooltip("evaluation_set:N", title=say("columns.evaluation_set")),
        *(
            alt.Tooltip(f"wer{end}:Q", title=say(f"columns.wer{end}"), format=".1%")
            for end in ("", "_low", "_high")
        ),
    ]
    layers = [
        base.mark_rule(strokeWidth=2, color=COLOURS[0]).encode(x=low, x2="wer_high:Q"),
        base.mark_point(filled=True, size=90, opacity=1, color=COLOURS[0]).encode(
            x=x, tooltip=tooltips
        ),
        base.mark_text(align="center", dy=-11, **TEXT).encode(
            x=x, text=alt.Text("wer:Q", format=".1%")
        ),
    ]
    panel = alt.LayerChart(layer=layers, height=ROW_PX * len(order), width=WIDTH_PX)
    return alt.FacetChart(
        data=frame,
        facet=alt.FacetFieldDef(field="evaluation_set", type="nominal", title=None),
        columns=1,
        spec=panel,
    ).resolve_scale(x="independent")
