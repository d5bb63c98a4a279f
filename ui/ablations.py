"""What each source brings, as `al-loop ablate` measured it: a part of the compare view.

The figures are those of `al_loop.ablation_table`, which the command prints too.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import streamlit as st

from storage.queries import Reader
from ui.charts.ablations import ablation_chart
from ui.comparison import finding
from ui.elements import as_code, choose, show_chart, show_missing, show_table, show_text
from ui.language import Say
from ui.view import View

Part = Literal["added", "left_out"]

COLUMNS = ["step", "evaluation_set", "wer", "wer_low", "wer_high", "wer_change", "change_low"]
COLUMNS += ["change_high", "finding", "examples", "hours", "seeds"]


def show_ablations(view: View) -> None:
    """The newest ablation, or a chosen one: both tables, each with its picture."""
    say = view.say
    found = {row["name"]: row for row in view.ask(Reader.ablations)}
    if not found:
        show_missing(view, say("ablation.none"), "ablate")
        return
    names = list(found)[::-1]
    name = choose(say("ablation.which"), names, names[0], "ablation", width=340)
    if found[name]["finished_at"] is None:
        st.info(say("ablation.unfinished"))
        show_text(f"{view.command} ablate {going_on(name, found[name]['settings'])}")
    if kept := found[name]["settings"].get("kept"):
        st.caption(say("ablation.kept", sources=", ".join(map(as_code, kept))))
    samples = view.settings.evaluate.bootstrap_samples
    tables = view.ask(ablation_tables, name, samples)
    if not any(tables.values()):
        st.caption(say("ablation.no_result"))
    for part, rows in tables.items():
        show_steps(view, part, worded(rows, say))


def going_on(name: str, settings: Mapping[str, Any]) -> str:
    """The options under which the command goes on with this ablation, and refuses nothing."""
    options = {"name": name, "by": settings.get("by"), "draws": settings.get("draws")}
    return " ".join(
        f"--{option} {shlex.quote(str(value))}"
        for option, value in options.items()
        if value is not None
    )


def ablation_tables(reader: Reader, name: str, samples: int) -> dict[Part, list[dict[str, Any]]]:
    """The rows of either table, in the order of steps and then of evaluation sets.

    kind: "untrained", "added", "whole" or "left_out". label: of the sources that are added or left
    out, by their kind or their name. wer_change, change_low, change_high, finding: None of what is
    compared with nothing.
    """
    # it brings the simulation's intervals with it, which no other view needs
    from al_loop.ablation_table import added_rows, left_out_rows

    of_name = (row["settings"] for row in reader.ablations() if row["name"] == name)
    settings: Mapping[str, Any] = next(of_name, {})
    groups = settings.get("groups", [])
    results = reader.ablation_results(name)
    added, left_out = (
        [
            {
                "kind": row.step,
                "label": row.label,
                "evaluation_set": row.evaluation_set,
                "examples": row.examples,
                "hours": row.audio_s / 3600,
                "seeds": row.seeds,
                "wer": row.wer.value,
                "wer_low": row.wer.low,
                "wer_high": row.wer.high,
                "wer_change": row.change and row.change.value,
                "change_low": row.change and row.change.low,
                "change_high": row.change and row.change.high,
                "finding": row.change and finding(row.change.low, row.change.high),
            }
            for row in rows(results, groups, samples)
        ]
        for rows in (added_rows, left_out_rows)
    )
    return {"added": added, "left_out": left_out}


def worded(rows: Sequence[dict[str, Any]], say: Say) -> list[dict[str, Any]]:
    """Rows of `ablation_tables` with `step` and `finding` in the reader's words."""
    first = next((row["label"] for row in rows if row["kind"] == "added"), None)
    signs = {"added": "+ ", "left_out": "− "}
    found = []
    for row in rows:
        kind, label = row["kind"], row["label"]
        if kind in signs:
            step = label if kind == "added" and label == first else f"{signs[kind]}{label}"
        else:
            step = say(f"ablation.step_{kind}")
        says = row["finding"] and say(f"ablation.finding_{row['finding']}")
        found.append(row | {"step": step, "finding": says})
    return found


def show_steps(view: View, part: Part, rows: Sequence[dict[str, Any]]) -> None:
    """rows: with the columns of the table, in the order of steps."""
    say = view.say
    if not rows:
        return
    st.subheader(say(f"ablation.{part}"), anchor=False)
    st.caption(say(f"ablation.{part}_caption"))
    described = say(f"ablation.{part}_described", steps=len({row["step"] for row in rows}))
    show_chart(view, ablation_chart(rows, say), f"ablation-{part}", described)
    show_table(view, rows, COLUMNS, say(f"ablation.{part}"))
