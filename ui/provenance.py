"""Where a label comes from: its utterance, every answer behind it, and where it was used.

An utterance that nobody labelled has a text too: the one that it came with, or the one that
recognisers agree on.

The table of answers is the round's view's too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from al_loop.records import TRANSLATED_BY
from storage.queries import Reader
from ui.addresses import address
from ui.batch import CLIP_LETTERS, asked_about, gate_name
from ui.elements import as_code, show_missing, show_table, show_text
from ui.language import Say
from ui.makers import makers_of, worded
from ui.names import naming
from ui.view import View

LONGEST_BEGINNING = 64
"""Characters of an utterance's id."""
ORIGINS = ("source", "kind", "language", "split", "speaker", "origin")
ANSWER_COLUMNS = (
    "annotation",
    "annotator",
    "text",
    "verdict",
    "weighed",
    "lead_time_s",
    "shown",
    "unsure",
    "round",
    "task_kind",
    "answered_at",
    "withdrawn_at",
)
TASK_COLUMNS = (
    "round",
    "task_kind",
    "task_reason",
    "hypothesis",
    "checkpoint",
    "answers",
    "wanted",
)
USE_COLUMNS = ("round", "source", "text", "quality", "checkpoint", "promoted")


def show_label(view: View) -> None:
    """The utterance that `?label=` begins, or what else there is to choose."""
    say = view.say
    beginning = st.text_input(
        say("data.which_label"),
        max_chars=LONGEST_BEGINNING,
        key="label",
        bind="query-params",
        help=say("data.which_label_help"),
    ).strip()
    if not beginning:
        show_newest(view)
        return
    found = view.ask(Reader.utterance_ids, beginning)
    if not found:
        st.warning(say("data.no_such_label"))
        show_text(beginning)
    elif len(found) > 1 and beginning not in found:
        st.info(say("data.ambiguous", shown=len(found)))
        show_text("\n".join(found))
    else:
        show_provenance(view, beginning if beginning in found else found[0])


def show_newest(view: View) -> None:
    show_newest_labels(view)
    say = view.say
    examples = view.ask(Reader.examples_of_sources)
    if not examples:
        return
    st.caption(say("data.examples"))
    rows = [row | {"source_kind": row["kind"], "maker": row["made_by"]} for row in examples]
    columns = ["utterance_id", "source", "source_kind", "text", "maker"]
    show_table(view, rows, columns, say("data.examples"))


def show_newest_labels(view: View) -> None:
    say = view.say
    newest = view.ask(Reader.newest_labels)
    if not newest:
        show_missing(view, say("data.no_label"), "round")
        return
    st.caption(say("data.newest_labels"))
    columns = ["utterance_id", "source", "text", "verdict", "settled_at"]
    rows = [
        row | {"verdict": row["verdict"] and say(f"round.answer_{row['verdict']}")}
        for row in newest
    ]
    show_table(view, rows, columns, say("data.newest_labels"))


def show_provenance(view: View, utterance_id: str) -> None:
    say = view.say
    utterance = view.ask(Reader.utterance, utterance_id)
    facts = view.ask(Reader.whereabouts, utterance_id)
    guess = view.ask(Reader.pseudo_label, utterance_id)
    show_verdict(view, utterance, guess)
    st.subheader(say("data.utterance"), anchor=False)
    show_text(utterance_id)
    hear = say("data.hear_it")
    st.markdown(f"[{hear}]({address(view, 'round', clip=utterance_id[:CLIP_LETTERS])})")
    shown = utterance | {"split": say(f"round.split_{utterance['split']}")}
    known = [(name, shown[name]) for name in ORIGINS if shown[name] is not None]
    rows = [{"fact": say(f"data.fact_{name}"), "value": str(value)} for name, value in known]
    draws = [row["evaluation_set"] for row in facts["draws"]]
    rows += [
        *origin_facts(view, utterance),
        {"fact": say("columns.duration_s"), "value": f"{utterance['duration_s']:.1f}"},
        *batch_facts(view, utterance),
        *({"fact": say("data.fact_draw"), "value": name} for name in draws),
    ]
    show_table(view, rows, ["fact", "value"], say("data.utterance"))
    if utterance["text"]:
        st.caption(say("data.own_text"))
        show_text(utterance["text"])
    if guess:
        show_guess(view, guess, bool(utterance["settled"]))
    show_answers(view, utterance_id)
    tasks = [
        row | {"task_kind": task_kind(say, row["kind"]), "task_reason": row["reason"]}
        for row in facts["tasks"]
    ]
    heading = say("data.tasks", tasks=len(tasks))
    st.subheader(heading, anchor=False)
    if tasks:
        show_table(view, tasks, TASK_COLUMNS, heading)
    st.subheader(say("data.uses"), anchor=False)
    if facts["uses"]:
        uses = [row | {"promoted": _answered(row["promoted"])} for row in facts["uses"]]
        st.caption(say("data.uses_caption", rounds=len(uses), first=uses[0]["round"]))
        show_table(view, uses, USE_COLUMNS, say("data.uses"))
    else:
        st.caption(say("data.no_use"))
    for row in facts["leaks"]:
        name = as_code(row["evaluation_set"])
        st.warning(say(f"data.leaked_{row['reason']}", round=row["round"], evaluation_set=name))


