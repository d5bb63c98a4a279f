"""Which stretches of an aligned recording become utterances: cut at pauses, 2 to 15 s, well heard.

Pure. Of all ways to divide the text into segments and words that are left out, the one that keeps
the most seconds is found by dynamic programming, so that a misprint costs its own phrase and not
what stands around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from al_loop.alignment.quiet import STEPS_PER_S, Pause, longest_pause
from al_loop.alignment.words import Spoken

INSIDE, SPACE, CLAUSE, SENTENCE = 0, 1, 2, 3
"""Behind a word: nothing that could be cut at, a space, a comma or the like, a full stop."""
PRICES_S = (0.0, 1.5, 0.5, 0.0)
"""Of a segment that ends there, in seconds that it could have kept; ours, as is the next one."""
SEGMENT_S = 0.3
"""The price of a segment, so that two short ones are joined where they can be."""
LETTERS = 4
"""Ours: the cost of a shorter word is divided by this, or one letter misheard would condemn it."""
SPREAD_S = 0.1
"""A CTC recogniser hears a letter this much before or behind its middle."""
SEARCHED_S = 0.8
"""How far from a word its pause is looked for."""
LETTER_COST = -1.0
"""A frame of a gap that costs more than this, in nats, has a letter in it: e times as likely as
silence. Ours."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a segment has to be. min_score: see `Segment`. edge_s: of a pause, kept on each side."""

    min_score: float = -1.5
    shortest_s: float = 2.0
    longest_s: float = 15.0
    least_pause_s: float = 0.1
    edge_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Segment:
    """The words from `first` up to `end`, and where they lie in the recording.

    start_s, end_s: with the edges of the pauses around it. speech_start_s, speech_end_s: without.
    score: nats per letter, 0 or less, of its worst word: how much less likely the word is than what
    the recogniser hears in its place, with what is said beside it inside the segment, up to where
    the segment is cut.
    """

    first: int
    end: int
    start_s: float
    end_s: float
    speech_start_s: float
    speech_end_s: float
    score: float


def find_segments(
    words: Spoken,
    sizes: np.ndarray,
    breaks: np.ndarray,
    quiet: np.ndarray,
    frame_s: float,
    rules: Rules,
) -> list[Segment]:
    """The segments of a recording, in its order; none overlap.

    sizes: (W,) letters of each word. breaks: (W,) what is behind it, INSIDE to SENTENCE. quiet:
    (S,) bool, hundredths of a second. frame_s: of the frames that `words` are counted in.
    """
    count = len(sizes)
    table = _Table(words, sizes, breaks, quiet, frame_s, rules)
    best = np.zeros(count + 1)
    chosen: list[Segment | None] = [None] * (count + 1)
    for first in range(count):
        if best[first] > best[first + 1]:
            best[first + 1], chosen[first + 1] = best[first], None
        for segment in _from(first, table, rules):
            kept_s = segment.end_s - segment.start_s - SEGMENT_S
            value = best[first] + kept_s - PRICES_S[int(breaks[segment.end - 1])]
            if value > best[segment.end]:
                best[segment.end], chosen[segment.end] = value, segment
    found: list[Segment] = []
    place = count
    while place:
        last = chosen[place]
        if last is not None:
            found.append(last)
        place = place - 1 if last is None else last.first
    return found[::-1]


@dataclass(frozen=True, slots=True)
class _Edge:
    """Where a segment may begin or end. cut_s: in the pause. speech_s: the pause's end or start.
    said: nats, 0 or less, what is said and not written between the cut and the word."""

    cut_s: float
    speech_s: float
    said: float


class _Table:
    """What `_from` asks of each word, as lists: it asks often.

    before, behind: the word's edges, None where nothing can be cut. ends_s: of the word. beside:
    what is said and not written between it and the next one that is heard.
    """

    def __init__(
        self,
        words: Spoken,
        sizes: np.ndarray,
        breaks: np.ndarray,
        quiet: np.ndarray,
        frame_s: float,
        rules: Rules,
    ) -> None:
        count = len(breaks)
        self.heard: list[bool] = words.heard.tolist()
        self.sizes: list[int] = np.maximum(sizes, LETTERS).tolist()
        self.costs: list[float] = (words.costs * sizes).tolist()
        self.ends_s: list[float] = ((words.last + 1) * frame_s).tolist()
        self.beside = [0.0] * count
        self.before: list[_Edge | None] = [None] * count
        self.behind: list[_Edge | None] = [None] * count
        spoken = np.flatnonzero(words.heard).tolist()
        gaps = _Gaps(words, quiet, frame_s, rules)
        for place, word in enumerate(spoken):
            last = int(words.last[spoken[place - 1]]) + 1 if place else 0
            final = place + 1 == len(spoken)
            end = len(words.unwritten) if final else int(words.first[spoken[place + 1]])
            self.beside[word] = words.said(int(words.last[word]) + 1, end)
            if word == 0 or breaks[word - 1] != INSIDE:
                self.before[word] = gaps.before(last, int(words.first[word]))
            if breaks[word] != INSIDE:
                self.behind[word] = gaps.behind(int(words.last[word]) + 1, end, final)


