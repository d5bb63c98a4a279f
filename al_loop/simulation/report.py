"""What a simulation came to, as tables of text and as a picture. Knows not how it was computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from al_loop.metrics import Interval
from al_loop.simulation.intervals import described
from al_loop.simulation.point import Point
from al_loop.simulation.results import BASELINE, Result, results

Table = tuple[list[str], list[list[str]]]
"""Columns, and rows of text."""
UNEVEN = 0.05
"""Of the baseline's audio: a strategy that spent more or less by this is warned about. Ours."""


def curve_table(found: Sequence[Result]) -> Table:
    """WER against minutes asked about: one row for each strategy and round."""
    columns = ["strategy", "round", "audio min asked", "WER %", "annotator min", "Spearman"]
    return columns, [
        [
            row.strategy,
            str(step.round),
            f"{step.chosen_s / 60:.1f}",
            text(step.wer, 100),
            f"{step.annotator_s / 60:.0f}",
            "–" if step.spearman is None else text(step.spearman, 1, 2),
        ]
        for row in found
        for step in row.steps
    ]


def summary_table(found: Sequence[Result], baseline: str = BASELINE) -> Table:
    """One row a strategy: what it is worth against the baseline."""
    columns = [
        "strategy",
        "mean WER % over the curve",
        f"min to {baseline}'s final WER",
        f"% of {baseline}'s",
        f"% of {baseline}'s annotator time",
        f"final WER minus {baseline}'s, points",
        "junk %",
    ]
    return columns, [
        [
            row.strategy,
            text(row.area, 100),
            text(row.seconds, 1 / 60),
            text(row.share, 100, 0),
            text(row.annotator_share, 100, 0),
            text(row.final_difference, 100),
            text(row.junk_share, 100, 0),
        ]
        for row in found
    ]


def report(
    points: Sequence[Point], rng: np.random.Generator, samples: int, plot: Path, baseline: str
) -> list[str]:
    """Both tables as lines of text, and what they are to be read with; the plot is written."""
    found = results(points, rng, samples, baseline)
    write_plot(found, plot)
    return [
        *aligned(curve_table(found)),
        "",
        *aligned(summary_table(found, baseline)),
        "",
        described(found[0].seeds),
        *warnings(found, baseline),
    ]


def warnings(found: Sequence[Result], baseline: str = BASELINE) -> list[str]:
    """Which strategies did not spend what the baseline spent, and what that means."""
    return [
        f"warning: {row.strategy} asked about {row.spent:.0%} of the audio that {baseline} did; "
        "both are compared where the shorter one ends"
        for row in found
        if abs(row.spent - 1) > UNEVEN
    ]


def aligned(table: Table) -> list[str]:
    """One line a row, columns below one another."""
    lines = [table[0], *table[1]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def text(row: Interval, factor: float, digits: int = 1) -> str:
    """`24.8 (21.0 to 28.9)`; "never" is what no number of seconds reaches."""
    value, low, high = (
        "never" if math.isinf(number) else f"{factor * number:.{digits}f}"
        for number in (row.value, row.low, row.high)
    )
    return f"{value} ({low} to {high})"


def write_plot(found: Sequence[Result], path: Path) -> None:
    """WER against minutes asked about with its intervals, as SVG or PNG after the path's ending."""
    import altair as alt

    rows = [
        {
            "strategy": row.strategy,
            "minutes": step.chosen_s / 60,
            "wer": 100 * step.wer.value,
            "low": 100 * step.wer.low,
            "high": 100 * step.wer.high,
        }
        for row in found
        for step in row.steps
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("minutes:Q", title="minutes of audio asked about"),
        color=alt.Color("strategy:N", title=None, legend=alt.Legend(symbolOpacity=1)),
    )
    scale = alt.Scale(zero=False)
    line = base.mark_line(point=True).encode(y=alt.Y("wer:Q", title="WER (%)", scale=scale))
    band = base.mark_area(opacity=0.15).encode(
        y=alt.Y("low:Q", title="WER (%)", scale=scale), y2="high:Q"
    )
    (band + line).properties(width=560, height=320).save(str(path))
