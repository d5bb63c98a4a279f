"""Training of a CTC recogniser on given draws. Knows no sources and no rounds.

As in `al_loop.whisper.training`, nothing is left to chance or to time: steps follow from the seed
and the epoch, the learning rate from the share of draws seen, and a training that was killed ends,
after a restart, with the weights of one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from al_loop.config import TrainSettings
from al_loop.errors import TrainingError
from al_loop.whisper import saves
from al_loop.whisper.augment import augment_samples, mask_log_mel
from al_loop.whisper.batches import Clip, Hear, evenly, steps
from al_loop.whisper.ctc import BLANK, FRAME_S, Ctc, frames_of
from al_loop.whisper.features import FRAMES_PER_S, SAMPLE_RATE, log_mel_of, read
from al_loop.whisper.gradients import not_a_number
from al_loop.whisper.optimiser import adamw, autocast_dtype, learning_rate

STATE = "state.pt"
HEAD_RATE = 10.0
"""Ours: the head starts from nothing, and learns so much faster than the encoder."""
KEPT_BYTES = 2**31
"""Of what a frozen encoder hears, kept in memory; what is beyond is heard anew in every epoch."""


@dataclass(slots=True)
class Progress:
    """How far a training is: all of its state but weights and optimiser.

    losses: of each step, per letter. validation: one an epoch. left_out: ids of clips with more
    text than their audio has frames for, or with no letter to spell.
    """

    epoch: int = 0
    step: int = 0
    draws: int = 0
    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class CtcTraining:
    """One training of `ctc.model` in place, to the end of its epochs.

    epochs: each one's draws. validation: clips whose loss is told, perhaps none. scratch: a folder
    of this training's own, where it saves, and goes on from where there is a save. tell: is told of
    every epoch. hear: reads a clip's file. Raises TrainingError when there is nothing to train on.
    """

    def __init__(
        self,
        ctc: Ctc,
        epochs: Sequence[Sequence[Clip]],
        validation: Sequence[Clip],
        settings: TrainSettings,
        seed: int,
        scratch: Path,
        tell: Callable[[str], None] = lambda message: None,
        hear: Hear = read,
    ) -> None:
        self.ctc = ctc
        self.settings = settings
        self.seed = seed
        self.scratch = scratch
        self.tell = tell
        self.hear = hear
        self.targets = {
            (clip.text, clip.language): ctc.target_ids(clip.text, clip.language)
            for draws in [*epochs, validation]
            for clip in draws
        }
        self.epochs = [self._spoken(draws) for draws in epochs]
        self.validation = self._spoken(validation)
        if not any(self.epochs):
            raise TrainingError(
                "there is no labelled example to train on; ingest some, or label some"
            )
        frozen = settings.method == "frozen_encoder"
        ctc.model.encoder.requires_grad_(not frozen)
        self.named = {name: row for name, row in ctc.model.named_parameters() if row.requires_grad}
        self.device = next(iter(self.named.values())).device
        self.autocast = autocast_dtype(settings.precision, self.device.type)
        self.optimizer = adamw(list(self.named.values()), settings)
        self._separate_head()
        self.frozen = frozen
        self.kept: dict[tuple[str, float], torch.Tensor] = {}
        self.kept_bytes = 0
        self.progress = self._resumed()
        self.saved_at = time.monotonic()
        kept = {clip.utterance_id for draws in [*self.epochs, self.validation] for clip in draws}
        named = {clip.utterance_id for draws in [*epochs, validation] for clip in draws}
        self.progress.left_out = sorted(named - kept)

    def run(self) -> Progress:
        """Train to the end. Raises TrainingError when a loss or gradient is not a number."""
        progress, settings = self.progress, self.settings
        size = settings.batch_size * (
            settings.accumulation if isinstance(settings.accumulation, int) else 1
        )
        while progress.epoch < len(self.epochs):
            rng = np.random.default_rng([self.seed, progress.epoch])
            plan = steps(self.epochs[progress.epoch], size, rng)
            largest = max(map(len, plan))
            for clips in plan[progress.step :]:
                self._take_step(clips, len(clips) / largest)
                if time.monotonic() - self.saved_at > 60 * settings.save_minutes:
                    self.save()
            self._end_epoch(len(plan))
        self.ctc.model.requires_grad_(True)
        self.ctc.model.eval()
        self.kept.clear()
        return progress

    def save(self) -> None:
        """Write all that a restart needs, in place of the last save."""
        state = {
            "weights": self.named,
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        saves.write(self.scratch / STATE, state)
        self.saved_at = time.monotonic()

    def _take_step(self, clips: Sequence[Clip], weight: float) -> None:
        """One optimiser step: the loss is the mean over all letters of its clips."""
        progress, settings = self.progress, self.settings
        self.optimizer.zero_grad(set_to_none=False)
        # dropout follows from the step, and so is the same after a restart
        torch.manual_seed(int(np.random.default_rng([self.seed, progress.draws]).integers(2**31)))
        self.ctc.model.train()
        self.ctc.model.encoder.train(not self.frozen)
        letters = sum(len(self._ids(clip)) for clip in clips)
        total = 0.0
        for part in evenly(clips, settings.batch_size):
            loss = self._letter_sum(part) / letters
            loss.backward()
            total += loss.item()
        parameters = list(self.named.values())
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm).item()
        if not math.isfinite(norm):
            raise TrainingError(not_a_number("the gradient's norm", norm, clips))
        seen = sum(map(len, self.epochs))
        rate = learning_rate((progress.draws + len(clips) / 2) / seen, settings) * weight
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.step()
        progress.step += 1
        progress.draws += len(clips)
        progress.losses.append(total)
        progress.grad_norms.append(norm)

    def _end_epoch(self, count: int) -> None:
        progress = self.progress
        loss = float(np.mean(progress.losses[-count:]))
        norm = float(np.mean(progress.grad_norms[-count:]))
        note = f"epoch {progress.epoch + 1}: loss {loss:.3f} a letter, gradient norm {norm:.1f}"
        if self.validation:
            held_out = self._validation_loss()
            progress.validation.append(held_out)
            note += f", validation loss {held_out:.3f}"
        progress.notes.append(note)
        self.tell(note)
        progress.epoch += 1
        progress.step = 0

    @torch.no_grad()
    def _validation_loss(self) -> float:
        self.ctc.model.eval()
        letters = sum(len(self._ids(clip)) for clip in self.validation)
        parts = steps(self.validation, self.settings.batch_size, np.random.default_rng(0))
        return sum(self._letter_sum(part).item() for part in parts) / letters

    def _letter_sum(self, clips: Sequence[Clip]) -> torch.Tensor:
        """The CTC loss (Graves et al., ICML 2006) of clips of one window, summed."""
        model = self.ctc.model
        if self.frozen:
            inputs = torch.stack([self._heard(clip) for clip in clips]).to(self.device)
        else:
            inputs = self._log_mel(clips)
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            log_probs = model.spelled(inputs.float()) if self.frozen else model(inputs)
        ids = [torch.tensor(self._ids(clip)) for clip in clips]
        # the silence behind a clip is heard too, and has to be heard as such
        loss = torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1),
            torch.cat(ids),
            torch.full((len(clips),), log_probs.shape[1]),
            torch.tensor([len(row) for row in ids]),
            blank=BLANK,
            reduction="sum",
        )
        if not math.isfinite(loss.item()):
            raise TrainingError(not_a_number("the loss", loss.item(), clips))
        return loss

    def _log_mel(self, clips: Sequence[Clip]) -> torch.Tensor:
        """(B, n_mels, T) float32 of clips of one window."""
        samples = [augment_samples(self.hear(clip.path), clip.augmentation) for clip in clips]
        log_mel = log_mel_of(self.ctc.features, samples, clips[0].window_s)
        for row, clip, heard in zip(log_mel, clips, samples, strict=True):
            frames = math.ceil(len(heard) * FRAMES_PER_S / SAMPLE_RATE)
            row[:] = mask_log_mel(row, min(frames, row.shape[-1]), clip.augmentation)
        return torch.from_numpy(log_mel).to(self.device)

    @torch.no_grad()
    def _heard(self, clip: Clip) -> torch.Tensor:
        """(T, D) float16: what a frozen encoder hears in a clip, alone, as the same every time."""
        key = clip.utterance_id, clip.window_s
        if key not in self.kept:
            log_mel = self._log_mel([clip])
            with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
                found = self.ctc.model.heard(log_mel)[0].to(torch.float16).cpu()
            if self.kept_bytes + found.nbytes > KEPT_BYTES:
                return found
            self.kept[key] = found
            self.kept_bytes += found.nbytes
        return self.kept[key]

    def _ids(self, clip: Clip) -> list[int]:
        return self.targets[clip.text, clip.language]

    def _spoken(self, draws: Sequence[Clip]) -> list[Clip]:
        """The clips whose text their windows have frames for: a letter takes one, twins two."""
        kept = []
        for clip in draws:
            ids = self._ids(clip)
            needed = len(ids) + sum(a == b for a, b in pairwise(ids))
            if ids and needed <= frames_of(round(clip.window_s * SAMPLE_RATE), FRAME_S):
                kept.append(clip)
        return kept

    def _separate_head(self) -> None:
        """The head's parameters in groups of their own, for their own rate."""
        head = {id(row) for name, row in self.named.items() if not name.startswith("encoder.")}
        groups = []
        for group in self.optimizer.param_groups:
            for ours, factor in ((True, HEAD_RATE), (False, 1.0)):
                rows = [row for row in group["params"] if (id(row) in head) == ours]
                if rows:
                    groups.append({**group, "params": rows, "factor": factor})
        self.optimizer.param_groups = groups

    def _resumed(self) -> Progress:
        state = saves.read(self.scratch / STATE)
        if state is None:
            lost = ["the last save could not be read: training starts anew"]
            return Progress(notes=lost if (self.scratch / STATE).exists() else [])
        self._restore(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        return Progress(**state["progress"])

    @torch.no_grad()
    def _restore(self, weights: dict[str, torch.Tensor]) -> None:
        for name, row in self.named.items():
            row.copy_(weights[name])
