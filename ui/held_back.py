"""The dashboard's section on the gates: how much each holds back, some of the clips, and why.

Reads through the read-only queries; knows not how a gate decides.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from storage.queries import Reader
from ui import columns
from ui.elements import show_table, show_text

ID_LETTERS = 12
"""Of an id; `al-loop gates release` takes the beginning of one."""
ALL = "all gates"


def show_held_back(reader: Reader, command: str) -> None:
    """What the newest selection left out. command: `al-loop` for this workspace."""
    st.subheader("Held back", anchor=False)
    selections = reader.selections()
    if not selections:
        st.caption("Nothing yet: the gates work when a round chooses its first query batch.")
        return
    newest = selections[-1]
    counts = reader.gate_counts()
    if not counts:
        st.caption(f"Nothing: in round {newest['round']} the gates held no clip back.")
        return
    left, right = st.columns([2, 3])
    with left:
        frame = pd.DataFrame(counts)
        frame["minutes"] = frame["duration_s"] / 60
        frame["limit"] = frame["gate"].map(newest["facts"].get("limits", {})).astype(float)
        show_table(frame, columns.GATES)
    with right:
        gate = st.selectbox("Clips of", [ALL, *frame["gate"]], width=240)
        show_gated(reader, None if gate == ALL else gate, command)


def show_gated(reader: Reader, gate: str | None, command: str) -> None:
    """Some of the clips, and how to have one chosen all the same."""
    rows = reader.gated(gate=gate)
    frame = pd.DataFrame(rows)
    frame["clip"] = frame["utterance_id"].str[:ID_LETTERS]
    frame["released"] = frame["released"].astype(bool)
    show_table(frame, columns.GATED)
    st.caption("No gate holds back what is released, from the next selection on:")
    example = frame.sort_values("released", kind="stable")["clip"].iloc[0]
    show_text(f'{command} gates release {example} --reason "it is speech"')
