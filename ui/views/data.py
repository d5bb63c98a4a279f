"""What the model learns from, and where it comes from: sources, clips, what is left out, labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import pandas as pd
import streamlit as st

from al_loop.records import Split
from storage.queries import Reader
from ui.addresses import choose_section
from ui.charts.sources import durations_chart, growth_chart, shares_chart, speakers_chart
from ui.elements import as_code, choose, show_chart, show_missing, show_table
from ui.language import Say
from ui.makers import show_makers
from ui.provenance import show_label
from ui.pseudo_labels import show_pseudo_labels
from ui.view import View

BIN_S, LAST_S = 1.0, 30.0
"""Of the histogram; what is longer than Whisper's window comes last."""
SPEAKERS = 20
SHORT = 0.02
"""How far a realised share may be below its target before its source is named."""
LEAKS = 1000
"""Leaks that are shown."""
SOURCE_COLUMNS = ("source", "source_kind", "language", "weight")
MIXTURE_COLUMNS = (
    *SOURCE_COLUMNS,
    "examples",
    "hours",
    "target_share",
    "realised_share",
    "most_repeats",
)
LEAK_COLUMNS = ("source", "leak_reason", "text", "evaluation_set", "utterance_id")


def show(view: View) -> None:
    say = view.say
    parts: Mapping[str, Callable[[View], None]] = {
        "sources": show_sources,
        "clips": show_clips,
        "left_out": show_left_out,
        "pseudo": show_pseudo_labels,
        "label": show_label,
    }
    if "label" in st.query_params and "part" not in st.query_params:
        st.session_state.setdefault("part", "label")  # an address may name the label alone
    names = {part: say(f"data.part_{part}") for part in parts}
    parts[choose_section(say("data.part"), names, "part")](view)


def show_sources(view: View) -> None:
    """The newest manifest, or a chosen one: shares as a picture and a table, growth by round."""
    say = view.say
    sources = view.ask(Reader.sources)
    if not sources:
        show_missing(view, say("data.no_source"), "ingest FOLDER --source NAME")
        return
    if rounds := view.ask(Reader.manifest_rounds):
        number = choose(say("common.round"), rounds, rounds[-1], "round")
        show_mixture(view, number)
        show_growth(view)
    else:
        show_missing(view, say("data.no_manifest"), "round")
    st.subheader(say("data.all_sources"), anchor=False)
    st.caption(say("data.all_sources_caption"))
    frame = _with_hours(sources).rename(columns={"kind": "source_kind"})
    frame["split"] = frame["split"].map(split_names(say))
    columns = [*SOURCE_COLUMNS, "split", "utterances", "hours"]
    show_table(view, frame, columns, say("data.all_sources"))
    show_makers(view)


def show_mixture(view: View, number: int) -> None:
    say = view.say
    mixture = view.ask(Reader.mixture, number)
    hours = sum(row["duration_s"] for row in mixture) / 3600
    examples = sum(row["examples"] for row in mixture)
    st.subheader(say("data.mixture", round=number), anchor=False)
    st.markdown(say("data.mixture_answer", hours=hours, examples=examples, sources=len(mixture)))
    if not mixture:
        return
    show_chart(
        view,
        shares_chart(mixture, say),
        f"sources-round-{number}",
        say("data.mixture_described", round=number, sources=len(mixture)),
    )
    short = [row for row in mixture if row["realised_share"] < row["target_share"] - SHORT]
    if short:
        listed = ", ".join(as_code(row["source"]) for row in short)
        st.caption(say("data.off_target", sources=listed))
    else:
        st.caption(say("data.on_target"))
    frame = _with_hours(mixture).rename(columns={"kind": "source_kind"})
    show_table(view, frame, MIXTURE_COLUMNS, say("data.mixture", round=number))


def show_growth(view: View) -> None:
    say = view.say
    growth = view.ask(Reader.growth)
    if not growth:
        return
    st.subheader(say("data.growth"), anchor=False)
    st.caption(say("data.growth_caption"))
    chart = growth_chart(growth, say)
    show_chart(view, chart, "growth", say("data.growth_described"))
    with st.expander(say("data.as_table")):
        frame = pd.DataFrame(growth).rename(columns={"kind": "source_kind"})
        frame["minutes"] = frame["duration_s"] / 60
        columns = ["round", "source", "source_kind", "language", "examples", "minutes"]
        show_table(view, frame, columns, say("data.growth"))


