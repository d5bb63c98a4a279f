"""NeMo's manifests: parts by offset and duration, and lines that give nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from al_loop.errors import ManifestError
from al_loop.sources.ingest import Intake, Report, ingest
from al_loop.sources.nemo import read_nemo
from al_loop.sources.rows import read_rows
from storage.store import Store

MakeClip = Callable[..., Path]
INTAKE = Intake("nemo", "open_source", "ky", "pool", frozenset({"ky"}))


def write(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    data = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in lines]
    path.write_bytes(b"\n".join(data) + b"\n")
    return path


def line(name: str, **fields: Any) -> dict[str, Any]:
    return {"audio_filepath": name, "text": "сөз", **fields}


def take(store: Store, path: Path, *roots: Path) -> Report:
    return ingest(read_nemo(path, roots), INTAKE, store, store.workspace.root)


def test_whole_files_and_parts(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("in/a.wav", seconds=2, seed=1).parent
    make_clip("in/long.wav", seconds=40, seed=2)
    path = write(
        folder / "train.json",
        line("a.wav", duration=2.0),
        line("long.wav", offset=1.5, duration=2.25, speaker="s1"),
        {"audio_filepath": "long.wav", "offset": 20, "duration": 3},
    )
    assert len(read_nemo(path)) == 3
    assert take(store, path).added == 3
    found = store.db.execute(
        "SELECT origin, split, start_s, duration_s, text_origin FROM utterances ORDER BY start_s"
    ).fetchall()
    assert found == [
        (f"{folder}/a.wav", "train", None, 2.0, f"{path}:1"),
        (f"{folder}/long.wav#1.50-3.75", "train", 1.5, 2.25, f"{path}:2"),
        (f"{folder}/long.wav#20.00-23.00", "pool", 20.0, 3.0, None),
    ]
    assert take(store, path).known == 3


def test_a_part_means_the_same_to_ingest(make_clip: MakeClip) -> None:
    folder = make_clip("in/long.wav", seconds=40).parent
    path = write(folder / "train.jsonl", line("long.wav", offset=1.5, duration=2.25))
    (row,) = read_rows(str(path))
    assert (row.start_s, row.end_s, row.origin) == (1.5, 3.75, f"{folder}/long.wav#1.50-3.75")


def test_a_name_may_hold_a_hash(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("in #1/take #2.wav", seconds=3).parent
    path = write(folder / "train.jsonl", line("take #2.wav", offset=0, duration=3.0))
    assert take(store, path).added == 1  # a part that is all of the file is the file
    origins = store.db.execute("SELECT origin FROM utterances").fetchall()
    assert origins == [(f"{folder}/take #2.wav",)]


def test_bad_lines_are_named_and_the_rest_goes_in(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("in/a.wav", seconds=2, seed=1).parent
    (folder / "half.wav").write_bytes(make_clip("b.wav", seconds=2, seed=2).read_bytes()[:30_000])
    make_clip("in/short.wav", seconds=1, seed=3)
    path = write(
        folder / "train.json",
        line("a.wav"),
        '{"audio_filepath": "a.wav", "text": "бир"}'.encode("cp1251"),
        b'{"audio_filepath": "a.wa',
        line("../b.wav"),
        line("/etc/hostname"),
        line("gone.wav"),
        line("half.wav"),
        line("short.wav", duration=4.0),
        {**line("short.wav"), "text": ""},
        line("a.wav", offset=1.0),
        line("a.wav", offset=-1.0, duration=1.0),
        line("a.wav", offset="x", duration=1.0),
        line("audio_1.wav", shard_id=4),
        {"text": "сөз"},
        line("a.wav"),
    )
    report = take(store, path)
    assert report.added == 1
    assert [(Path(row.origin).name, row.reason) for row in report.refusals] == [
        ("train.json:2", "bad_row"),
        ("train.json:3", "bad_row"),
        ("train.json:4", "bad_row"),
        ("train.json:5", "bad_row"),
        ("gone.wav", "not_a_file"),
        ("half.wav", "truncated"),
        ("short.wav", "truncated"),
        ("short.wav", "no_text"),
        ("train.json:10", "bad_row"),
        ("train.json:11", "bad_row"),
        ("train.json:12", "bad_row"),
        ("train.json:13", "bad_row"),
        ("train.json:14", "bad_row"),
        ("a.wav", "duplicate"),
    ]
    details = [row.detail for row in report.refusals]
    assert "not UTF-8" in details[0]
    assert "--audio-root" in details[2]
    assert "both in seconds" in details[8]
    assert "tar file" in details[11]


def test_audio_of_a_root_that_is_named(store: Store, make_clip: MakeClip, tmp_path: Path) -> None:
    disk = make_clip("disk/a.wav").parent
    path = write(tmp_path / "train.json", line(str(disk / "a.wav")), line("a.wav", text="эки"))
    report = take(store, path, disk)
    assert (report.added, [row.reason for row in report.refusals]) == (1, ["duplicate"])


def test_what_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no line of it names audio to take"):
        read_nemo(write(tmp_path / "a.json", {"wav": "x.wav"}, {"wav": "y.wav"}))
    with pytest.raises(ManifestError, match="a folder, where a manifest is expected"):
        read_nemo(tmp_path)
    with pytest.raises(ManifestError, match="cannot be read"):
        read_nemo(tmp_path / "gone.json")


def test_fields_that_nobody_reads_may_be_nested(store: Store, make_clip: MakeClip) -> None:
    path = write(
        make_clip("a.wav").parent / "words.json",
        line("a.wav", words=[{"word": "сөз", "start": 0.0}], alignment={"ctm": 1}),
        line("a.wav", text=["сөз"]),
    )
    report = take(store, path)
    assert report.added == 1
    assert [row.detail for row in report.refusals] == [
        "text is nested, where one value is expected"
    ]


def test_a_test_s_file_gives_no_part_to_training(store: Store, make_clip: MakeClip) -> None:
    path = write(
        make_clip("long.wav", seconds=8).parent / "mixed.json",
        line("long.wav", split="test", text="бир"),
        line("long.wav", split="train", text="эки", offset=3, duration=2),
    )
    for _ in range(2):  # in one block, and in another
        report = take(store, path)
        assert [row.reason for row in report.refusals] == ["in_evaluation_set"]
    assert len(store.evaluation_utterances()) == 1
