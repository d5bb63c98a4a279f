"""Which letter of a text is spoken when: the best path by CTC through hours of speech. Pure NumPy.

The path is that of CTC-Segmentation (Kürzinger et al., arXiv 2007.09127) and of MMS (Pratap et al.,
arXiv 2305.13516): every letter takes one or more frames, with blanks between them where it likes.
Two things are added, for books and their recordings differ. In the gap between two words a path may
wait while something else is said (a star token, see `al_loop.alignment.costs`), and from one gap it
may go on to the next without time passing, for a price a letter: the word between is left out. Text
before the first word spoken and behind the last costs the same: were it free, a path would rather
do without the words between an end and a passage that nobody reads.

States. A text of L letters has 2 L + 1 states: state 2 i + 1 is letter i; state 2 i is the blank
before letter i, or, where a word begins there or the text ends, the gap. One frame is computed for
all states at once.

Memory. Neither all states at all frames nor their back-pointers are kept. The scores are stored
once a block of frames, and when the path is traced back, one block after another is computed again
from them, with back-pointers. With blocks of 2 √T frames that is O(√T) for each state, and the path
is exactly that of a full table. The states in hand are those within `reach` letters of the best
one: it bounds both time and memory, and a gap in text or speech must be shorter. A text of at most
twice that length is searched in full.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from al_loop.alignment.costs import Prices, frame_costs
from al_loop.alignment.text import UNKNOWN, Labels, Letters

REACH = 10_000
"""Letters; about ten minutes of speech, or half a dozen pages."""
NEVER = np.float32(-1e30)
FROM_LETTER, FROM_GAP = 2, 3
"""Back-pointers. 0, 1 and 2: so many states back. 3: from a gap before, in the same frame."""


@dataclass(frozen=True, slots=True)
class _Scores:
    """The states of N letters from `low` on, in nats.

    blanks: (N + 1,) float32, states 2 (low + i). letters: (N,) float32, states 2 (low + i) + 1.
    """

    low: int
    blanks: np.ndarray
    letters: np.ndarray

    def best(self) -> int:
        """The letter that the best state belongs to."""
        blank, letter = int(self.blanks.argmax()), int(self.letters.argmax())
        return self.low + (blank if self.blanks[blank] > self.letters[letter] else letter)

    def settled(self) -> _Scores:
        """The same relative to the best state: float32 has no digits to spare."""
        best = max(self.blanks.max(), self.letters.max())
        return _Scores(self.low, self.blanks - best, self.letters - best)


@dataclass(frozen=True, slots=True)
class _Window:
    """What is the same for all frames of a block, for N letters from `low` on.

    columns: (N,) int64, of the letters' costs. repeated: (N,) float32, NEVER where a letter is like
    the one before it, which needs a blank between them, else 0. gaps: (G,) int64, which blanks are
    gaps between words. unheard: (G,) float64, what leaving out the text up to each gap costs.
    blank: the column of CTC's blank.
    """

    low: int
    blank: int
    columns: np.ndarray
    repeated: np.ndarray
    gaps: np.ndarray
    unheard: np.ndarray


@dataclass(frozen=True, slots=True)
class _Pointers:
    """Where each state's best path comes from, for K frames: uint8, see FROM_LETTER.

    blanks: (K, N + 1). letters: (K, N).
    """

    blanks: np.ndarray
    letters: np.ndarray


def align(
    log_probs: np.ndarray,
    text: Letters,
    labels: Labels,
    prices: Prices | None = None,
    reach: int = REACH,
) -> np.ndarray:
    """The state of each frame on the best path: (T,) int64.

    log_probs: (T, V) float32, may lie on disk. reach: letters on either side of the best state that
    stay in hand.
    """
    if not len(log_probs) or not len(text):
        return np.zeros(len(log_probs), dtype=np.int64)
    search = _Search(log_probs, text, labels, prices or Prices(), reach)
    return search.path(list(search.starts()))


class _Search:
    """One alignment. `end`: the scores behind the last frame, once `starts` is through."""

    def __init__(
        self, log_probs: np.ndarray, text: Letters, labels: Labels, prices: Prices, reach: int
    ) -> None:
        self.log_probs = log_probs
        self.labels = labels
        self.prices = prices
        self.columns = np.where(text.labels == UNKNOWN, log_probs.shape[1], text.labels)
        self.repeated = np.zeros(len(self.columns), dtype=np.float32)
        self.repeated[1:][text.labels[1:] == text.labels[:-1]] = NEVER
        self.gaps = text.starts
        self.size = min(2 * reach, len(self.columns))
        self.firsts = range(0, len(log_probs), math.ceil(2 * math.sqrt(len(log_probs))))
        self.end = self._before_all()

    def starts(self) -> Iterator[_Scores]:
        """The scores before each block."""
        scores = self.end
        for costs in self._blocks(self.firsts):
            scores = self._moved(scores)
            yield scores
            window = self._window(scores.low)
            for frame in costs:
                scores = _step(scores, window, frame)
            scores = scores.settled()
        self.end = scores

    def path(self, starts: list[_Scores]) -> np.ndarray:
        """The best path, from the scores before each block; the last block comes first."""
        path = np.empty(len(self.log_probs), dtype=np.int64)
        state = self._last_state()
        firsts = self.firsts[::-1]
        for first, scores, costs in zip(
            firsts, reversed(starts), self._blocks(firsts), strict=True
        ):
            window = self._window(scores.low)
            pointers = _Pointers(
                np.empty((len(costs), self.size + 1), dtype=np.uint8),
                np.empty((len(costs), self.size), dtype=np.uint8),
            )
            again = scores
            for index, frame in enumerate(costs):
                again = _step(again, window, frame, pointers, index)
            for index in range(len(costs) - 1, -1, -1):
                state = _heard_in(state, window, pointers, index)
                path[first + index] = state
                state = _before(state, window, pointers, index)
        return path

    def _before_all(self) -> _Scores:
        """A path begins in any gap, at the price of the text before it."""
        blanks = np.full(self.size + 1, NEVER)
        gaps = self.gaps[self.gaps <= self.size]
        blanks[gaps] = -self.prices.unheard * gaps
        return _Scores(0, blanks, np.full(self.size, NEVER))

    def _last_state(self) -> int:
        """The best state to end in: the gap behind any word, or a word's last letter."""
        end = self.end
        window = self._window(end.low)
        last_letters = np.where(window.gaps > 0, end.letters[window.gaps - 1], NEVER)
        last_blanks = end.blanks[window.gaps]
        place = int((np.maximum(last_blanks, last_letters) + window.unheard).argmax())
        in_letter = last_letters[place] > last_blanks[place]
        return 2 * (end.low + int(window.gaps[place])) - int(in_letter)

    def _moved(self, scores: _Scores) -> _Scores:
        """The scores around the best state; of letters that come into reach, none is likely yet."""
        highest = len(self.columns) - self.size
        low = min(max(scores.best() - self.size // 2, scores.low), highest)
        gone = low - scores.low
        come = np.full(gone, NEVER)
        return _Scores(
            low,
            np.concatenate([scores.blanks[gone:], come]),
            np.concatenate([scores.letters[gone:], come]),
        )

    def _window(self, low: int) -> _Window:
        high = low + self.size
        first, last = np.searchsorted(self.gaps, [low, high + 1])
        gaps = self.gaps[first:last] - low
        unheard = self.prices.unheard * gaps
        columns, repeated = self.columns[low:high], self.repeated[low:high]
        return _Window(low, self.labels.blank, columns, repeated, gaps, unheard)

    def _blocks(self, firsts: Iterable[int]) -> Iterator[np.ndarray]:
        """The costs of each block's frames: (K, V + 2) float32."""
        for first in firsts:
            rows = self.log_probs[first : first + self.firsts.step]
            yield frame_costs(np.asarray(rows, dtype=np.float32), self.labels, self.prices)


def _step(
    scores: _Scores,
    window: _Window,
    frame: np.ndarray,
    pointers: _Pointers | None = None,
    index: int = 0,
) -> _Scores:
    """The scores behind a frame of costs (V + 2,); notes at `index` where they come from."""
    before = scores.letters[:-1] + window.repeated[1:]
    letters = np.maximum(scores.letters, scores.blanks[:-1])
    blanks = scores.blanks.copy()
    np.maximum(blanks[1:], scores.letters, out=blanks[1:])
    if pointers is not None:
        # the flags' order is that of the comparisons below: the last one that wins is noted
        np.greater(letters, scores.letters, out=pointers.letters[index].view(bool))
        pointers.letters[index, 1:][before > letters[1:]] = FROM_LETTER
        pointers.blanks[index, 0] = 0
        np.greater(blanks[1:], scores.blanks[1:], out=pointers.blanks[index, 1:].view(bool))
    np.maximum(letters[1:], before, out=letters[1:])
    letters += frame.take(window.columns, mode="clip")  # the fastest mode; none is out of range
    in_gaps = blanks[window.gaps] + (frame[-1] + window.unheard)
    blanks += frame[window.blank]
    reached = np.maximum.accumulate(in_gaps)
    blanks[window.gaps] = reached - window.unheard
    if pointers is not None:
        pointers.blanks[index, window.gaps[reached > in_gaps]] = FROM_GAP
    return _Scores(scores.low, blanks, letters)


def _heard_in(state: int, window: _Window, pointers: _Pointers, index: int) -> int:
    """The state that heard the frame, where `state` was reached from it without time passing."""
    if state % 2:
        return state
    blank = state // 2 - window.low
    if pointers.blanks[index, blank] != FROM_GAP:
        return state
    place = int(np.searchsorted(window.gaps, blank))
    while pointers.blanks[index, window.gaps[place]] == FROM_GAP:
        place -= 1
    return 2 * (window.low + int(window.gaps[place]))


def _before(state: int, window: _Window, pointers: _Pointers, index: int) -> int:
    """The state before the frame that `state` heard."""
    if state % 2:
        pointer = pointers.letters[index, state // 2 - window.low]
    else:
        pointer = pointers.blanks[index, state // 2 - window.low]
    return state - int(pointer)
