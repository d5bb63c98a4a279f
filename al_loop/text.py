"""Text as it is compared: pure functions, no I/O."""

from __future__ import annotations

import re
import unicodedata

from al_loop.numerals import spell_out, without_redundant_one

NORMALISER = "al_loop-2"
"""Recorded with every error rate; changes whenever `normalise` gives other results."""
FOREIGN_LETTERS = {"ky": frozenset("әғқұһі")}
"""By language, letters of a close relative that its own alphabet lacks: here Kazakh's, which a
model that started from Kazakh falls back to."""

_NOT_WORD = re.compile(r"[\W_]+")
_STRESS = "\u0301"


def normalise(text: str, language: str) -> str:
    """Lower case, NFKC, no stress marks, numbers in words, ё as е, all but letters a space.

    Numbers are spelled out as `al_loop.numerals` says; of a language that nobody knows there,
    digits stay.

    >>> normalise("Эртең, саат 7ДЕ!", "ky")
    'эртең саат жетиде'
    """
    text = unicodedata.normalize("NFKC", text.replace(_STRESS, "")).lower()
    text = spell_out(text, language).replace("ё", "е")
    return without_redundant_one(_NOT_WORD.sub(" ", text).strip(), language)
