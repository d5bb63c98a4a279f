"""Fine-tuning on given draws with gradient accumulation that is exact. Knows no sources, no rounds.

The loss of an optimiser step is the sum over the target tokens of all its micro-batches, divided
by their number. transformers leaves that division out for Whisper (its forward takes **kwargs, so
Trainer believes that the loss is normalised already), hence `compute_loss_func` here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, Trainer, TrainingArguments

from al_loop.config import TrainSettings
from al_loop.errors import TrainingError
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.features import log_mel
from al_loop.whisper.languages import prompt_ids

IGNORED = -100
MAX_TARGETS = 448


@dataclass(frozen=True, slots=True)
class Clip:
    """One draw: an audio file with the text it should be heard as."""

    path: Path
    text: str
    language: str
    window_s: float


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What happened, one entry an optimiser step. `grad_norm` is the norm before clipping."""

    loss: Sequence[float]
    grad_norm: Sequence[float]
    learning_rate: Sequence[float]


def micro_batches(
    draws: Sequence[Clip], batch_size: int, rng: np.random.Generator
) -> list[list[Clip]]:
    """The draws in batches of one window each, in random order."""
    grouped: dict[float, list[Clip]] = {}
    for clip in draws:
        grouped.setdefault(clip.window_s, []).append(clip)
    batches = [
        clips[start:stop]
        for _, clips in sorted(grouped.items())
        for start, stop in pairwise([*range(0, len(clips), batch_size), len(clips)])
    ]
    return [batches[index] for index in rng.permutation(len(batches))]


def train(
    whisper: Whisper,
    batches: Sequence[Sequence[Clip]],
    settings: TrainSettings,
    seed: int,
    device: str,
    scratch: Path,
) -> TrainingRun:
    """Train `whisper` in place on the micro-batches, in their order.

    Raises TrainingError when there is nothing to train on, or the loss is not a number.
    """
    if not batches:
        raise TrainingError("there is no labelled example to train on; ingest some, or label some")
    model = whisper.model
    if settings.freeze_encoder:
        model.freeze_encoder()
    steps = math.ceil(len(batches) / settings.accumulation)
    arguments = TrainingArguments(
        output_dir=str(scratch),
        per_device_train_batch_size=1,  # one item of the data set is a whole micro-batch
        gradient_accumulation_steps=settings.accumulation,
        num_train_epochs=1,  # `batches` holds all epochs
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=round(steps * settings.warmup_share),
        lr_scheduler_type="cosine",
        max_grad_norm=settings.clip_norm,
        seed=seed,
        use_cpu=device == "cpu",
        bf16=takes_bfloat16(settings.precision, device),
        save_strategy="no",
        report_to=[],
        logging_steps=1,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        disable_tqdm=not sys.stderr.isatty(),
    )
    # the samples are whole micro-batches: with several devices Trainer would hand over two at once
    arguments._n_gpu = min(arguments.n_gpu, 1)
    trainer = _Trainer(
        model=model,
        args=arguments,
        train_dataset=list(batches),
        data_collator=_Collator(whisper),
        compute_loss_func=token_mean,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.eval()
    model.requires_grad_(True)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) for entry in log):
        raise TrainingError(
            "the loss stopped being a number; lower train.learning_rate, or look at the newest "
            "labels. The checkpoint in use is unchanged"
        )
    return TrainingRun(
        [float(entry["loss"]) for entry in log],
        [float(entry["grad_norm"]) for entry in log],
        [float(entry["learning_rate"]) for entry in log],
    )


def takes_bfloat16(precision: str, device: str) -> bool:
    """Whether to compute in bfloat16; `auto` asks the device. On CPUs without the instructions it
    would be emulated, far slower than float32."""
    if precision != "auto":
        return precision == "bfloat16"
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return device == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def token_mean(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Cross-entropy summed over this micro-batch, over the tokens of the whole accumulated batch.

    labels: (B, L) int64, IGNORED where there is no target.
    """
    total = torch.nn.functional.cross_entropy(
        outputs.logits.flatten(0, 1).float(),
        labels.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
    count = num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum()
    return total / count


class _Trainer(Trainer):
    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        """The draws are in their seeded order already."""
        return SequentialSampler(train_dataset or self.train_dataset)


class _Collator:
    """A micro-batch of clips as tensors.

    input_features: (B, n_mels, T) float32; decoder_input_ids: (B, L) int64, the prompt and the
    text; labels: (B, L) int64, the text and the end, one position ahead, nothing for the prompt.
    """

    def __init__(self, whisper: Whisper) -> None:
        self.whisper = whisper

    def __call__(self, items: Sequence[Sequence[Clip]]) -> dict[str, torch.Tensor]:
        (clips,) = items
        model, tokenizer = self.whisper.model, self.whisper.tokenizer
        end = tokenizer.eos_token_id
        inputs, labels = [], []
        for clip in clips:
            prompt = prompt_ids(model, clip.language)
            text = tokenizer(" " + clip.text.strip(), add_special_tokens=False).input_ids
            text = text[: MAX_TARGETS - len(prompt)]
            inputs.append(torch.tensor(prompt + text))
            labels.append(torch.tensor([IGNORED] * (len(prompt) - 1) + text + [end]))
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_features": log_mel(
                self.whisper.features, [clip.path for clip in clips], clips[0].window_s
            ),
            "decoder_input_ids": pad(inputs, batch_first=True, padding_value=end),
            "labels": pad(labels, batch_first=True, padding_value=IGNORED),
        }
