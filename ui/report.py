"""The overview as one self-contained HTML file, for mail: no scripts, no addresses, inline SVG.

Simple markup and tables, for mail programs show little else; some leave pictures out, so every
chart's numbers stand in a table too. Light or dark as the reader's screen is. All text is escaped
here, and isolated, so that what runs from right to left stays in its place. Knows neither Streamlit
nor the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import altair as alt

from al_loop.config import Settings
from al_loop.overview import Overview
from al_loop.report import percent
from ui.charts.rates import (
    error_rate_chart,
    minutes_chart,
    minutes_described,
    rates_described,
)
from ui.charts.style import as_svg
from ui.language import Say
from ui.sentences import (
    ALARM_COMMANDS,
    Quote,
    alarm_sentence,
    at_minute,
    expected_sentence,
    key_figures,
    no_alarm,
    sentences,
)

Rows = Sequence[Mapping[str, Any]]

LONGEST_TEXT = 300
"""Characters of one text that is not ours; the dashboard has the whole."""
CHART_PX = 640
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 sans-serif; max-width: 46em; margin: 1em auto; padding: 0 1em;
  color: #1a1a1a; background: #ffffff; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 1.6em; }
table { border-collapse: collapse; } caption { text-align: left; }
th, td { padding: .25em .7em .25em 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #8886; overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; }
.alarm { border-left: .4em solid #d55e00; padding-left: .8em; }
.small { font-size: .85em; opacity: .85; }
svg { max-width: 100%; height: auto; }
code, pre { font-family: monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { color: #eeeeee; background: #14171c; } }
"""
INK = "currentColor"
THEME: Mapping[str, Any] = {
    "background": None,
    "axis": {
        **dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor"), INK),
        "gridColor": "#88888840",
    },
    "legend": {"labelColor": INK, "titleColor": INK},
    "view": {"stroke": "#88888860"},
}
"""Of the charts: they take the colours of the page around them."""


@dataclass(frozen=True, slots=True)
class Material:
    """All that the file is made of. rates: rows of `Reader.error_rates`; rounds: those of
    `ui.rounds_table`. workspace: its name. command: `al-loop` for it. made_at: ISO 8601, UTC."""

    overview: Overview
    rates: Rows
    rounds: Rows
    workspace: str
    command: str
    made_at: str


def report_html(made_of: Material, settings: Settings, say: Say, named: Quote) -> str:
    """The file's text. named: an annotator's name as readers may see it."""
    found = made_of.overview
    title = say("report.title", workspace=isolated(made_of.workspace))
    body = [
        f"<h1>{text(title)}</h1>",
        _alarms(made_of, say, named),
        _verdict(made_of, settings, say),
        _figures(found, settings, say),
    ]
    if made_of.rates:
        chart = error_rate_chart(made_of.rates, found.rates, say)
        body += [
            heading(say("overview.wer_title")),
            picture(chart, rates_described(made_of.rates, say)),
            small(say("overview.wer_caption")),
            _rates(found, say),
        ]
    if made_of.rounds:
        minutes = minutes_chart(made_of.rounds, say)
        body += [
            heading(say("overview.minutes_title")),
            picture(minutes, minutes_described(made_of.rounds, say)),
            small(say("overview.minutes_caption")),
            _rounds(made_of.rounds, settings, say),
        ]
    body.append(small(say("report.made_at", at=at_minute(made_of.made_at))))
    return (
        f'<!DOCTYPE html>\n<html lang="{say.language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, body))
        + "\n</body>\n</html>\n"
    )


# -- parts -----------------------------------------------------------------------------------------


def _alarms(made_of: Material, say: Say, named: Quote) -> str:
    parts = []
    for alarm in made_of.overview.alarms:
        said = alarm_sentence(alarm, made_of.overview, say, isolated, named)
        part = f"<p>{text(said)}</p>"
        if arguments := ALARM_COMMANDS[alarm.code]:
            part += command(made_of, arguments)
        if alarm.message is not None:
            part += f"<pre>{text(isolated(alarm.message))}</pre>"
        parts.append(f'<div class="alarm">{part}</div>')
    return "\n".join([heading(say("overview.alarms")), *parts]) if parts else ""


