"""What all charts share: colours, text, and how they become files. Knows no data.

Text takes the colour of the page around it, so that it is read on light and on dark.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
"""Okabe and Ito (2008), Color Universal Design: those with 3:1 contrast on light and on dark.

A fifth series starts again with the first; its points have another shape."""
TEXT: dict[str, Any] = {"fontSize": 12, "color": "currentColor"}
PNG_SCALE = 2


def round_axis(title: str) -> alt.X:
    """Rounds from left to right. title: in the reader's language."""
    return alt.X("round:O", title=title, axis=alt.Axis(labelAngle=0))


def wer_axis(title: str, field: str = "wer") -> alt.Y:
    return alt.Y(f"{field}:Q", title=title, axis=alt.Axis(format="%"), scale=alt.Scale(zero=False))


def as_svg(specification: dict[str, Any]) -> bytes:
    """A chart's SVG: one file that needs no other. Untrusted text in it is escaped."""
    return vl_convert.vegalite_to_svg(specification).encode()


def as_png(specification: dict[str, Any]) -> bytes:
    """A chart's PNG, on white."""
    on_white = {**specification, "background": "white"}
    found: bytes = vl_convert.vegalite_to_png(on_white, scale=PNG_SCALE)
    return found
