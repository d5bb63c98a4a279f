"""The overview's charts: error rates after each round, and what a round brought and took.

Rows of the read-only queries and words in, Altair charts out. Knows neither Streamlit nor the
database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from al_loop.overview import Rate
from al_loop.report import percent
from ui.charts.style import COLOURS, TEXT, round_axis, wer_axis
from ui.language import Say

Rows = Sequence[Mapping[str, Any]]

FEW_ROUNDS = 6
"""With more, only the last points bear their numbers; the others tell them when pointed at."""
LONGEST_NAME = 40
LEGEND = alt.Legend(title=None, orient="top", symbolOpacity=1, labelLimit=300)
DASH = [6, 4]


def error_rate_chart(rates: Rows, starts: Sequence[Rate], say: Say) -> alt.LayerChart:
    """WER per round, one line an evaluation set, with 95% intervals and the start as a rule.

    rates: rows of `Reader.error_rates`, one at least. starts: those of the checkpoint in use, which
    know what the loop began with.
    """
    frame = pd.DataFrame(rates)
    names = short_names(frame["evaluation_set"])
    frame["of"] = frame["evaluation_set"].map(names)
    frame["said"] = [in_percent(row) for row in rates]
    frame["cer_said"] = [in_percent(row, "cer") for row in rates]
    many = frame["round"].nunique() > FEW_ROUNDS
    last = frame["round"] == frame["round"].max()
    frame["numbers"] = [
        f"{percent(row['wer'])}\n{percent(row['wer_low'])}–{percent(row['wer_high'])}"
        if shown
        else ""
        for row, shown in zip(rates, last | (not many), strict=True)
    ]
    # A round's highest point is labelled above it, the others below: two sets never collide.
    frame["above"] = frame["wer"] == frame.groupby("round")["wer"].transform("max")

    base = alt.Chart(frame).encode(x=round_axis(say("common.round")), y=wer_axis("WER"))
    colour, shape = series("of", list(names.values()))
    coloured = base.encode(color=colour)
    interval = coloured.encode(y="wer_low:Q", y2="wer_high:Q")
    points = coloured.mark_point(filled=True, size=80, opacity=1).encode(
        shape=shape,
        tooltip=[
            alt.Tooltip("of:N", title=say("columns.evaluation_set")),
            alt.Tooltip("language:N", title=say("columns.language")),
            alt.Tooltip("round:O", title=say("common.round")),
            alt.Tooltip("said:N", title="WER %"),
            alt.Tooltip("cer_said:N", title="CER %"),
            alt.Tooltip("utterances:Q", title=say("columns.utterances")),
            alt.Tooltip("words:Q", title=say("columns.words")),
        ],
    )
    # of many rounds the last one alone is labelled, at the edge of the chart
    place: dict[str, Any] = {"align": "right", "dx": 4} if many else {"align": "left", "dx": 8}
    above, below = (
        base.transform_filter(condition)
        .mark_text(dy=dy, lineBreak="\n", lineHeight=14, **place, **TEXT)
        .encode(text="numbers:N")
        for condition, dy in (("datum.above", -34 if many else -22), ("!datum.above", 14))
    )
    return alt.LayerChart(
        layer=[
            interval.mark_area(opacity=0.15),
            interval.mark_rule(opacity=0.6),
            coloured.mark_line(),
            points,
            above,
            below,
            *_start_rules(starts, names, colour, say),
        ],
        height=360,
    )


def in_percent(row: Mapping[str, Any], name: str = "wer") -> str:
    """`24.8 (21.0–28.9)`: a rate in percent with its 95% interval, in signs of all languages."""
    low, high = percent(row[f"{name}_low"]), percent(row[f"{name}_high"])
    return f"{percent(row[name])} ({low}–{high})"


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each name, cut where a legend has no room for it, and numbered where two are cut alike.

    Vega measures a long text letter by letter, which takes seconds.
    """
    found: dict[str, str] = {}
    for name in names:
        if name in found:
            continue
        short = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
        if short != name and (alike := sum(row.startswith(short) for row in found.values())):
            short = f"{short} ({alike + 1})"
        found[name] = short
    return found


