"""What stands in a view's address beside Streamlit's own widgets: choices that have two names.

An address holds a choice's short English name, whatever language the page is in, so that it can be
shared between languages. Knows Streamlit, and no view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import streamlit as st

from ui.elements import CHOICE_PX
from ui.view import View


def choose_named(
    label: str, names: Mapping[str, str], key: str, *, none: str | None = None, **options_of: Any
) -> str | None:
    """One of the names, as the address has it. names: what each is called on the page.

    none: what is shown while nothing is chosen, which None stands for; without it the first is
    chosen at first. What the address names and is not there is left out of it.
    """
    _take_from_address(key, names, None if none is not None else next(iter(names)))
    chosen: str | None = st.selectbox(
        label,
        list(names),
        0 if none is None else None,
        format_func=lambda name: names[name],
        key=key,
        placeholder=none,
        **{"width": CHOICE_PX, **options_of},
    )
    _put_in_address(key, chosen, None if none is not None else next(iter(names)))
    return chosen


def choose_section(label: str, names: Mapping[str, str], key: str) -> str:
    """One of a view's parts, the first at first; beside one another, as in `choose_named`."""
    first = next(iter(names))
    _take_from_address(key, names, first)
    chosen = st.segmented_control(
        label,
        list(names),
        format_func=lambda name: names[name],
        key=key,
        required=True,
        label_visibility="collapsed",
    )
    _put_in_address(key, chosen, first)
    return chosen or first


def address(view: View, page: str, **values: object) -> str:
    """Where a view is, from any other one; values: what stands in its address, None left out."""
    language = view.say.language
    if language != view.settings.dashboard.language:
        values["language"] = language
    return (
        f"{page}?{urlencode({k: v for k, v in values.items() if v is not None}, quote_via=quote)}"
    )


def _take_from_address(key: str, names: Mapping[str, str], default: str | None) -> None:
    """Before the widget is made: what it begins with. A value that is no option any more goes."""
    known = st.session_state.get(key, st.query_params.get(key))
    if known not in names:
        known = default
    if key not in st.session_state or st.session_state[key] != known:
        st.session_state[key] = known


def _put_in_address(key: str, chosen: str | None, default: str | None) -> None:
    if chosen is None or chosen == default:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != chosen:
        st.query_params[key] = chosen
