"""One clip, heard and read: its sound, what was heard against what is said, and who said so.

Whichever table a clip is chosen in, it stands in the address as the beginning of its id. That is
looked up in the database and is never part of a path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from storage.queries import Reader
from ui.addresses import address
from ui.batch import CLIP_LETTERS, asked_about, error_rate, gate_name
from ui.differences import show_differences, show_legend
from ui.elements import as_code, show_table, show_text
from ui.makers import worded
from ui.provenance import clock, show_answers
from ui.sound import show_sound
from ui.view import View

KEY = "clip"
ID_LETTERS = 64
"""Of a whole id: a SHA-256 in hexadecimal."""
EMPTY: dict[str, dict[str, list[Any]]] = {"selection": {"rows": [], "columns": [], "cells": []}}


@dataclass(frozen=True, slots=True)
class Version:
    """What a checkpoint heard. text: None where it did not hear the clip.

    when: says to which checkpoint's name which of them it is.
    """

    when: Callable[[str], str]
    checkpoint: str
    text: str | None


def show_clips(
    view: View, frame: pd.DataFrame, columns: Sequence[str], name: str, key: str
) -> None:
    """A table in which a row chooses a clip. frame: has `utterance_id`."""
    ids = frame["utterance_id"].tolist()
    wanted = _wanted()
    rows = [row for row, name in enumerate(ids) if wanted and name.startswith(wanted)][:1]
    if (st.session_state.get(key) or EMPTY)["selection"]["rows"] != rows:
        st.session_state[key] = {"selection": {**EMPTY["selection"], "rows": rows}}
    show_table(
        view,
        frame,
        columns,
        name,
        key=key,
        on_select=partial(_choose_row, key, ids),
        selection_mode="single-row",
    )


def choose_clip(view: View, ids: Sequence[str]) -> str | None:
    """The id of the clip that the address names; says so where it names none, or several.

    ids: of the table beside it, which one can go through without a mouse.
    """
    say = view.say
    wanted = _wanted()
    place = next((row for row, name in enumerate(ids) if wanted and name.startswith(wanted)), None)
    before = None if place is None else place - 1
    after = 0 if place is None else place + 1
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            say("round.clip"),
            key=KEY,
            bind="query-params",
            max_chars=ID_LETTERS,
            placeholder=say("round.clip_begins"),
            help=say("round.clip_help"),
            width=240,
        )
        for name, row in (("previous", before), ("next", after)):
            there = row is not None and 0 <= row < len(ids)
            st.button(
                say(f"round.{name}_clip"),
                key=f"{name}_clip",
                disabled=not there,
                on_click=partial(_choose, ids[row] if there and row is not None else ""),
            )
    if not wanted:
        st.caption(say("round.choose_clip"))
        return None
    found = view.ask(Reader.utterance_ids, wanted, 2)
    if len(found) == 1 or wanted in found:
        return wanted if wanted in found else found[0]
    st.info(say("round.several_clips") if found else say("round.no_clip"))
    show_text(wanted)
    return None


def show_round_clip(view: View, utterance_id: str, round_number: int) -> None:
    """A clip before and after a round's training: the round that asked about it, if one did."""
    clip = view.ask(Reader.utterance, utterance_id)
    number = round_number if clip["asked_in"] is None else clip["asked_in"]
    judged = view.ask(Reader.judged_in, number)
    heard = {row["checkpoint_id"]: row["hypothesis"] for row in _heard_by(view, utterance_id)}
    before = "compared_with" if clip["asked_in"] is None else "asked_with"
    say = view.say
    versions = [
        Version(when, judged[f"{which}_name"], heard.get(judged[which]))
        for which, when in (
            (before, lambda name: say("round.before_training", checkpoint=name)),
            ("candidate", lambda name: say("round.after_training", checkpoint=name)),
        )
        if judged and judged[which]
    ]
    show_clip(view, clip, versions)