class _Gaps:
    """Pauses in the gaps between two words, found from frames."""

    def __init__(self, words: Spoken, quiet: np.ndarray, frame_s: float, rules: Rules) -> None:
        self._words, self._quiet, self._frame_s, self._rules = words, quiet, frame_s, rules
        self._letters = np.flatnonzero(np.diff(words.unwritten) < LETTER_COST)

    def before(self, last: int, first: int) -> _Edge | None:
        """Before a word that begins in frame `first`; the one before it ends before `last`.

        The pause lies behind what is said and not written, where one does.
        """
        start_s = first * self._frame_s
        from_s = max(last * self._frame_s - SPREAD_S, start_s - SEARCHED_S)
        place = int(np.searchsorted(self._letters, first)) - 1
        pause = None
        if place >= 0 and self._letters[place] >= last:
            behind_s = max((int(self._letters[place]) + 1) * self._frame_s, from_s)
            pause = _pause(self._quiet, behind_s, start_s + SPREAD_S, self._rules)
        pause = pause or _pause(self._quiet, from_s, start_s + SPREAD_S, self._rules)
        if pause is None:
            return None
        cut_s = max(pause.middle_s, pause.end_s - self._rules.edge_s)
        said = self._words.said(max(round(cut_s / self._frame_s), last), first)
        return _Edge(cut_s, pause.end_s, said)

    def behind(self, end: int, first: int, final: bool) -> _Edge | None:
        """Behind a word that ends before frame `end`; the next one begins in `first`.

        The pause lies before what is said and not written, where one does. final: no word follows.
        """
        end_s = end * self._frame_s
        length_s = len(self._quiet) / STEPS_PER_S
        next_s = length_s if final else first * self._frame_s
        to_s = min(next_s + SPREAD_S, end_s + SEARCHED_S)
        place = int(np.searchsorted(self._letters, end))
        pause = None
        if place < len(self._letters) and self._letters[place] < first:
            before_s = min(int(self._letters[place]) * self._frame_s, to_s)
            pause = _pause(self._quiet, end_s - SPREAD_S, before_s, self._rules)
        pause = pause or _pause(self._quiet, end_s - SPREAD_S, to_s, self._rules)
        if pause is None:
            return None
        cut_s = min(pause.middle_s, pause.start_s + self._rules.edge_s)
        said = self._words.said(end, min(round(cut_s / self._frame_s), first))
        return _Edge(cut_s, pause.start_s, said)


def _pause(quiet: np.ndarray, start_s: float, end_s: float, rules: Rules) -> Pause | None:
    """The pause to cut in; None where there is none. The recording's ends are pauses."""
    found = longest_pause(quiet, start_s, end_s)
    length_s = len(quiet) / STEPS_PER_S
    if found is None:
        at_start, at_end = start_s <= 0, end_s >= length_s
        return Pause(0, 0) if at_start else Pause(length_s, length_s) if at_end else None
    at_an_end = found.start_s <= 0 or found.end_s >= length_s
    return found if found.duration_s >= rules.least_pause_s or at_an_end else None


def _from(first: int, table: _Table, rules: Rules) -> Iterator[Segment]:
    """The segments that begin with a word."""
    before = table.before[first]
    if before is None:
        return
    start_s = before.cut_s
    worst, beside = 0.0, before.said
    for word in range(first, len(table.heard)):
        if not table.heard[word] or table.ends_s[word] - SPREAD_S - start_s > rules.longest_s:
            return  # no pause behind the word ends sooner
        size, behind = table.sizes[word], table.behind[word]
        cost = table.costs[word] + beside
        if behind is not None:
            end_s = behind.cut_s
            score = min(worst, (cost + behind.said) / size)
            fits = rules.shortest_s <= end_s - start_s <= rules.longest_s
            if fits and score >= rules.min_score:
                yield Segment(
                    first, word + 1, start_s, end_s, before.speech_s, behind.speech_s, score
                )
        beside = table.beside[word]
        worst = min(worst, (cost + beside) / size)
        if worst < rules.min_score:
            return
