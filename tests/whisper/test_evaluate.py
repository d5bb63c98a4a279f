"""`al-loop evaluate` with the real recognizer on a tiny Whisper, in both kinds of windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from al_loop.audio import write_flac
from al_loop.cli import main
from al_loop.config import ModelSettings
from al_loop.records import Checkpoint, Source, Utterance
from al_loop.whisper.recognizer import WhisperRecognizer
from storage.store import Store


@pytest.fixture
def measurable(store: Store, tiny_folder: Path) -> Store:
    """A workspace whose checkpoint in use is the tiny one, with one clip to measure on."""
    root = store.workspace.root
    settings = ModelSettings(checkpoint=str(tiny_folder), device="cpu")
    with store.new_checkpoint_folder("base") as folder:
        sidecar = WhisperRecognizer(root, settings).create_base(folder)
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, sidecar))
    store.start_round(0, 0, "merge", "base")
    rng = np.random.default_rng(0)
    for split, text in (("test", "Саат 5те, үйдө"), ("silence", None)):
        store.put_source(Source(split, "in_house", "ky"))
        write_flac(0.1 * rng.standard_normal(8000), root / f"audio/{split}.flac")
        row = Utterance(split, split, f"audio/{split}.flac", 0.5, split, "ky", split, text)
        store.add([row], [])
    return store


def evaluate(store: Store, *arguments: str) -> str:
    command = ["-w", str(store.workspace.root), "evaluate", *arguments]
    return CliRunner().invoke(main, command, catch_exceptions=False).stdout


def test_it_prints_every_set_and_stores_nothing(measurable: Store) -> None:
    before = list(measurable.db.iterdump())
    lines = evaluate(measurable, "--checkpoint", "base").splitlines()
    assert lines[0] == "base, the clips' own windows:"
    assert lines[1].startswith("  test (ky): WER % ")
    assert "in 3 words" in lines[2]
    assert lines[3].startswith("  silence: words heard in ")
    assert lines[3].endswith(" of 1 clips")
    assert list(measurable.db.iterdump()) == before


def test_full_windows_are_other_windows(measurable: Store) -> None:
    full = evaluate(measurable, "--full-windows")
    assert full.startswith("base, 30 s windows:")
    assert full.splitlines()[1:] != evaluate(measurable).splitlines()[1:]
