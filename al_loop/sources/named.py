"""Which audio an ingest has named so far: eight bytes a clip, however many there are.

Knows neither rows nor the catalogue, which says what the clips are.
"""

from __future__ import annotations

import numpy as np

KEPT_APART = 20_000
"""Keys that wait in a set until they join the sorted ones: joining copies all."""
DIGITS = 16
"""Of the SHA-256 in hexadecimal. Among a million clips, two are alike in 1 case of 37 million."""


class Named:
    """A set of SHA-256s, known by their first 64 bits."""

    def __init__(self) -> None:
        self._sorted: np.ndarray = np.empty(0, np.uint64)
        self._recent: set[int] = set()

    def add(self, sha256: str) -> None:
        self._recent.add(_key(sha256))
        if len(self._recent) >= KEPT_APART:
            keys = np.sort(np.fromiter(self._recent, np.uint64, len(self._recent)))
            self._sorted = np.insert(self._sorted, np.searchsorted(self._sorted, keys), keys)
            self._recent.clear()

    def __contains__(self, sha256: str) -> bool:
        key = _key(sha256)
        if key in self._recent:
            return True
        place = int(np.searchsorted(self._sorted, np.uint64(key)))
        return place < len(self._sorted) and int(self._sorted[place]) == key


def _key(sha256: str) -> int:
    return int(sha256[:DIGITS], 16)
