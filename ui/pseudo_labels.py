"""What recognisers wrote of clips that nobody labelled: how much was kept, and how much of it is
right, by their last run and by all of them.

The report is JSON of the run, of which anything may be missing. Its readers are pure; the rest
shows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from storage.queries import Reader
from ui.addresses import address
from ui.batch import CLIP_LETTERS
from ui.charts.pseudo_labels import kept_chart, precision_chart, volume_chart
from ui.clip import choose_clip, show_clips
from ui.elements import show_chart, show_missing, show_table, show_text
from ui.language import Say
from ui.makers import worded
from ui.sound import show_sound
from ui.view import View

FACTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "target": (("target",), "{:.1%}"),
    "threshold": (("threshold",), "{:.3f}"),
    "kept": (("volume", "texts"), "{:.0f}"),
    "kept_minutes": (("volume", "seconds"), "{:.1f}"),
    "candidates": (("candidates", "clips"), "{:.0f}"),
    "leaked": (("leaked",), "{:.0f}"),
    "calibration_clips": (("calibration", "rated"), "{:.0f}"),
    "calibration_words": (("calibration", "words"), "{:.0f}"),
}
"""What a run's report says in one number each: where it stands, and how it is written."""
PRECISION = ("precision", "precision_low", "precision_high")
CURVE_COLUMNS = ("threshold", "kept_share", *PRECISION, "clips", "hours")
RUN_COLUMNS = ("run", "round", "made_at", "kept", "hours", "threshold", *PRECISION)
UNSURE_COLUMNS = ("clip", "confidence", "text", "source", "duration_s", "label", "maker")


def show_pseudo_labels(view: View) -> None:
    say = view.say
    runs = view.ask(Reader.pseudo_label_runs)
    if not runs:
        show_missing(view, say("pseudo.none"), "pseudo-label")
        return
    report = runs[-1]["report"]
    show_run(view, runs[-1], report)
    show_volume(view, report)
    show_recognisers(view, report)
    show_unsure(view)
    show_runs(view, [run_row(place, row) for place, row in enumerate(runs, 1)])


