"""Shorter weights for decoding, where they save time and do not make a clip depend on its batch.

The encoder and the output projection are most of the work. The decoder's layers stay float32: they
are small, and in bfloat16 one clip in ten is read differently in another batch (docs/lab-notes.md
has the numbers). Knows nothing of training and exports, which have their own.
"""

from __future__ import annotations

import torch
from transformers import WhisperForConditionalGeneration


class _ShortProjection(torch.nn.Module):
    """The output projection in a short dtype; the embedding that it is tied to stays as it is."""

    def __init__(self, weight: torch.Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight.detach().to(dtype), requires_grad=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(hidden.to(self.weight.dtype), self.weight)


def shorten(model: WhisperForConditionalGeneration, dtype: torch.dtype) -> None:
    """Make the encoder and the output projection `dtype`; for decoding only.

    float32 changes nothing. `encoder_dtype` and `decoder_dtype` say what each side takes.
    """
    if dtype != torch.float32:
        model.get_encoder().to(dtype)
        model.proj_out = _ShortProjection(model.get_input_embeddings().weight, dtype)


def encoder_dtype(model: WhisperForConditionalGeneration) -> torch.dtype:
    dtype: torch.dtype = model.get_encoder().conv1.weight.dtype
    return dtype


def decoder_dtype(model: WhisperForConditionalGeneration) -> torch.dtype:
    dtype: torch.dtype = model.get_input_embeddings().weight.dtype
    return dtype
