"""What every section of the dashboard shows its tables and its foreign text with.

Knows Streamlit; holds no data and asks for none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

Rows = Sequence[Mapping[str, Any]]

LONG_TEXT = 2000
SCROLLING_PX = 240


def show_table(frame: pd.DataFrame, shown: Mapping[str, Any]) -> None:
    st.dataframe(frame, hide_index=True, column_order=list(shown), column_config=dict(shown))


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
