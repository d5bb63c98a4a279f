"""Parts of one recording: the same audio cut elsewhere, and voices that nobody has named."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from al_loop.evalset import draw_set
from al_loop.groups import joined, reached
from al_loop.records import Example, Split
from al_loop.sources.ingest import BLOCK, Clip, Intake, Report, ingest
from al_loop.sources.rows import Row, part_of
from storage.store import Store

LANGUAGES = frozenset({"ky"})
POOL = Intake("radio", "in_house", "ky", "pool", LANGUAGES)
TRAIN = Intake("books", "open_source", "ky", "train", LANGUAGES)
ALIGNED = Intake("novel", "forced_alignment", "ky", "train", LANGUAGES)


def hear(audio: Path | bytes, may_be_silent: bool) -> Clip:
    """The bytes say how long they are, in tenths of a second."""
    assert isinstance(audio, bytes)
    id_ = hashlib.sha256(audio).hexdigest()
    return Clip(id_, f"samples {id_}", int(audio.split()[0]) / 10, lambda path: None)


def part(
    start_s: float,
    end_s: float,
    split: Split | None = None,
    speaker: str | None = None,
    recording: str = "/data/book.mp3",
) -> Row:
    audio = f"{round(10 * (end_s - start_s))} {recording} {start_s} {end_s}".encode()
    row = Row("", audio, f"{start_s} сөз", split=split, speaker=speaker)
    return part_of(row, recording, start_s, end_s)


def take(store: Store, intake: Intake, *rows: Row) -> Report:
    return ingest(rows, intake, store, store.workspace.root, hear=hear)


def times(report: Report) -> list[tuple[str, str]]:
    return [(row.origin.rpartition("#")[2], row.reason) for row in report.refusals]


def test_another_alignment_of_a_recording_adds_no_audio_twice(store: Store) -> None:
    assert take(store, ALIGNED, part(0, 4), part(4.2, 8), part(20, 30)).added == 3
    anew = [
        part(0, 4),  # as it was
        part(0.5, 4.5),
        part(7.5, 11.5),  # half a second of four: a pause that both keep
        part(19, 33),
        part(33, 35),
        part(1, 3, recording="/data/other.mp3"),
    ]
    report = take(store, ALIGNED, *anew)
    assert (report.known, report.added) == (1, 3)
    assert times(report) == [("0.50-4.50", "overlaps"), ("19.00-33.00", "overlaps")]
    assert report.refusals[0].detail == (
        "/data/book.mp3#0.00-4.00, of novel, has part of the same audio, in the train split"
    )
    again = take(store, ALIGNED, *anew)
    assert (again.known, again.added, times(again)) == (4, 0, times(report))


def test_an_alignment_and_pieces_of_the_pool_exclude_each_other_and_lists_do_not(
    store: Store,
) -> None:
    take(store, POOL, part(0, 25))
    assert times(take(store, ALIGNED, part(20, 23))) == [("20.00-23.00", "overlaps")]
    take(store, ALIGNED, part(40, 43))
    assert times(take(store, POOL, part(30, 55))) == [("30.00-55.00", "overlaps")]
    # two people who speak at once are two lines of a list
    assert take(store, TRAIN, part(60, 64), part(61, 65)).added == 2


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("held_out", ["test", "silence"])
def test_no_moment_is_measured_on_and_learned(store: Store, held_out: Split, blocks: bool) -> None:
    """Within one list, wherever its blocks are cut."""
    first = part(0, 10, held_out)
    if held_out == "silence":
        first = replace(first, text=None)
    between = [Row(f"row {number}", None) for number in range(BLOCK if blocks else 0)]
    rows = [first, *between, part(9, 14, "train"), part(9.97, 15, "validation"), part(5, 6, "pool")]
    report = take(store, TRAIN, *rows)
    assert times(report)[-2:] == [
        ("9.00-14.00", "in_evaluation_set"),
        ("5.00-6.00", "in_evaluation_set"),
    ]
    assert report.refusals[-2].detail.endswith("and is in an evaluation set")
    late = take(store, TRAIN, part(12, 20, "test"), part(15, 20, "test"), part(8, 9.9, "test"))
    assert times(late) == [("12.00-20.00", "overlaps")]


def test_of_a_drawn_clip_no_moment_is_learned(store: Store) -> None:
    take(store, POOL, *(part(10 * n, 10 * n + 10) for n in range(4)))
    draw_set(store, "calls", 5.0, "ky", 1, "clip")
    (drawn,) = store.drawn("calls")
    ((start_s,),) = store.db.execute("SELECT start_s FROM utterances WHERE id = ?", [drawn])
    report = take(store, TRAIN, part(start_s + 4, start_s + 6))
    assert report.refusals[0].reason == "in_evaluation_set"
    assert report.refusals[0].detail.endswith("and is kept for an evaluation set")


def whole(duration_s: float, split: Split, path: Path) -> Row:
    """A row of a whole file, named as lists name theirs; `hear_named` hears it."""
    return Row("list.tsv:1", path / f"{duration_s}", "бүт сөз", split=split)


def hear_named(audio: Path | bytes, may_be_silent: bool) -> Clip:
    """A file's name is how long it is."""
    name = f"{10 * float(audio.name):.0f} whole".encode() if isinstance(audio, Path) else audio
    return hear(name, may_be_silent)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize(
    ("held", "later", "reason"),
    [
        ("test", "train", "in_evaluation_set"),
        ("test", "pool", "in_evaluation_set"),
        ("train", "test", "overlaps"),
        ("train", "pool", None),  # as parts beside parts
        ("test", "test", None),
    ],
)
def test_a_whole_file_is_held_against_its_parts(
    store: Store, tmp_path: Path, held: Split, later: Split, reason: str | None, blocks: bool
) -> None:
    file = whole(20.0, later, tmp_path)
    other = whole(21.0, later, tmp_path)
    between = [Row(f"row {number}", None) for number in range(BLOCK if blocks else 0)]
    rows = iter([part(5, 9, held, recording=f"{tmp_path}/20.0"), *between, file, other])
    report = ingest(rows, TRAIN, store, store.workspace.root, hear=hear_named)
    refused = [row.reason for row in report.refusals if row.reason != "bad_row"]
    assert refused == ([reason] if reason else [])
    assert report.added == 3 - len(refused)


