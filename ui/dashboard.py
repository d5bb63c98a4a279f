"""The dashboard's one page: what an ML lead looks at in the morning. `al-loop ui` starts it.

Reads the workspace that AL_LOOP_WORKSPACE names through the read-only queries; knows neither
labeling nor training, and never writes. Names, decisions and messages are not ours: they are
shown as code, in tables and in charts alone, where Streamlit reads neither Markdown nor HTML.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from al_loop.config import Settings, load_settings
from al_loop.errors import AlLoopError
from al_loop.report import round_lines, status_lines, with_interval
from storage.queries import Reader, Status
from storage.workspace import Workspace
from ui import columns
from ui.charts import error_rate_chart, minutes_chart
from ui.elements import Rows, as_code, show_table, show_text
from ui.evidence import show_evidence, show_simulations
from ui.held_back import show_held_back

REFRESH_S = 60
RATES = [
    *(
        f"{name}{end}"
        for name in ("wer", "cer", "raw_wer", "raw_cer")
        for end in ("", "_low", "_high")
    ),
    "foreign_share",
]
SHARES = ["target_share", "realised_share"]
TIMES = ["opened_at", "recorded_at"]


def main() -> None:
    folder = Path(os.environ.get("AL_LOOP_WORKSPACE", ".")).resolve()
    st.set_page_config(page_title=f"{folder.name} · al_loop", layout="wide")
    st.title(f"Workspace {as_code(folder.name)}", anchor=False)
    show_workspace(folder)


@st.fragment(run_every=REFRESH_S)
def show_workspace(folder: Path) -> None:
    """The loop of a workspace; or why there is none yet, in words that say what to do next."""
    try:
        workspace = Workspace.open(folder)
        settings = load_settings(workspace.config)
        with Reader(workspace) as reader:
            show_loop(reader, settings, f"al-loop -w {shlex.quote(str(workspace.root))}")
    except AlLoopError as exc:
        st.warning("This workspace cannot be shown yet.")
        show_text(str(exc))


def show_loop(reader: Reader, settings: Settings, command: str) -> None:
    status, rates, rounds = reader.status(), reader.error_rates(), reader.rounds()
    where, waits, *_ = status_lines(reader, settings)
    show_text(f"{where}\n{waits}")
    if status.error:
        with st.container(border=True):
            st.error(f"The loop failed at {status.failed_stage}.")
            show_text(status.error)
            st.caption("When the cause is gone, this tries it again at once:")
            show_text(f"{command} round")
    elif advice := next_step(status, rounds, rates):
        missing, arguments = advice
        st.info(missing)
        show_text(f"{command} {arguments}")
    language = settings.model.language
    in_use = reader.checkpoint_in_use()
    show_figures(status, in_use, [row for row in rates if row["language"] == language], language)
    if rates:
        st.subheader("Word error rate after each round, with 95% intervals", anchor=False)
        st.altair_chart(error_rate_chart(rates), width="stretch")
    if rounds:
        left, right = st.columns([2, 3])
        with left:
            st.subheader("Labelled minutes per round", anchor=False)
            st.altair_chart(minutes_chart(rounds), width="stretch")
        with right:
            show_newest_mixture(reader, rounds)
            show_newest_training(reader, rounds)
        show_rounds(reader, rounds)
    if rates:
        show_error_rates(rates)
    if rounds:
        show_evidence(reader, rounds)
        show_held_back(reader, command)
    show_simulations(reader)


def next_step(status: Status, rounds: Rows, rates: Rows) -> tuple[str, str] | None:
    """What the page still lacks, and the arguments of the command that brings it."""
    if status.round is None:
        return "No round yet. The first, round 0, trains on the labelled sources alone.", "round"
    if rounds[0]["stage"]:
        return "Round 0 is not finished. It brings the first error rates.", "round"
    if not rates:
        command = "ingest MANIFEST --source NAME --split test"
        return "No error rates: no round had an evaluation set to measure on.", command
    if not status.pool:
        return "The pool is empty: nothing is left to choose from.", "ingest FOLDER --source NAME"
    return None


def show_figures(status: Status, in_use: Mapping[str, Any], rates: Rows, language: str) -> None:
    """The key figures; in_use: that checkpoint. rates: by round, those of the target language."""
    figure = partial(st.metric, border=True, height="stretch")
    newest = [row for row in in_use.get("rates", ()) if row["language"] == language]
    first = {row["evaluation_set"]: row for row in reversed(rates)}
    with st.container(horizontal=True):
        for row in newest:
            start = first.get(row["evaluation_set"])
            figure(
                f"WER % ({language}), {as_code(row['evaluation_set'])}",
                round(100 * row["wer"], 1),
                round(100 * (row["wer"] - start["wer"]), 1) if start else None,
                delta_color="inverse",
                delta_description=f"points since round {start['round']}" if start else None,
                format="%.1f",
                help=f"of {as_code(in_use['name'])}; its 95% interval: {with_interval(row)}",
            )
        if not newest:
            figure(f"WER % ({language})", None)
        figure(
            "Labelled minutes",
            round(status.labelled_s / 60, 1),
            format="%.1f",
            help=f"{status.labelled} utterances",
        )
        figure(
            "Tasks answered in this round",
            f"{status.answered} of {status.tasks}" if status.tasks else None,
        )
        figure("Utterances left in the pool", status.pool, help=f"{status.pool_s / 60:.1f} minutes")


def show_newest_mixture(reader: Reader, rounds: Rows) -> None:
    """What the newest round that has training data trained on."""
    for row in reversed(rounds):
        if mixture := reader.mixture(row["round"]):
            st.subheader(f"Mixture of round {row['round']}", anchor=False)
            frame = pd.DataFrame(mixture)
            frame["minutes"] = frame["duration_s"] / 60
            frame[SHARES] *= 100
            show_table(frame, columns.MIXTURE)
            if leaks := reader.leaks(row["round"]):
                st.caption("Left out of training, for an evaluation set holds the same:")
                show_table(pd.DataFrame(leaks), columns.LEAKS)
            return


def show_newest_training(reader: Reader, rounds: Rows) -> None:
    """The epochs of the newest training that tells of them."""
    for row in reversed(rounds):
        if epochs := reader.training(row["round"]):
            st.subheader(f"Training of round {row['round']}", anchor=False)
            show_table(pd.DataFrame(epochs), columns.TRAINING)
            return


def show_rounds(reader: Reader, rounds: Rows) -> None:
    """Every round in a row, newest first, and the last decision in full."""
    st.subheader("Rounds", anchor=False)
    recorded = [row["round"] for row in rounds if row["stage"] is None]
    if recorded:
        show_text("\n".join(round_lines(reader, recorded[-1])))
    frame = pd.DataFrame(rounds)[::-1]
    frame["hallucinated_share"] = frame["hallucinated_share"].astype(float) * 100
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name]).dt.strftime("%Y-%m-%d %H:%M")
    blank = {"stage": "recorded", "decision": "", "by_hand": "", **dict.fromkeys(TIMES, "")}
    show_table(frame.fillna(blank), columns.ROUNDS)


def show_error_rates(rates: Rows) -> None:
    st.subheader("Error rates", anchor=False)
    frame = pd.DataFrame(rates)
    frame[RATES] = frame[RATES].astype(float) * 100  # a foreign share may be missing
    show_table(frame, columns.ERROR_RATES)


main()
