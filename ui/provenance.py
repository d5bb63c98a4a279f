"""Where a label comes from: its utterance, every answer behind it, and where it was used.

The table of answers is the round's view's too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from storage.queries import Reader
from ui.batch import asked_about, gate_name
from ui.elements import as_code, show_missing, show_table, show_text
from ui.language import Say
from ui.names import naming
from ui.view import View

LONGEST_BEGINNING = 64
"""Characters of an utterance's id."""
ORIGINS = ("source", "kind", "language", "split", "speaker", "origin", "start_s", "text_origin")
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
    say = view.say
    newest = view.ask(Reader.newest_labels)
    if not newest:
        show_missing(view, say("data.no_label"), "round")
        return
    st.caption(say("data.newest_labels"))
    columns = ["utterance_id", "source", "text", "verdict", "settled_at"]
    worded = [
        row | {"verdict": row["verdict"] and say(f"round.answer_{row['verdict']}")}
        for row in newest
    ]
    show_table(view, worded, columns, say("data.newest_labels"))


def show_provenance(view: View, utterance_id: str) -> None:
    say = view.say
    utterance = view.ask(Reader.utterance, utterance_id)
    facts = view.ask(Reader.whereabouts, utterance_id)
    show_verdict(view, utterance)
    st.subheader(say("data.utterance"), anchor=False)
    show_text(utterance_id)
    worded = utterance | {"split": say(f"round.split_{utterance['split']}")}
    known = [(name, worded[name]) for name in ORIGINS if worded[name] is not None]
    rows = [{"fact": say(f"data.fact_{name}"), "value": str(value)} for name, value in known]
    draws = [row["evaluation_set"] for row in facts["draws"]]
    rows += [
        {"fact": say("columns.duration_s"), "value": f"{utterance['duration_s']:.1f}"},
        *batch_facts(view, utterance),
        *({"fact": say("data.fact_draw"), "value": name} for name in draws),
    ]
    show_table(view, rows, ["fact", "value"], say("data.utterance"))
    if utterance["text"]:
        st.caption(say("data.own_text"))
        show_text(utterance["text"])
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


def show_verdict(view: View, label: Mapping[str, Any]) -> None:
    """The label, and in one sentence how far it is to be believed."""
    say = view.say
    if not label["settled"]:
        st.info(say("data.not_labelled"))
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


def batch_facts(view: View, clip: Mapping[str, Any]) -> list[dict[str, str]]:
    """Which round chose it and as what, what gate holds it, and what made it."""
    say, rows = view.say, []
    if clip["asked_in"] is not None:
        rows.append({"fact": say("data.fact_batch"), "value": asked_about(say, clip)})
    if clip["gate"]:
        rows.append({"fact": say("data.fact_gate"), "value": gate_name(say, clip["gate"])})
    if clip["made_by"]:
        rows.append({"fact": say("data.fact_made_by"), "value": clip["made_by"]})
    return rows


def _answered(flag: int | None) -> bool | None:
    return None if flag is None else bool(flag)
