"""`al-loop annotators`: how each annotator works, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from al_loop.annotators import Annotator, Figure

COLUMNS = (
    "annotator",
    "answers",
    "skips",
    "minutes",
    "median",
    "edits",
    "unchanged %",
    "agreement %",
    "gold %",
    "repeats %",
    "unusable %",
    "unsure %",
)
LEGEND = (
    "In brackets 95% intervals, behind them of how many clips or answers; - where there are none.",
    "minutes: a page that was left open counts for {longest_answer_s:g} s; an estimate.",
    "edits: words changed in a draft; unchanged: drafts whose words were all left as they were.",
    "agreement: words alike with others' texts of the same clips; gold: 100 - WER where the text",
    "is known; repeats: words alike with the same annotator's earlier text.",
    "unknown: whoever was deleted from the server, perhaps several people.",
)


@click.command()
@click.pass_obj
def annotators(workspace: Path) -> None:
    """How each annotator works: time, edits, agreement with others, gold tasks, consistency."""
    from al_loop import annotators as figures
    from al_loop.config import load_settings
    from storage.queries import Reader
    from storage.workspace import Workspace

    root = Workspace.open(workspace)
    settings = load_settings(root.config)
    rows = [figures.from_row(row) for row in Reader(root).annotator_answers()]
    longest_s = settings.labels.longest_answer_s
    found = figures.annotators(rows, settings.model.language, longest_s)
    for line in annotator_lines(found, longest_s):
        click.echo(line)


def annotator_lines(rows: Sequence[Annotator], longest_answer_s: float) -> list[str]:
    """A table with one line an annotator, and what its columns mean."""
    if not rows:
        return ["nobody has answered yet"]
    cells = [list(COLUMNS), *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return [*table, "", *(line.format(longest_answer_s=longest_answer_s) for line in LEGEND)]


def _cells(row: Annotator) -> list[str]:
    figures = (
        *(row.unchanged, row.agreement, row.gold, row.consistency),
        *(row.unusable, row.unsure),
    )
    return [
        row.name,
        str(row.answers),
        str(row.skips),
        f"{row.minutes:.1f}" if row.timed else "-",
        "-" if row.median_s is None else f"{row.median_s:.0f} s",
        "-" if row.edits is None else f"{row.edits:.1f}",
        *map(_cell, figures),
    ]


def _cell(figure: Figure | None) -> str:
    """`97 (95 to 98) of 40`."""
    if figure is None:
        return "-"
    value, low, high = (f"{100 * rate:.0f}" for rate in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high}) of {figure.count}"
