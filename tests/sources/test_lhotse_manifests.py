"""lhotse's manifests, as lhotse writes them, and what others make of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from al_loop.errors import ManifestError
from al_loop.sources.ingest import Intake, Report, ingest
from al_loop.sources.lhotse_manifests import read_lhotse
from storage.store import Store

lhotse = pytest.importorskip("lhotse", reason="pip install 'al-loop[lhotse]'")
MakeClip = Callable[..., Path]
INTAKE = Intake("lhotse", "open_source", "ky", "pool", frozenset({"ky"}))


def recording(name: str, seconds: float, kind: str = "file", source: str = ""):  # type: ignore[no-untyped-def]
    from lhotse.audio import AudioSource

    place = AudioSource(kind, [0], source or f"{name}.wav")
    return lhotse.Recording(name, [place], 16_000, round(16_000 * seconds), seconds)


def said(name: str, of: str, start: float, duration: float, text: str | None):  # type: ignore[no-untyped-def]
    return lhotse.SupervisionSegment(name, of, start, duration, text=text, speaker="aida")


def take(store: Store, *manifests: Path) -> Report:
    return ingest(read_lhotse(manifests), INTAKE, store, store.workspace.root)


def taken(store: Store) -> list[tuple[object, ...]]:
    return store.db.execute(
        "SELECT origin, split, text, duration_s, speaker FROM utterances ORDER BY origin"
    ).fetchall()


@pytest.fixture
def folder(make_clip: MakeClip) -> Path:
    """Recordings of 10 s and 2 s, a and b."""
    make_clip("data/b.wav", seconds=2, seed=2)
    return make_clip("data/a.wav", seconds=10, seed=1).parent


@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl", "json", "yaml"])
def test_recordings_and_supervisions(store: Store, folder: Path, ending: str) -> None:
    recordings, supervisions = folder / f"recordings.{ending}", folder / f"supervisions.{ending}"
    rows = [recording("a", 10), recording("b", 2)]
    lhotse.RecordingSet.from_recordings(rows).to_file(recordings)
    texts = [said("1", "a", 1, 2, "бир"), said("2", "a", 4.5, 3, "эки"), said("3", "b", 0, 2, "үч")]
    lhotse.SupervisionSet.from_segments(texts).to_file(supervisions)
    assert take(store, recordings, supervisions).added == 3
    assert taken(store) == [
        (f"{folder}/a.wav#1.00-3.00", "train", "бир", 2.0, "lhotse aida"),
        (f"{folder}/a.wav#4.50-7.50", "train", "эки", 3.0, "lhotse aida"),
        (f"{folder}/b.wav", "train", "үч", 2.0, "lhotse aida"),
    ]
    assert take(store, supervisions, recordings).known == 3


def test_cuts_with_and_without_supervisions(store: Store, folder: Path) -> None:
    path = folder / "cuts.jsonl.gz"
    cuts = [
        lhotse.MonoCut("1", 1, 5, 0, [said("s", "a", 0.5, 2, "бир")], recording=recording("a", 10)),
        lhotse.MonoCut("2", 7.0, 2.0, 0, recording=recording("a", 10)),
        lhotse.MonoCut("3", 0.0, 2.0, 0, recording=recording("b", 2)),
    ]  # fmt: skip
    lhotse.CutSet.from_cuts(cuts).to_file(path)
    rows = read_lhotse([path])
    assert rows.count == 3
    assert take(store, path).added == 3
    assert [row[:3] for row in taken(store)] == [
        (f"{folder}/a.wav#1.50-3.50", "train", "бир"),
        (f"{folder}/a.wav#7.00-9.00", "pool", None),
        (f"{folder}/b.wav", "pool", None),
    ]


def test_recordings_alone_are_for_the_pool(store: Store, folder: Path) -> None:
    path = folder / "recordings.jsonl"
    lhotse.RecordingSet.from_recordings([recording("a", 10)]).to_file(path)
    assert take(store, path).added == 1
    assert [row[:2] for row in taken(store)] == [(f"{folder}/a.wav", "pool")]


def test_bad_lines_are_named_and_the_rest_goes_in(store: Store, folder: Path) -> None:
    mark = folder / "was-run"
    path = folder / "recordings.jsonl"
    rows = [
        recording("a", 10),
        recording("a", 10),
        recording("pipe", 1, "command", f"touch {mark}"),
        recording("web", 1, "url", "https://example.org/x.wav"),
        recording("out", 1, source="../x.wav"),
        recording("gone", 1),
        recording("b", 5),
        recording("fast", 2, source="b.wav").perturb_speed(1.1),
    ]
    lines = [json.dumps(row.to_dict()).encode() for row in rows]
    lines += [b'{"id": "\xe1"}', b'{"id": ', b'{"id": "x", "sources": 3}', b"[1]"]
    path.write_bytes(b"\n".join(lines))
    report = take(store, path)
    assert report.added == 1
    assert not mark.exists()
    assert [(Path(row.origin).name, row.reason) for row in report.refusals] == [
        ("recordings.jsonl:2", "bad_row"),
        ("recordings.jsonl:3", "bad_row"),
        ("recordings.jsonl:4", "bad_row"),
        ("recordings.jsonl:5", "bad_row"),
        ("gone.wav", "not_a_file"),
        ("b.wav", "truncated"),
        *((f"recordings.jsonl:{line}", "bad_row") for line in (8, 9, 10, 11, 12)),
    ]
    words = ("second time", "not run", "begins with", "--audio-root", "no file", "its listing says")
    words += ("changed copy", "not UTF-8", "not JSON", "lhotse cannot read it", "not an object")
    for refusal, word in zip(report.refusals, words, strict=True):
        assert word in refusal.detail


def test_supervisions_of_nothing_are_named(store: Store, folder: Path) -> None:
    recordings, supervisions = folder / "recordings.jsonl", folder / "supervisions.jsonl"
    lhotse.RecordingSet.from_recordings([recording("a", 10)]).to_file(recordings)
    rows = [said("1", "zz", 1, 2, "бир"), said("2", "a", 1, 2, "эки"), said("3", "a", 5, 2, " ")]
    lhotse.SupervisionSet.from_segments(rows).to_file(supervisions)
    report = take(store, recordings, supervisions)
    assert report.added == 1
    assert [row.reason for row in report.refusals] == ["bad_row", "no_text"]


def test_cuts_that_are_mixed_are_refused(store: Store, folder: Path) -> None:
    path = folder / "cuts.jsonl"
    cut = lhotse.MonoCut("1", 0, 2, 0, recording=recording("b", 2))
    lhotse.CutSet.from_cuts([cut.append(cut.with_id("2")), cut]).to_file(path)
    report = take(store, path)
    assert (report.added, len(report.refusals)) == (1, 1)
    assert "MixedCut" in report.refusals[0].detail


def test_other_manifests_say_what_is_expected(folder: Path) -> None:
    supervisions = folder / "supervisions.jsonl"
    lhotse.SupervisionSet.from_segments([said("1", "a", 1, 2, "бир")]).to_file(supervisions)
    with pytest.raises(ManifestError, match=r"supervisions\.jsonl \(supervisions\): expected one"):
        read_lhotse([supervisions])
    (folder / "cuts.txt").touch()
    with pytest.raises(ManifestError, match="expected a manifest that ends in"):
        read_lhotse([folder / "cuts.txt"])
    (folder / "cuts.json").write_text("{")
    with pytest.raises(ManifestError, match=r"cuts\.json: cannot be read"):
        read_lhotse([folder / "cuts.json"])
    (folder / "empty.jsonl").touch()
    with pytest.raises(ManifestError, match="no manifest of lhotse: it holds nothing"):
        read_lhotse([folder / "empty.jsonl"])
