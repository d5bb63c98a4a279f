"""The first view: alarms, three sentences, key figures, and what each round brought and took.

It looks for news by itself, as often as `dashboard.refresh_s` says. What it says is made by
`al_loop.overview` and `ui.sentences`, which `al-loop report` uses too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from al_loop.config import load_settings
from al_loop.errors import AlLoopError
from al_loop.overview import Overview, State, overview
from storage.queries import Reader
from ui.access import is_admitted
from ui.addresses import address
from ui.charts.rates import (
    error_rate_chart,
    minutes_chart,
    minutes_described,
    rates_described,
)
from ui.elements import as_code, show_chart, show_missing, show_table, show_text
from ui.names import naming
from ui.rounds_table import COLUMNS, rounds_with_costs
from ui.sentences import (
    ALARM_COMMANDS,
    ALARM_VIEWS,
    alarm_sentence,
    key_figures,
    no_alarm,
    sentences,
    stage,
)
from ui.view import View, database_version
from ui.work import show_work

MARKS: Mapping[State, tuple[str, str]] = {
    "done": ("green", "✓"),
    "here": ("blue", "▶"),
    "failed": ("red", "✗"),
    "ahead": ("gray", "○"),
}
RATES = (
    "round",
    "evaluation_set",
    "language",
    "wer",
    "wer_low",
    "wer_high",
    "cer",
    "cer_low",
    "cer_high",
    "raw_wer",
    "substitutions",
    "deletions",
    "insertions",
    "foreign_share",
    "utterances",
    "words",
)


def show(view: View) -> None:
    st.fragment(_show_news, run_every=view.settings.dashboard.refresh_s)(view)


def _show_news(view: View) -> None:
    """The whole view, of the database as it is; the page around it stays as it was.

    It runs without the page, for hours maybe, so it asks again whether the reader may look: where
    that has ended, the whole page runs, and says how to get in.
    """
    try:
        settings = load_settings(view.workspace.config)
        if not is_admitted(settings.dashboard):
            st.rerun()
        view = replace(view, settings=settings, version=database_version(view.workspace))
        # by the hour, so that one answer serves all who look
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        show_overview(view, view.ask(overview, view.settings, hour))
    except AlLoopError as exc:  # it may be restored at this moment, say
        st.warning(view.say("common.cannot_be_shown"))
        show_text(str(exc))


def show_overview(view: View, found: Overview) -> None:
    show_alarms(view, found)
    show_verdict(view, found)
    show_work(view)
    show_figures(view, found)
    rates = view.ask(Reader.error_rates)
    rounds = view.ask(rounds_with_costs, view.settings)
    if rates:
        st.subheader(view.say("overview.wer_title"), anchor=False)
        chart = error_rate_chart(rates, found.rates, view.say)
        show_chart(view, chart, "wer", rates_described(rates, view.say))
        st.caption(view.say("overview.wer_caption"))
    if rounds:
        show_progress(view, found)
        show_minutes(view, found, rounds)
        show_rounds(view, rounds)
    if rates:
        st.subheader(view.say("overview.rates_title"), anchor=False)
        show_table(view, rates[::-1], RATES, view.say("overview.rates_title"))


def show_alarms(view: View, found: Overview) -> None:
    named: Callable[[str], str] = str
    if any("annotator" in alarm.names for alarm in found.alarms):
        named = naming(view)
    for alarm in found.alarms:
        shown = st.error if alarm.code == "failed" else st.warning
        shown(alarm_sentence(alarm, found, view.say, as_code, named), icon="⚠️")
        if alarm.message is not None:
            show_text(alarm.message)
        if arguments := ALARM_COMMANDS[alarm.code]:
            show_text(f"{view.command} {arguments}")
        if alarm.code in ALARM_VIEWS:
            page, part = ALARM_VIEWS[alarm.code]
            said = view.say("overview.look")
            st.markdown(f"[{said}]({address(view, page, **part)})")


def show_verdict(view: View, found: Overview) -> None:
    """Three sentences, and the command that is next."""
    if found.round is None:
        show_missing(view, view.say("common.no_round"), found.verdict.arguments or "round")
        return
    for sentence in sentences(found, view.say, as_code):
        st.markdown(sentence)
    if found.verdict.arguments and found.verdict.next != "failed":
        show_text(f"{view.command} {found.verdict.arguments}")
    if not found.alarms:
        st.caption(" ".join(no_alarm(found, view.say)))


def show_figures(view: View, found: Overview) -> None:
    longest_s = view.settings.labels.longest_answer_s
    with st.container(horizontal=True):
        for row in key_figures(found, view.say, as_code, longest_s):
            st.metric(
                row.label,
                row.value,
                row.change,
                delta_color="inverse",
                delta_description=row.since,
                help=row.explained,
                border=True,
                height="stretch",
            )


def show_progress(view: View, found: Overview) -> None:
    """The stages of the open round, each with its state in words."""
    if not found.progress:
        st.caption(view.say("overview.progress_none", round=found.round))
        return
    st.subheader(view.say("overview.progress_title", round=found.round), anchor=False)
    badges = []
    for name, state in found.progress:
        colour, mark = MARKS[state]
        said = view.say(f"overview.state_{state}")
        badges.append(f":{colour}-badge[{mark} {stage(name, view.say)}: {said}]")
    st.markdown(" ".join(badges))


def show_minutes(view: View, found: Overview, rounds: Sequence[Mapping[str, Any]]) -> None:
    st.subheader(view.say("overview.minutes_title"), anchor=False)
    described = minutes_described(rounds, view.say)
    show_chart(view, minutes_chart(rounds, view.say), "minutes", described)
    said = [view.say("overview.minutes_caption")]
    if found.cost is not None:
        dashboard = view.settings.dashboard
        said.append(
            view.say(
                "overview.minutes_caption_cost",
                hour_cost=f"{dashboard.hour_cost:g}",
                currency=as_code(found.currency),
                cost=f"{found.cost:,.0f}",
            )
        )
    st.caption(" ".join(said))


def show_rounds(view: View, rounds: Sequence[Mapping[str, Any]]) -> None:
    """Every round in a row, the newest first."""
    st.subheader(view.say("overview.rounds_title"), anchor=False)
    rows = [{**row, "stage": stage(row["stage"], view.say)} for row in rounds[::-1]]
    columns = [name for name in COLUMNS if name != "cost" or view.settings.dashboard.hour_cost]
    show_table(view, rows, columns, view.say("overview.rounds_title"))
