"""What an annotator sees: the labelling interface, the instructions, the words in doubt.

The interface is Label Studio's XML in interface.xml. Hidden in it, a field called `shown` brings
back what the text box held at first, whatever becomes of the task's data meanwhile:

    {"from_name": "shown", "type": "textarea", "value": {"text": ["=салам дос"]}}

Knows nothing of servers, tasks and records.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

SHOWN = "shown"
"""The name of the hidden field."""

_FILLED = "="
"""Begins the hidden field's text: Label Studio leaves out a field that is empty."""


def interface() -> str:
    """The labelling interface. Tasks need the data `audio`, `hypothesis` and `marked`."""
    return files("labeling").joinpath("interface.xml").read_text("utf-8")


def instructions() -> str:
    """How to transcribe, in Kyrgyz and Russian, as HTML in one line: Label Studio shows the line
    breaks of its source."""
    return " ".join(files("labeling").joinpath("instructions.html").read_text("utf-8").split())


def marked_words(hypothesis: str, word_probs: Sequence[float], doubt_below: float) -> str:
    """The hypothesis as HTML, with its words of a probability below `doubt_below` marked.

    word_probs: of each word, split at white space. Empty where no word is doubted, or where the
    probabilities are not those of these words. Whatever the model wrote stays text: it is escaped,
    and each word keeps its writing direction to itself.

    >>> marked_words("салам <b>", [0.9, 0.2], 0.5)
    '<bdi>салам</bdi> <mark><bdi>&lt;b&gt;</bdi></mark>'
    """
    words = hypothesis.split()
    doubted = [probability < doubt_below for probability in word_probs]
    if len(words) != len(doubted) or not any(doubted):
        return ""
    isolated = [f"<bdi>{escape(word)}</bdi>" for word in words]
    return " ".join(
        f"<mark>{word}</mark>" if doubt else word
        for word, doubt in zip(isolated, doubted, strict=True)
    )


def shown_hypothesis(values: Sequence[str]) -> str | None:
    """What the text box held at first, from the texts of the field `shown`.

    None where that is not known: the answer did not come from this page.
    """
    match values:
        case [str(text)] if text.startswith(_FILLED):
            return text.removeprefix(_FILLED)
        case _:
            return None
