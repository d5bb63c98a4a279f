"""Fine-tuning on given draws: the loop over optimiser steps. Knows no sources, no rounds.

Nothing here is left to chance or to time: steps follow from the seed and the epoch, the learning
rate from the share of draws seen. So a training that was killed ends, after a restart, with the
weights of one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from al_loop.config import TrainSettings
from al_loop.errors import TrainingError
from al_loop.whisper import saves
from al_loop.whisper.batches import Clip, steps
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.gradients import ALONE, Gradients, Processes, not_a_number
from al_loop.whisper.noise import accumulation_for

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
    clipping. notes: what a human should know. stale: epochs since `best_loss`, the lowest
    validation loss. overflows: steps in a row that float16 skipped.
    """

    batch_size: int
    epoch: int = 0
    step: int = 0
    draws: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    log: dict[str, list[float]] = field(
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
    TensorBoard's files go. Raises TrainingError when there is nothing to train on.
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
        self.gradients = Gradients(whisper, model, settings.batch_size, autocast, processes)
        self.optimizer = _adamw(self.gradients.parameters, settings)
        self.progress = self._resumed() or Progress(settings.batch_size)
        self.gradients.batch_size = self.progress.batch_size
        self.saved_at = time.monotonic()

    def run(self) -> Progress:
        """Train to the end, or until the validation loss stops falling.

        Raises TrainingError when a loss or gradient is not a number, or memory does not suffice.
        """
        progress, settings = self.progress, self.settings
        with SummaryWriter(str(self.logs), purge_step=len(progress.log["loss"])) as board:
            while progress.epoch < len(self.epochs) and not self._is_stale():
                record = self.begin_epoch()
                rng = np.random.default_rng([self.seed, progress.epoch])
                size = settings.batch_size * record["accumulation"]
                plan = steps(self.epochs[progress.epoch], size, rng)
                for clips in plan[progress.step :]:
                    self.take_step(clips)
                    for name, values in progress.log.items():
                        board.add_scalar(f"step/{name}", values[-1], len(values))
                    if time.monotonic() - self.saved_at > 60 * settings.save_minutes:
                        self.save()
                self.end_epoch(record, len(plan))
                for name in SHOWN_PER_EPOCH:
                    if record[name] is not None:
                        board.add_scalar(f"epoch/{name}", record[name], len(progress.log["loss"]))
        if settings.patience and progress.best_loss is not None:
            self._restore(saves.read(self.scratch / BEST))
        return progress

    def begin_epoch(self) -> dict[str, Any]:
        """The record of the epoch to come: its accumulation, and what that was chosen by.

        full_grad_norm: of the gradient over `measured_clips` of its draws; squared_norm, variance:
        the estimates of |G|^2 and tr(S) from them (see `al_loop.whisper.noise`).
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
                "squared_norm": noise.squared_norm,
                "variance": noise.variance,
            }
        )
        return progress.epochs[-1]

    def take_step(self, clips: Sequence[Clip]) -> None:
        """One optimiser step on one accumulated batch."""
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
            group["lr"] = rate
        gradients.scaler.step(self.optimizer)
        gradients.scaler.update()
        progress.step += 1
        progress.draws += len(clips)
        for name, value in (("loss", loss), ("grad_norm", norm), ("learning_rate", rate)):
            progress.log[name].append(value)

    def end_epoch(self, record: dict[str, Any], count: int) -> None:
        """Complete the record of an epoch of `count` steps, and keep the best weights."""
        progress, bound = self.progress, self.settings.grad_norm_bound
        norms = [norm for norm in progress.log["grad_norm"][-count:] if math.isfinite(norm)]
        record["steps"] = count
        record["loss"] = float(np.mean(progress.log["loss"][-count:]))
        record["mean_grad_norm"] = float(np.mean(norms))
        record["validation_loss"] = None
        self._note(
            f"epoch {record['epoch']}: loss {record['loss']:.3f}, mean gradient norm "
            f"{record['mean_grad_norm']:.1f} over {count} steps (bound {bound:g}), full gradient "
            f"{record['full_grad_norm']:.1f} over {record['measured_clips']} clips before it, "
            f"accumulation {record['accumulation']}"
        )
        if record["full_grad_norm"] > bound:
            self._note(
                f"warning: in epoch {record['epoch']} the full gradient itself exceeds "
                "train.grad_norm_bound; accumulation removes noise, and here there is more than "
                "noise"
            )
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

    def _resumed(self) -> Progress | None:
        state = saves.read(self.scratch / STATE)
        if state is None:
            return None
        self._restore(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
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
                f"{before // now} times the accumulation"
            )
            self.progress.batch_size = now

    def _note(self, text: str) -> None:
        self.progress.notes.append(text)


def _adamw(parameters: Sequence[torch.Tensor], settings: TrainSettings) -> torch.optim.AdamW:
    """Norms and biases do not decay, as is usual since BERT."""
    decaying = [row for row in parameters if row.ndim > 1]
    others = [row for row in parameters if row.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decaying}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups,
        weight_decay=settings.weight_decay,
        fused=parameters[0].device.type in ("cpu", "cuda"),
    )


def learning_rate(progress: float, settings: TrainSettings) -> float:
    """The rate where `progress`, a share of all draws, is seen: warm-up, then the schedule."""
    warmup = settings.warmup_share
    if progress < warmup:
        return settings.learning_rate * progress / warmup
    left = (1 - progress) / (1 - warmup) if warmup < 1 else 1.0
    factor = {
        "cosine": (1 - math.cos(math.pi * left)) / 2,
        "linear": left,
        "constant": 1.0,
    }[settings.schedule]
    return settings.learning_rate * factor


def autocast_dtype(precision: str, device: str) -> torch.dtype | None:
    """What the forward pass computes in; None for float32. `auto` asks the device.

    On CPUs without the instructions bfloat16 would be emulated, far slower than float32; GPUs
    without it have float16.
    """
    if precision != "auto":
        return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if able else torch.float16
    able = torch.cpu.get_capabilities()
    fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return torch.bfloat16 if device == "cpu" and fast else None
