"""What was heard against what is said, word by word, as HTML without scripts. Knows no database.

A wrong word is told by its colour, by a line through or under it, and by words for those who hear
the page. Colours are tints behind text of the page's own colour, which are read on light and on
dark. Every word is escaped, and isolated, so that it can neither mark up nor turn what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from al_loop.confusions import Part, word_parts
from ui.language import Say

SCROLLING_PX = 260
PARAGRAPH = (
    f"margin:0; max-height:{SCROLLING_PX}px; overflow-y:auto; overflow-wrap:anywhere; "
    "line-height:1.9; font-size:1.05rem"
)
HEARD = (
    "text-decoration:line-through; text-decoration-thickness:2px; padding:0.1em 0.2em; "
    "border-radius:0.2em; background:rgba(213,94,0,0.28)"
)
SAID = (
    "text-decoration:underline; text-decoration-thickness:2px; padding:0.1em 0.2em; "
    "border-radius:0.2em; background:rgba(0,114,178,0.28)"
)
UNSEEN = (
    "position:absolute; width:1px; height:1px; overflow:hidden; clip-path:inset(50%); "
    "white-space:nowrap"
)
"""Read aloud, not shown."""


def show_differences(say: Say, heard: str, said: str, language: str, name: str) -> None:
    """The words of both texts. heard: a hypothesis. said: its label or reference, in `language`.

    name: what is compared, to those who cannot see it.
    """
    st.html(as_html(say, word_parts(said, heard, language), name))


def show_legend(say: Say) -> None:
    """What the signs stand for."""
    heard, said = escape(say("round.sign_heard")), escape(say("round.sign_said"))
    st.html(
        f'<p style="margin:0; font-size:0.9rem"><del style="{HEARD}">{heard}</del> '
        f'<ins style="{SAID}">{said}</ins></p>'
    )


def as_html(say: Say, parts: Sequence[Part], name: str) -> str:
    """A paragraph of the parts. It can be scrolled by keyboard where it is long."""
    words = " ".join(_word(say, part) for part in parts) or escape(say("round.no_words"))
    return (
        f'<p dir="auto" tabindex="0" role="group" aria-label="{escape(name)}" '
        f'style="{PARAGRAPH}">{words}</p>'
    )


def _word(say: Say, part: Part) -> str:
    if part.kind == "same":
        return f"<bdi>{escape(part.said)}</bdi>"
    marked = []
    if part.heard:
        marked.append(_marked("del", HEARD, say("round.read_heard"), part.heard))
    if part.said:
        marked.append(_marked("ins", SAID, say("round.read_said"), part.said))
    return " ".join(marked)


def _marked(tag: str, style: str, read: str, word: str) -> str:
    return (
        f'<{tag} style="{style}"><span style="{UNSEEN}">{escape(read)} </span>'
        f"<bdi>{escape(word)}</bdi></{tag}>"
    )
