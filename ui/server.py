"""The dashboard's server: Streamlit's, behind the guard. `al-loop ui` starts it.

Knows the workspace by its settings alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from al_loop.config import load_settings
from storage.workspace import Workspace
from ui.guard import Guard

SETTINGS = load_settings(Workspace.open(Path(os.environ.get("AL_LOOP_WORKSPACE", "."))).config)

app = st.App(
    Path(__file__).with_name("dashboard.py"),
    middleware=[Middleware(Guard, settings=SETTINGS.dashboard)],
)
