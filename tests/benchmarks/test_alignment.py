"""A small trial of `make bench-alignment`: what is planted, and how it is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from al_loop.alignment.segments import Rules
from al_loop.audio import decode
from al_loop.records import Utterance
from al_loop.sources.books import Aligned, align_book, cut
from benchmarks.alignment_report import (
    CONDITIONS,
    THRESHOLDS,
    Result,
    percentiles,
    table,
    targets,
    threshold_target,
    wrong_rate,
)
from benchmarks.judged import Found, Judge, Kept, pool_found, pool_kept
from benchmarks.planted import (
    PARAGRAPH,
    Planted,
    Printed,
    as_printed,
    join,
    units_of,
    words_of,
)
from benchmarks.report import Target
from tests.sources.tones import ToneRecogniser, random_sentences, sing, write_wav

SECONDS = 200.0
UNREAD = 800


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def clips(folder: Path) -> list[Utterance]:
    found = []
    for number, text in enumerate(random_sentences(90)):
        path = write_wav(folder / f"{number}.wav", sing([text], pause_s=0.1)[0])
        found.append(Utterance(str(number), "", str(path), 3.0, "tones", "ky", "train", text))
    return found


@pytest.fixture(scope="module")
def planted(folder: Path, clips: list[Utterance]) -> Planted:
    found, rest = join(
        clips, SECONDS, 0, folder / "reading.flac", folder / "book.txt", unread=UNREAD
    )
    assert len(rest) == 90 - len(found.clips) - 2 * PARAGRAPH
    return found


@pytest.fixture(scope="module")
def aligned(folder: Path, planted: Planted) -> Aligned:
    reading, book = folder / "reading.flac", folder / "book.txt"
    return align_book(reading, book, "ky", ToneRecogniser(), folder / "heard")


def kept_at(planted: Planted, aligned: Aligned, least: float) -> Kept:
    rules = Rules(min_score=least)
    segments = cut(aligned.words, aligned.spoken, aligned.quiet, aligned.frame_s, rules)
    return Judge(planted, aligned).kept(segments)


def result(planted: Planted, kept: Kept, found: Found, condition: str = "as recorded") -> Result:
    at = dict.fromkeys([*THRESHOLDS, Rules().min_score], kept)
    return Result(
        condition,
        at,
        found,
        planted.misprints,
        len(planted.removed),
        len(planted.clips),
        0.0,
        0,
        0.0,
        [],
    )


def failed(rows: list[Target]) -> set[str]:
    return {row.name.removeprefix("as_recorded_") for row in rows if not row.passed}


def test_book_and_recording_differ_as_planned(
    planted: Planted, clips: list[Utterance], folder: Path
) -> None:
    read = [row.said for row in planted.book if row.said is not None]
    assert read == sorted(read)
    lacking = set(range(len(planted.clips))) - set(read)
    assert lacking >= {0, 1, 2}
    assert len(lacking) == 3 + 2 * PARAGRAPH
    assert sum(row.said is None for row in planted.book) == 2 * PARAGRAPH
    assert planted.misprints > 3
    wrong = sum(
        places is None for row in planted.book if row.said is not None for places in row.places
    )
    assert wrong == planted.misprints
    printed = (folder / "book.txt").read_text(encoding="utf-8").split()
    units = [unit for row in planted.book for unit in row.units]
    assert printed[planted.before : planted.before + len(units)] == units
    texts = {unit for row in clips for unit in (row.text or "").split()}
    assert 0 < sum(unit not in texts for unit in units) <= planted.misprints
    assert UNREAD <= len(" ".join(printed[: planted.before])) < UNREAD + 500
    missing = len(printed) - planted.before - len(units)
    assert missing > 0.5 * planted.before
    duration_s = len(decode(folder / "reading.flac")) / 16_000
    assert SECONDS < duration_s < SECONDS + 10
    assert all(0 < row.start_s < row.end_s < duration_s for row in planted.clips)


def test_a_text_is_printed_as_it_is_but_for_its_numbers() -> None:
    text = "— Мен эки, «үч-төрт» — беш жыл Ысык-Көлдө УКМКда болдум."
    row = Utterance("1", "", "", 3.0, "s", "ky", "train", text)
    units = units_of(row)
    assert units == ["Мен", "эки,", "«үч-төрт» —", "беш", "жыл", "Ысык-Көлдө", "УКМКда", "болдум."]
    sentence = as_printed(0, row)
    assert sentence.units == ["Мен", "2,", "«үч-төрт» —", "5", "жыл", *units[5:]]
    assert [list(row or ()) for row in sentence.places][:4] == [[0], [1], [2, 3], [4]]
    assert [words_of(unit, "ky") for unit in sentence.units] == [
        words_of(unit, "ky") for unit in units
    ]


def test_noise_is_as_loud_as_it_says_and_changes_nothing_else(
    planted: Planted, clips: list[Utterance], folder: Path
) -> None:
    noisy, _ = join(
        clips, SECONDS, 0, folder / "noisy.flac", folder / "noisy.txt", 20.0, unread=UNREAD
    )
    assert noisy == planted
    assert (folder / "noisy.txt").read_bytes() == (folder / "book.txt").read_bytes()
    clear, loud = decode(folder / "reading.flac"), decode(folder / "noisy.flac")
    spoken = np.concatenate(
        [clear[int(row.start_s * 16_000) : int(row.end_s * 16_000)] for row in planted.clips]
    )
    ratio = np.square(spoken).mean() / np.square(loud - clear).mean()
    assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.3)


def test_an_alignment_by_a_good_ear_passes(planted: Planted, aligned: Aligned) -> None:
    kept = kept_at(planted, aligned, -0.3)
    found = Judge(planted, aligned).all_words()
    rows = targets("as recorded", [result(planted, kept, found)])
    assert failed(rows) <= {"words_right"}  # of so few words, the interval reaches below
    assert wrong_rate(kept).value < 0.01
    assert kept.misprints <= 1  # of a word that is printed twice, either may be heard
    assert kept.removed == 0
    assert kept.kept_s > 0.5 * SECONDS
    assert found.recall[0] > 0.99 * found.recall[1]
    assert set(found.behind) == {"introduction", "lacking 1", "lacking 2", "unread 1", "unread 2"}
    assert percentiles(found.begins_s)[1] < 0.05
    assert percentiles(found.ends_s)[1] < 0.1


def test_misprints_that_are_kept_count_as_wrong(planted: Planted, aligned: Aligned) -> None:
    kept = kept_at(planted, aligned, -1000.0)
    assert kept.misprints > 0
    assert kept.wrong.sum() >= kept.misprints


def test_words_left_out_of_the_book_count_as_wrong(planted: Planted, aligned: Aligned) -> None:
    kept = kept_at(planted, aligned, -0.3)
    segment = next(row for row in aligned.segments if row.end - row.first > 8)
    place = segment.first + 4
    number, word = Judge(planted, aligned).owners[place]
    assert number is not None
    assert word is not None
    clip = planted.clips[number]
    more = replace(clip, words=[*clip.words[:word], "ааа", *clip.words[word:]])
    clips = [*planted.clips[:number], more, *planted.clips[number + 1 :]]
    book = [_later(row, word) if row.said == number else row for row in planted.book]
    lacking = replace(planted, clips=clips, book=book, removed=[(number, word)])
    judged = Judge(lacking, aligned).kept([segment])
    assert (judged.wrong.sum(), judged.removed) == (1, 1)
    assert kept.wrong.sum() <= 2


def _later(row: Printed, word: int) -> Printed:
    places = [at and [place + (place >= word) for place in at] for at in row.places]
    return replace(row, places=places)


def test_segments_in_the_wrong_place_fail(planted: Planted, aligned: Aligned) -> None:
    moved = [
        replace(
            row,
            start_s=row.start_s + 5,
            end_s=row.end_s + 5,
            speech_start_s=row.speech_start_s + 5,
            speech_end_s=row.speech_end_s + 5,
        )
        for row in aligned.segments
    ]
    kept = Judge(planted, aligned).kept(moved)
    assert kept.wrong.sum() > 0.3 * kept.words.sum()
    found = Judge(planted, aligned).all_words()
    assert failed(targets("as recorded", [result(planted, kept, found)])) == {
        "edges_kept_median",
        "edges_kept_95",
        "words_right",
    }


def test_a_cut_inside_a_clip_is_unknown_and_no_success(planted: Planted, aligned: Aligned) -> None:
    """Each segment begins behind its first word but keeps it, and nobody can say so."""
    segments = [row for row in aligned.segments if row.end - row.first > 8]
    later = [replace(row, start_s=row.start_s + 0.8) for row in segments]
    before, after = (Judge(planted, aligned).kept(rows) for rows in (segments, later))
    assert after.unknown >= before.unknown + 0.8 * len(segments)
    assert after.words.sum() < before.words.sum()


def test_speech_that_a_segment_swallows_counts_by_its_time(
    planted: Planted, aligned: Aligned
) -> None:
    row = aligned.segments[3]
    wrong = [
        Judge(planted, aligned).kept([replace(row, end_s=row.end_s + more)]).wrong.sum()
        for more in (0.0, 1.0, 2.0)
    ]
    assert wrong[0] < wrong[1] < wrong[2] <= wrong[0] + 9


def test_words_in_another_clip_are_not_found(planted: Planted, aligned: Aligned) -> None:
    moved = replace(
        aligned,
        spoken=replace(
            aligned.spoken,
            first=aligned.spoken.first + round(4 / aligned.frame_s),
            last=aligned.spoken.last + round(4 / aligned.frame_s),
        ),
    )
    found = Judge(planted, moved).all_words()
    assert found.recall[0] < 0.2 * found.recall[1]
    assert percentiles(found.begins_s)[0] == np.inf
    kept = kept_at(planted, aligned, -0.3)
    assert failed(targets("as recorded", [result(planted, kept, found)])) >= {
        "edges_by_ctc_median",
        "edges_by_ctc_95",
        "words_found",
    }


def test_a_book_that_is_read_otherwise_than_printed_is_no_basis(
    planted: Planted, aligned: Aligned
) -> None:
    wider = [replace(row, places=[at and [*at, 99] for at in row.places]) for row in planted.book]
    with pytest.raises(ValueError, match="words read"):
        Judge(replace(planted, book=wider), aligned)


NOTHING = Kept(np.zeros(0), 0, np.zeros(0, int), np.zeros(0, int), 0, 0, 0, 0.0, 1.0)


def test_nothing_kept_and_nothing_found_is_no_success(planted: Planted) -> None:
    found = Found(np.zeros(0), np.zeros(0), (0, 0), {}, (0, 0))
    for condition in CONDITIONS:
        rows = targets(condition, [result(planted, NOTHING, found, condition)])
        assert not any(row.passed for row in rows)
        assert len(rows) == 8


def test_five_sentences_are_not_enough(planted: Planted, aligned: Aligned) -> None:
    kept = Judge(planted, aligned).kept(aligned.segments[:2])
    found = Judge(planted, aligned).all_words()
    assert "kept" in failed(targets("as recorded", [result(planted, kept, found)]))


def test_draws_are_pooled(planted: Planted, aligned: Aligned) -> None:
    kept, found = kept_at(planted, aligned, -0.3), Judge(planted, aligned).all_words()
    two, both = pool_kept([kept, kept]), pool_found([found, found])
    assert two.words.sum() == 2 * kept.words.sum()
    assert (two.kept_s, two.duration_s) == (2 * kept.kept_s, 2 * kept.duration_s)
    assert both.recall == (2 * found.recall[0], 2 * found.recall[1])
    assert both.behind.keys() == found.behind.keys()
    one, rate = wrong_rate(kept), wrong_rate(two)
    assert rate.value == one.value
    assert 0 < rate.high - rate.value < one.high - one.value  # also where no word is wrong
    rows = table([result(planted, kept, found)] * 2)
    assert len(rows) == len(THRESHOLDS)
    assert rows[0][3] == str(2 * kept.words.sum())


def test_a_threshold_is_chosen_as_lax_as_enough_words_are_right() -> None:
    def kept(wrong: int) -> Kept:
        counts = np.zeros(200, int)
        counts[:wrong] = 1
        return replace(NOTHING, words=np.full(200, 10), wrong=counts)

    at = {-3.0: kept(30), -2.0: kept(8), -1.5: kept(7), -1.0: kept(0)}
    row = Result("as recorded", at, None, 0, 0, 0, 0.0, 0, 0.0, [])  # type: ignore[arg-type]
    assert threshold_target(row).wanted.startswith(">= -2,")
    assert threshold_target(row).passed
    stricter = replace(row, kept={-1.5: kept(40), -1.0: kept(0)})
    assert threshold_target(stricter).wanted.startswith(">= -1,")
    assert not threshold_target(stricter).passed
