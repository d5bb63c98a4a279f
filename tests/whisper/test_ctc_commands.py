"""`al-loop ctc train` and `al-loop align` on a tiny Whisper and recordings of tones."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from al_loop.audio import write_flac
from al_loop.cli import main
from al_loop.commands.align import align, table_name
from al_loop.commands.ctc import ctc
from al_loop.config import ModelSettings, Settings
from al_loop.errors import AlLoopError, ModelError, WorkspaceError
from al_loop.records import Checkpoint, Source, Utterance
from al_loop.whisper.ctc import load_recognizer
from al_loop.whisper.recognizer import WhisperRecognizer
from al_loop.wiring import load_ctc
from storage.spellers import Speller
from storage.store import Store
from tests.sources.speakers import with_card
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
    leaked, *lines = done.stdout.splitlines()
    assert leaked == (
        f"left out, for an evaluation set holds it too: 1 of train by text (“{SENTENCES[7]}”)"
    )
    assert [line[:8] for line in lines[:2]] == ["epoch 1:", "epoch 2:"]
    folder = filled.workspace.root / "ctc" / "spelling"
    assert lines[2] == f"{folder} is written"
    assert re.match(r"test: WER \d+\.\d \(.*\), CER \d+\.\d \(", lines[3])
    facts = json.loads((folder / "al_loop.json").read_text(encoding="utf-8"))
    assert (facts["made_from"], facts["examples"], facts["draws"]) == ("base", 6, 12)
    assert (facts["leaks"], facts["left_out"]) == (1, [])
    weights = (folder / "model.safetensors").read_bytes()
    assert train(filled).stdout == done.stdout
    assert (folder / "model.safetensors").read_bytes() == weights
    train(filled, "--encoder", "trained")
    assert (folder / "model.safetensors").read_bytes() != weights
    assert [path.name for path in folder.parent.iterdir()] == ["spelling"]


def test_what_it_learned_becomes_no_test(filled: Store) -> None:
    train(filled, "--name", "first", "--epochs", "1")
    learned = {f"clip-{index}": SENTENCES[index] for index in range(6)}
    assert filled.learned_by("ctc/first") == learned
    row = filled.utterances(["clip-0"])[0]
    assert filled.add([replace(row, split="test")], []) == {"clip-0"}
    filled.db.execute("UPDATE utterances SET split = 'pool' WHERE id = 'clip-5'")
    train(filled, "--name", "first", "--epochs", "1")
    assert filled.learned_by("ctc/first").keys() == learned.keys() - {"clip-5"}
    assert len(filled.learned_texts()) == 5


def test_many_leaks_stop_it_and_texts_that_do_not_fit_are_told(filled: Store) -> None:
    long = "узун сөз " * 8
    filled.db.execute(
        "UPDATE utterances SET duration_s = 0.3, text = ? WHERE id = 'clip-1'", [long]
    )
    lines = train(filled).stdout.splitlines()
    (told,) = [line for line in lines if line.startswith("1 left out")]
    assert told.endswith(f"is it theirs? (“{long}”)")
    limit = "[mixture]\nmax_leak_share = 0.1\n"
    (filled.workspace.root / "al_loop.toml").write_text(CONFIG + limit, encoding="utf-8")
    with pytest.raises(WorkspaceError, match="1 of 7 training examples are in an evaluation set"):
        train(filled)


@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_between_the_two_steps_of_putting_it_in_place(filled: Store, step: int) -> None:
    """As the process leaves the folders then; nothing is trained again, and nothing is lost."""
    train(filled)
    folder = filled.workspace.root / "ctc" / "spelling"
    kept = (folder / "model.safetensors").read_bytes()
    key = json.loads((folder / "al_loop.json").read_text(encoding="utf-8"))["training_set"]
    speller = Speller(folder)
    shutil.copytree(folder, speller.fresh)
    if step == 2:
        speller.former.parent.mkdir(parents=True)
        folder.rename(speller.former)
    else:
        (folder / "model.safetensors").write_bytes(b"the one of before")
    learner = f"ctc/.training/spelling/{key}"
    filled.put_learned(learner, filled.training_examples("in_house")[:6])
    settings = Settings.model_validate({"model": {"device": "cpu"}})
    readable = load_ctc(filled.workspace, settings).id if step == 2 else None
    done = train(filled)
    assert "epoch" not in done.stdout
    assert (folder / "model.safetensors").read_bytes() == kept
    assert readable in (None, load_recognizer(str(folder)).id)
    assert [path.name for path in folder.parent.iterdir()] == ["spelling"]
    assert filled.learned_by(learner) == {}
    assert len(filled.learned_by("ctc/spelling")) == 6


@pytest.mark.parametrize("name", ["a/b", ".training", "x.deleted", "x.unfinished", ""])
def test_names_that_folders_have_for_a_moment_are_refused(filled: Store, name: str) -> None:
    assert train(filled, "--name", name).exit_code == 2


def test_it_waits_for_a_round_and_names_what_is_missing(filled: Store, store: Store) -> None:
    with FileLock(filled.workspace.lock), pytest.raises(WorkspaceError, match="a round is at work"):
        train(filled)
    with pytest.raises(WorkspaceError, match="checkpoints"):
        train(filled, "--from", "round-9")
    filled.db.execute("UPDATE utterances SET split = 'pool' WHERE split = 'train'")
    with pytest.raises(WorkspaceError, match="no labelled example"):
        train(filled)


def run_align(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(align, arguments, obj=store.workspace.root, catch_exceptions=False)


def test_a_reading_is_cut_and_taken_in_once(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    (written,) = (filled.workspace.root / "alignments").glob("reading-book-*.tsv")
    with written.open(encoding="utf-8") as file:
        table = list(csv.DictReader(file, dialect=csv.excel_tab))
    assert sorted(row["text"] for row in table) == sorted(row.text for row in rows)
    assert all(float(row["score"]) <= 0 for row in table)
    (source,) = [row for row in filled.sources() if row.name == "novel"]
    assert source.kind == "forced_alignment"
    other = tmp_path / "other"
    other.symlink_to(tmp_path)
    monkeypatch.chdir(other)
    command[:2] = ["reading.wav", "other/book.txt"]  # the same files by other names
    again = run_align(filled, *command)
    assert again.stdout.splitlines()[2].startswith(
        f"0 added, 0 moved to an evaluation set, {added}"
    )
    run_align(filled, *command[:4], "--min-score", "-900")
    assert len(list(written.parent.glob("*.tsv"))) == 2
    ((names,),) = filled.db.execute(
        "SELECT count(DISTINCT substr(origin, 1, instr(origin, '#'))) FROM utterances "
        "WHERE source = 'novel'"
    ).fetchall()
    assert names == 1


def test_the_licence_of_what_it_is_cut_with_is_kept(filled: Store, tmp_path: Path) -> None:
    train(filled, "--epochs", "1")
    own = filled.workspace.root / "ctc" / "spelling"
    lent = shutil.copytree(own, tmp_path / "lent")
    said = random_sentences(12, seed=5)
    recording = write_wav(tmp_path / "reading.wav", sing(said)[0])
    book = tmp_path / "book.txt"
    book.write_text("\n".join(said), encoding="utf-8")
    command = [str(recording), str(book), "--source", "novel", "--min-score", "-1000"]
    assert "licence" not in run_align(filled, *command).stderr
    name = load_recognizer(str(lent)).id
    mine = f"spelling@{name.partition('@')[2]}"
    assert filled.makers() == {mine: "made here"}
    command += ["--model", str(lent)]
    told = f"warning: the licence of {name} is unknown"
    assert told in run_align(filled, *command).stderr
    assert filled.makers() == {mine: "made here", name: "unknown"}
    with_card(lent, "cc-by-nc-4.0")
    assert f"warning: {name} is under cc-by-nc-4.0" in run_align(filled, *command).stderr
    assert filled.makers()[name] == "cc-by-nc-4.0"


def test_a_table_of_long_titles_has_a_name_that_a_file_may_have() -> None:
    long = Path("б" + "ө" * 120 + ".mp3")
    name = table_name(long, Path("a" + "ы" * 120 + ".txt"), "0123456789ab")
    assert name == f"б{'ө' * 39}-a{'ы' * 39}-0123456789ab.tsv"
    assert len(name.encode()) < 255


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


def test_a_book_that_is_not_read_and_half_a_recording_end_with_1(
    filled: Store, tmp_path: Path
) -> None:
    """The tiny recogniser hears next to nothing of any book; at -1000 all would do."""
    train(filled)
    recording = write_wav(tmp_path / "reading.wav", sing(random_sentences(12, seed=5))[0])
    book = tmp_path / "book.txt"
    book.write_text("\n".join(random_sentences(12, seed=6)), encoding="utf-8")
    command = ["-w", str(filled.workspace.root), "align"]
    command += [str(recording), str(book), "--source", "novel"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert f"{book}: hardly anything of it is heard in {recording}: " in done.stderr
    assert not list((filled.workspace.root / "alignments").glob("*.tsv"))
    assert [row.name for row in filled.sources()] == ["test", "train"]
    recording.write_bytes(recording.read_bytes()[:100_000])
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert f"{recording}: truncated: 100000 bytes, its header says" in done.stderr
