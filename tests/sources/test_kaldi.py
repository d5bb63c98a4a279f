"""A Kaldi data folder: its utterances, and the lines that give none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from al_loop.errors import ManifestError
from al_loop.sources.ingest import Intake, Report, ingest
from al_loop.sources.kaldi import read_kaldi
from storage.store import Store

MakeClip = Callable[..., Path]
INTAKE = Intake("kaldi", "open_source", "ky", "pool", frozenset({"ky"}))


def write(folder: Path, **lists: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in lists.items():
        file = "wav.scp" if name == "wav" else name
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def take(store: Store, folder: Path, *roots: Path) -> Report:
    return ingest(read_kaldi(folder, roots), INTAKE, store, store.workspace.root)


def problems(report: Report) -> dict[str, str]:
    return {Path(row.origin).name: row.detail for row in report.refusals}


def test_utterances_of_whole_files(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("data/one.wav", seed=1).parent
    make_clip("data/two.wav", seed=2)
    write(
        folder,
        wav="u1 one.wav\nu2 two.wav\n",
        text="u1 биринчи  сүйлөм\nu2\tэкинчи\n",
        utt2spk="u1 aida\nu2 bekbolot\n",
    )
    rows = read_kaldi(folder)
    assert rows.count == 2
    assert ingest(rows, INTAKE, store, store.workspace.root).added == 2
    found = store.db.execute(
        "SELECT origin, split, text, speaker, text_origin, start_s FROM utterances ORDER BY origin"
    ).fetchall()
    assert found == [
        (f"{folder}/one.wav", "train", "биринчи  сүйлөм", "kaldi aida", f"{folder}/text:1", None),
        (f"{folder}/two.wav", "train", "экинчи", "bekbolot", f"{folder}/text:2", None),
    ]


def test_segments_are_parts_in_the_recordings_order(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("data/rec.wav", seconds=10).parent
    write(
        folder,
        wav="r rec.wav\n",
        segments="b r 4.0 6.5\na r 1.0 3.0\nc r 7 -1\n",
        text="a бир\nb эки\nc үч\n",
    )
    rows = list(read_kaldi(folder))
    assert [(row.text, row.start_s, row.end_s) for row in rows] == [
        ("бир", 1.0, 3.0),
        ("эки", 4.0, 6.5),
        ("үч", 7.0, None),
    ]
    assert take(store, folder).added == 3
    durations = store.db.execute("SELECT origin, duration_s FROM utterances ORDER BY start_s")
    assert durations.fetchall() == [
        (f"{folder}/rec.wav#1.00-3.00", 2.0),
        (f"{folder}/rec.wav#4.00-6.50", 2.5),
        (f"{folder}/rec.wav#7.00-", 3.0),
    ]
    assert take(store, folder).known == 3


def test_without_texts_it_is_for_the_pool(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("data/one.wav").parent
    write(folder, wav="u1 one.wav\n")
    assert take(store, folder).added == 1
    assert len(store.pool()) == 1


def test_a_command_is_refused_and_never_run(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("data/good.wav").parent
    mark = folder / "was-run"
    write(
        folder,
        wav=f"pipe touch {mark}; cat good.wav |\nout | touch {mark}\nark {folder}/raw.ark:123\n"
        "std -\nnone\ngood good.wav\n",
    )
    report = take(store, folder)
    assert report.added == 1
    assert not mark.exists()
    assert {name: detail.split(":")[0] for name, detail in problems(report).items()} == {
        "wav.scp:1": "pipe",
        "wav.scp:2": "out",
        "wav.scp:3": "ark",
        "wav.scp:4": "std",
        "wav.scp:5": "none",
    }
    assert "a command, which is not run" in problems(report)["wav.scp:1"]
    assert "wav-copy" in problems(report)["wav.scp:3"]


def test_bad_lines_are_named_and_the_rest_goes_in(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("data/rec.wav", seconds=10).parent
    write(
        folder,
        wav="r rec.wav\nr other.wav\ngone gone.wav\nout /etc/hostname\n",
        segments="a r 1 3\nb r 3 2\nc nobody 1 2\nd r x y\ne gone 0 1\nf out 0 1\na r 5 6\n"
        "g r 8 9\nh r 6 7\n",
        text="a бир\na кайра\nb эки\nz жок\nh\n",
    )
    (folder / "text").write_bytes((folder / "text").read_bytes() + b"g \xe1\xe8\xf0\n")
    report = take(store, folder)
    assert report.added == 1
    found = problems(report)
    assert found == {
        "wav.scp:2": "r is a second time here: line 1",
        "text:2": "a is a second time here: line 1",
        "text:6": found["text:6"],
        "segments:7": "a is a second time here: line 1",
        "segments:2": found["segments:2"],
        "segments:4": found["segments:4"],
        "segments:3": "c: recording 'nobody' is not in wav.scp",
        "gone.wav#0.00-1.00": found["gone.wav#0.00-1.00"],
        "segments:6": found["segments:6"],
        "rec.wav#8.00-9.00": "a train split needs a transcript of at least one word",
        "rec.wav#6.00-7.00": "a train split needs a transcript of at least one word",
        "text:3": "b: no audio of that name in segments",
        "text:4": "z: no audio of that name in segments",
    }
    assert "where in it the part begins and ends" in found["segments:2"]
    assert "not UTF-8" in found["text:6"]
    assert "--audio-root" in found["segments:6"]


def test_audio_of_a_root_that_is_named(store: Store, make_clip: MakeClip, tmp_path: Path) -> None:
    disk = make_clip("disk/one.wav").parent
    folder = write(tmp_path / "data", wav=f"u1 {disk}/one.wav\n")
    assert "--audio-root" in problems(take(store, folder))["wav.scp:1"]
    assert take(store, folder, disk).added == 1


def test_what_is_no_data_folder(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no wav\.scp here"):
        read_kaldi(tmp_path)
    (tmp_path / "data.tar.gz").touch()
    with pytest.raises(ManifestError, match="an archive; unpack it"):
        read_kaldi(tmp_path / "data.tar.gz")
