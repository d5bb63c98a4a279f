"""Which stretches of an aligned recording become utterances: cut at pauses, 2 to 15 s, well heard.

Pure. Of all ways to divide the text into segments and words that are left out, the one that keeps
the most seconds is found by dynamic programming, so that a misprint costs its own phrase and not
what stands around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from al_loop.alignment.quiet import Pause, longest_pause
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
    the recogniser hears in its place, with what is said beside it inside the segment.
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
    edges = _Edges(words, breaks, quiet, frame_s, rules)
    best = np.zeros(count + 1)
    chosen: list[Segment | None] = [None] * (count + 1)
    for first in range(count):
        if best[first] > best[first + 1]:
            best[first + 1], chosen[first + 1] = best[first], None
        for segment in _from(first, words, sizes, edges, rules):
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


class _Edges:
    """The pause before each word and behind it, where it may begin or end a segment."""

    def __init__(
        self,
        words: Spoken,
        breaks: np.ndarray,
        quiet: np.ndarray,
        frame_s: float,
        rules: Rules,
    ) -> None:
        count = len(breaks)
        self.before: list[Pause | None] = [None] * count
        self.behind: list[Pause | None] = [None] * count
        spoken = np.flatnonzero(words.heard).tolist()
        starts, ends = words.first * frame_s, (words.last + 1) * frame_s
        length_s = len(quiet) / 100
        for place, word in enumerate(spoken):
            last_s = ends[spoken[place - 1]] if place else 0.0
            next_s = starts[spoken[place + 1]] if place + 1 < len(spoken) else length_s
            if word == 0 or breaks[word - 1] != INSIDE:
                from_s = max(last_s - SPREAD_S, starts[word] - SEARCHED_S)
                self.before[word] = _pause(quiet, from_s, starts[word] + SPREAD_S, rules)
            if breaks[word] != INSIDE:
                to_s = min(next_s + SPREAD_S, ends[word] + SEARCHED_S)
                self.behind[word] = _pause(quiet, ends[word] - SPREAD_S, to_s, rules)


def _pause(quiet: np.ndarray, start_s: float, end_s: float, rules: Rules) -> Pause | None:
    """The pause to cut in; None where there is none. The recording's ends are pauses."""
    found = longest_pause(quiet, start_s, end_s)
    length_s = len(quiet) / 100
    if found is None:
        at_start, at_end = start_s <= 0, end_s >= length_s
        return Pause(0, 0) if at_start else Pause(length_s, length_s) if at_end else None
    at_an_end = found.start_s <= 0 or found.end_s >= length_s
    return found if found.duration_s >= rules.least_pause_s or at_an_end else None


def _from(
    first: int, words: Spoken, sizes: np.ndarray, edges: _Edges, rules: Rules
) -> Iterator[Segment]:
    """The segments that begin with a word."""
    before = edges.before[first]
    if before is None:
        return
    start_s = max(before.middle_s, before.end_s - rules.edge_s)
    worst, beside = 0.0, 0.0
    for word in range(first, len(sizes)):
        if not words.heard[word]:
            return
        size = max(int(sizes[word]), LETTERS)
        cost = float(words.costs[word]) * int(sizes[word]) + beside
        behind = edges.behind[word]
        score = min(worst, cost / size)
        if behind is not None:
            end_s = min(behind.middle_s, behind.start_s + rules.edge_s)
            if end_s - start_s > rules.longest_s or score < rules.min_score:
                return
            if end_s - start_s >= rules.shortest_s:
                yield Segment(first, word + 1, start_s, end_s, before.end_s, behind.start_s, score)
        beside = float(words.between[word + 1])
        worst = min(worst, (cost + beside) / size)
        if worst < rules.min_score:
            return