def _verdict(made_of: Material, settings: Settings, say: Say) -> str:
    found = made_of.overview
    if found.round is None:
        said = [say("common.no_round")]
    else:
        said = sentences(found, say, isolated)
        if found.expected:
            said.append(expected_sentence(found.expected, settings, say, isolated))
    parts = [f"<p>{text(sentence)}</p>" for sentence in said]
    if found.verdict.arguments and found.verdict.next != "failed":
        parts.append(command(made_of, found.verdict.arguments))
    if not found.alarms:
        parts.append(small(" ".join(no_alarm(found, say))))
    return "\n".join(parts)


def _figures(found: Overview, settings: Settings, say: Say) -> str:
    rows = [
        (
            row.label,
            row.value,
            "" if row.change is None else f"{row.change:+.1f} {row.since}",
            row.explained,
        )
        for row in key_figures(found, say, isolated, settings.labels.longest_answer_s)
    ]
    lines = (
        f'<tr><th scope="row">{text(label)}</th><td class="n"><b>{text(value)}</b></td>'
        f'<td class="small">{text(change)}{"<br>" if change else ""}{text(explained)}</td></tr>'
        for label, value, change, explained in rows
    )
    title = heading(say("report.figures"))
    return f"{title}\n<table>\n{newlines(lines)}\n</table>"


def _rates(found: Overview, say: Say) -> str:
    """What is in use on every evaluation set, beside the start."""
    rows = [
        [
            isolated(row.evaluation_set),
            isolated(row.language),
            percent(row.wer),
            f"{percent(row.wer_low)}–{percent(row.wer_high)}",
            "" if row.start is None else percent(row.start),
            "" if row.start is None else f"{100 * (row.wer - row.start):+.1f}",
        ]
        for row in found.rates
    ]
    heads = [
        say("columns.evaluation_set"),
        say("columns.language"),
        say("columns.wer"),
        say("report.interval"),
        say("overview.start"),
        say("report.change"),
    ]
    return table(heads, rows, first_number=2)


def _rounds(rounds: Rows, settings: Settings, say: Say) -> str:
    """Every round in a row, the newest first."""
    names = ["round", "answered", "labelled", "labelled_min", "annotator_min"]
    if settings.dashboard.hour_cost:
        names.append("cost")
    tenths = {"labelled_min", "annotator_min", "cost"}
    rows = [
        [
            isolated(row["decision"] or say("report.open")),
            *(f"{row[name]:.1f}" if name in tenths else str(row[name]) for name in names),
        ]
        for row in rounds[::-1]
    ]
    heads = [say("columns.decision"), *(say(f"columns.{name}") for name in names)]
    return table(heads, rows, first_number=1)


# -- markup ----------------------------------------------------------------------------------------


def text(value: str) -> str:
    """As it is, with nothing in it that is markup."""
    return escape(value)


def isolated(value: str) -> str:
    """Text that is not ours, cut where it is very long, in Unicode's first-strong isolate.

    Marks of direction that are left open in it end with it.
    """
    short = value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}…"
    return f"\u2068{short}\u2069"


def heading(said: str) -> str:
    return f"<h2>{text(said)}</h2>"


def small(said: str) -> str:
    return f'<p class="small">{text(said)}</p>'


def command(made_of: Material, arguments: str) -> str:
    return f"<p><code>{text(f'{made_of.command} {arguments}')}</code></p>"


def picture(chart: alt.LayerChart, said: str) -> str:
    """A chart as inline SVG, with its words for those who cannot see it."""
    specification = chart.to_dict()
    specification |= {"width": CHART_PX, "background": None}
    specification["config"] = {**specification.get("config", {}), **THEME}
    # mail is cut, or broken, in lines of more than 998 bytes
    svg = as_svg(specification).decode().replace("><", ">\n<")
    return f'<div role="img" aria-label="{text(said)}">{svg}</div>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], first_number: int) -> str:
    """first_number: the first column that holds numbers, and all behind it do."""
    kinds = [' class="n"' if place >= first_number else "" for place in range(len(heads))]
    head = "".join(
        f'<th scope="col"{kind}>{text(name)}</th>' for kind, name in zip(kinds, heads, strict=True)
    )
    lines = (
        "".join(f"<td{kind}>{text(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        for row in rows
    )
    body = newlines(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def newlines(lines: Iterable[str]) -> str:
    return "\n".join(lines)
