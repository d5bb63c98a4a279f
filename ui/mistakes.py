"""The part of a round's view that says what is heard wrongly: words, letters, where and by whom.

What was heard in clips whose label or reference is known, aligned by `al_loop.confusions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from al_loop.confusions import Group, Mistake, Mistakes, Pair, mistakes
from storage.queries import Reader
from ui.addresses import choose_named
from ui.batch import CLIP_LETTERS
from ui.clip import show_clips
from ui.elements import CHOICE_PX, show_table
from ui.view import View

MISTAKE = ["mistake", "said", "heard", "times", "times_said", "in_clips", "by_speakers"]
GROUP = ["in_clips", "words", "wer", "changed", "missed", "added", "most_confused"]


def show_mistakes(view: View, number: int) -> list[str]:
    """The mistakes in a round's clips. The ids of the clips that are listed come back."""
    say = view.say
    with st.container(horizontal=True):
        of = choose_named(
            say("round.mistakes_of"),
            {name: say(f"round.of_{name}") for name in ("shown", "after", "tests")},
            "of",
            width=420,
        )
        every = view.ask(found_mistakes, number, of or "shown")
        source = _one_of(say("columns.source"), every.sources, "in", say("round.all"))
        speaker = _one_of(say("columns.speaker"), every.speakers, "by", say("round.all"))
    if not every.all.clips:
        st.info(say(f"round.none_of_{of}"))
        return []
    found = every
    if source or speaker:
        found = view.ask(found_mistakes, number, of or "shown", source, speaker)
    whole = found.all
    st.markdown(
        say(
            "round.mistakes_sum",
            clips=whole.clips,
            words=whole.words,
            errors=whole.errors,
            wer=f"{100 * whole.wer:.1f}",
            changed=whole.changed,
            missed=whole.missed,
            added=whole.added,
        )
    )
    if not whole.errors:
        return []
    st.caption(say("round.mistakes_read"))
    examples: Sequence[str] = ()
    for column, (name, rows) in zip(
        st.columns(2), (("words", found.words), ("letters", found.letters)), strict=True
    ):
        with column:
            st.subheader(say(f"round.confused_{name}"), anchor=False)
            chosen = _show(view, rows, f"mistakes_{name}", say(f"round.confused_{name}"))
            examples = examples or chosen
    if not examples and found.words:
        examples = found.words[0].examples
    _show_examples(view, number, of or "shown", examples)
    for column, (name, groups) in zip(
        st.columns(2), (("source", every.sources), ("speaker", every.speakers)), strict=True
    ):
        with column:
            st.subheader(say(f"round.mistakes_by_{name}"), anchor=False)
            if groups:
                show_table(
                    view,
                    _group_rows(groups, name),
                    [name, *GROUP],
                    say(f"round.mistakes_by_{name}"),
                )
            else:
                st.caption(say("round.no_speakers"))
    return list(examples)


def found_mistakes(
    reader: Reader, number: int, of: str, source: str | None = None, speaker: str | None = None
) -> Mistakes:
    """All mistakes, or those in clips of a source or of a speaker."""
    return mistakes(
        row
        for row in pairs(reader, number, of)
        if source in (None, row.source) and speaker in (None, row.speaker)
    )


def pairs(reader: Reader, number: int, of: str) -> list[Pair]:
    """What was heard against what is said; disputed labels left out, nobody knows what was said.

    of: "shown", what annotators of a round's batch were shown, by whichever checkpoint; "after",
    the same clips as the round's candidate hears them; "tests", the evaluation sets by the
    checkpoint in use after the round.
    """
    if of == "tests":
        rows, said, heard = reader.tested(number), "reference", "hypothesis"
    else:
        rows, said, heard = reader.batch(number), "label", of
    return [
        Pair(
            row["utterance_id"],
            row["language"],
            row[said],
            row[heard],
            row["source"],
            row["speaker"],
        )
        for row in rows
        if row[said] is not None and row[heard] is not None
    ]


def examples_of(reader: Reader, number: int, of: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The texts of some clips, in the order of `ids`."""
    known = {row.utterance_id: row for row in pairs(reader, number, of) if row.utterance_id in ids}
    return [
        {
            "utterance_id": name,
            "clip": name[:CLIP_LETTERS],
            "said_text": known[name].said,
            "heard_text": known[name].heard,
            "source": known[name].source,
            "speaker": known[name].speaker,
        }
        for name in ids
    ]


def _one_of(label: str, groups: Sequence[Group], key: str, none: str) -> str | None:
    """One of the sources or speakers, or all."""
    found: str | None = st.selectbox(
        label,
        sorted(row.name for row in groups),
        None,
        key=key,
        bind="query-params",
        placeholder=none,
        width=CHOICE_PX,
    )
    return found


def _show(view: View, rows: Sequence[Mistake], key: str, name: str) -> Sequence[str]:
    """A table of mistakes; the clips of the chosen one come back."""
    if not rows:
        st.caption(view.say("round.none_alike"))
        return ()
    table = [
        {
            "mistake": view.say(f"round.mistake_{row.kind}"),
            "said": row.said,
            "heard": row.heard,
            "times": row.times,
            "times_said": row.of or None,
            "in_clips": row.clips,
            "by_speakers": row.speakers or None,
        }
        for row in rows
    ]
    chosen = show_table(
        view,
        table,
        MISTAKE,
        name,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
    )
    return rows[chosen.selection.rows[0]].examples if chosen.selection.rows else ()


def _show_examples(view: View, number: int, of: str, ids: Sequence[str]) -> None:
    st.subheader(view.say("round.examples"), anchor=False)
    st.caption(view.say("round.examples_read"))
    frame = pd.DataFrame(view.ask(examples_of, number, of, tuple(ids)))
    columns = ["clip", "said_text", "heard_text", "source", "speaker"]
    show_clips(view, frame, columns, view.say("round.examples"), "examples")


def _group_rows(groups: Sequence[Group], name: str) -> list[dict[str, Any]]:
    return [
        {
            name: row.name,
            "in_clips": row.clips,
            "words": row.words,
            "wer": row.wer,
            "changed": row.changed,
            "missed": row.missed,
            "added": row.added,
            "most_confused": ""
            if row.most is None
            else f"{row.most.said or '–'} → {row.most.heard or '–'}",
        }
        for row in groups
    ]
