"""`al-loop evaluate` with the real recognizer on a tiny Whisper, in both kinds of windows."""

from __future__ import annotations

import json
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
    store.put_source(Source("test", "in_house", "ky"))
    write_flac(0.1 * rng.standard_normal(8000), root / "audio/a.flac")
    store.add(
        [Utterance("a", "a", "audio/a.flac", 0.5, "test", "ky", "test", "Саат 5те, үйдө")], []
    )
    return store


def evaluate(store: Store, *arguments: str) -> str:
    command = ["-w", str(store.workspace.root), "evaluate", *arguments]
    return CliRunner().invoke(main, command, catch_exceptions=False).stdout


def test_it_prints_every_set_and_stores_nothing(measurable: Store) -> None:
    before = list(measurable.db.iterdump())
    lines = evaluate(measurable, "base").splitlines()
    assert lines[0] == "base, the clips' own windows:"
    assert lines[1].startswith("  test (ky): WER % ")
    assert "in 3 words" in lines[2]
    assert len(lines) == 3
    assert list(measurable.db.iterdump()) == before


def test_full_windows_are_other_windows(measurable: Store) -> None:
    full = evaluate(measurable, "--full-windows")
    assert full.startswith("base, 30 s windows:")
    assert full.splitlines()[1:] != evaluate(measurable).splitlines()[1:]


def test_json_has_the_same_figures(measurable: Store) -> None:
    (row,) = json.loads(evaluate(measurable, "--json"))
    assert (row["evaluation_set"], row["utterances"], row["words"]) == ("test", 1, 3)
    assert f"WER % {100 * row['wer']:.1f}" in evaluate(measurable)
