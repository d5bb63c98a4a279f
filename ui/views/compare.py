"""Two rounds, or two simulations, side by side: which hears better, how sure that is, and where.

And what each source brings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from storage.queries import Reader
from ui.ablations import show_ablations
from ui.addresses import address, choose_named, choose_section
from ui.charts.compare import curves_chart, rates_chart
from ui.clip import Version, choose_clip, show_clip, show_clips
from ui.comparison import changes, clips_of, compared_sets, compared_simulations, last_change
from ui.elements import as_code, choose, show_chart, show_missing, show_table, show_text
from ui.view import View

SETS = ["evaluation_set", "language", "wer_from", "wer_to", "wer_change", "change_low"]
SETS += ["change_high", "finding", "both_heard", "got_better", "got_worse"]
CLIPS = ["clip", "evaluation_set", "errors_from", "errors_to", "errors_change", "words"]
CLIPS += ["reference", "heard_from", "heard_to"]
SIMULATIONS = ["compared", "seeds", "asked_minutes", "final_wer", "wer_low", "wer_high"]
SIMULATIONS += ["minutes_to_reach", "junk_share"]
SIMULATED = ["clip", "evaluation_set", "errors_from", "errors_to", "errors_change", "words"]
SIMULATED += ["reference"]


def show(view: View) -> None:
    parts = {
        "rounds": view.say("compare.section_rounds"),
        "simulations": view.say("compare.section_simulations"),
        "sources": view.say("compare.section_ablation"),
    }
    chosen = choose_section(view.say("compare.sections"), parts, "compare")
    shows = {"rounds": show_rounds, "simulations": show_simulations, "sources": show_ablations}
    shows[chosen](view)


def show_rounds(view: View) -> None:
    say = view.say
    recorded = [row["round"] for row in view.ask(Reader.rounds) if row["stage"] is None]
    if len(recorded) < 2:
        show_missing(view, say("compare.needs_rounds", rounds=len(recorded)), "round")
        return
    left, right, _ = st.columns([1, 1, 2])
    with right:  # what the other is compared with at first follows from it
        to = choose(say("compare.to"), recorded[::-1], recorded[-1], "to")
    with left:
        before = view.ask(last_change, to)
        one = choose(say("compare.from"), recorded[::-1], before, "from")
    names = [view.ask(Reader.in_use_after, number).get("name", "?") for number in (one, to)]
    st.markdown(
        say("compare.rounds", one=one, to=to, first=as_code(names[0]), second=as_code(names[1]))
    )
    if names[0] == names[1]:
        st.info(say("compare.same_checkpoint"))
        return
    samples = view.settings.evaluate.bootstrap_samples
    sets = view.ask(compared_sets, one, to, samples)
    if not sets:
        show_missing(view, say("compare.no_sets"), "ingest MANIFEST --source NAME --split test")
        return
    _tell(view, sets)
    frame = pd.DataFrame(sets)
    frame["finding"] = [say(f"compare.finding_{row['finding']}") for row in sets]
    show_table(view, frame, SETS, say("compare.sets_table"))
    st.caption(say("compare.sets_read"))
    show_chart(
        view,
        rates_chart(sets, (one, to), say),
        f"rounds-{one}-{to}",
        say("compare.rates_described", one=one, to=to),
    )
    differ = say("compare.settings")
    st.markdown(f"[{differ}]({address(view, 'training', round=to, against=one)})")
    _show_changed(view, one, to, names)


def _tell(view: View, sets: Sequence[Mapping[str, Any]]) -> None:
    """The answer first: in how many sets the second is better, worse, or neither for sure."""
    counts = {
        name: [row["evaluation_set"] for row in sets if row["finding"] == name]
        for name in ("better", "worse", "unsure", "unpaired")
    }
    lines = [
        f"{view.say(f'compare.finding_{name}')}: {', '.join(found)}"
        for name, found in counts.items()
        if found
    ]
    show_text("\n".join(lines))


def _show_changed(view: View, one: int, to: int, names: Sequence[str]) -> None:
    """The clips of which one heard more words than the other, and the chosen one to listen to."""
    say = view.say
    st.subheader(say("compare.changed"), anchor=False)
    frame = view.ask(changes, one, to)
    shown = _choose_changed(view, frame)
    show_clips(view, shown, CLIPS, say("compare.changed"), "changed")
    utterance_id = choose_clip(view, list(shown["utterance_id"]))
    if utterance_id is None:
        return
    heard = {
        row["checkpoint"]: row["hypothesis"] for row in view.ask(Reader.heard_by, utterance_id)
    }
    show_clip(
        view,
        view.ask(Reader.utterance, utterance_id),
        [
            Version(
                lambda name: say("compare.first_heard", checkpoint=name),
                names[0],
                heard.get(names[0]),
            ),
            Version(
                lambda name: say("compare.second_heard", checkpoint=name),
                names[1],
                heard.get(names[1]),
            ),
        ],
    )


def _choose_changed(view: View, frame: pd.DataFrame) -> pd.DataFrame:
    """The clips that the reader asks for, those that changed most first."""
    say = view.say
    with st.container(horizontal=True):
        which = choose_named(
            say("compare.which"),
            {name: say(f"compare.which_{name}") for name in ("worse", "better", "all")},
            "which",
        )
        sets = sorted(frame["evaluation_set"].unique()) if len(frame) else []
        chosen = st.selectbox(
            say("columns.evaluation_set"),
            sets,
            None,
            key="set",
            bind="query-params",
            placeholder=say("round.all"),
            width=240,
        )
    shown = clips_of(frame, which or "worse", chosen)
    st.caption(say("compare.clips_read", shown=len(shown), clips=len(frame)))
    return shown


def show_simulations(view: View) -> None:
    say = view.say
    found = {
        f"{row['name']}: {strategy}": (row["name"], strategy)
        for row in view.ask(Reader.simulations)[::-1]
        for strategy in view.ask(Reader.simulated_strategies, row["name"])
    }
    if len(found) < 2:
        show_missing(view, say("compare.needs_simulations"), "simulate --name NAME")
        return
    labels = list(found)
    first, second = _first_two(labels, found)
    with st.container(horizontal=True):
        one = choose(say("compare.baseline"), labels, first, "first", width=340)
        to = choose(say("compare.against"), labels, second, "second", width=340)
    if one == to:
        st.info(say("compare.same_simulation"))
        return
    language = view.settings.model.language
    answer = view.ask(
        compared_simulations,
        {one: found[one], to: found[to]},
        language,
        view.settings.evaluate.bootstrap_samples,
        view.settings.seed,
    )
    if answer.missing:
        st.info(say(f"compare.simulations_{answer.missing}"))
    if not answer.curves:
        return
    if answer.change:
        change = answer.change
        st.markdown(
            say(
                f"compare.simulated_{change['finding']}",
                change=f"{100 * change['value']:+.1f}",
                low=f"{100 * change['low']:+.1f}",
                high=f"{100 * change['high']:+.1f}",
            )
        )
    show_table(view, answer.table, SIMULATIONS, say("compare.simulations_table"))
    st.caption(say("compare.intervals", seeds=answer.seeds))
    show_chart(
        view,
        curves_chart(answer.curves, say),
        "simulations",
        say("compare.curves_described", one=one, to=to),
    )
    if not answer.clips:
        return
    st.subheader(say("compare.changed"), anchor=False)
    shown = _choose_changed(view, pd.DataFrame(answer.clips))
    show_clips(view, shown, SIMULATED, say("compare.changed"), "simulated")
    utterance_id = choose_clip(view, list(shown["utterance_id"]))
    if utterance_id is not None:
        show_clip(view, view.ask(Reader.utterance, utterance_id), [])


def _first_two(labels: Sequence[str], found: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """Of the newest simulation random and another strategy, where it has them."""
    newest = [label for label in labels if found[label][0] == found[labels[0]][0]]
    base = next((label for label in newest if found[label][1] == "random"), newest[0])
    return base, next(label for label in [*newest, *labels] if label != base)
