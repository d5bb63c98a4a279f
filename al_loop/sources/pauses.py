"""Where a long recording can be cut: at the pauses that a voice-activity detector hears.

The detector is Silero's, as faster-whisper carries it. It gives a probability of speech for every
32 ms; how pieces are made of them is ours. Knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from al_loop.audio import MAX_DURATION_S, SAMPLE_RATE

DETECTOR = "silero_vad_v6"
WINDOW = 512
"""Samples that one probability is of: the detector was trained for it."""
BLOCK_S = 60.0
"""Heard at once; more costs memory and is no faster."""
WARM_UP_S = 4.0
"""The detector remembers: what it says at the beginning of a block is thrown away."""

SPEECH, SILENCE = 0.5, 0.35
"""Speech begins at one probability and ends below the other: the detector's own thresholds."""
SHORTEST_PAUSE_S = 0.2
SHORTEST_SPEECH_S = 0.3
"""Less, in all of a piece, is a click or a breath."""
LONG_PAUSE_S = 1.5
"""Nothing is said across such a pause: it parts two pieces, and is dropped but for their edges."""
EDGE_S = 0.2
"""Of the pause, kept on each side of a piece: sounds begin and end softly."""
SHORTEST_S, LONGEST_S = 2.0, 15.0
"""What pieces are aimed at: shorter ones tell annotators little, longer ones tire them."""
GRID = SAMPLE_RATE // 100
"""Pieces begin and end at whole hundredths of a second, which is how their origins write it."""


class Span(NamedTuple):
    """Windows from `first` up to `end`."""

    first: int
    end: int


def cut_at_pauses(
    read: Callable[[int, int], np.ndarray],
    start: int = 0,
    end: int | None = None,
    tell: Callable[[float], None] = lambda heard_s: None,
) -> list[tuple[int, int]]:
    """Pieces of a recording as (first, end) in samples at 16 kHz, from `start` up to `end`.

    read: samples (T,) float32 from the first up to the second argument, fewer at the end. Pieces
    are of 2 to 15 s where pauses allow it, never longer than Whisper's 30 s; what is not speech is
    in none of them. Equal recordings give equal pieces.
    """
    heard = _probabilities(read, start, end, tell)
    probabilities = np.concatenate([np.zeros(0, np.float32), *heard])
    pieces = _edges(pieces_of(probabilities), len(probabilities) * WINDOW)
    return [(start + first, start + last) for first, last in pieces]


def _probabilities(
    read: Callable[[int, int], np.ndarray],
    start: int,
    end: int | None,
    tell: Callable[[float], None],
) -> Iterator[np.ndarray]:
    """Of speech, (W,) float32 for the windows of each block."""
    block = round(BLOCK_S * SAMPLE_RATE) // WINDOW * WINDOW
    warm_up = round(WARM_UP_S * SAMPLE_RATE) // WINDOW * WINDOW
    begin = start
    while end is None or begin < end:
        until = begin + block if end is None else min(begin + block, end)
        heard_from = max(begin - warm_up, start)
        samples = read(heard_from, until)
        count = (len(samples) - (begin - heard_from)) // WINDOW
        if count <= 0:
            return
        # the detector takes whole windows, and spoils the last one that it is given
        whole = len(samples) // WINDOW * WINDOW
        found = _detector()(np.append(samples[:whole], np.zeros(WINDOW, np.float32)))
        yield np.ravel(found)[(begin - heard_from) // WINDOW :][:count]
        tell((begin - start + len(samples) - (begin - heard_from)) / SAMPLE_RATE)
        if len(samples) < until - heard_from:
            return
        begin = until


@cache
def _detector() -> Any:
    from faster_whisper.vad import get_vad_model

    return get_vad_model()


def pieces_of(probabilities: np.ndarray) -> list[Span]:
    """Pieces, in windows, of probabilities (W,) of speech; without the edges of their pauses."""
    found = []
    for stretch in _stretches(_spans(probabilities)):
        waiting = [stretch]
        while waiting:
            spans = waiting.pop()
            parts = _divided(spans, probabilities)
            if len(parts) > 1:
                waiting += reversed(parts)
            elif sum(span.end - span.first for span in spans) >= _windows(SHORTEST_SPEECH_S):
                found.append(Span(spans[0].first, spans[-1].end))
    return found


def _spans(probabilities: np.ndarray) -> list[Span]:
    """Speech without a pause in it."""
    spans: list[Span] = []
    first: int | None = None
    for window, probability in enumerate(probabilities.tolist()):
        if first is None and probability >= SPEECH:
            first = window
        elif first is not None and probability < SILENCE:
            spans.append(Span(first, window))
            first = None
    if first is not None:
        spans.append(Span(first, len(probabilities)))
    joined: list[Span] = []
    for span in spans:
        if joined and span.first - joined[-1].end < _windows(SHORTEST_PAUSE_S):
            joined[-1] = Span(joined[-1].first, span.end)
        else:
            joined.append(span)
    return joined


def _stretches(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Spans between which no pause is long."""
    stretch: list[Span] = []
    for span in spans:
        if stretch and span.first - stretch[-1].end >= _windows(LONG_PAUSE_S):
            yield stretch
            stretch = []
        stretch.append(span)
    if stretch:
        yield stretch


def _divided(spans: list[Span], probabilities: np.ndarray) -> list[list[Span]]:
    """The stretch as it is where it is a piece, or its two parts.

    It is parted at its widest pause that leaves no part too short. Without any pause it stays whole
    up to 30 s; beyond, it is cut where speech is least probable.
    """
    first, end = spans[0].first, spans[-1].end
    if end - first <= _windows(LONGEST_S - 2 * EDGE_S):
        return [spans]
    if len(spans) == 1:
        if end - first <= _windows(MAX_DURATION_S - 2 * EDGE_S) - 1:  # the grid adds a little
            return [spans]
        edge = _windows(SHORTEST_S)
        smooth = np.convolve(probabilities[first:end], np.ones(5) / 5, mode="same")
        cut = first + edge + int(np.argmin(smooth[edge : len(smooth) - edge]))
        return [[Span(first, cut)], [Span(cut, end)]]
    shortest = _windows(SHORTEST_S)

    def rank(place: int) -> tuple[bool, int, int]:
        """Whether both parts are long enough; how wide the pause is; how near to the middle."""
        before, after = spans[place - 1].end - first, end - spans[place].first
        pause = spans[place].first - spans[place - 1].end
        return min(before, after) >= shortest, pause, min(before, after)

    place = max(range(1, len(spans)), key=rank)
    return [spans[:place], spans[place:]]


def _edges(pieces: Sequence[Span], length: int) -> Iterator[tuple[int, int]]:
    """Pieces in samples, with as much of the pauses around them as belongs to each."""
    edge = round(EDGE_S * SAMPLE_RATE)
    for place, piece in enumerate(pieces):
        before = pieces[place - 1].end * WINDOW if place else 0
        after = pieces[place + 1].first * WINDOW if place + 1 < len(pieces) else length
        first, end = piece.first * WINDOW, piece.end * WINDOW
        first -= min(edge, (first - before) // 2 if place else first)
        end += min(edge, (after - end) // 2 if place + 1 < len(pieces) else after - end)
        yield first // GRID * GRID, end // GRID * GRID


def _windows(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / WINDOW)
