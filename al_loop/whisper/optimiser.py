"""What an optimiser step is made with: AdamW, its learning rate, the dtype of the forward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from al_loop.config import TrainSettings


def adamw(parameters: Sequence[torch.Tensor], settings: TrainSettings) -> torch.optim.AdamW:
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
    kind = torch.device(device).type
    if kind == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if able else torch.float16
    able = torch.cpu.get_capabilities()
    fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return torch.bfloat16 if kind == "cpu" and fast else None
