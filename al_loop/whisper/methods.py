"""What learns: all weights, the decoder's alone, or low-rank adapters (LoRA, arXiv 2106.09685)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import WhisperForConditionalGeneration
from transformers.modeling_layers import GradientCheckpointingLayer

from al_loop.config import TrainSettings

ADAPTED = r".*\.(q_proj|k_proj|v_proj|out_proj|fc1|fc2)"
"""Every linear layer of encoder and decoder: adapting the attention alone learns less
(arXiv 2305.14314, section 4)."""
ADAPTER_SCALE = 2
"""Ours, as common: LoRA's alpha over its rank."""


def prepare(
    model: WhisperForConditionalGeneration, settings: TrainSettings, seed: int
) -> torch.nn.Module:
    """The module to train; only what learns requires gradients. `merge` takes it back."""
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        for layer in model.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                # it asks its own mode; the rest stays as it is in use, without any dropout
                layer.training = True
                layer.dropout = layer.activation_dropout = 0.0
    if settings.method == "frozen_encoder":
        model.get_encoder().requires_grad_(False)
    if settings.method != "lora":
        return model
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # the adapters start at random
    adapters = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=ADAPTER_SCALE * settings.lora_rank,
        target_modules=ADAPTED,
    )
    return get_peft_model(model, adapters)


def merge(model: WhisperForConditionalGeneration, trained: Any, folder: Path) -> None:
    """Make `model` as it is used: adapters are saved under `folder`/adapter and merged."""
    if trained is not model:
        trained.save_pretrained(folder / "adapter")
        trained.merge_and_unload()
    model.activation_checkpointing_disable()
    model.requires_grad_(True)
    model.eval()
