"""Recordings become clips: cut at pauses for the pool, by their times where rows state them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_loop.audio import SAMPLE_RATE, decode
from al_loop.groups import group_of
from al_loop.records import Utterance
from al_loop.sources.ingest import BLOCK, Clip, Intake, Report, ingest
from al_loop.sources.rows import Row, part_of, read_rows
from storage.store import Store

MakeClip = Callable[..., Path]
MakeRecording = Callable[..., Path]
LANGUAGES = frozenset({"ky", "ru"})
POOL = Intake("radio", "in_house", "ky", "pool", LANGUAGES)
TRAIN = Intake("books", "forced_alignment", "ky", "train", LANGUAGES)


def take(store: Store, rows: object, intake: Intake = POOL, **how: object) -> Report:
    return ingest(rows, intake, store, store.workspace.root, **how)  # type: ignore[arg-type]


def reasons(report: Report) -> list[str]:
    return [refusal.reason for refusal in report.refusals]


def decodes_nothing(audio: Path | bytes, may_be_silent: bool) -> Clip:
    raise AssertionError(f"{audio!r} is decoded, although it is known")


def by_start(store: Store) -> list[Utterance]:
    return sorted(store.pool(), key=lambda row: row.start_s or 0)


def test_a_recording_for_the_pool_is_cut(store: Store, make_recording: MakeRecording) -> None:
    path = make_recording("in/talk.flac")
    told: list[str] = []
    report = take(store, read_rows(str(path.parent)), tell=told.append)
    assert (report.cut, reasons(report)) == (1, [])
    clips = by_start(store)
    assert report.added == len(clips) > 3
    whole = decode(path)
    for clip in clips:
        assert clip.start_s is not None
        start = round(clip.start_s * SAMPLE_RATE)
        samples = decode(store.workspace.root / clip.audio)
        np.testing.assert_array_equal(samples, whole[start : start + len(samples)])
        assert clip.origin == f"{path}#{clip.start_s:.2f}-{clip.start_s + clip.duration_s:.2f}"
        assert group_of(None, clip.origin, clip.id, "speaker") == f"recording {path}"
        assert (clip.made_by, clip.text) == ("silero_vad_v6", None)
    assert sum(clip.duration_s for clip in clips) < len(whole) / SAMPLE_RATE - 4  # the long pause
    assert told[-1].startswith("talk.flac: ")


def test_a_second_time_neither_listens_nor_cuts(
    store: Store, make_recording: MakeRecording
) -> None:
    path = make_recording("in/talk.flac")
    first = take(store, read_rows(str(path.parent)))
    (memory,) = (store.workspace.root / "parts").rglob("*.json")
    found = json.loads(memory.read_text())
    assert list(found["pieces"]) == ["0-"]
    # if it listened again, it would cut elsewhere than the file says
    found["pieces"]["0-"] = found["pieces"]["0-"][:-1]
    memory.write_text(json.dumps(found))
    again = take(store, read_rows(str(path.parent)))
    assert (again.added, again.known, reasons(again)) == (0, first.added - 1, [])
    memory.write_text("{")
    again = take(store, read_rows(str(path.parent)))
    assert (again.added, again.known, reasons(again)) == (0, first.added, [])


class Killed(BaseException):
    pass


class Dying:
    """A store that dies when it is asked for the `at`-th clip."""

    def __init__(self, store: Store, at: int) -> None:
        self.store, self.left = store, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def find(self, utterance_id: str, sample_hash: str) -> Utterance | None:
        self.left -= 1
        if not self.left:
            raise Killed
        return self.store.find(utterance_id, sample_hash)


def test_a_cut_that_is_killed_goes_on(store: Store, make_recording: MakeRecording) -> None:
    path = make_recording("in/talk.flac", count=40)
    for at in (1, 4, 7):
        with pytest.raises(Killed):
            ingest(read_rows(str(path.parent)), POOL, Dying(store, at), store.workspace.root)
    kept = list(store.workspace.audio.rglob("*.flac"))
    assert kept
    report = take(store, read_rows(str(path.parent)))
    clips = by_start(store)
    assert (len(clips), reasons(report)) == (report.added, [])
    assert len({clip.origin for clip in clips}) == len(clips) > 8
    assert sorted(store.workspace.audio.rglob("*.flac")) == sorted(
        store.workspace.root / clip.audio for clip in clips
    )
    elsewhere = take(store, read_rows(str(path.parent)), replace(POOL, source="again"))
    assert reasons(elsewhere) == ["duplicate"] * len(clips)


def test_a_long_recording_with_a_text_is_to_be_aligned(
    store: Store, make_recording: MakeRecording
) -> None:
    path = make_recording("in/talk.flac")
    report = take(store, [Row("row 1", path, text="көп сөз")], TRAIN)
    assert reasons(report) == ["too_long"]
    assert "align" in report.refusals[0].detail
    silent = take(store, [Row("row 1", path, split="silence")])
    assert "cut it at pauses" in silent.refusals[0].detail


def test_long_bytes_are_cut_too(store: Store, make_recording: MakeRecording) -> None:
    row = Row("org/name/train/7", make_recording("talk.flac").read_bytes(), speaker="s")
    report = take(store, [row])
    assert report.cut == 1
    clips = by_start(store)
    assert len(clips) == report.added > 3
    assert all(clip.origin.startswith("org/name/train/7#") for clip in clips)
    assert {clip.speaker for clip in clips} == {"s"}
    # bytes are the part already: where they were taken from cuts nothing off
    part = replace(row, start_s=600.0, end_s=660.0)
    again = take(store, [part])
    assert (again.known, reasons(again)) == (len(clips), [])


def test_bytes_of_a_part_keep_where_it_was(store: Store, make_clip: MakeClip) -> None:
    row = Row("rec#5.00-6.00", make_clip("a.wav").read_bytes(), start_s=5.0, end_s=6.0)
    assert take(store, [row]).added == 1
    assert [(clip.start_s, clip.duration_s) for clip in store.pool()] == [(5.0, 1.0)]


def test_a_recording_that_breaks_off_gives_no_piece(
    store: Store, make_recording: MakeRecording
) -> None:
    path = make_recording("in/talk.flac", count=24)
    data = path.read_bytes()
    path.write_bytes(data[: 2 * len(data) // 3])
    report = take(store, read_rows(str(path.parent)))
    assert report.refusals[0].reason in {"corrupt", "truncated"}
    assert store.pool() == []
    path.write_bytes(data)
    assert take(store, read_rows(str(path.parent))).added > 3


# -- parts that rows state ---------------------------------------------------------------------


def parts(path: Path, count: int, text: str = "сөз") -> list[Row]:
    """`count` rows, of a second each."""
    return [
        part_of(Row("", path, text=f"{text} {number}", text_origin=f"list:{number}"), "rec", number,
                number + 1)
        for number in range(count)
    ]  # fmt: skip


def test_parts_are_clips_with_where_they_come_from(store: Store, make_clip: MakeClip) -> None:
    path = make_clip("rec.wav", seconds=6)
    report = take(store, parts(path, 5), TRAIN)
    assert (report.added, reasons(report)) == (5, [])
    rows = store.utterances(row.utterance_id for row in store.training_examples("in_house"))
    rows.sort(key=lambda row: row.start_s or 0)
    assert [row.start_s for row in rows] == [0, 1, 2, 3, 4]
    assert rows[3].origin == "rec#3.00-4.00"
    assert (rows[3].text, rows[3].text_origin, rows[3].duration_s) == ("сөз 3", "list:3", 1.0)
    np.testing.assert_array_equal(
        decode(store.workspace.root / rows[3].audio), decode(path)[48_000:64_000]
    )


def test_parts_beyond_the_end_and_too_long_ones_are_refused(
    store: Store, make_clip: MakeClip
) -> None:
    path = make_clip("rec.wav", seconds=40)
    stated = [(2, 33), (39, 41.5), (50, 51), (3, 3.1), (4, 6)]
    rows = [part_of(Row("", path, text="сөз"), "rec", *times) for times in stated]
    report = take(store, rows, TRAIN)
    assert reasons(report) == ["too_long", "truncated", "no_samples", "too_short"]
    assert "align" in report.refusals[0].detail
    assert report.added == 1


def test_a_part_that_is_all_of_a_file_is_that_file(store: Store, make_clip: MakeClip) -> None:
    path = make_clip("rec.wav", seconds=3)
    row = part_of(Row("", path, text="сөз", text_origin="list:1"), str(path), 0, 3.0)
    listed = replace(TRAIN, kind="open_source")
    assert take(store, [row], listed).added == 1
    (found,) = store.utterances(each.utterance_id for each in store.training_examples("in_house"))
    assert (found.origin, found.start_s, found.id) == (
        str(path),
        None,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    assert not (store.workspace.root / "parts").exists()
    first = part_of(row, str(path), 0, 2.0)
    assert take(store, [first], listed).added == 1


def test_known_parts_are_not_decoded_again(store: Store, make_clip: MakeClip) -> None:
    path = make_clip("rec.wav", seconds=6)
    take(store, parts(path, 5), TRAIN)
    moved = Path(shutil.copy(path, path.with_name("elsewhere.wav")))
    report = take(store, parts(moved, 5), TRAIN)
    assert (report.added, report.known, reasons(report)) == (0, 5, [])
    assert reasons(take(store, parts(path, 5, text="башка"), TRAIN)) == ["text_differs"] * 5
    # who decoded would find out that these two were exchanged
    (memory,) = (store.workspace.root / "parts").rglob("*.json")
    found = json.loads(memory.read_text())
    ids = found["ids"]
    ids["0-16000"], ids["16000-32000"] = ids["16000-32000"], ids["0-16000"]
    memory.write_text(json.dumps(found))
    report = take(store, parts(path, 5), TRAIN)
    assert (report.known, reasons(report)) == (3, ["text_differs"] * 2)


# -- whole clips that are known ----------------------------------------------------------------


def test_known_clips_are_not_decoded_again(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("in/a.wav", seed=1).parent
    make_clip("in/b.wav", seed=2)
    take(store, read_rows(str(folder)))
    report = take(store, read_rows(str(folder)), hear=decodes_nothing)
    assert (report.added, report.known, reasons(report)) == (0, 2, [])
    data = (folder / "a.wav").read_bytes()
    report = take(store, [Row("org/a", data)], hear=decodes_nothing)
    assert report.known == 1
    elsewhere = replace(POOL, source="other")
    assert reasons(take(store, [Row("org/a", data)], elsewhere, hear=decodes_nothing)) == [
        "duplicate"
    ]


def test_other_audio_under_a_known_name_is_heard(store: Store, make_clip: MakeClip) -> None:
    path = make_clip("in/a.wav", seed=1)
    take(store, [Row("a", path)])
    make_clip("in/a.wav", seed=2)
    assert take(store, [Row("a", path)]).added == 1


def test_a_file_shorter_than_its_listing_says_is_truncated(
    store: Store, make_clip: MakeClip
) -> None:
    path = make_clip("a.wav", seconds=2)
    assert reasons(take(store, [Row("a", path, stated_s=4.2)])) == ["truncated"]
    assert take(store, [Row("a", path, stated_s=2.01)]).added == 1


def test_rows_are_not_held_until_a_block_is_full(store: Store, make_clip: MakeClip) -> None:
    alive: list[int] = []

    class Counted(bytes):
        def __new__(cls, data: bytes) -> Counted:
            alive.append(1)
            return super().__new__(cls, data)

        def __del__(self) -> None:
            alive.pop()

    most = 0

    def rows():  # type: ignore[no-untyped-def]
        nonlocal most
        for number in range(12):
            yield Row(str(number), Counted(make_clip("a.wav", seed=number).read_bytes()))
            most = max(most, len(alive))

    assert BLOCK > 12
    assert take(store, rows()).added == 12
    assert most <= 2