def show_run(view: View, run: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """The last run in a few figures."""
    say = view.say
    st.subheader(say("pseudo.last_run"), anchor=False)
    day = run["made_at"][:10]
    if run["round"] is None:
        st.caption(say("pseudo.made_by_hand", day=day))
    else:
        st.caption(say("pseudo.made_in_round", day=day, round=run["round"]))
    if "refused" in report:
        st.warning(say("pseudo.refused"))
        show_text(str(report["refused"]))
        return
    target = figure(report, "target")
    if target is not None and figure(report, "threshold") is None:
        st.warning(say("pseudo.no_threshold", target=target))
    if rows := fact_rows(say, report):
        show_table(view, rows, ["fact", "value"], say("pseudo.last_run"))
    else:
        st.info(say("pseudo.empty_report"))


def show_volume(view: View, report: Mapping[str, Any]) -> None:
    """What the threshold trades: the more clips are kept, the fewer words of them are right."""
    say = view.say
    curve = curve_of(report)
    if not curve:
        return
    st.subheader(say("pseudo.volume"), anchor=False)
    st.caption(say("pseudo.volume_caption"))
    chosen = chosen_of(report, curve)
    chart = volume_chart(curve, chosen, figure(report, "target"), say)
    described = say("pseudo.volume_described", thresholds=len(curve))
    show_chart(view, chart, "pseudo-label-volume", described)
    with st.expander(say("data.as_table")):
        show_table(view, curve, CURVE_COLUMNS, say("pseudo.volume"))


def show_recognisers(view: View, report: Mapping[str, Any]) -> None:
    """How many words each recogniser alone gets wrong, where their votes were calibrated."""
    say = view.say
    rows = recognisers_of(report)
    if not rows:
        return
    st.subheader(say("pseudo.recognisers"), anchor=False)
    st.caption(say("pseudo.recognisers_caption"))
    frame = pd.DataFrame(rows)
    frame["recogniser"] = [
        say(f"pseudo.recogniser_{name}") if say.has(f"pseudo.recogniser_{name}") else name
        for name in frame["recogniser"]
    ]
    show_table(view, frame, ["recogniser", "maker", "wer"], say("pseudo.recognisers"))


def show_unsure(view: View) -> None:
    """The texts that are most likely to be wrong, to be heard."""
    say = view.say
    rows = view.ask(Reader.unsure_pseudo_labels)
    st.subheader(say("pseudo.unsure"), anchor=False)
    if not rows:
        st.caption(say("pseudo.none_kept"))
        return
    st.caption(say("pseudo.unsure_caption", shown=len(rows)))
    licences = view.ask(Reader.licences)
    frame = pd.DataFrame(rows)
    frame["clip"] = frame["utterance_id"].str[:CLIP_LETTERS]
    frame["maker"] = [worded(say, name, licences) for name in frame["made_by"]]
    show_clips(view, frame, UNSURE_COLUMNS, say("pseudo.unsure"), "unsure")
    utterance_id = choose_clip(view, list(frame["utterance_id"]))
    if utterance_id is None:
        return
    guess = view.ask(Reader.pseudo_label, utterance_id)
    show_text(guess["text"] if guess else utterance_id)
    show_sound(view, utterance_id, view.ask(Reader.utterance, utterance_id)["audio"])
    whole = address(view, "data", label=utterance_id[:CLIP_LETTERS])
    st.markdown(f"[{say('round.whole_history')}]({whole})")


def show_runs(view: View, rows: Sequence[Mapping[str, Any]]) -> None:
    """What became of it from run to run."""
    say = view.say
    st.subheader(say("pseudo.runs"), anchor=False)
    for field, chart, name in (
        ("precision", precision_chart, "pseudo-label-precision"),
        ("kept", kept_chart, "pseudo-label-kept"),
    ):
        if any(row[field] is not None for row in rows):
            described = say(f"pseudo.{field}_described", runs=len(rows))
            show_chart(view, chart(rows, say), name, described)
    show_table(view, rows, RUN_COLUMNS, say("pseudo.runs"))


# -- the report ------------------------------------------------------------------------------------


def fact_rows(say: Say, report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The figures that a report has, in words: precision with its interval, then FACTS."""
    rows = []
    value, low, high = (figure(report, "precision", end) for end in ("value", "low", "high"))
    if value is not None:
        ends = "" if low is None or high is None else f" ({low:.1%} … {high:.1%})"
        rows.append({"fact": say("pseudo.fact_precision"), "value": f"{value:.1%}{ends}"})
    for name, (path, form) in FACTS.items():
        number = figure(report, *path)
        if number is not None:
            number = number / 60 if path[-1] == "seconds" else number
            rows.append({"fact": say(f"pseudo.fact_{name}"), "value": form.format(number)})
    return rows


def figure(row: Mapping[str, Any], *path: str) -> float | None:
    """A number of a report; None where it has none there, or one that is not finite."""
    value: Any = row
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def curve_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those thresholds of a report that say what share they keep and how much of it is right.

    They come by the share that they keep, the smallest first. kept_share: of the clips whose words
    are known. clips, hours: of those that nobody labelled.
    """
    found = []
    for point in _rows(report, "curve"):
        row = {name: figure(point, name) for name in CURVE_COLUMNS}
        row["hours"] = _hours(figure(point, "seconds"))
        if None not in (row["threshold"], row["kept_share"], row["precision"]):
            found.append(row)
    return sorted(found, key=lambda row: (row["kept_share"], -row["threshold"]))


def chosen_of(
    report: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The point of the curve at the report's threshold, or nearest to it; None without one."""
    threshold = figure(report, "threshold")
    if threshold is None:
        return None
    return min(curve, key=lambda row: abs(row["threshold"] - threshold))


def recognisers_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`recogniser`, `maker` and `wer` of each: what it is there for, which one it is, and its WER.

    maker, wer: None where they are not told.
    """
    return [
        {
            "recogniser": str(row["name"]),
            "maker": str(row["id"]) if row.get("id") else None,
            "wer": figure(row, "wer"),
        }
        for row in _rows(report, "recognisers")
        if row.get("name")
    ]


def run_row(place: int, run: Mapping[str, Any]) -> dict[str, Any]:
    """One run as a row of RUN_COLUMNS. place: from 1, the oldest."""
    report = run["report"]
    return {
        "run": place,
        "round": run["round"],
        "made_at": run["made_at"],
        "kept": figure(report, "volume", "texts"),
        "hours": _hours(figure(report, "volume", "seconds")),
        "threshold": figure(report, "threshold"),
        **{
            name: figure(report, "precision", end)
            for name, end in zip(PRECISION, ("value", "low", "high"), strict=True)
        },
    }


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600


def _rows(report: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = report.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