def _start_rules(
    starts: Sequence[Rate], names: Mapping[str, str], colour: alt.Color, say: Say
) -> list[alt.Chart]:
    """A dashed line where each evaluation set stood before anything was trained."""
    start = say("overview.start")
    rows = [
        {
            "of": names[row.evaluation_set],
            "wer": row.start,
            "said": f"{start} {percent(row.start)}",
        }
        for row in starts
        if row.start is not None and row.evaluation_set in names
    ]
    if not rows:
        return []
    base = alt.Chart(pd.DataFrame(rows)).encode(y=wer_axis("WER"))
    label = base.mark_text(align="left", dx=4, dy=-7, **TEXT).encode(x=alt.value(0), text="said:N")
    return [base.mark_rule(strokeDash=DASH, strokeWidth=1.5).encode(color=colour), label]


def series(field: str, names: Sequence[str]) -> tuple[alt.Color, alt.Shape]:
    """Colour and shape of a field with these values, in one legend.

    Both have the same stated domain, or Vega-Lite would make two legends of them.
    """
    return (
        alt.Color(f"{field}:N", legend=LEGEND, scale=alt.Scale(domain=names, range=COLOURS)),
        alt.Shape(f"{field}:N", legend=LEGEND, scale=alt.Scale(domain=names)),
    )


def rates_described(rates: Rows, say: Say) -> str:
    """The chart of error rates in words: where each evaluation set began and where it stands."""
    sets: dict[str, list[Mapping[str, Any]]] = {}
    names = short_names(row["evaluation_set"] for row in rates)
    for row in rates:
        sets.setdefault(row["evaluation_set"], []).append(row)
    ends = [
        say(
            "overview.wer_ends",
            evaluation_set=names[name],
            language=rows[-1]["language"],
            first=100 * rows[0]["wer"],
            first_round=rows[0]["round"],
            last=100 * rows[-1]["wer"],
            last_round=rows[-1]["round"],
        )
        for name, rows in sets.items()
    ]
    return say("overview.wer_described", ends=" ".join(ends))


def minutes_chart(rounds: Rows, say: Say) -> alt.LayerChart:
    """Labelled minutes beside annotators' minutes, per round.

    rounds: with `round`, `labelled_min` and `annotator_min`, one at least.
    """
    kinds = {
        "labelled_min": say("overview.labelled_minutes"),
        "annotator_min": say("overview.annotator_minutes"),
    }
    frame = pd.DataFrame(
        {"round": row["round"], "of": name, "minutes": row[column]}
        for row in rounds
        for column, name in kinds.items()
    )
    order = list(kinds.values())
    base = alt.Chart(frame).encode(
        x=round_axis(say("common.round")),
        xOffset=alt.XOffset("of:N", sort=order),
        y=alt.Y("minutes:Q", title=say("overview.minutes")),
        tooltip=[
            alt.Tooltip("round:O", title=say("common.round")),
            alt.Tooltip("of:N", title=say("overview.minutes")),
            alt.Tooltip("minutes:Q", title=say("overview.minutes"), format=".1f"),
        ],
    )
    bars = base.mark_bar().encode(
        color=alt.Color("of:N", sort=order, legend=LEGEND, scale=alt.Scale(range=COLOURS))
    )
    layers: list[alt.Chart] = [bars]
    if len(rounds) <= FEW_ROUNDS:
        layers.append(
            base.mark_text(dy=-8, **TEXT).encode(text=alt.Text("minutes:Q", format=".1f"))
        )
    return alt.LayerChart(layer=layers, height=260)


def minutes_described(rounds: Rows, say: Say) -> str:
    """The chart of minutes in words: what all rounds together brought and took."""
    return say(
        "overview.minutes_described",
        labelled=sum(row["labelled_min"] for row in rounds),
        worked=sum(row["annotator_min"] for row in rounds),
    )
