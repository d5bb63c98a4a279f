"""What a licence's name says about commercial use. Pure; no legal advice."""

from __future__ import annotations

import re

UNKNOWN = "unknown"
"""Of a model whose licence nobody states."""
MADE_HERE = "made here"
"""In a licence's place, of a model that its workspace has trained."""
_NON_COMMERCIAL = re.compile(r"(?<![a-z])nc(?![a-z])|non-?\s?commercial", re.IGNORECASE)
"""As Creative Commons writes it, or in words."""


def is_non_commercial(licence: str) -> bool:
    return _NON_COMMERCIAL.search(licence) is not None
