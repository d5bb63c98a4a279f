"""Fine-tuning on given draws: the loop over optimiser steps. Knows no sources, no rounds.

Nothing here is left to chance or to time: steps follow from the seed and the epoch, the learning
rate from the share of draws seen. So a training that was killed ends, after a restart, with the
weights of one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from al_loop.config import TrainSettings
from al_loop.errors import TrainingError
from al_loop.whisper import saves
from al_loop.whisper.batches import Clip, Hear, steps
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.features import read
from al_loop.whisper.gradients import ALONE, NEED_LESS, Gradients, Processes, not_a_number
from al_loop.whisper.noise import accumulation_for
from al_loop.whisper.optimiser import adamw, autocast_dtype, learning_rate

MEASURED_CLIPS, MEASURED_FOR_AUTO = 16, 64
"""On which a gradient is measured before each epoch: to report its norm, or to act on its noise."""
MOST_OVERFLOWS = 20
"""Steps in a row that float16 may skip while its scaler looks for a scale."""
STATE, BEST = "state.pt", "best.pt"
SHOWN_PER_EPOCH = ("loss", "mean_grad_norm", "full_grad_norm", "validation_loss")


@dataclass(slots=True)
class Progress:
    """How far a training is: all of its state but weights and optimiser.

    epoch: epochs that are complete. step: steps done in the next one. draws: clips seen in all.
    batch_size: clips per forward pass, less than the settings' where memory ran out. epochs: one
    record an epoch, see `Training.begin_epoch`. log: one entry a step; grad_norm is the norm before
    clipping, None where float16 overflowed. notes: what a human should know. stale: epochs since
    `best_loss`, the lowest validation loss. overflows: steps in a row that float16 skipped.
    """

    batch_size: int
    epoch: int = 0
    step: int = 0
    draws: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    log: dict[str, list[float | None]] = field(
        default_factory=lambda: {"loss": [], "grad_norm": [], "learning_rate": []}
    )
    notes: list[str] = field(default_factory=list)
    best_loss: float | None = None
    stale: int = 0
    overflows: int = 0


class Training:
    """One training of `model`, which is `whisper.model` or wraps it, in place.

    epochs: each one's draws. validation: clips for early stopping, perhaps none. scratch: a folder
    of this training's own, where it saves, and goes on from where there is a save. logs: where
    TensorBoard's files go. hear: reads a clip's file. Raises TrainingError when there is nothing to
    train on.
    """

    def __init__(
        self,
        whisper: Whisper,
        model: torch.nn.Module,
        epochs: Sequence[Sequence[Clip]],
        validation: Sequence[Clip],
        settings: TrainSettings,
        seed: int,
        scratch: Path,
        logs: Path,
        processes: Processes = ALONE,
        hear: Hear = read,
    ) -> None:
        if not any(epochs):
            raise TrainingError(
                "there is no labelled example to train on; ingest some, or label some"
            )
        self.epochs = epochs
        self.validation = validation
        self.settings = settings
        self.seed = seed
        self.scratch = scratch
        self.logs = logs
        self.processes = processes
        self.named = {name: row for name, row in model.named_parameters() if row.requires_grad}
        device = next(iter(self.named.values())).device.type
        autocast = autocast_dtype(settings.precision, device)
        self.gradients = Gradients(whisper, model, settings.batch_size, autocast, processes, hear)
        self.optimizer = adamw(self.gradients.parameters, settings)
        self.progress = self._resumed()
        self.gradients.batch_size = self.progress.batch_size
        self.saved_at = time.monotonic()

    def run(self) -> Progress:
        """Train to the end, or until the validation loss stops falling.

        Raises TrainingError when a loss or gradient is not a number, or memory does not suffice.
        """
        progress, settings = self.progress, self.settings
        done = len(progress.log["loss"])
        with SummaryWriter(str(self.logs), purge_step=done + 1 if done else None) as board:
            while progress.epoch < len(self.epochs) and not self._is_stale():
                record = self.begin_epoch()
                rng = np.random.default_rng([self.seed, progress.epoch])
                size = settings.batch_size * record["accumulation"]
                plan = steps(self.epochs[progress.epoch], size, rng)
                largest = max(map(len, plan))
                for clips in plan[progress.step :]:
                    self.take_step(clips, len(clips) / largest)
                    for name, values in progress.log.items():
                        if values[-1] is not None:
                            board.add_scalar(f"step/{name}", values[-1], len(values))
                    if time.monotonic() - self.saved_at > 60 * settings.save_minutes:
                        self.save()
                self.end_epoch(record, plan)
                for name in SHOWN_PER_EPOCH:
                    if record[name] is not None:
                        board.add_scalar(f"epoch/{name}", record[name], len(progress.log["loss"]))
        # one process writes the best weights and the checkpoint; the others' are not used
        if self.processes.rank == 0 and settings.patience and progress.best_loss is not None:
            self._restore(saves.read(self.scratch / BEST))
        return progress

    def begin_epoch(self) -> dict[str, Any]:
        """The record of the epoch to come: its accumulation, and what that was chosen by.

        full_grad_norm: the estimate of |G| from `measured_clips` of its draws; measured_norm: of
        their gradient, noise included; variance: the estimate of tr(S) (`al_loop.whisper.noise`).
        """
        progress, settings = self.progress, self.settings
        if len(progress.epochs) > progress.epoch:  # resumed in its middle
            return progress.epochs[-1]
        draws = self.epochs[progress.epoch]
        accumulation = settings.accumulation
        count = MEASURED_FOR_AUTO if accumulation == "auto" else MEASURED_CLIPS
        noise = self.gradients.measure(draws[:count])
        self._notice_memory()
        if accumulation == "auto":
            accumulation = accumulation_for(
                noise, settings.grad_norm_bound, settings.batch_size, settings.max_accumulation
            )
        progress.epochs.append(
            {
                "epoch": progress.epoch + 1,
                "draws": len(draws),
                "accumulation": accumulation,
                "measured_clips": noise.clips,
                "full_grad_norm": noise.full_norm,
                "measured_norm": noise.measured_norm,
                "variance": noise.variance,
            }
        )
        return progress.epochs[-1]

    def take_step(self, clips: Sequence[Clip], weight: float) -> None:
        """One optimiser step on one accumulated batch.

        weight: its clips over those of the epoch's largest step. Adam undoes the scale of a
        gradient, so it is the rate that keeps a clip in a small step from counting for several.
        """
        progress, gradients = self.progress, self.gradients
        loss = gradients.fill(clips)
        self._notice_memory()
        gradients.scaler.unscale_(self.optimizer)
        parameters = gradients.parameters
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip_norm).item()
        overflows = gradients.scaler.is_enabled() and not math.isfinite(norm)
        progress.overflows = progress.overflows + 1 if overflows else 0
        if not math.isfinite(norm) and (not overflows or progress.overflows > MOST_OVERFLOWS):
            raise TrainingError(not_a_number("the gradient's norm", norm, clips))
        rate = learning_rate((progress.draws + len(clips) / 2) / self.total_draws, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * weight
        try:
            gradients.scaler.step(self.optimizer)
        except torch.OutOfMemoryError as exc:
            raise TrainingError(f"out of memory for AdamW's state: {NEED_LESS}") from exc
        gradients.scaler.update()
        progress.step += 1
        progress.draws += len(clips)
        progress.log["loss"].append(loss)
        progress.log["grad_norm"].append(None if overflows else norm)
        progress.log["learning_rate"].append(rate * weight)

    def end_epoch(self, record: dict[str, Any], plan: Sequence[Sequence[Clip]]) -> None:
        """Complete the record of an epoch whose steps were `plan`, and keep the best weights."""
        progress, count = self.progress, len(plan)
        norms = [norm for norm in progress.log["grad_norm"][-count:] if norm is not None]
        record["steps"] = count
        record["loss"] = float(np.mean(np.array(progress.log["loss"][-count:], dtype=float)))
        record["mean_grad_norm"] = float(np.mean(norms)) if norms else None
        record["validation_loss"] = None
        for note in epoch_notes(record, self.settings, max(map(len, plan))):
            self._note(note)
        if self.validation:
            record["validation_loss"] = self.gradients.loss(self.validation)
            self._notice_memory()
            self._note(f"epoch {record['epoch']}: validation loss {record['validation_loss']:.3f}")
            if progress.best_loss is None or record["validation_loss"] < progress.best_loss:
                progress.best_loss, progress.stale = record["validation_loss"], 0
                self._write(BEST, self.named)
            else:
                progress.stale += 1
        progress.epoch += 1
        progress.step = 0

    def save(self) -> None:
        """Write all that a restart needs, in place of the last save."""
        state = {
            "weights": self.named,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.gradients.scaler.state_dict(),
            "progress": asdict(self.progress),
        }
        self._write(STATE, state)
        self.saved_at = time.monotonic()

    @property
    def total_draws(self) -> int:
        return sum(len(draws) for draws in self.epochs)

    def _resumed(self) -> Progress:
        """The state of the last save; that of a beginning where there is none to be read."""
        state = saves.read(self.scratch / STATE)
        if state is None:
            lost = ["the last save could not be read: training starts anew"]
            notes = lost if (self.scratch / STATE).exists() else []
            return Progress(self.settings.batch_size, notes=notes)
        self._restore(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] and self.gradients.scaler.is_enabled():
            self.gradients.scaler.load_state_dict(state["scaler"])
        return Progress(**state["progress"])

    @torch.no_grad()
    def _restore(self, weights: dict[str, torch.Tensor]) -> None:
        for name, row in self.named.items():
            row.copy_(weights[name])

    def _write(self, name: str, value: Any) -> None:
        if self.processes.rank == 0:
            saves.write(self.scratch / name, value)

    def _is_stale(self) -> bool:
        return 0 < self.settings.patience <= self.progress.stale

    def _notice_memory(self) -> None:
        before, now = self.progress.batch_size, self.gradients.batch_size
        if now < before:
            self._note(
                f"out of memory with {before} utterances at once: it goes on with {now}, and "
                "accumulates over as many more forward passes"
            )
            self.progress.batch_size = now

    def _note(self, text: str) -> None:
        self.progress.notes.append(text)


def epoch_notes(record: Mapping[str, Any], settings: TrainSettings, largest: int) -> Iterator[str]:
    """An epoch in words; largest: the clips of its largest step."""
    bound, norm = settings.grad_norm_bound, record["mean_grad_norm"]
    yield (
        f"epoch {record['epoch']}: loss {record['loss']:.3f}, mean gradient norm "
        f"{'unknown' if norm is None else f'{norm:.1f}'} (bound {bound:g}), full gradient "
        f"{record['full_grad_norm']:.1f} before it (from {record['measured_clips']} clips); "
        f"{record['steps']} steps of {record['draws'] / record['steps']:.1f} clips, "
        f"accumulation {record['accumulation']}"
    )
    if record["full_grad_norm"] > bound:
        yield (
            f"warning: before epoch {record['epoch']} the full gradient itself exceeds "
            "train.grad_norm_bound; accumulation removes noise, and here there is more than noise"
        )
    if settings.accumulation == "auto" and largest <= settings.batch_size * (
        record["accumulation"] - 1
    ):
        yield (
            f"warning: epoch {record['epoch']} wanted {record['accumulation']} forward passes a "
            f"step, but no window has more than {largest} clips"
        )
