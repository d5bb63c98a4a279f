"""Text as it is compared: pure functions, no I/O."""

from __future__ import annotations

import re
import unicodedata

NORMALISER = "al_loop-1"
"""Recorded with every error rate; changes whenever `normalise` gives other results."""

_NOT_WORD = re.compile(r"[\W_]+")
_STRESS = "\u0301"


def normalise(text: str) -> str:
    """Lower case, NFKC, no stress marks, ё as е, anything but letters and digits a space.

    >>> normalise("Эртең, саат ЖЕТИДЕ!")
    'эртең саат жетиде'
    """
    text = unicodedata.normalize("NFKC", text.replace(_STRESS, "")).lower().replace("ё", "е")
    return _NOT_WORD.sub(" ", text).strip()
