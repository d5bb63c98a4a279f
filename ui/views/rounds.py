"""One round: how its batch was chosen and what came of it, clip by clip, to hear and to read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from storage.queries import Reader
from ui.addresses import choose_named, choose_section
from ui.batch import (
    CLIP_LETTERS,
    ORDERS,
    answer_names,
    arm_names,
    batch_table,
    filtered,
    gate_name,
    why,
)
from ui.clip import choose_clip, show_clips, show_round_clip
from ui.elements import CHOICE_PX, choose, show_missing, show_table, show_text
from ui.mistakes import show_mistakes
from ui.sentences import stage as stage_name
from ui.view import View

BATCH = ["rank", "clip", "arm", "acquisition_score", "answer", "hypothesis_wer", "after_wer"]
BATCH += ["hypothesis", "label", "duration_s", "source", "speaker", "quality", "flags"]
BATCH += ["why", "heard_after"]
HELD_BACK = ["clip", "gate", "gate_value", "gate_limit", "hypothesis", "duration_s", "source"]
HELD_BACK += ["round", "released"]


def show(view: View) -> None:
    rounds = {row["round"]: row for row in view.ask(Reader.rounds)}
    if not rounds:
        show_missing(view, view.say("common.no_round"), "round")
        return
    asked = [number for number, row in rounds.items() if row["tasks"]]
    number = choose(
        view.say("common.round"), sorted(rounds, reverse=True), max(asked or rounds), "round"
    )
    show_facts(view, rounds[number])
    sections = {
        "batch": partial(show_batch, view, rounds[number]),
        "mistakes": partial(show_mistakes, view, number),
        "held_back": partial(show_held_back, view),
    }
    chosen = choose_section(
        view.say("round.sections"),
        {name: view.say(f"round.section_{name}") for name in sections},
        "section",
    )
    ids = sections[chosen]()
    st.divider()
    utterance_id = choose_clip(view, ids)
    if utterance_id is not None:
        show_round_clip(view, utterance_id, number)


def show_facts(view: View, row: Mapping[str, Any]) -> None:
    """Where a round stands, how it chose and what was decided."""
    say = view.say
    stage = say("round.recorded") if row["stage"] is None else stage_name(row["stage"], say)
    st.markdown(
        say(
            "round.facts",
            stage=stage,
            tasks=row["tasks"],
            answered=row["answered"],
            labelled=row["labelled"],
            minutes=f"{row['labelled_min']:.1f}",
        )
    )
    facts = view.ask(Reader.selection, row["round"])
    told = [
        (say("round.chosen_by"), facts.get("reason")),
        (say("round.decided"), row["decision"]),
        (say("round.put_in_use"), row["by_hand"]),
    ]
    if lines := [f"{name}: {text}" for name, text in told if text]:
        show_text("\n".join(lines))


def show_batch(view: View, row: Mapping[str, Any]) -> list[str]:
    """The batch as the reader filters and sorts it; the ids of what is shown come back."""
    say = view.say
    frame = view.ask(batch_table, row["round"])
    if frame.empty:
        _explain_empty(view, row)
        return []
    with st.container(horizontal=True):
        arm = choose_named(say("columns.arm"), arm_names(say), "arm", none=say("round.all"))
        answered = choose_named(
            say("columns.answer"), answer_names(say), "answer", none=say("round.all")
        )
        source = st.selectbox(
            say("columns.source"),
            sorted(frame["source"].unique()),
            None,
            key="source",
            bind="query-params",
            placeholder=say("round.all"),
            width=CHOICE_PX,
        )
        contains = st.text_input(
            say("round.contains"), key="contains", bind="query-params", width=CHOICE_PX
        )
        orders = {name: say(f"round.order_{name}") for name in ORDERS}
        order = choose_named(say("round.order"), orders, "order")
    shown = filtered(frame, arm, answered, source, contains or "", order or "rank")
    st.caption(say("round.batch_read", shown=len(shown), clips=len(frame)))
    if not frame["heard_after"].notna().any():
        st.caption(say("round.no_after"))
    facts = view.ask(Reader.selection, row["round"])
    acquisition = str(facts.get("acquisition", ""))
    worded = shown.assign(
        arm=shown["arm"].map(arm_names(say)),
        answer=shown["answer"].map(answer_names(say)),
        why=[why(say, row, acquisition) for row in shown.to_dict("records")],
    )
    show_clips(view, worded, BATCH, say("round.batch_table", round=row["round"]), "batch")
    return list(shown["utterance_id"])


def _explain_empty(view: View, row: Mapping[str, Any]) -> None:
    if row["stage"] is None:
        st.info(view.say("round.asked_nothing"))
    else:
        show_missing(view, view.say("round.no_batch"), "round")


def show_held_back(view: View) -> list[str]:
    """What the newest selection left out, and how to have a clip chosen all the same."""
    say = view.say
    selections = view.ask(Reader.selections)
    if not selections:
        st.info(say("round.no_selection"))
        return []
    newest = selections[-1]
    counts = view.ask(Reader.gate_counts)
    if not counts:
        st.info(say("round.none_held_back", round=newest["round"]))
        return []
    frame = pd.DataFrame(counts)
    st.caption(
        say(
            "round.held_back_read",
            round=newest["round"],
            clips=int(frame["utterances"].sum()),
            minutes=f"{frame['duration_s'].sum() / 60:.1f}",
        )
    )
    frame["minutes"] = frame["duration_s"] / 60
    frame["gate_limit"] = frame["gate"].map(newest["facts"].get("limits", {})).astype(float)
    frame["gate_finds"] = [gate_name(say, gate) for gate in frame["gate"]]
    show_table(
        view,
        frame,
        ["gate", "gate_finds", "utterances", "minutes", "gate_limit"],
        say("round.gates_table"),
    )
    gates = {gate: gate_name(say, gate) for gate in frame["gate"]}
    gate = choose_named(say("columns.gate"), gates, "gate", none=say("round.all"), width=420)
    held = pd.DataFrame(view.ask(Reader.gated, gate=gate))
    if held.empty:
        st.caption(say("round.none_left"))
        return []
    st.caption(say("round.gated_read", clips=len(held)))
    held["clip"] = held["utterance_id"].str[:CLIP_LETTERS]
    held["released"] = held["released"].astype(bool)
    held = held.rename(columns={"value": "gate_value", "limit": "gate_limit"})
    show_clips(view, held, HELD_BACK, say("round.gated_table"), "held")
    return list(held["utterance_id"])
