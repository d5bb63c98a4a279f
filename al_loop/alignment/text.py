"""The text of an alignment as numbers: its letters, and where its words begin. Knows no audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN = -1
"""The label of a letter that the recogniser does not have."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the columns of a recogniser's emissions stand for.

    letters: the column of each letter. blank: CTC's own. space: that of the gap between words, None
    where the recogniser has none.
    """

    letters: Mapping[str, int]
    blank: int
    space: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Letters:
    """A text to align, W words of L letters in all.

    labels: (L,) int64, the column of each letter, or UNKNOWN. starts: (W + 1,) int64, the place of
    each word's first letter, and L. No word is empty.
    """

    labels: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        """The number of words."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """(W,) int64: the letters of each word."""
        return np.diff(self.starts)

    def part(self, kept: np.ndarray) -> Letters:
        """The words that `kept` (W,) bool says, without the others."""
        labels = self.labels[np.repeat(kept, self.sizes)]
        return Letters(labels, np.concatenate([[0], np.cumsum(self.sizes[kept])]).astype(np.int64))


def spell(words: Sequence[str], labels: Labels) -> Letters:
    """The words' letters as the recogniser's labels. Raises ValueError where a word is empty."""
    if not all(words):
        raise ValueError("a word to align has no letters")
    known = labels.letters
    columns = [known.get(letter, UNKNOWN) for word in words for letter in word]
    starts = np.concatenate([[0], np.cumsum([len(word) for word in words])])
    return Letters(np.array(columns, dtype=np.int64), starts.astype(np.int64))
