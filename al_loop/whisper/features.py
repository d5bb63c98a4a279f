"""Log-mel features in windows shorter than Whisper's 30 s, and an encoder that takes them.

A clip's window is its own length and a little silence, rounded up to a multiple of a bucket:
never 30 s, and never a neighbour's length. The encoder has no padding mask, so a longer window
would change the clip's numbers (and its gradient by a third); this way they do not depend on the
batch. Without the silence an untrained model does not hear where the clip ends, and loops
(docs/lab-notes.md has the numbers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from al_loop.audio import SAMPLE_RATE, decode
from al_loop.errors import AudioError

MAX_WINDOW_S = 30.0
FRAMES_PER_S = 100
POSITIONS_PER_S = 50


def window_s(duration_s: float, padding_s: float, bucket_s: float) -> float:
    """The window of a clip: its duration and padding in whole buckets, 30 s at most."""
    buckets = math.ceil(round((duration_s + padding_s) / bucket_s, 6))
    return min(buckets * bucket_s, MAX_WINDOW_S)


def log_mel(
    extractor: WhisperFeatureExtractor, paths: Sequence[Path], window: float
) -> torch.Tensor:
    """(B, n_mels, T) float32 for audio files of at most `window` seconds; T = 100 * window.

    Raises AudioError with the file's name when one is gone or damaged.
    """
    return torch.from_numpy(log_mel_of(extractor, [read(path) for path in paths], window))


def log_mel_of(
    extractor: WhisperFeatureExtractor, clips: Sequence[np.ndarray], window: float
) -> np.ndarray:
    """(B, n_mels, T) float32 for clips (N,) float32 at 16 kHz; T = 100 * window."""
    frames = round(window * POSITIONS_PER_S) * 2
    features = extractor(
        clips,
        sampling_rate=SAMPLE_RATE,
        padding="max_length",
        max_length=frames * (SAMPLE_RATE // FRAMES_PER_S),
        truncation=True,
        return_tensors="np",
    )
    return np.asarray(features["input_features"], dtype=np.float32)


def read(path: Path) -> np.ndarray:
    """The samples (N,) float32 of an audio file in the workspace.

    Raises AudioError with the file's name when it is gone or damaged.
    """
    try:
        samples = decode(path)
        if not len(samples):
            raise AudioError("no_samples", "the file decodes to nothing")
        return samples
    except AudioError as exc:
        detail = f"{path}: {exc.detail}; restore it from a backup, or ingest it anew"
        raise AudioError(exc.reason, detail) from exc


def accept_short_windows(model: WhisperForConditionalGeneration) -> None:
    """Let the encoder take (B, n_mels, T) for any even T up to 3000, for as long as it lives.

    Around each forward pass the encoder is told the length of what it gets: transformers checks
    the input against `max_source_positions` and adds the first `num_embeddings` positions.
    """
    encoder = model.get_encoder()
    full = encoder.config.max_source_positions

    def shorten(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        log_mel = args[0] if args else kwargs["input_features"]
        _set_positions(module, min(log_mel.shape[-1] // 2, full))

    def restore(module: Any, args: Any, output: Any) -> None:
        _set_positions(module, full)

    encoder.register_forward_pre_hook(shorten, with_kwargs=True)
    encoder.register_forward_hook(restore, always_call=True)


def _set_positions(encoder: Any, positions: int) -> None:
    encoder.config.max_source_positions = positions
    encoder.embed_positions.num_embeddings = positions