def show_clips(view: View) -> None:
    """How long the clips are, and who speaks in them."""
    say = view.say
    limits = view.ask(Reader.duration_limits)
    if not limits:
        show_missing(view, say("data.no_clip"), "ingest FOLDER --source NAME")
        return
    st.subheader(say("data.durations"), anchor=False)
    durations = view.ask(Reader.durations, BIN_S, LAST_S)
    every = say("data.every_source")
    names = sorted({row["source"] for row in durations})
    source = choose(say("columns.source"), [every, *names], every, "source")
    splits = split_names(say)
    rows = [
        row | {"split": splits[row["split"]]}
        for row in durations
        if source in (every, row["source"])
    ]
    st.caption(say("data.durations_caption", last_s=LAST_S))
    chart = durations_chart(rows, BIN_S, say)
    show_chart(view, chart, "durations", say("data.durations_described"))
    columns = ["split", "utterances", "hours", "shortest", "mean", "longest"]
    frame = _with_hours(limits)
    frame["split"] = frame["split"].map(splits)
    show_table(view, frame, columns, say("data.durations"))
    show_speakers(view)


def show_speakers(view: View) -> None:
    say = view.say
    rows = view.ask(Reader.speakers, SPEAKERS)
    st.subheader(say("data.speakers"), anchor=False)
    unknown = sum(row["duration_s"] for row in rows if row["speaker"] is None)
    whole = sum(row["duration_s"] for row in view.ask(Reader.duration_limits))
    share = unknown / whole if whole else 0.0
    known = [row for row in rows if row["speaker"] is not None]
    st.markdown(
        say("data.speakers_answer", speakers=rows[0]["speakers"], share=share, hours=unknown / 3600)
    )
    if shared_s := rows[0]["shared_s"]:
        st.warning(say("data.shared_speakers", minutes=shared_s / 60))
    if not known:
        st.info(say("data.no_speaker"))
        return
    chart = speakers_chart(known, say)
    show_chart(view, chart, "speakers", say("data.speakers_described", shown=len(known)))
    frame = _with_hours(known)
    frame["minutes"] = frame["duration_s"] / 60
    frame["test_minutes"] = frame["test_s"] / 60
    columns = ["speaker", "utterances", "minutes", "test_minutes"]
    show_table(view, frame, columns, say("data.speakers"))


def show_left_out(view: View) -> None:
    """What was kept out of training for an evaluation set's sake, and what was not taken in."""
    say = view.say
    st.subheader(say("data.leaks"), anchor=False)
    if rounds := view.ask(Reader.manifest_rounds):
        number = choose(say("common.round"), rounds, rounds[-1], "round")
        show_leaks(view, number)
    else:
        show_missing(view, say("data.no_manifest"), "round")
    st.subheader(say("data.refusals"), anchor=False)
    show_refusals(view)


def show_leaks(view: View, number: int) -> None:
    say = view.say
    counts = view.ask(Reader.leak_counts, number)
    whole = sum(counts.values())
    if not whole:
        st.success(say("data.no_leak", round=number))
        return
    st.markdown(say("data.leaks_answer", round=number, **counts))
    st.caption(say("data.leaks_caption"))
    if whole > LEAKS:
        st.caption(say("data.first_of", shown=LEAKS, whole=whole))
    leaks = view.ask(Reader.leaks, number, LEAKS)
    frame = pd.DataFrame(leaks).rename(columns={"reason": "leak_reason"})
    show_table(view, frame, LEAK_COLUMNS, say("data.leaks"))


def show_refusals(view: View) -> None:
    say = view.say
    counts = view.ask(Reader.refusal_counts)
    if not counts:
        st.success(say("data.no_refusal"))
        return
    whole = sum(row["refusals"] for row in counts)
    st.markdown(say("data.refusals_answer", refusals=whole, reasons=len(counts)))
    columns = ["reason", "refusals", "refused_at"]
    show_table(view, counts, columns, say("data.refusals"))
    reasons = [row["reason"] for row in counts]
    reason = choose(say("columns.reason"), reasons, reasons[0], "reason")
    st.caption(say("data.refusal_examples"))
    examples = view.ask(Reader.refusal_examples, reason)
    columns = ["origin", "detail", "refused_at"]
    show_table(view, examples, columns, say("data.refusal_examples"))


def split_names(say: Say) -> dict[str, str]:
    """Splits in the reader's words."""
    return {name: say(f"round.split_{name}") for name in get_args(Split)}


def _with_hours(rows: Any) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    frame["hours"] = frame.get("duration_s", pd.Series(dtype=float)) / 3600
    return frame
