"""The dashboard: what an ML lead opens in the morning. `al-loop ui` starts it.

Shows the workspace that AL_LOOP_WORKSPACE names, read-only, in views that each have an address.
Knows neither labeling nor training, and never writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import streamlit as st

from al_loop.config import load_settings
from al_loop.errors import AlLoopError
from storage.workspace import Workspace
from ui.access import admitted
from ui.elements import as_code, show_text
from ui.language import LANGUAGES, Language, Say
from ui.view import View, database_version
from ui.views import annotators, compare, data, learning, overview, rounds, training

VIEWS: Mapping[str, Callable[[View], None]] = {
    "overview": overview.show,
    "learning": learning.show,
    "round": rounds.show,
    "data": data.show,
    "annotators": annotators.show,
    "training": training.show,
    "compare": compare.show,
}


def main() -> None:
    folder = Path(os.environ.get("AL_LOOP_WORKSPACE", ".")).resolve()
    st.set_page_config(page_title="al_loop", layout="wide")
    say = Say("en")
    try:
        workspace = Workspace.open(folder)
        settings = load_settings(workspace.config)
        say = choose_language(settings.dashboard.language)
        if not admitted(settings.dashboard, say):
            return
        st.set_page_config(page_title=f"{folder.name} · al_loop")
        pages = [
            st.Page(
                partial(show_view, name, workspace, say),
                title=say(f"{name}.page"),
                url_path=name,
                default=name == "overview",
            )
            for name in VIEWS
        ]
        st.navigation(pages).run()
    except AlLoopError as exc:
        show_trouble(exc, say)


def choose_language(at_first: Language) -> Say:
    """The words in the reader's language, which stays in the address."""
    known = st.session_state.get("language") or st.query_params.get("language")
    say = Say(known if known in LANGUAGES else at_first)
    with st.sidebar:
        # the options themselves stand in the address, so they have no other names
        chosen = st.segmented_control(
            say("common.language"),
            list(LANGUAGES),
            default=at_first,
            required=True,
            key="language",
            bind="query-params",
        )
    return Say(chosen)


def show_view(name: str, workspace: Workspace, say: Say) -> None:
    """One view of the workspace; or why there is nothing to show, and what to do next."""
    st.title(say(f"{name}.page"), anchor=False)
    st.caption(say("common.workspace", name=as_code(workspace.root.name)))
    try:
        settings = load_settings(workspace.config)
        VIEWS[name](View(workspace, settings, say, database_version(workspace)))
    except AlLoopError as exc:
        show_trouble(exc, say)


def show_trouble(exc: AlLoopError, say: Say) -> None:
    st.warning(say("common.cannot_be_shown"))
    show_text(str(exc))


if __name__ == "__main__":
    main()
