"""The draws of an epoch as optimiser steps, and clips as tensors. Knows no sources and no weights.

All clips of a step share one window, which follows from each clip alone, so neither a step's nor a
process's other clips change a clip's gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from al_loop.whisper.augment import Augmentation, augment_samples, mask_log_mel
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.features import FRAMES_PER_S, SAMPLE_RATE, log_mel_of, read
from al_loop.whisper.languages import prompt_ids

IGNORED = -100
MAX_TARGETS = 448

AS_RECORDED = Augmentation()

Hear = Callable[[Path], np.ndarray]
"""The samples (N,) float32 of a clip's file, wherever it is. Raises AudioError."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One draw of an utterance: its audio, the text it should be heard as, its window."""

    utterance_id: str
    path: Path
    text: str
    language: str
    window_s: float
    augmentation: Augmentation = AS_RECORDED


def steps(draws: Sequence[Clip], size: int, rng: np.random.Generator) -> list[list[Clip]]:
    """The draws in steps of one window and at most `size` clips each, in random order."""
    parts = [part for clips in by_window(draws) for part in evenly(clips, size)]
    return [parts[index] for index in rng.permutation(len(parts))]


def by_window(clips: Sequence[Clip]) -> list[list[Clip]]:
    """The clips of each window, the shortest first, in the order given."""
    windows: dict[float, list[Clip]] = {}
    for clip in clips:
        windows.setdefault(clip.window_s, []).append(clip)
    return [rows for _, rows in sorted(windows.items())]


def evenly(clips: Sequence[Clip], size: int) -> Iterator[list[Clip]]:
    """The clips in parts of at most `size` whose sizes differ by one at most.

    A small remainder would make a step of its own, in which each clip counts for several.
    """
    count = max(math.ceil(len(clips) / size), 1)
    for part in np.array_split(np.arange(len(clips)), count):
        if part.size:
            yield [clips[index] for index in part]


def target_ids(whisper: Whisper, clip: Clip) -> list[int]:
    """What the decoder should emit behind the prompt: the text and its end.

    A text too long for the decoder loses its end, or the model would learn to stop in its middle.
    """
    room = MAX_TARGETS - len(prompt_ids(whisper.model, clip.language)) + 1
    text = whisper.tokenizer(" " + clip.text.strip(), add_special_tokens=False).input_ids
    return [*text, whisper.tokenizer.eos_token_id][:room]


def collate(whisper: Whisper, clips: Sequence[Clip], hear: Hear = read) -> dict[str, torch.Tensor]:
    """Clips of one window as the model's inputs, and the labels.

    input_features: (B, n_mels, T) float32; decoder_input_ids: (B, L) int64, the prompt and the
    text; labels: (B, L) int64, one position ahead, IGNORED where the prompt is given.
    """
    inputs, labels = [], []
    for clip in clips:
        prompt, targets = prompt_ids(whisper.model, clip.language), target_ids(whisper, clip)
        inputs.append(torch.tensor(prompt + targets[:-1]))
        labels.append(torch.tensor([IGNORED] * (len(prompt) - 1) + targets))
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_features": _features(whisper, clips, hear),
        "decoder_input_ids": pad(
            inputs, batch_first=True, padding_value=whisper.tokenizer.eos_token_id
        ),
        "labels": pad(labels, batch_first=True, padding_value=IGNORED),
    }


def _features(whisper: Whisper, clips: Sequence[Clip], hear: Hear) -> torch.Tensor:
    samples = [augment_samples(hear(clip.path), clip.augmentation) for clip in clips]
    log_mel = log_mel_of(whisper.features, samples, clips[0].window_s)
    for row, clip, heard in zip(log_mel, clips, samples, strict=True):
        frames = math.ceil(len(heard) * FRAMES_PER_S / SAMPLE_RATE)
        row[:] = mask_log_mel(row, min(frames, row.shape[-1]), clip.augmentation)
    return torch.from_numpy(log_mel)
