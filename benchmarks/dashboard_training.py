"""What the trainings of the dashboard's workspace left in their sidecars. Pure; nothing is trained.

Settings change twice, as they do when somebody tries to make a training better.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from al_loop.config import Settings, TrainSettings
from benchmarks.dashboard_clips import Size

EPOCHS = 3


def settings_of(settings: Settings, number: int, size: Size) -> Settings:
    """The settings that a round ran under."""
    changed: dict[str, Any] = {}
    if number >= size.rounds // 3:
        changed |= {"accumulation": "auto", "learning_rate": 3e-5}
    if number >= 2 * size.rounds // 3:
        changed |= {"speeds": [0.9, 1.0, 1.1], "noise_share": 0.2}
    mixture = {"in_house_weight": 4.0} if number >= size.rounds // 2 else {}
    return settings.model_copy(
        update={
            "train": settings.train.model_copy(update=changed),
            "mixture": settings.mixture.model_copy(update=mixture),
        }
    )


def sidecar(
    settings: TrainSettings, draws: int, number: int, rng: np.random.Generator
) -> dict[str, Any]:
    """As `al_loop.whisper.jobs` writes it, of a training with so many draws an epoch."""
    log: dict[str, list[float]] = {"loss": [], "grad_norm": [], "learning_rate": []}
    epochs, notes = [], []
    accumulations = [
        4 + 2 * epoch if settings.accumulation == "auto" else int(settings.accumulation)
        for epoch in range(EPOCHS)
    ]
    steps = [-(-draws // (settings.batch_size * many)) for many in accumulations]
    total, done = sum(steps), 0
    for epoch, (many, count) in enumerate(zip(accumulations, steps, strict=True)):
        seen = (done + np.arange(count) + 0.5) / total
        loss = 0.25 + 1.6 * np.exp(-6 * seen) + 0.06 * rng.standard_normal(count) - 0.003 * number
        norm = (1.2 + 6 * np.exp(-3 * seen)) * rng.lognormal(0, 0.25, count) * (4 / many) ** 0.5
        warm = np.minimum(seen / settings.warmup_share, 1)
        rate = settings.learning_rate * warm * (0.5 + 0.5 * np.cos(np.pi * seen))
        for name, values in (("loss", loss), ("grad_norm", norm), ("learning_rate", rate)):
            log[name] += [float(f"{value:.4g}") for value in values]
        epochs.append(
            {
                "epoch": epoch + 1,
                "draws": draws,
                "accumulation": many,
                "measured_clips": 64 if settings.accumulation == "auto" else 16,
                "full_grad_norm": round(4.5 * 0.6**epoch, 3),
                "measured_norm": round(6.0 * 0.6**epoch, 3),
                "variance": round(90.0 * 0.6**epoch, 3),
                "steps": count,
                "loss": round(float(loss.mean()), 4),
                "mean_grad_norm": round(float(norm.mean()), 3),
                "validation_loss": round(0.9 * 0.75**epoch - 0.01 * number + 0.2, 4),
            }
        )
        notes.append(
            f"epoch {epoch + 1}: loss {loss.mean():.3f}, mean gradient norm {norm.mean():.1f} "
            f"(bound {settings.grad_norm_bound:g}), full gradient "
            f"{epochs[-1]['full_grad_norm']:.1f} before it (from {epochs[-1]['measured_clips']} "
            f"clips); {count} steps of {draws / count:.1f} clips, accumulation {many}"
        )
        notes.append(f"epoch {epoch + 1}: validation loss {epochs[-1]['validation_loss']:.3f}")
        done += count
    return {
        "settings": settings.model_dump(),
        "seed": number,
        "draws": EPOCHS * draws,
        "steps": total,
        "grad_norm_bound": settings.grad_norm_bound,
        "epochs": epochs,
        "log": log,
        "notes": notes,
        "batch_size": settings.batch_size,
        "device": "cpu",
        "autocast": "torch.bfloat16",
        "peak_memory_bytes": {"process": 3_200_000_000 + 1_000_000 * number, "gpu": None},
    }
