"""How a round's checkpoint came about: training, time and memory, and what the gate said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from storage.queries import Reader
from ui.charts.training import gate_chart, loss_chart, norm_chart, rate_chart, stages_chart
from ui.elements import as_code, choose, show_chart, show_missing, show_table, show_text
from ui.sentences import stage
from ui.trainings import epoch_rows, settings_compared
from ui.view import View

GIB = 2**30
WAITING = "pull"
"""The stage that waits for annotators: days beside the others' minutes."""
EPOCH_COLUMNS = (
    "epoch",
    "draws",
    "steps",
    "loss",
    "validation_loss",
    "mean_grad_norm",
    "grad_norm_bound",
    "accumulation",
    "expected_norm",
    "full_grad_norm",
    "gradient_noise",
    "measured_clips",
)
STAGE_COLUMNS = ("stage", "started_at", "finished_at", "taken_min", "failures")
GATE_COLUMNS = (
    *("evaluation_set", "language", "words"),
    *(f"{side}{end}" for side in ("before", "after") for end in ("", "_low", "_high")),
)
CHECKPOINT_COLUMNS = (
    *("checkpoint", "round", "promoted", "in_use", "decision"),
    *("parent", "created_at", "pruned_at"),
)


def show(view: View) -> None:
    say = view.say
    times = view.ask(Reader.stage_times)
    trained = {*view.ask(Reader.trained_rounds), *(row["round"] for row in times if _trains(row))}
    rounds = sorted({*trained, *(row["round"] for row in times)})
    if not rounds:
        show_missing(view, say("common.no_round"), "round")
        return
    default = max(trained or rounds)  # one that failed too: it is what is to be mended
    number = choose(say("common.round"), rounds, default, "round")
    stages = [
        row | {"taken_min": None if row["taken_s"] is None else row["taken_s"] / 60}
        for row in times
        if row["round"] == number
    ]
    show_training(view, number, stages)
    show_gate(view, number)
    show_stages(view, number, stages)
    show_settings(view, number, rounds)
    show_checkpoints(view)


def show_training(view: View, number: int, stages: Sequence[dict[str, Any]]) -> None:
    """Key figures, charts of the steps, epochs, and what the training noted."""
    say = view.say
    record = view.ask(Reader.training_record, number)
    epochs = epoch_rows(record)
    if not epochs:
        failed = [row for row in stages if _trains(row) and row["error"]]
        if failed:
            st.error(say("training.failed", failures=failed[0]["failures"]))
            show_text(failed[0]["error"])
            show_text(f"{view.command} round")
        else:
            why = "untold" if record else "not_trained"
            st.info(say(f"training.why_{why}", round=number))
        return
    show_key_figures(view, record, epochs, stages)
    log = record.get("log", {})
    if log.get("loss"):
        st.subheader(say("training.loss"), anchor=False)
        st.caption(say("training.loss_caption"))
        chart = loss_chart(log["loss"], epochs, say)
        show_chart(view, chart, f"loss-round-{number}", say("training.loss_described"))
        left, right = st.columns(2)
        with left:
            st.subheader(say("training.norm"), anchor=False)
            bound = record.get("grad_norm_bound")
            norms = norm_chart(log.get("grad_norm", ()), bound, say)
            show_chart(view, norms, f"norm-round-{number}", say("training.norm_described"))
        with right:
            st.subheader(say("training.rate"), anchor=False)
            rates = rate_chart(log.get("learning_rate", ()), say)
            show_chart(view, rates, f"rate-round-{number}", say("training.rate_described"))
    st.subheader(say("training.epochs"), anchor=False)
    st.caption(accumulation_in_words(view, record, epochs))
    show_table(view, epochs, EPOCH_COLUMNS, say("training.epochs"))
    if notes := record.get("notes"):
        with st.expander(say("training.notes")):
            show_text("\n".join(notes))


def show_key_figures(
    view: View,
    record: Mapping[str, Any],
    epochs: Sequence[Mapping[str, Any]],
    stages: Sequence[dict[str, Any]],
) -> None:
    """How long, how large, how well, and whether the gradients stayed within their bound."""
    say = view.say
    taken = [row["taken_min"] for row in stages if _trains(row)]
    held_out = [row["validation_loss"] for row in epochs if row.get("validation_loss") is not None]
    norms = [row["mean_grad_norm"] for row in epochs if row.get("mean_grad_norm") is not None]
    memory = record.get("peak_memory_bytes") or {}
    bound = record.get("grad_norm_bound")
    with st.container(horizontal=True):
        st.metric(say("training.steps"), record.get("steps"), border=True)
        st.metric(
            say("training.minutes"),
            None if not taken or taken[0] is None else f"{taken[0]:.1f}",
            border=True,
            help=say("columns.taken_min_help"),
        )
        where = "gpu" if memory.get("gpu") else "process"
        peak = memory.get(where)
        st.metric(
            say(f"training.memory_{where}"),
            None if peak is None else f"{peak / GIB:.1f}",
            border=True,
            help=say("training.memory_help"),
        )
        st.metric(
            say("training.best_validation"),
            f"{min(held_out):.3f}" if held_out else None,
            border=True,
            help=say("training.best_validation_help"),
        )
        st.metric(
            say("training.largest_norm"),
            f"{max(norms):.1f}" if norms else None,
            border=True,
            help=None if bound is None else say("training.largest_norm_help", bound=bound),
        )
    if norms and bound is not None and max(norms) > bound:
        st.warning(say("training.above_bound", norm=max(norms), bound=bound))


