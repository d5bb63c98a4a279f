"""Pieces lie between pauses, are neither too short nor too long, and are the same again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from al_loop.audio import SAMPLE_RATE
from al_loop.sources.pauses import WINDOW, cut_at_pauses, pieces_of
from al_loop.sources.recording import Recording

MakeRecording = Callable[..., Path]


def heard(*stretches: tuple[float, float]) -> np.ndarray:
    """Probabilities: of each (seconds, probability) as many windows as it lasts."""
    return np.concatenate(
        [np.full(round(s * SAMPLE_RATE / WINDOW), p, np.float32) for s, p in stretches]
    )


def lengths_s(probabilities: np.ndarray) -> list[float]:
    spans = pieces_of(probabilities)
    return [round((span.end - span.first) * WINDOW / SAMPLE_RATE, 1) for span in spans]


def test_a_long_pause_parts_and_is_dropped() -> None:
    assert lengths_s(heard((1, 0), (4, 0.9), (3, 0), (5, 0.9), (9, 0))) == [4.0, 5.0]


def test_short_pauses_stay_inside_until_the_piece_is_long_enough() -> None:
    assert lengths_s(heard((4, 0.9), (0.5, 0), (4, 0.9), (0.5, 0), (4, 0.9))) == [13.0]
    # beyond 15 s the widest pause parts, here the second one
    parted = heard((6, 0.9), (0.4, 0), (6, 0.9), (0.9, 0), (6, 0.9))
    assert lengths_s(parted) == [12.4, 6.0]


def test_no_part_is_left_short_where_another_pause_would_do() -> None:
    assert lengths_s(heard((1, 0.9), (1.2, 0), (8, 0.9), (0.4, 0), (8, 0.9))) == [10.2, 8.0]


def test_speech_without_a_pause_is_whole_up_to_thirty_seconds() -> None:
    assert lengths_s(heard((25, 0.9))) == [25.0]
    # then it is cut where speech is least probable
    before, after = lengths_s(heard((20, 0.9), (0.3, 0.5), (24, 0.9)))
    assert 20 < before < 20.3
    assert round(before + after, 1) == 44.3


def test_a_click_is_no_piece() -> None:
    assert lengths_s(heard((2, 0), (0.1, 0.9), (3, 0))) == []
    assert lengths_s(heard((2, 0), (0.6, 0.9), (3, 0))) == [0.6]


def test_spoken_sentences_are_whole_in_the_pieces(
    make_recording: MakeRecording, spoken: list[np.ndarray]
) -> None:
    path = make_recording("a.flac", count=16)
    pieces = cut_at_pauses(Recording(path).part)
    assert pieces == cut_at_pauses(Recording(path).part)
    seconds = [(end - first) / SAMPLE_RATE for first, end in pieces]
    assert min(seconds) >= 2
    assert max(seconds) <= 15
    begin = 0.0
    for number in range(16):
        begin += 5.0 if number == 8 else 0.6
        end = begin + len(spoken[number % 4]) / SAMPLE_RATE
        middle = (begin + end) / 2 * SAMPLE_RATE
        (piece,) = [row for row in pieces if row[0] <= middle < row[1]]
        assert piece[0] / SAMPLE_RATE <= begin + 0.15
        assert piece[1] / SAMPLE_RATE >= end - 0.25  # espeak ends in silence
        begin = end
    assert all(first % 160 == 0 == end % 160 for first, end in pieces)


def test_a_part_of_a_recording_is_cut_within_itself(make_recording: MakeRecording) -> None:
    recording = Recording(make_recording("a.flac", count=16))
    start, end = 10 * SAMPLE_RATE, 35 * SAMPLE_RATE
    pieces = cut_at_pauses(recording.part, start, end)
    assert pieces
    assert all(start <= first < last <= end for first, last in pieces)


def test_blocks_of_a_long_recording_are_heard_as_one(make_recording: MakeRecording) -> None:
    recording = Recording(make_recording("a.flac", count=60))
    told: list[float] = []
    pieces = cut_at_pauses(recording.part, tell=told.append)
    assert told[0] < 61
    assert told[-1] > 120
    assert all(before[1] <= after[0] for before, after in pairwise(pieces))
    # what the first minute gives is not changed by what comes after it
    early = cut_at_pauses(recording.part, 0, 60 * SAMPLE_RATE)
    assert early[:-1] == pieces[: len(early) - 1]


def test_silence_has_no_pieces() -> None:
    def read(start: int, end: int) -> np.ndarray:
        return np.zeros(max(min(end, 90 * SAMPLE_RATE) - start, 0), np.float32)

    assert cut_at_pauses(read) == []
