"""What decodes: torch, or CTranslate2. Pure; docs/benchmarks.md has what each of them reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from al_loop.config import ModelSettings
from al_loop.errors import ConfigError

MOST_LANES = 4
"""Ours: more blocks at once would be small ones, for they share the memory."""
TORCH_LANES = 2
"""One block is decoded while the next is read; torch spreads one block over all cores itself."""
COMPUTE = {
    "cpu": {"auto": "int8", "int8": "int8", "float32": "float32"},
    "cuda": {
        "auto": "float16",
        "int8": "int8_float16",
        "float16": "float16",
        "bfloat16": "bfloat16",
        "float32": "float32",
    },
}
"""CTranslate2's compute type by device and `model.precision`."""


@dataclass(frozen=True, slots=True)
class Backend:
    """lanes: blocks in hand at once. threads: of each lane. compute: CTranslate2's type, or ""."""

    name: Literal["torch", "ctranslate2"]
    lanes: int
    threads: int
    compute: str = ""

    @property
    def is_ctranslate2(self) -> bool:
        return self.name == "ctranslate2"

    @property
    def decodes_at_once(self) -> int:
        """Blocks that are being decoded at one time; the others are only read."""
        return self.lanes if self.is_ctranslate2 else 1


def choose_backend(settings: ModelSettings, device: str, threads: int) -> Backend:
    """The backend on that device (a torch device type), with so many threads of it.

    `auto` is CTranslate2 on a CPU, and torch where it knows no such device or precision, or where
    nobody has measured the two. Raises ConfigError for settings that contradict one another.
    """
    compute = COMPUTE.get(device, {}).get(settings.precision)
    measured = settings.backend == "ctranslate2" or device == "cpu"
    if settings.backend != "torch" and compute is not None and measured:
        lanes = max(range(1, MOST_LANES + 1), key=lambda count: (threads // count * count, count))
        return Backend("ctranslate2", lanes, threads // lanes, compute)
    if settings.backend == "ctranslate2":
        able = COMPUTE.get(device)
        expected = f"model.precision to be one of {', '.join(able)}" if able else "a CPU or CUDA"
        raise ConfigError(
            f"model.backend is 'ctranslate2' on {device} with model.precision "
            f"{settings.precision!r}; it expects {expected}"
        )
    if settings.precision == "int8":
        raise ConfigError(
            "model.precision is 'int8', which torch does not decode in; set model.backend to "
            "'ctranslate2', or another precision"
        )
    return Backend("torch", TORCH_LANES, threads)
