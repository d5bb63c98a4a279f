"""Lists that others wrote: where their audio may lie, and what is no list at all."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from al_loop.errors import ManifestError
from al_loop.sources.listings import Places, data_folder, numbered_lines, speaker_of


@pytest.mark.parametrize(
    "name", ["../secret.wav", "a/../../secret.wav", "/etc/passwd", "https://example.org/a.wav"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match=r"outside|an address"):
        Places.beside(tmp_path / "data").find(name)


def test_names_inside_are_taken_however_they_are_written(tmp_path: Path) -> None:
    places = Places.beside(tmp_path / "data")
    wanted = tmp_path / "data" / "a.wav"
    for name in ("a.wav", "./a.wav", "deep/../a.wav", str(wanted)):
        assert places.find(name) == wanted


def test_a_root_that_the_user_names_is_a_place_too(tmp_path: Path) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    (root / "a.wav").touch()
    places = Places.beside(tmp_path / "data", [root])
    assert places.find("a.wav") == root / "a.wav"
    assert places.find(str(root / "b.wav")) == root / "b.wav"
    assert places.find("b.wav") == tmp_path / "data" / "b.wav"
    assert places.find("../disk/a.wav") == root / "a.wav"
    with pytest.raises(ManifestError, match="--audio-root"):
        places.find(str(tmp_path / "other.wav"))
    with pytest.raises(ManifestError, match=r"--audio-root .*gone: there is no such folder"):
        Places.beside(tmp_path / "data", [tmp_path / "gone"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cv-corpus-22.0-ky.tar.gz", "an archive; unpack it"),
        ("ky.zip", "an archive; unpack it"),
        ("ky", "a file, where the data set's folder is expected"),
        ("gone", "there is no such folder"),
    ],
)
def test_what_is_given_in_place_of_a_folder(tmp_path: Path, name: str, message: str) -> None:
    if name != "gone":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ManifestError, match=message):
        data_folder(tmp_path / name)


def test_lines_are_numbered_and_one_bad_line_is_one_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("﻿бир\r\n".encode() + b"\xe1\xe8\xf0\n" + "үч\u2028төрт".encode())
    assert list(numbered_lines(path)) == [(1, "бир"), (2, None), (3, "үч\u2028төрт")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("бир".encode("utf-16"), "is UTF-16 text"),
        (gzip.compress(b"x"), "is compressed"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
    ],
)
def test_files_that_are_no_list_say_what_they_are(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "train.tsv"
    path.write_bytes(data)
    with pytest.raises(ManifestError, match=message):
        list(numbered_lines(path))


def test_a_compressed_list_that_breaks_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cuts.jsonl.gz"
    data = gzip.compress(b'{"id": "a"}\n' * 1000)
    path.write_bytes(data)
    assert len(list(numbered_lines(path))) == 1000
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ManifestError, match="breaks off; fetch it again"):
        list(numbered_lines(path))


def test_a_compressed_list_with_a_damaged_middle_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cuts.jsonl.gz"
    lines = "".join(f'{{"id": "{number * 7919 % 10_007}"}}\n' for number in range(2000))
    data = bytearray(gzip.compress(lines.encode()))
    for place in range(100, len(data) - 8, 97):  # bad codes in one copy, a bad checksum in another
        damaged = data.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(ManifestError, match=r"is damaged|breaks off"):
            list(numbered_lines(path))


def test_a_speaker_is_known_by_a_short_hash() -> None:
    long = "bbbcb732e0f422150c30ff3654bbab57" * 4
    assert speaker_of(long) == speaker_of(long)
    assert speaker_of(long) != speaker_of(long[1:])
    assert len(speaker_of(long) or "") == 16
    assert speaker_of(long) not in long
    assert speaker_of("") is None
