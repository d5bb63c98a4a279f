"""`al-loop ctc train` and `al-loop align` on a tiny Whisper and recordings of tones."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from al_loop.audio import write_flac
from al_loop.commands.align import align
from al_loop.commands.ctc import ctc
from al_loop.config import ModelSettings
from al_loop.errors import AlLoopError, ModelError, WorkspaceError
from al_loop.records import Checkpoint, Source, Utterance
from al_loop.whisper.recognizer import WhisperRecognizer
from storage.store import Store
from tests.sources.tones import random_sentences, sing, write_wav

SENTENCES = random_sentences(8)
CONFIG = '[model]\ndevice = "cpu"\npadding_s = 0.5\n\n[train]\nsave_minutes = 1e-9\n'


@pytest.fixture
def filled(store: Store, tiny_folder: Path) -> Store:
    """A workspace with a tiny checkpoint in use, six clips to train on, and two to measure on."""
    root = store.workspace.root
    (root / "al_loop.toml").write_text(CONFIG, encoding="utf-8")
    settings = ModelSettings(checkpoint=str(tiny_folder), device="cpu")
    with store.new_checkpoint_folder("base") as folder:
        sidecar = WhisperRecognizer(root, settings).create_base(folder)
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, sidecar))
    store.start_round(0, 0, "merge", "base")
    for name in ("train", "test"):
        store.put_source(Source(name, "open_source", "ky"))
    rows = []
    for index, text in enumerate(SENTENCES):
        samples, _ = sing([text])
        write_flac(samples, root / f"audio/{index}.flac")
        split = "train" if index < 6 else "test"
        rows.append(
            Utterance(
                f"clip-{index}",
                f"samples-{index}",
                f"audio/{index}.flac",
                len(samples) / 16_000,
                split,
                "ky",
                "train" if index < 6 else "test",
                text,
            )
        )
    # a sentence of the test, said once more: it must not be learned
    rows.append(
        Utterance("leak", "other", "audio/7.flac", 4.0, "train", "ky", "train", SENTENCES[7])
    )
    store.add(rows, [])
    return store


def train(store: Store, *arguments: str) -> Result:
    command = ["train", "--epochs", "2", *arguments]
    return CliRunner().invoke(ctc, command, obj=store.workspace.root, catch_exceptions=False)


def test_a_recogniser_is_trained_measured_and_replaced(filled: Store) -> None:
    done = train(filled)
    lines = done.stdout.splitlines()
    assert [line[:8] for line in lines[:2]] == ["epoch 1:", "epoch 2:"]
    folder = filled.workspace.root / "ctc" / "spelling"
    assert lines[2] == f"{folder} is written"
    assert re.match(r"test: WER \d+\.\d \(.*\), CER \d+\.\d \(", lines[3])
    facts = json.loads((folder / "al_loop.json").read_text(encoding="utf-8"))
    assert (facts["made_from"], facts["examples"], facts["draws"]) == ("base", 6, 12)
    weights = (folder / "model.safetensors").read_bytes()
    assert train(filled).stdout == done.stdout
    assert (folder / "model.safetensors").read_bytes() == weights
    train(filled, "--encoder", "trained")
    assert (folder / "model.safetensors").read_bytes() != weights
    assert [path.name for path in folder.parent.iterdir()] == ["spelling"]


def test_it_waits_for_a_round_and_names_what_is_missing(filled: Store, store: Store) -> None:
    with FileLock(filled.workspace.lock), pytest.raises(WorkspaceError, match="a round is at work"):
        train(filled)
    with pytest.raises(WorkspaceError, match="checkpoints"):
        train(filled, "--from", "round-9")
    refused = train(filled, "--name", "a/b")
    assert refused.exit_code == 2
    filled.db.execute("UPDATE utterances SET split = 'pool' WHERE split = 'train'")
    with pytest.raises(WorkspaceError, match="no labelled example"):
        train(filled)


def run_align(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(align, arguments, obj=store.workspace.root, catch_exceptions=False)


def test_a_reading_is_cut_and_taken_in_once(filled: Store, tmp_path: Path) -> None:
    train(filled)
    said = random_sentences(12, seed=5)
    recording = write_wav(tmp_path / "reading.wav", sing(said)[0])
    book = tmp_path / "book.txt"
    book.write_text("\n".join(said), encoding="utf-8")
    command = [str(recording), str(book), "--source", "novel", "--min-score", "-1000"]
    done = run_align(filled, *command, "--speaker", "reader")
    kept, words, counts = done.stdout.splitlines()
    assert re.fullmatch(r"\d\.\d of \d\.\d min are kept \(\d+%\)", kept)
    assert re.match(r"\d+ of \d+ words of the text are kept; \d+ were not found", words)
    added = int(counts.split()[0])
    assert counts == f"{added} added, 0 moved to an evaluation set, 0 known already, 0 refused"
    assert added > 0
    rows = [row for row in filled.training_examples("in_house") if row.source == "novel"]
    assert len(rows) == added
    found = filled.utterances(row.utterance_id for row in rows)
    assert {row.speaker for row in found} == {"reader"}
    assert all((row.made_by or "").startswith("spelling@") for row in found)
    with (filled.workspace.root / "alignments/reading-book.tsv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file, dialect=csv.excel_tab))
    assert sorted(row["text"] for row in table) == sorted(row.text for row in rows)
    assert all(float(row["score"]) <= 0 for row in table)
    (source,) = [row for row in filled.sources() if row.name == "novel"]
    assert source.kind == "forced_alignment"
    again = run_align(filled, *command)
    assert again.stdout.splitlines()[2].startswith(
        f"0 added, 0 moved to an evaluation set, {added}"
    )


def test_faults_are_told_without_a_traceback(filled: Store, tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "reading.wav", sing(SENTENCES[:1])[0])
    book = tmp_path / "book.txt"
    book.write_text("аб", encoding="utf-8")
    with pytest.raises(ModelError, match="train it with `al-loop ctc train`"):
        run_align(filled, str(recording), str(book), "--source", "novel")
    with pytest.raises(ModelError, match="no such CTC recogniser"):
        run_align(filled, str(recording), str(book), "--source", "novel", "--model", "./absent")
    train(filled)
    with pytest.raises(AlLoopError, match=r"book\.txt: .* cannot be decoded"):
        run_align(filled, str(book), str(book), "--source", "novel")