def test_parts_of_a_file_that_another_s_name_begins_with_are_not_its_own(
    store: Store, tmp_path: Path
) -> None:
    take(store, TRAIN, part(5, 9, "test", recording=f"{tmp_path}/20.0#2.mp3"))
    file = whole(20.0, "train", tmp_path)
    assert ingest([file], TRAIN, store, store.workspace.root, hear=hear_named).added == 1


def test_what_the_pool_blocks_is_told_with_what_to_do(store: Store) -> None:
    take(store, POOL, part(0, 25))
    reports = take(store, ALIGNED, part(20, 23)), take(store, TRAIN, part(20, 23, "test"))
    told = [report.refusals[0].detail for report in reports]
    advice = "in the pool split; import the test, or align the book, before its recording goes"
    assert all(advice in row for row in told)


# -- voices that nobody has named ------------------------------------------------------------------


def pool(store: Store, named: str | None) -> None:
    """Twelve recordings of two pieces each."""
    for number in range(12):
        name = f"/data/{number}.mp3"
        speaker = named and f"{named} {number}"
        take(store, POOL, *(part(n, n + 1, None, speaker, name) for n in (0, 1)))


def drawn_recording(store: Store) -> str:
    return next(iter(store.utterances(store.drawn("calls")))).origin.partition("#")[0]


def split_of(store: Store, row: Row) -> str:
    ((split,),) = store.db.execute("SELECT split FROM utterances WHERE origin = ?", [row.origin])
    return str(split)


@pytest.mark.parametrize(
    ("in_pool", "later", "apart"),
    [(None, "reader", False), ("reader", None, False), ("reader", "guest", True)],
)
def test_a_recording_of_a_drawn_set_is_not_learned_under_another_name(
    store: Store, in_pool: str | None, later: str | None, apart: bool
) -> None:
    """By speaker; only two names that differ are two voices."""
    pool(store, in_pool)
    draw_set(store, "calls", 3.0, "ky", 1, "speaker")
    name = drawn_recording(store)
    report = take(store, ALIGNED, part(5, 9, None, later, name))
    assert [row.reason for row in report.refusals] == ([] if apart else ["in_evaluation_set"])
    row = part(10, 12, None, later, name)
    take(store, POOL, row)
    assert split_of(store, row) == ("pool" if apart else "reserved")


@pytest.mark.parametrize("at_once", [True, False])
def test_what_was_reserved_holds_its_voices_too(store: Store, at_once: bool) -> None:
    pool(store, None)
    draw_set(store, "calls", 3.0, "ky", 1, "speaker")
    name = drawn_recording(store)
    named = part(10, 12, "pool", "reader", name)  # so the recording's voice has a name
    if not at_once:
        take(store, TRAIN, named)
    report = take(store, TRAIN, named, part(0, 3, None, "reader", "/data/elsewhere.mp3"))
    assert [row.reason for row in report.refusals] == ["in_evaluation_set"]


@pytest.mark.parametrize(("in_pool", "learned"), [(None, "reader"), ("reader", None)])
def test_a_recording_that_is_learned_from_gives_no_set(
    store: Store, in_pool: str | None, learned: str | None
) -> None:
    pool(store, in_pool)
    for number in range(8):
        speaker = learned and f"{learned} {number}"
        take(store, TRAIN, part(20, 25, None, speaker, f"/data/{number}.mp3"))
    draw_set(store, "calls", 1.0, "ky", 1, "speaker")
    assert drawn_recording(store) in {f"/data/{number}.mp3" for number in range(8, 12)}


def test_what_another_recogniser_learned_is_drawn_by_no_set(store: Store) -> None:
    pool(store, None)
    rows = store.pool()[:20]
    examples = [Example(row.id, row.audio, 1.0, "radio", "ky", "сөз") for row in rows]
    store.put_learned("ctc/spelling", examples)
    uses = [row[-1] for row in store.drawable("ky")]
    assert (uses.count("learned"), uses.count("free")) == (20, 4)


def test_groups_are_joined_by_parts_of_unknown_speakers_alone() -> None:
    rows = [
        ("one", "x#0.00-1.00", "a"),
        ("two", "x#1.00-2.00", "b"),
        (None, "y#0.00-1.00", "c"),
        ("two", "y#1.00-", "d"),
        ("three", "z/1.wav", "e"),
    ]
    found = joined(rows, "speaker")
    assert found["speaker two"] == found["recording y"] != found["speaker one"]
    assert found["speaker three"] == "speaker three"
    assert set(joined(rows, "clip")) == set("abcde")
    reach = reached({"speaker two"}, [row[:2] for row in rows])
    assert {"speaker two", "recording y"} <= reach
    assert not reach & {"speaker one", "speaker three"}
