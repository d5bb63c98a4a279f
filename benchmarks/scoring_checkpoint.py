"""The one checkpoint that all sides of `make bench`'s scoring listen with, made once and kept.

Trained by al_loop on all that the corpus has for training, exported for CTranslate2, and heard once
in 30 s windows for the correlations. Kept in the folder with what made it; another plan,
other clips, settings, sources or versions make it anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from al_loop.config import ModelSettings, TrainSettings
from al_loop.records import Utterance
from al_loop.simulation.settings import source_hash
from al_loop.whisper.checkpoints import weights_hash
from al_loop.whisper.export import export_ctranslate2
from al_loop.whisper.recognizer import WhisperRecognizer, versions
from benchmarks import reference
from benchmarks.corpus import ROOT
from benchmarks.scoring_side import CLIPS, EXPORT, PLACE, TUNED, Heard, compute_types
from benchmarks.training_side import Plan

IDENTITY, REFERENCE = "made_from.json", "reference.json"
SOURCES = (ROOT / "al_loop" / "audio.py", Path(reference.__file__), Path(__file__))
"""Beside al_loop.whisper, what decides how the checkpoint and its reference come out."""


def prepare(
    folder: Path, plan: Plan, clips: Sequence[Utterance], checkpoint: Path | None = None
) -> list[Heard]:
    """Fill `folder` with all that the sides need; returns what 30 s windows hear in the clips.

    checkpoint: a fine-tuned one to take instead of training by `plan`.
    """
    identity = identity_of(plan, clips, checkpoint)
    if _kept(folder) != identity:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if checkpoint is None:
            _train(plan, folder)
        else:
            shutil.copytree(checkpoint, folder / TUNED)
        _derive(folder, clips)
        (folder / IDENTITY).write_text(json.dumps(identity), encoding="utf-8")  # last: all is there
    rows = [asdict(row) for row in clips]  # written every time: the corpus may lie elsewhere
    (folder / CLIPS).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    heard = json.loads((folder / REFERENCE).read_text(encoding="utf-8"))
    return [Heard(**row) for row in heard]


def identity_of(
    plan: Plan, clips: Sequence[Utterance], checkpoint: Path | None = None
) -> dict[str, Any]:
    """What decides the folder's contents: hashes, settings and versions, no paths."""
    draws = [[[row.utterance_id, row.text, row.language] for row in epoch] for epoch in plan.epochs]
    training = [draws, training_settings(plan).model_dump(mode="json"), plan.seed]
    made = json.dumps(training, ensure_ascii=False)
    trained = hashlib.sha256(made.encode()).hexdigest()
    return {
        "training": trained if checkpoint is None else weights_hash(checkpoint),
        "clips": [row.id for row in clips],
        "model": ModelSettings().model_dump(mode="json"),
        "compute_types": compute_types(),
        "sources": {
            "al_loop.whisper": source_hash(ROOT / "al_loop" / "whisper"),
            **{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in SOURCES},
        },
        "versions": versions() | {"ctranslate2": version("ctranslate2")},
    }


def training_settings(plan: Plan) -> TrainSettings:
    """Those of a new workspace, but for what the plan says."""
    return TrainSettings(
        epochs=len(plan.epochs),
        learning_rate=plan.learning_rate,
        batch_size=plan.batch_size,
        accumulation=1,
    )


def _kept(folder: Path) -> Any:
    path = folder / IDENTITY
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _train(plan: Plan, folder: Path) -> None:
    count = sum(map(len, plan.epochs))
    print(f"training the checkpoint on {count} draws; it is kept in {folder}", file=sys.stderr)
    recognizer = WhisperRecognizer(folder, ModelSettings())
    recognizer.create_base(folder / "base")
    scratch = folder / "scratch"
    scratch.mkdir()
    settings = training_settings(plan)
    sidecar = recognizer.train(
        "base", plan.epochs, [], settings, plan.seed, folder / TUNED, scratch
    )
    print("\n".join(sidecar["notes"]), file=sys.stderr)
    for spent in (scratch, folder / "base"):
        shutil.rmtree(spent)


def _derive(folder: Path, clips: Sequence[Utterance]) -> None:
    """The CTranslate2 exports, and what 30 s windows hear."""
    tuned = folder / TUNED
    for name in compute_types():
        export_ctranslate2(tuned, folder / f"{EXPORT}-{name}", name, clips[0].language, PLACE)
    print("hearing the clips once in 30 s, for the correlations", file=sys.stderr)
    heard = [asdict(row) for row in reference.listen(tuned, clips)]
    (folder / REFERENCE).write_text(json.dumps(heard, ensure_ascii=False), encoding="utf-8")
