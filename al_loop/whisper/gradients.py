"""The gradient of an optimiser step, exact however the step is split. Knows no optimiser.

The loss of a step is the sum over all its target tokens, divided by their number. Every
micro-batch and every process contributes its sum over the whole step's number, so the split
changes the gradient by rounding alone. (transformers' Trainer takes Whisper's loss for normalised
and leaves the division by the micro-batches out; a mean of means would still be off where texts
differ in length.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from al_loop.errors import TrainingError
from al_loop.whisper.batches import IGNORED, Clip, Hear, by_window, collate, evenly, target_ids
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.features import read
from al_loop.whisper.noise import GradientNoise, gradient_noise

MEASURED_PARTS = 4
"""At least so many parts, or the noise would be a guess."""
FIRST_SCALE = 2.0**12
"""Of float16's loss; the scaler finds its own from there."""
NEED_LESS = (
    "set train.method = 'lora' or train.gradient_checkpointing = true, or take a smaller model"
)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train together, and which of them this one is."""

    rank: int = 0
    size: int = 1

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Make each tensor, in place, its sum over all processes."""
        if self.size > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)


ALONE = Processes()


class Gradients:
    """Computes gradients of `model`, which is `whisper.model` or wraps it.

    batch_size: clips per forward pass; halved when memory runs out.
    autocast: the dtype of the forward pass, None for float32.
    scaler: what float16's gradients are scaled by.
    hear: reads a clip's file.
    """

    def __init__(
        self,
        whisper: Whisper,
        model: torch.nn.Module,
        batch_size: int,
        autocast: torch.dtype | None,
        processes: Processes,
        hear: Hear = read,
    ) -> None:
        self.whisper = whisper
        self.model = model
        self.batch_size = batch_size
        self.autocast = autocast
        self.processes = processes
        self.hear = hear
        self.parameters = [row for row in model.parameters() if row.requires_grad]
        self.device = self.parameters[0].device
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=autocast is torch.float16, init_scale=FIRST_SCALE
        )

    def fill(self, clips: Sequence[Clip]) -> float:
        """Set every parameter's `grad` to that of the clips' mean over tokens; returns the loss.

        clips: all of the step's, of one window; each process takes its part of them. Raises
        TrainingError where the loss is not a number, or one clip alone does not fit into memory.
        """
        own = clips[self.processes.rank :: self.processes.size]
        tokens = self._tokens(clips)

        def work() -> torch.Tensor:
            self._zero()
            total = torch.zeros((), device=self.device)
            for part in evenly(own, self.batch_size):
                loss = self._token_sum(part, self.autocast) / tokens
                self.scaler.scale(loss).backward()
                total += loss.detach()
            return total

        total = self._fitting(work)
        self.processes.add_up([*self._grads(), total])
        return total.item()

    def measure(self, clips: Sequence[Clip]) -> GradientNoise:
        """The clips' gradient and its noise. `fill` must come between this and an optimiser step.

        Leaves the batch size as it is: a measurement needs more memory than a step.
        """
        autocast = None if self.autocast is torch.float16 else self.autocast
        tokens = self._tokens(clips)
        batch_size = self.batch_size

        def work() -> tuple[list[int], torch.Tensor]:
            self._zero()
            size = max(min(self.batch_size, len(clips) // MEASURED_PARTS), 1)
            parts = [part for rows in by_window(clips) for part in evenly(rows, size)]
            squares = torch.zeros(len(parts), device=self.device)
            for index in range(self.processes.rank, len(parts), self.processes.size):
                own = self._tokens(parts[index])
                loss = self._token_sum(parts[index], autocast) / own
                grads = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
                squares[index] = torch.nn.utils.get_total_norm(grads).square()
                for row, grad in zip(self._grads(), grads, strict=True):
                    row.add_(grad, alpha=own / tokens)
            return [len(part) for part in parts], squares

        sizes, squares = self._fitting(work)
        self.batch_size = batch_size
        self.processes.add_up([squares, *self._grads()])
        full = torch.nn.utils.get_total_norm(self._grads()).square()
        return gradient_noise(sizes, squares.tolist(), full.item())

    @torch.no_grad()
    def loss(self, clips: Sequence[Clip]) -> float:
        """The clips' mean loss over tokens."""
        own = clips[self.processes.rank :: self.processes.size]

        def work() -> torch.Tensor:
            total = torch.zeros((), device=self.device)
            for rows in by_window(own):
                for part in evenly(rows, self.batch_size):
                    total += self._token_sum(part, self.autocast)
            return total

        total = self._fitting(work)
        self.processes.add_up([total])
        return total.item() / self._tokens(clips)

    def _zero(self) -> None:
        """Every gradient 0, and there: a process without clips adds nothing to the others'."""
        for row in self.parameters:
            row.grad = torch.zeros_like(row) if row.grad is None else row.grad.zero_()

    def _grads(self) -> list[torch.Tensor]:
        return [row.grad for row in self.parameters if row.grad is not None]

    def _tokens(self, clips: Sequence[Clip]) -> int:
        return sum(len(target_ids(self.whisper, clip)) for clip in clips)

    def _token_sum(self, clips: Sequence[Clip], autocast: torch.dtype | None) -> torch.Tensor:
        inputs = {
            name: tensor.to(self.device)
            for name, tensor in collate(self.whisper, clips, self.hear).items()
        }
        labels = inputs.pop("labels")
        with torch.autocast(self.device.type, autocast, enabled=autocast is not None):
            logits = self.model(**inputs, use_cache=False).logits  # (B, L, V)
        total = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(),
            labels.flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )
        if not math.isfinite(total.item()):
            raise TrainingError(not_a_number("the loss", total.item(), clips))
        return total

    def _fitting(self, work: Callable[[], Result]) -> Result:
        """`work`, again with half the batch size where it ran out of memory in any process."""
        while True:
            result = _unless_memory_runs_out(work)
            failures = torch.tensor(float(result is None), device=self.device)
            self.processes.add_up([failures])
            if result is not None and not failures:
                return result
            if self.batch_size == 1:
                raise TrainingError(f"out of memory with a single utterance: {NEED_LESS}")
            del result
            self.batch_size //= 2
            clear_device_cache(garbage_collection=True)


def not_a_number(what: str, value: float, clips: Sequence[Clip]) -> str:
    """The message about a step that must not be taken."""
    return (
        f"{what} is {value} in a batch of {len(clips)} utterances: "
        f"{', '.join(clip.utterance_id for clip in clips)}; look at their audio and their labels, "
        "or lower train.learning_rate. The checkpoint in use is unchanged"
    )


def _unless_memory_runs_out(work: Callable[[], Result]) -> Result | None:
    """What `work` returns; None where it ran out of memory, and then nothing of it is held."""
    try:
        return work()
    except RuntimeError as exc:
        if not should_reduce_batch_size(exc):
            raise
        return None
