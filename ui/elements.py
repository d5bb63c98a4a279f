"""What every view shows its tables, charts and foreign text with.

Knows Streamlit; holds no data and asks for none. Names, transcripts, decisions and messages are not
ours: they are shown as code, in tables and in charts alone, where Streamlit reads neither Markdown
nor HTML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import altair as alt
import pandas as pd
import streamlit as st

from ui.charts.style import as_png, as_svg
from ui.columns import KINDS, PERCENT, TIME, column
from ui.view import View

Rows: TypeAlias = Sequence[Mapping[str, Any]] | pd.DataFrame
Chart: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart

T = TypeVar("T")
CHOICE_PX = 240
LONG_TEXT = 2000
SCROLLING_PX = 240


def show_table(view: View, rows: Rows, columns: Sequence[str], name: str, **options: Any) -> Any:
    """A table of these columns, which downloads as CSV; other columns of the rows are left out.

    columns: names in `ui.columns`, in their order. name: says what the table holds, to those who
    cannot see it. options: Streamlit's, such as `on_select`.
    """
    frame = pd.DataFrame(rows, columns=list(columns))
    for shown in columns:
        if KINDS[shown] is PERCENT:
            frame[shown] = frame[shown].astype(float) * 100
        elif KINDS[shown] is TIME:
            times = pd.to_datetime(frame[shown], utc=True, format="ISO8601")
            frame[shown] = times.dt.strftime("%Y-%m-%d %H:%M").fillna("")
    return st.dataframe(
        frame,
        hide_index=True,
        column_config={shown: column(shown, view.say) for shown in columns},
        alt=name,
        **{"placeholder": "", **options},
    )


def show_chart(view: View, chart: Chart, name: str, described: str) -> None:
    """A chart, and its downloads. name: of the files. described: to those who cannot see it."""
    st.altair_chart(chart, width="stretch", alt=described)
    with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        for kind, mime, made in (
            ("SVG", "image/svg+xml", as_svg),
            ("PNG", "image/png", as_png),
        ):
            st.download_button(
                kind,
                partial(_made, chart, made),
                f"{name}.{kind.lower()}",
                mime,
                key=f"{name}.{kind}",
                help=view.say("common.download_chart", kind=kind),
                on_click="ignore",
                type="tertiary",
            )


def _made(chart: Chart, make: Callable[[dict[str, Any]], bytes]) -> bytes:
    """Only when somebody asks for the file: it takes a while."""
    return make(chart.to_dict())


def show_missing(view: View, missing: str, arguments: str) -> None:
    """What a view lacks, in words, and the arguments of the `al-loop` command that brings it."""
    st.info(missing)
    show_text(f"{view.command} {arguments}")


def choose(label: str, options: Sequence[T], default: T, key: str, **options_of: Any) -> T:
    """One of the options, which stands in the view's address under `key`.

    The address holds the option's own text, so there is no other name for it. An option that is
    not there is left out of the address, and the default is shown.
    """
    found: T = st.selectbox(
        label,
        list(options),
        list(options).index(default),
        key=key,
        bind="query-params",
        **{"width": CHOICE_PX, **options_of},
    )
    return found


def show_text(text: str) -> None:
    """Text that may come from anywhere, as it is; a very long one scrolls."""
    st.code(
        text,
        language=None,
        wrap_lines=True,
        height=SCROLLING_PX if len(text) > LONG_TEXT else "content",
    )


def as_code(text: str) -> str:
    """A Markdown code span, in which nothing is markup: for names in titles and labels."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {' '.join(text.split())} {fence}"