def show_clip(view: View, clip: dict[str, Any], versions: Sequence[Version]) -> None:
    """All about one clip. clip: as `Reader.utterance` has it."""
    say, utterance_id = view.say, clip["id"]
    st.subheader(say("round.clip_title", clip=as_code(utterance_id[:CLIP_LETTERS])), anchor=False)
    show_text(provenance(view, clip))
    show_sound(view, utterance_id, clip["audio"])
    said = said_in(clip)
    if said is not None and any(version.text is not None for version in versions):
        show_legend(say)
    for version in versions:
        rate = error_rate(said, version.text, clip["language"])
        wer = "" if rate is None else f" · WER {rate:.1%}"
        st.markdown(f"**{version.when(as_code(version.checkpoint))}**{wer}")
        if version.text is None:
            st.caption(say("round.not_heard"))
        elif said is None:
            show_text(version.text)
        else:
            show_differences(
                say, version.text, said, clip["language"], version.when(version.checkpoint)
            )
    if clip["verdict"]:
        st.caption(say("round.has_verdict", verdict=say(f"round.answer_{clip['verdict']}")))
    elif clip["disputed"] is not None:
        st.caption(say("round.disputed"))
        show_text(clip["disputed"])
    elif said is None:
        st.caption(say("round.nothing_said"))
    show_answers(view, utterance_id)
    told = say("round.whole_history")
    whole = address(view, "data", label=utterance_id[:CLIP_LETTERS])
    st.markdown(f"[{told}]({whole})")
    _show_history(view, clip, said)
    if clip["gate"] and not clip["released"] and clip["asked_in"] is None:
        st.caption(say("round.release"))
        show_text(release_command(view, utterance_id))


def said_in(clip: Mapping[str, Any]) -> str | None:
    """What hypotheses are compared with. None where nobody knows it: no text, or a disputed one.

    Of an evaluation set it is the reference, which does not change with later answers.
    """
    reference, label = clip["text"], clip["label"]
    first, other = (reference, label) if clip["split"] == "test" else (label, reference)
    return other if first is None else first


def release_command(view: View, utterance_id: str) -> str:
    return f'{view.command} gates release {utterance_id[:CLIP_LETTERS]} --reason "it is speech"'


def provenance(view: View, clip: dict[str, Any]) -> str:
    """Where a clip and its label come from, in a line."""
    say = view.say
    told = [
        say(
            "round.taken_from",
            source=clip["source"],
            kind=clip["kind"] or "?",
            split=say(f"round.split_{clip['split']}"),
            origin=clip["origin"] or "?",
        ),
        say("round.spoken", language=clip["language"], seconds=f"{clip['duration_s']:.1f}"),
    ]
    if clip["start_s"] is not None:
        told.insert(1, say("round.from_there", at=clock(clip["start_s"])))
    if clip["text_origin"] is not None:
        told.append(say("round.text_from", origin=clip["text_origin"]))
    if clip["made_by"] is not None:
        model = worded(say, clip["made_by"], view.ask(Reader.licences))
        told.append(say("round.made_by", model=model))
    if clip["speaker"] is not None:
        told.append(say("round.spoken_by", speaker=clip["speaker"]))
    if clip["asked_in"] is not None:
        told.append(asked_about(say, clip))
    if clip["gate"]:
        gate = gate_name(say, clip["gate"])
        told.append(
            say(
                "round.held_by",
                gate=gate,
                value=_number(clip["value"]),
                limit=_number(clip["limit"]),
            )
        )
    if clip["settled"]:
        told.append(
            say(
                "round.label_of",
                settled=say(f"round.settled_{clip['settled']}"),
                annotations=", ".join(map(str, clip["annotation_ids"])),
                quality=f"{clip['quality']:.2f}",
            )
        )
    told += [say("round.flagged", flag=flag) for flag in clip["flags"]]
    return "; ".join(told)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


def _show_history(view: View, clip: dict[str, Any], said: str | None) -> None:
    """What every checkpoint heard, in a table that is closed at first."""
    rows = _heard_by(view, clip["id"])
    if not rows:
        return
    frame = pd.DataFrame(rows)
    frame["wer"] = [error_rate(said, text, clip["language"]) for text in frame["hypothesis"]]
    with st.expander(view.say("round.history", checkpoints=len(rows))):
        columns = ["checkpoint", "made_in", "hypothesis", "wer"]
        show_table(view, frame, columns, view.say("round.history_table"))


def _heard_by(view: View, utterance_id: str) -> list[dict[str, Any]]:
    return view.ask(Reader.heard_by, utterance_id)


def _wanted() -> str:
    """The beginning of an id, from the address at first."""
    found: str = st.session_state.get(KEY, st.query_params.get(KEY, "")) or ""
    return found.strip()[:ID_LETTERS]


def _choose_row(key: str, ids: Sequence[str]) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    _choose(ids[rows[0]] if rows and rows[0] < len(ids) else "")


def _choose(utterance_id: str) -> None:
    st.session_state[KEY] = utterance_id[:CLIP_LETTERS]
