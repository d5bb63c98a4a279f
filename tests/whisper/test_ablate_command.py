"""`al-loop ablate` on a tiny Whisper and clips of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from al_loop.audio import write_flac
from al_loop.cli import main
from al_loop.config import ModelSettings
from al_loop.records import Checkpoint, Source, SourceKind, Split
from al_loop.whisper.recognizer import WhisperRecognizer
from storage.store import Store
from tests.fakes import clips

CONFIG = """
[model]
device = "cpu"
padding_s = 0.5
backend = "torch"

[train]
epochs = 1
accumulation = 1

[evaluate]
bootstrap_samples = 100
"""


@pytest.fixture
def filled(store: Store, tiny_folder: Path) -> Store:
    """A tiny checkpoint in use, two sources to learn from, and an evaluation set."""
    root = store.workspace.root
    (root / "al_loop.toml").write_text(CONFIG, encoding="utf-8")
    settings = ModelSettings(checkpoint=str(tiny_folder), device="cpu")
    with store.new_checkpoint_folder("base") as folder:
        sidecar = WhisperRecognizer(root, settings).create_base(folder)
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, sidecar))
    store.start_round(0, 0, "merge", "base")
    store.promote("base", "by the test")
    noise = 0.1 * np.random.default_rng(0).standard_normal(4_000)
    sources: list[tuple[str, SourceKind, Split]] = [
        ("books", "open_source", "train"),
        ("voice", "synthetic", "train"),
        ("held_out", "open_source", "test"),
    ]
    for name, kind, split in sources:
        store.put_source(Source(name, kind, "ky"))
        rows = clips(name, split, 2)
        for row in rows:
            write_flac(noise.astype(np.float32), root / row.audio)
        store.add(rows, [])
    return store


def run(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(store.workspace.root), *arguments])


def test_it_trains_each_variant_and_prints_the_table(filled: Store) -> None:
    done = run(filled, "ablate", "--no-leave-one-out")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    table = lines[lines.index("WER % as sources are added:") + 1 :]
    assert table[0].split()[-2:] == ["held_out", "(ky)"]
    assert [line.split("  ")[0] for line in table[1:4]] == [
        "untrained base",
        "+ open_source",
        "+ synthetic",
    ]
    assert len(filled.ablation_results("by-kind")) == 3
    folders = {path.name for path in filled.workspace.checkpoints.iterdir()}
    assert folders == {"base"}  # no weights are kept
    again = run(filled, "ablate", "--no-leave-one-out")
    assert again.stdout.splitlines()[-len(table) :] == table
    assert again.stdout.splitlines()[0] == "all of it is measured already"