def show_answers(view: View, utterance_id: str) -> None:
    """Every annotation of a clip, and which of them its label rests on."""
    say, names = view.say, naming(view)
    rows = view.ask(Reader.answers_about, utterance_id)
    heading = say("data.answers", answers=len(rows))
    st.subheader(heading, anchor=False)
    if not rows:
        st.caption(say("round.no_answers"))
        return
    answers = [
        row
        | {
            "annotation": row["id"],
            "annotator": names(row["annotator"]),
            "verdict": say(f"round.answer_{row['verdict']}") if row["verdict"] else None,
            "weighed": bool(row["weighed"]),
            "unsure": bool(row["unsure"]),
            "task_kind": task_kind(say, row["kind"]),
            "answered_at": row["updated_at"],
            "withdrawn_at": row["deleted_at"],
        }
        for row in rows
    ]
    show_table(view, answers, ANSWER_COLUMNS, heading)


def task_kind(say: Say, kind: str | None) -> str | None:
    """A kind of task in the reader's words; None of an answer whose task is not known."""
    return say(f"round.task_{kind}") if kind else None


def show_guess(view: View, guess: Mapping[str, Any], is_labelled: bool) -> None:
    """The text that recognisers agree on. guess: as `Reader.pseudo_label` has it."""
    say, licences = view.say, view.ask(Reader.licences)
    st.subheader(say("data.pseudo_label"), anchor=False)
    show_text(guess["text"])
    st.caption(say("data.pseudo_confidence", confidence=guess["confidence"]))
    if is_labelled:
        st.caption(say("data.pseudo_gives_way"))
    rows = [
        {"maker": name, "licence": licence or say("data.licence_unknown")}
        for name, licence in makers_of(guess["made_by"], licences)
    ]
    show_table(view, rows, ["maker", "licence"], say("data.pseudo_makers"))


def show_verdict(view: View, label: Mapping[str, Any], guess: Mapping[str, Any]) -> None:
    """The label, and in one sentence how far it is to be believed.

    label: as `Reader.utterance` has it. guess: as `Reader.pseudo_label` has it, or empty.
    """
    say = view.say
    if not label["settled"]:
        instead = "pseudo" if guess else "own_text" if label["text"] else "nothing"
        st.info(say(f"data.not_labelled_{instead}"))
        return
    st.markdown(
        say(
            f"data.settled_{label['settled']}",
            answers=len(label["annotation_ids"]),
            quality=label["quality"],
            day=label["settled_at"][:10],
        )
    )
    if label["verdict"]:
        st.markdown(say(f"data.verdict_{label['verdict']}"))
    else:
        show_text(label["disputed"] if label["label"] is None else label["label"])
    if label["flags"]:
        st.caption(say("data.flags"))
        show_text("\n".join(label["flags"]))


def origin_facts(view: View, clip: Mapping[str, Any]) -> list[dict[str, str]]:
    """Where in its recording it lies, where its text is from, and what made it."""
    say, rows = view.say, []
    if clip["start_s"] is not None:
        place = say(
            "data.from_to",
            begins=clock(clip["start_s"]),
            ends=clock(clip["start_s"] + clip["duration_s"]),
        )
        rows.append({"fact": say("data.fact_place"), "value": place})
    if clip["text_origin"] is not None or clip["text"]:
        origin = clip["text_origin"] or say("data.same_origin")
        rows.append({"fact": say("data.fact_text_origin"), "value": origin})
    _, _, translator = (clip["text_origin"] or "").partition(TRANSLATED_BY)
    for fact, name in (("made_by", clip["made_by"]), ("translated_by", translator)):
        if name:
            value = worded(say, name, view.ask(Reader.licences))
            rows.append({"fact": say(f"data.fact_{fact}"), "value": value})
    return rows


def clock(seconds: float) -> str:
    """Where in a recording: minutes and seconds, such as 12:03.4, and hours where there are."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{minutes:02d}:{rest / 10:04.1f}"
    return f"{hours}:{shown}" if hours else shown


def batch_facts(view: View, clip: Mapping[str, Any]) -> list[dict[str, str]]:
    """Which round chose it and as what, and what gate holds it."""
    say, rows = view.say, []
    if clip["asked_in"] is not None:
        rows.append({"fact": say("data.fact_batch"), "value": asked_about(say, clip)})
    if clip["gate"]:
        rows.append({"fact": say("data.fact_gate"), "value": gate_name(say, clip["gate"])})
    return rows


def _answered(flag: int | None) -> bool | None:
    return None if flag is None else bool(flag)
