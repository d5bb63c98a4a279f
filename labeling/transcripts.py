"""A text that somebody typed, in the form in which it is kept, or the reason why it is none. Pure.

The one place for what is done to texts of our own annotators and to imported ones alike. Repaired:

    HTML entities         written as the characters that they stand for
    white space           of any kind and length, that of no width too: one space; none at the ends
    invisible characters  left out; but joiners stay where they shape a script (Persian, Hindi)
    Unicode               composed (NFC)
    the same text twice   once

Refused, with the reasons of `transcript`. Knows nothing of languages, clips or annotators.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from html import unescape
from typing import Any

LONGEST_TEXT = 3000
"""Characters. Ours: hasty speech has 25 a second, and a clip that Whisper hears 30 seconds."""

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_TAG = re.compile(r"<[/!?]?[^\W\d_][^<>]*>")
_BROKEN = re.compile("[\ud800-\udfff\ufffd]")
_ZERO_WIDTH_SPACE = "\u200b"
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co"))
_JOINERS = "\u200c\u200d"
_IDLE_JOINER = re.compile(f"(?:^|(?<=[\0-\u052f]))[{_JOINERS}]+|[{_JOINERS}]+(?=[\0-\u052f]|$)")
"""Beside Latin, Greek or Cyrillic letters, spaces and the like, a joiner shapes nothing."""


class Unusable(Exception):
    """Something typed is no answer; the arguments are the refusal's reason and detail."""


def tidy(text: str) -> str:
    """On one line, composed, without what is invisible; twice is as good as once."""
    spaced = " ".join(text.replace(_ZERO_WIDTH_SPACE, " ").split())
    visible = (
        sign for sign in spaced if sign in _JOINERS or unicodedata.category(sign) not in _INVISIBLE
    )
    composed = unicodedata.normalize("NFC", _IDLE_JOINER.sub("", "".join(visible)))
    return " ".join(composed.split())


def cleaned(text: str) -> str:
    """A transcript in the form in which it is kept and compared: `tidy`, and without entities."""
    escaped = None
    while escaped != text:  # an entity may have been escaped twice
        escaped, text = text, _ENTITY.sub(lambda entity: unescape(entity[0]), text)
    return tidy(text)


def is_broken(text: str) -> bool:
    """Whether it holds halves of characters, or the sign for what could not be decoded."""
    return _BROKEN.search(text) is not None


def transcript(written: Sequence[str]) -> str:
    """What was written into a box, cleaned. Raises Unusable:

    several_texts         texts that differ: nobody knows which was meant
    empty_text            no letter and no digit
    long_text             more than LONGEST_TEXT characters: no clip holds so much
    markup                a word in angle brackets: a page was pasted, or it is a remark
    broken_characters     see `is_broken`
    """
    if any(map(is_broken, written)):
        raise Unusable("broken_characters", f"in {shortened(written)}")
    texts = list(dict.fromkeys(filter(None, map(cleaned, written))))
    if len(texts) > 1:
        raise Unusable("several_texts", f"got {shortened(texts)}")
    if not texts or not any(char.isalnum() for char in texts[0]):
        raise Unusable("empty_text", "neither a text nor a verdict")
    text = texts[0]
    if len(text) > LONGEST_TEXT:
        raise Unusable("long_text", f"{len(text)} characters: {shortened(text)}")
    if tag := _TAG.search(text):
        raise Unusable("markup", f"it holds {shortened(tag[0])}")
    if is_broken(text):  # an entity may stand for one
        raise Unusable("broken_characters", f"in {shortened(text)}")
    return text


def shortened(value: Any) -> str:
    """As Python writes it: whatever it is, the database can keep it."""
    try:
        return repr(value)[:200]
    except RecursionError:
        return "something nested too deeply"