def accumulation_in_words(
    view: View, record: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]
) -> str:
    """How many forward passes made a step, and who decided it."""
    say, rule = view.say, record.get("settings", {})
    chosen = ", ".join(str(row["accumulation"]) for row in epochs)
    how = "auto" if rule.get("accumulation") == "auto" else "fixed"
    text = say(
        f"training.accumulation_{how}",
        chosen=chosen,
        bound=record.get("grad_norm_bound", 0.0),
        most=rule.get("max_accumulation", 0),
    )
    asked, used = rule.get("batch_size"), record.get("batch_size")
    if asked and used and used < asked:
        text += " " + say("training.less_memory", asked=asked, used=used)
    return text


def show_gate(view: View, number: int) -> None:
    """The decision, and the figures that it rests on."""
    say = view.say
    rates = view.ask(Reader.before_and_after, number)
    decisions = {row["round"]: row["decision"] for row in view.ask(Reader.rounds)}
    decision = decisions.get(number)
    st.subheader(say("training.gate", round=number), anchor=False)
    if decision is None:
        st.info(say("training.not_judged"))
    else:
        show_text(decision)
    if not rates:
        st.caption(say("training.no_rates"))
        return
    show_chart(view, gate_chart(rates, say), f"gate-round-{number}", say("training.gate_described"))
    show_table(view, rates, GATE_COLUMNS, say("training.gate", round=number))
    if silence := view.ask(Reader.silence_before_and_after, number):
        before = say("training.silence", clips=silence["clips_before"], heard=silence["before"])
        after = ""
        if silence["clips_after"] is not None:
            after = " " + say(
                "training.silence_after", clips=silence["clips_after"], heard=silence["after"]
            )
        st.caption(before + after)


def show_stages(view: View, number: int, stages: Sequence[dict[str, Any]]) -> None:
    say = view.say
    if not stages:
        return
    st.subheader(say("training.stages", round=number), anchor=False)
    st.caption(say("training.stages_caption", waiting=stage(WAITING, say)))
    named = [row | {"stage": stage(row["stage"], say)} for row in stages]
    worked = [
        shown
        for row, shown in zip(stages, named, strict=True)
        if row["stage"] != WAITING and row["taken_min"] is not None
    ]
    if worked:
        chart = stages_chart(worked, say)
        show_chart(view, chart, f"stages-round-{number}", say("training.stages_described"))
    heading = say("training.stages", round=number)
    show_table(view, named, STAGE_COLUMNS, heading)


def show_settings(view: View, number: int, rounds: Sequence[int]) -> None:
    """What was set otherwise in another round."""
    say = view.say
    st.subheader(say("training.settings"), anchor=False)
    others = [other for other in rounds if other != number]
    if not others:
        st.info(say("training.one_round"))
        return
    earlier = [other for other in others if other < number]
    against = choose(
        say("training.against"), others, earlier[-1] if earlier else others[0], "against"
    )
    here, there = (view.ask(Reader.stage_settings, which) for which in (number, against))
    if not here.keys() & there.keys():
        st.info(say("training.no_settings", round=number, against=against))
        return
    rows = settings_compared(here, there)
    if not rows:
        st.success(say("training.same_settings", round=number, against=against))
        return
    st.caption(say("training.settings_caption", round=number, against=against))
    named = [
        row | {"stages": ", ".join(stage(name, say) for name in row["stages"].split(", "))}
        for row in rows
    ]
    columns = ["setting", "value_here", "value_there", "stages"]
    show_table(view, named, columns, say("training.settings"))


def show_checkpoints(view: View) -> None:
    """Every checkpoint, newest first: what became of it, and why."""
    say = view.say
    found = view.ask(Reader.checkpoints, False)
    if not found:
        return
    st.subheader(say("training.checkpoints"), anchor=False)
    in_use = next((row["name"] for row in found if row["in_use"]), None)
    if in_use is not None:
        st.markdown(say("training.checkpoint_in_use", name=as_code(in_use)))
    rows = [
        row
        | {
            "checkpoint": row["name"],
            "promoted": None if row["promoted"] is None else bool(row["promoted"]),
            "in_use": bool(row["in_use"]),
        }
        for row in reversed(found)
    ]
    show_table(view, rows, CHECKPOINT_COLUMNS, say("training.checkpoints"))


def _trains(row: Mapping[str, Any]) -> bool:
    return bool(row["stage"] == "train")
