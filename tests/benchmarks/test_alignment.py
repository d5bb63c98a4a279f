"""A small trial of `make bench-alignment`: what is planted, and how it is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from al_loop.alignment.segments import Rules
from al_loop.audio import decode
from al_loop.records import Utterance
from al_loop.sources.books import Aligned, align_book
from benchmarks.alignment import Judged, targets
from benchmarks.planted import PARAGRAPH, Planted, join, judge
from tests.sources.tones import ToneRecogniser, random_sentences, sing, write_wav

SECONDS = 240.0


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planted, Path]:
    folder = tmp_path_factory.mktemp("planted")
    clips = []
    for number, text in enumerate(random_sentences(90)):
        path = write_wav(folder / f"{number}.wav", sing([text], pause_s=0.1)[0])
        clips.append(Utterance(str(number), "", str(path), 3.0, "tones", "ky", "train", text))
    found, rest = join(clips, SECONDS, 0, folder / "reading.flac", folder / "book.txt")
    assert len(rest) == 90 - len(found.clips) - PARAGRAPH
    return found, folder


def align(folder: Path, **rules: float) -> Aligned:
    return align_book(
        folder / "reading.flac",
        folder / "book.txt",
        "ky",
        ToneRecogniser(),
        folder / "heard",
        Rules(**rules),
    )


def test_book_and_recording_differ_as_planned(planted: tuple[Planted, Path]) -> None:
    found, folder = planted
    read = [row.said for row in found.book if row.said is not None]
    assert read == sorted(read)
    lacking = set(range(len(found.clips))) - set(read)
    assert lacking >= {0, 1, 2}
    assert len(lacking) == 3 + PARAGRAPH
    assert sum(row.said is None for row in found.book) == PARAGRAPH
    assert found.misprints > 3
    printed = (folder / "book.txt").read_text(encoding="utf-8").lower().replace(".", "").split()
    assert printed == [word for row in found.book for word in row.words]
    duration_s = len(decode(folder / "reading.flac")) / 16_000
    assert SECONDS < duration_s < SECONDS + 10
    assert all(0 < row.start_s < row.end_s < duration_s for row in found.clips)


def test_an_alignment_by_a_good_ear_passes(planted: tuple[Planted, Path]) -> None:
    found, folder = planted
    judged = judge(found, align(folder, min_score=-0.3))
    assert all(row.passed for row in targets(judged))
    assert judged.misprints <= 1  # of a word that is printed twice, either may be heard
    assert judged.kept_s > 0.5 * SECONDS


def test_misprints_that_are_kept_count_as_wrong(planted: tuple[Planted, Path]) -> None:
    found, folder = planted
    judged = judge(found, align(folder, min_score=-1000.0))
    assert judged.misprints > 0
    assert judged.wrong >= judged.misprints


def test_segments_in_the_wrong_place_fail(planted: tuple[Planted, Path]) -> None:
    found, folder = planted
    right = align(folder)
    moved = [
        replace(
            row,
            start_s=row.start_s + 5,
            end_s=row.end_s + 5,
            speech_start_s=row.speech_start_s + 5,
            speech_end_s=row.speech_end_s + 5,
        )
        for row in right.segments
    ]
    wrong = Aligned(
        right.recording,
        right.book,
        right.made_by,
        right.words,
        right.spoken,
        moved,
        right.duration_s,
    )
    judged = judge(found, wrong)
    assert judged.wrong > 0.3 * judged.words
    assert not any(row.passed for row in targets(judged))


def test_nothing_kept_is_no_success() -> None:
    nothing = Judged(np.zeros(0), 0, 0, 0.0, 0, 0, 0)
    assert not any(row.passed for row in targets(nothing))
