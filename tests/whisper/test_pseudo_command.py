"""`al-loop pseudo-label` on a tiny Whisper, a tiny recogniser of letters and clips of tones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from al_loop.audio import write_flac
from al_loop.cli import main
from al_loop.config import ModelSettings
from al_loop.records import Checkpoint, Source, Utterance
from al_loop.whisper.ctc import Windows, alphabet_of, begin, save
from al_loop.whisper.recognizer import WhisperRecognizer
from storage.store import Store
from tests.fakes import hear
from tests.sources.tones import random_sentences, sing

from .conftest import Whisper

KNOWN, POOL = 30, 2
CONFIG = """
[model]
device = "cpu"
padding_s = 0.5

[pseudo_labels]
recognisers = ["spelling"]
"""


@pytest.fixture
def filled(store: Store, tiny_folder: Path) -> Store:
    """A tiny checkpoint in use that counts as trained, clips of known words, and a pool."""
    root = store.workspace.root
    (root / "al_loop.toml").write_text(CONFIG, encoding="utf-8")
    settings = ModelSettings(checkpoint=str(tiny_folder), device="cpu")
    with store.new_checkpoint_folder("trained") as folder:
        sidecar = WhisperRecognizer(root, settings).create_base(folder)
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, sidecar))
    store.put_checkpoint(Checkpoint("one", "checkpoints/trained", "base", sidecar))
    store.start_round(0, 0, "merge", "base")
    store.promote("one", "by the test")
    store.put_source(Source("tones", "open_source", "ky"))
    samples, _ = sing([random_sentences(1)[0]])
    write_flac(samples[:8_000], root / "audio/clip.flac")
    rows = [
        Utterance(
            f"clip-{number:02}",
            f"samples-{number}",
            "audio/clip.flac",
            0.5,
            "tones",
            "ky",
            "validation" if number < KNOWN else "pool",
            " ".join(["аба"] * 10) if number < KNOWN else None,
        )
        for number in range(KNOWN + POOL)
    ]
    store.add(rows, [])
    heard = hear("0" * 64, 3)  # to hear takes longest
    store.add_hypotheses("one", [replace(heard, utterance_id=row.id) for row in rows[2:]])
    return store


def run(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(store.workspace.root), *arguments])


def spelling(store: Store, tiny: Whisper) -> None:
    ctc = begin(tiny, alphabet_of([("абвгд", "ky")]), Windows(), 0)
    folder = store.workspace.root / "ctc" / "spelling"
    folder.mkdir(parents=True)
    save(ctc, folder, {})


def test_it_prints_volume_against_precision_and_stores_what_was_kept(
    filled: Store, tiny: Whisper
) -> None:
    missing = run(filled, "pseudo-label")
    assert missing.exit_code == 1
    assert "train it with `al-loop ctc train`" in missing.stderr
    spelling(filled, tiny)
    dry = run(filled, "pseudo-label", "--dry-run", "--precision", "0.9")
    assert dry.exit_code == 0, dry.output
    assert "in_use (trained): WER " in dry.stdout
    assert "spelling (spelling@" in dry.stdout
    assert "no agreement is worth 90.0% right words" in dry.stdout  # two models that know nothing
    assert dry.stdout.splitlines()[-1].startswith("nothing is stored")
    assert filled.last_pseudo_label_run() is None
    done = run(filled, "pseudo-label")
    assert done.exit_code == 0, done.output
    assert "heard 2 of 2 clips" in dry.stdout
    assert "heard" not in done.stdout  # what was heard is kept
    last = filled.last_pseudo_label_run()
    assert last is not None
    assert (last["target"], last["round"], last["candidates"]["clips"]) == (0.95, None, POOL)
    assert filled.pseudo_labels() == []
    assert json.dumps(last, allow_nan=False)


def test_a_clip_that_cannot_be_read_is_left_out_and_named(filled: Store, tiny: Whisper) -> None:
    spelling(filled, tiny)
    (filled.workspace.root / "audio/cut.flac").write_bytes(b"fLaC")
    names = [row.id for row in filled.pool()]
    filled.db.execute("UPDATE utterances SET audio = 'audio/cut.flac' WHERE id = ?", names[:1])
    done = run(filled, "pseudo-label")
    assert done.exit_code == 0, done.output
    assert f"{names[0]} is left out from here on: corrupt" in done.stdout
    assert names[0] not in {row.id for row in filled.pool()}
    last = filled.last_pseudo_label_run()
    assert last is not None
    assert last["candidates"]["texts"] == POOL - 1


def test_what_is_missing_is_named(filled: Store) -> None:
    filled.db.execute("UPDATE utterances SET split = 'train' WHERE split = 'validation'")
    refused = run(filled, "pseudo-label")
    assert refused.exit_code == 1
    assert "0 clips (0 words) are known that no recogniser has learned" in refused.stderr
    assert "Traceback" not in refused.output
