"""A CTC recogniser from a Whisper checkpoint and labelled examples to a folder, and how well it
spells. Knows no database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.clips import Clips
from al_loop.config import TrainSettings
from al_loop.records import Example, Utterance
from al_loop.whisper.augment import Augmentation, draw_augmentation
from al_loop.whisper.batches import AS_RECORDED, Clip
from al_loop.whisper.checkpoints import load as load_whisper
from al_loop.whisper.checkpoints import weights_hash
from al_loop.whisper.ctc import CtcRecognizer, Windows, alphabet_of, begin, save, spell_out
from al_loop.whisper.ctc_training import CtcTraining
from al_loop.whisper.features import window_s
from al_loop.whisper.recognizer import versions

HEARD_AT_ONCE = 8


def training_settings(epochs: int, frozen: bool, save_minutes: float) -> TrainSettings:
    """How a recogniser of ours is trained. Set by trial on one voice: docs/lab-notes.md."""
    return TrainSettings(
        method="frozen_encoder" if frozen else "full",
        epochs=epochs,
        learning_rate=1e-4,
        batch_size=8,
        accumulation=1,
        schedule="linear",
        clip_norm=5.0,
        full_window_share=0.0,
        patience=0,
        speeds=[0.9, 1.0, 1.1],
        spec_augment=True,
        save_minutes=save_minutes,
    )


@dataclass(frozen=True, slots=True)
class CtcJob:
    """All that a training needs. clips: where the audio is.

    checkpoint: the Whisper that the encoder is taken from. folder: where the recogniser goes, new
    and empty. scratch: of this training's own. facts: for the sidecar.
    """

    clips: Clips
    checkpoint: Path
    examples: Sequence[Example]
    validation: Sequence[Example]
    train: TrainSettings
    seed: int
    device: str
    folder: Path
    scratch: Path
    facts: Mapping[str, Any]


def train(job: CtcJob, tell: Callable[[str], None] = lambda message: None) -> dict[str, Any]:
    """Train as the job says; returns the sidecar. Every example is drawn once an epoch."""
    whisper = load_whisper(str(job.checkpoint))
    windows = Windows()
    alphabet = alphabet_of({(row.text, row.language) for row in job.examples})
    ctc = begin(whisper, alphabet, windows, job.seed)
    ctc.model.to(job.device)
    rng = np.random.default_rng(job.seed)
    frozen = job.train.method == "frozen_encoder"
    epochs = [
        [
            # what a frozen encoder hears is kept, and so cannot change from epoch to epoch
            _clip(job, row, AS_RECORDED if frozen else draw_augmentation(job.train, rng), windows)
            for row in job.examples
        ]
        for _ in range(job.train.epochs)
    ]
    validation = [_clip(job, row, AS_RECORDED, windows) for row in job.validation]
    hear = job.clips.samples
    done = CtcTraining(ctc, epochs, validation, job.train, job.seed, job.scratch, tell, hear).run()
    sidecar = {
        **job.facts,
        "settings": job.train.model_dump(),
        "seed": job.seed,
        "draws": done.draws,
        "steps": len(done.losses),
        "log": {"loss": done.losses, "grad_norm": done.grad_norms, "validation": done.validation},
        "notes": done.notes,
        "left_out": done.left_out,
        "device": job.device,
        "versions": versions(),
    }
    save(ctc, job.folder, sidecar)
    return {**sidecar, "weights_sha256": weights_hash(job.folder)}


def _clip(job: CtcJob, row: Example, augmentation: Augmentation, windows: Windows) -> Clip:
    duration_s = row.duration_s / augmentation.speed
    window = window_s(duration_s, windows.padding_s, windows.bucket_s)
    path = job.clips.file(row.audio)
    return Clip(row.utterance_id, path, row.text, row.language, window, augmentation)


def spelled(
    recogniser: CtcRecognizer, clips: Clips, utterances: Sequence[Utterance]
) -> Iterable[tuple[Utterance, str]]:
    """What the recogniser hears in each utterance, greedily, the shortest first."""
    ordered = sorted(utterances, key=lambda row: row.duration_s)
    for start in range(0, len(ordered), HEARD_AT_ONCE):
        rows = ordered[start : start + HEARD_AT_ONCE]
        heard = recogniser.emissions([clips.samples(row.audio) for row in rows])
        for row, log_probs in zip(rows, heard, strict=True):
            yield row, spell_out(log_probs, recogniser.labels)
