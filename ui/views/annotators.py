"""How annotators work: what waits for them, who answered when, and how far answers are believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from al_loop.annotators import FEWEST_GOLD, Annotator, Figure, Together, by_round, from_row
from al_loop.annotators import annotators as figures_of
from storage.queries import Reader
from ui.addresses import choose_named
from ui.charts.annotators import days_chart, figure_chart, rounds_chart
from ui.elements import show_chart, show_missing, show_table
from ui.names import naming
from ui.pace import DAY, LATELY, by_day, pace, waits
from ui.provenance import task_kind
from ui.view import View

FIGURES = ("agreement", "gold", "unchanged", "edited", "consistency", "unusable", "unsure")
OVER_TIME = ("agreement", "unchanged")
SHOWN_FOR = timedelta(days=60)
"""Days of the chart of throughput, up to the newest answer. The table holds all of them."""


@dataclass(frozen=True, slots=True)
class Answering:
    """All that follows from the answers. days: as `by_day` gives them. answered_at: of the answers
    to the batches' tasks."""

    annotators: Sequence[Annotator]
    rounds: Sequence[Together]
    days: Sequence[dict[str, Any]]
    answered_at: Sequence[str]


def answering(reader: Reader, language: str, longest_answer_s: float) -> Answering:
    """The figures of `al-loop annotators`, and how they came about."""
    rows = [from_row(row) for row in reader.annotator_answers()]
    return Answering(
        figures_of(rows, language, longest_answer_s),
        by_round(rows, language),
        by_day(rows, longest_answer_s),
        [row.answer.created_at for row in rows if row.kind != "evaluation"],
    )


def show(view: View) -> None:
    say, settings = view.say, view.settings
    found = view.ask(answering, settings.model.language, settings.labels.longest_answer_s)
    show_queue(view, found)
    if not found.annotators:
        show_missing(view, say("annotators.nobody"), "sync")
        return
    names = naming(view)
    show_figures(view, found.annotators, names)
    show_rounds(view, found.rounds)
    show_days(view, found.days, names)


def show_queue(view: View, found: Answering) -> None:
    """What is asked and not answered, how old it is, and when there will be nothing left to do."""
    say, at = view.say, datetime.now(UTC)
    tasks = view.ask(Reader.open_tasks)
    missing = waits(tasks)
    present = pace(found.answered_at, missing, at)
    st.subheader(say("annotators.queue"), anchor=False)
    if not missing:
        st.markdown(say("annotators.nothing_waits", a_day=present.answers_a_day))
    elif present.days is None or present.dry_at is None:
        st.markdown(say("annotators.nobody_lately", missing=missing, days=LATELY.days))
    else:
        lasts = {"days": present.days, "until": f"{present.dry_at:%Y-%m-%d %H:%M}"}
        a_day = present.answers_a_day
        st.markdown(say("annotators.runs_dry", missing=missing, a_day=a_day, **lasts))
    st.caption(say("annotators.queue_caption", low_water=view.settings.label_studio.low_water))
    if tasks:
        rows = [
            row
            | {
                "task_kind": task_kind(say, row["kind"]),
                "age_days": _days_since(row["pushed_at"], at),
            }
            for row in tasks
        ]
        columns = ["round", "task_kind", "tasks", "missing", "unpushed", "age_days"]
        show_table(view, rows, columns, say("annotators.queue"))


def show_figures(view: View, rows: Sequence[Annotator], names: Callable[[str], str]) -> None:
    """Everybody's figures in one table; one of them with intervals as a picture."""
    say = view.say
    named = sorted(((names(row.name), row) for row in rows), key=lambda pair: _order(pair[0]))
    st.subheader(say("annotators.figures"), anchor=False)
    st.caption(
        say(
            "annotators.figures_caption",
            longest_answer_s=view.settings.labels.longest_answer_s,
            fewest_gold=FEWEST_GOLD,
        )
    )
    table = [
        {
            **{name: getattr(row, name) for name in ("answers", "skips", "median_s", "edits")},
            **{_column(name): _value(getattr(row, name)) for name in FIGURES},
            "annotator": name,
            "minutes": row.minutes if row.timed else None,
        }
        for name, row in named
    ]
    columns = ["annotator", "answers", "skips", "minutes", "median_s", "edits"]
    columns += [_column(name) for name in FIGURES]
    show_table(view, table, columns, say("annotators.figures"))
    titles = {name: say(f"columns.{_column(name)}") for name in FIGURES}
    chosen = choose_named(say("columns.figure"), titles, "figure") or FIGURES[0]
    long = [
        {"annotator": name, "key": key, "figure": titles[key], **_spread(getattr(row, key))}
        for name, row in named
        for key in FIGURES
        if getattr(row, key) is not None
    ]
    shown = [row for row in long if row["key"] == chosen]
    if shown:
        chart = figure_chart(shown, titles[chosen], say)
        show_chart(view, chart, f"annotators-{chosen}", say(f"annotators.described_{chosen}"))
    else:
        st.info(say("annotators.no_figure"))
    st.caption(say(f"annotators.about_{chosen}"))
    with st.expander(say("annotators.intervals")):
        columns = ["annotator", "figure", "share", "share_low", "share_high", "counted"]
        show_table(view, long, columns, say("annotators.intervals"))


def show_rounds(view: View, rounds: Sequence[Together]) -> None:
    """Whether annotators agree less, or leave more as it is, than they did."""
    say = view.say
    rows = [
        {"round": row.round, "figure": say(f"columns.{name}"), **_spread(getattr(row, name))}
        for row in rounds
        for name in OVER_TIME
        if getattr(row, name) is not None
    ]
    if not rows:
        return
    st.subheader(say("annotators.rounds"), anchor=False)
    st.caption(say("annotators.rounds_caption"))
    chart = rounds_chart(rows, say)
    show_chart(view, chart, "annotators-by-round", say("annotators.rounds_described"))
    with st.expander(say("annotators.as_table")):
        columns = ["round", "figure", "share", "share_low", "share_high", "counted"]
        show_table(view, rows, columns, say("annotators.rounds"))


def show_days(view: View, days: Sequence[dict[str, Any]], names: Callable[[str], str]) -> None:
    """Answers and minutes a day, by annotator."""
    say = view.say
    frame = pd.DataFrame(days)
    frame["annotator"] = frame["annotator"].map(names)
    frame = frame.sort_values(["day", "annotator"], ascending=[False, True])
    since = (datetime.fromisoformat(frame["day"].max()) - SHOWN_FOR).date().isoformat()
    lately = frame[frame["day"] > since]
    st.subheader(say("annotators.days"), anchor=False)
    st.caption(say("annotators.days_caption", days=SHOWN_FOR.days))
    chart = days_chart(lately.to_dict("records"), say)
    show_chart(view, chart, "answers-by-day", say("annotators.days_described"))
    columns = ["day", "annotator", "answers", "minutes"]
    show_table(view, frame, columns, say("annotators.days"))


def _column(figure: str) -> str:
    """In the tables `unsure` is of one answer."""
    return "unsure_share" if figure == "unsure" else figure


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value


def _spread(figure: Figure) -> dict[str, float]:
    found = asdict(figure)
    return {
        "share": found["value"],
        "share_low": found["low"],
        "share_high": found["high"],
        "counted": found["count"],
    }


def _days_since(time: str | None, at: datetime) -> float | None:
    return None if time is None else (at - datetime.fromisoformat(time)) / DAY


def _order(name: str) -> tuple[int, str]:
    """Names that are numbers in their order, as `al-loop annotators` has them."""
    return len(name), name
