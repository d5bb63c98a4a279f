"""`al-loop import` as a user sees it: options, lines, refusals, and a second call."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from al_loop.commands.importing import importing
from al_loop.errors import ManifestError, WorkspaceError
from storage.store import Store

MakeClip = Callable[..., Path]


def run(store: Store, *arguments: str | Path) -> Result:
    command = [str(word) for word in arguments]
    return CliRunner().invoke(importing, command, obj=store.workspace.root)


def done(store: Store, *arguments: str | Path) -> list[str]:
    """The lines of a call that ends well."""
    result = run(store, *arguments, "--source", "open")
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.fixture
def manifest(make_clip: MakeClip) -> Path:
    """A manifest of two clips, one of which is not there."""
    path = make_clip("nemo/a.wav", seed=1).parent / "train.json"
    lines = [{"audio_filepath": name, "text": "саат жети"} for name in ("a.wav", "gone.wav")]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_what_is_taken_and_what_is_refused_is_told(store: Store, manifest: Path) -> None:
    lines = done(store, "nemo", manifest)
    assert lines == [
        f"refused {manifest.parent}/gone.wav: not_a_file (there is no file of that name)",
        "1 files are not there: is the data set downloaded and unpacked as a whole? The same "
        "command takes in what is there later",
        "1 added, 0 moved to an evaluation set, 0 known already, 1 refused",
    ]
    assert done(store, "nemo", manifest)[-1] == (
        "0 added, 0 moved to an evaluation set, 1 known already, 1 refused"
    )
    (source,) = store.sources()
    assert (source.name, source.kind, source.language) == ("open", "open_source", "ky")


def test_options_of_all_forms(store: Store, manifest: Path) -> None:
    options = ("--kind", "in_house", "--language", "ru", "--split", "pool", "--weight", "2.5")
    done(store, "nemo", manifest, *options)
    (source,) = store.sources()
    assert (source.kind, source.language, source.weight) == ("in_house", "ru", 2.5)
    (clip,) = store.pool()
    assert (clip.text, clip.language, clip.text_origin) == (None, "ru", None)


def test_every_form_has_its_command(store: Store, make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip("cv/clips/1.mp3", seed=1)
    for name in ("train", "dev", "test"):
        rows = "anna\t1.mp3\tсаат\n" if name == "train" else ""
        (tmp_path / "cv" / f"{name}.tsv").write_text(f"client_id\tpath\tsentence\n{rows}", "utf-8")
    assert done(store, "common-voice", tmp_path / "cv")[-1].startswith("1 added")

    make_clip("kaldi/2.wav", seed=2)
    (tmp_path / "kaldi/wav.scp").write_text("u 2.wav\n")
    assert done(store, "kaldi", tmp_path / "kaldi")[-1].startswith("1 added")

    make_clip("hub/train/3.wav", seed=3)
    (tmp_path / "hub/train/metadata.csv").write_text("file_name,said\n3.wav,саат\n", "utf-8")
    lines = done(store, "hub", tmp_path / "hub", "--text-column", "said", "--hub-split", "train")
    assert lines[-1].startswith("1 added")
    splits = store.db.execute("SELECT split, count(*) FROM utterances GROUP BY split").fetchall()
    assert splits == [("pool", 1), ("train", 2)]


def test_lhotse_has_its_command(store: Store, make_clip: MakeClip) -> None:
    pytest.importorskip("lhotse", reason="pip install 'al-loop[lhotse]'")
    path = make_clip("lhotse/4.wav", seed=4).parent / "recordings.jsonl"
    source = {"type": "file", "channels": [0], "source": "4.wav"}
    recording = {"id": "r", "sources": [source], "sampling_rate": 16000, "num_samples": 16000}
    path.write_text(json.dumps(recording | {"duration": 1.0, "channel_ids": [0]}))
    assert done(store, "lhotse", path)[-1].startswith("1 added")


def test_lhotse_that_is_not_installed_says_how(tmp_path: Path) -> None:
    (tmp_path / "lhotse.py").write_text("raise ModuleNotFoundError('No module named lhotse')")
    script = (
        "from pathlib import Path; from al_loop.sources.lhotse_manifests import read_lhotse; "
        "read_lhotse([Path('cuts.jsonl')])"
    )
    path = [str(tmp_path), *sys.path]
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {script}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ManifestError: lhotse's manifests are read by lhotse, which is not" in result.stderr
    assert "pip install 'al-loop[lhotse]'" in result.stderr


def test_splits_of_the_hub_that_say_nothing(store: Store, tmp_path: Path) -> None:
    result = run(store, "hub", tmp_path, "--source", "x", "--hub-split", "old")
    assert result.exit_code == 2
    assert "say what it is for, as old=SPLIT" in result.output
    result = run(store, "hub", tmp_path, "--source", "x", "--hub-split", "old=dev")
    assert "with one of pool, train, validation, test, silence" in result.output


def test_an_archive_is_to_be_unpacked(store: Store, tmp_path: Path) -> None:
    (tmp_path / "cv-corpus-22.0-ky.tar.gz").write_bytes(b"\x1f\x8b")
    result = run(store, "common-voice", tmp_path / "cv-corpus-22.0-ky.tar.gz", "--source", "x")
    assert isinstance(result.exception, ManifestError)
    assert "unpack it first" in str(result.exception)


def test_two_imports_do_not_meet(store: Store, manifest: Path) -> None:
    with FileLock(store.workspace.root / "import.lock"):
        result = run(store, "nemo", manifest, "--source", "x")
    assert isinstance(result.exception, WorkspaceError)
    assert "another import is at work" in str(result.exception)


def test_nothing_heavy_is_loaded_for_help() -> None:
    script = (
        "import sys; from al_loop.commands.importing import importing; "
        "importing(['hub', '--help'], standalone_mode=False); "
        "heavy = {'torch', 'datasets', 'av', 'lhotse', 'numpy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "--text-column" in result.stdout
