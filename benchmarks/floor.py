"""The least time that scoring could take on this machine: arithmetic over the measured matrix rate,
traffic over the measured bandwidth, whichever is longer.

    python -m benchmarks.floor

Prints a table for whisper-base on the corpus's Kyrgyz test clips; `make bench` puts it beside what
was measured. int8 is counted as if all products were in it. Knows no side of a benchmark.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from al_loop.config import ModelSettings
from al_loop.errors import ManifestError
from al_loop.records import Utterance
from al_loop.whisper.checkpoints import load
from al_loop.whisper.features import FRAMES_PER_S, MAX_WINDOW_S, window_s
from benchmarks.arithmetic import Dimensions, Work, decoder_work, dimensions, encoder_work
from benchmarks.corpus import read_clips

DTYPES = (torch.float32, torch.bfloat16, torch.int8)
CPU_SIZE, GPU_SIZE = 2048, 8192
TRIAD_BYTES = 2**28
"""Of each of three arrays: far more than any cache."""
REPEATS = 5
COLUMNS = ["windows", "numbers", "Gop per audio s", "MB per audio s", "audio s per s at most"]


@dataclass(frozen=True, slots=True)
class Machine:
    """rates: operations a second of a matrix product, by dtype. bandwidth: bytes a second."""

    rates: dict[torch.dtype, float]
    bandwidth: float

    def __str__(self) -> str:
        rates = ", ".join(
            f"{name_of(dtype)} {rate / 1e9:.0f} Gop/s" for dtype, rate in self.rates.items()
        )
        return f"{rates}, memory {self.bandwidth / 1e9:.0f} GB/s"


@dataclass(frozen=True, slots=True)
class Block:
    """Clips of one window that are decoded together; emitted: each one's tokens with the end."""

    frames: int
    emitted: Sequence[int]


@dataclass(frozen=True, slots=True)
class Floor:
    """What scoring needs at least in one kind of windows and numbers, per second of audio."""

    windows: str
    dtype: torch.dtype
    flops: float
    bytes: float
    seconds: float

    @property
    def cells(self) -> list[str]:
        return [
            self.windows,
            name_of(self.dtype),
            f"{self.flops / 1e9:.2f}",
            f"{self.bytes / 1e6:.1f}",
            f"{1 / self.seconds:.1f}",
        ]


def main() -> int:
    try:
        clips = read_clips("ky", {"test"})
    except ManifestError as exc:
        print(exc)
        return 2
    whisper = load(ModelSettings().checkpoint)
    tokens = [len(whisper.tokenizer(f" {row.text}", add_special_tokens=False)[0]) for row in clips]
    machine = measure("cpu")
    print(machine)
    emitted = [count + 1 for count in tokens]
    found = floors(dimensions(whisper.model.config), clips, emitted, ModelSettings(), machine)
    for cells in [COLUMNS, *(row.cells for row in found)]:
        print(" | ".join(cells))
    return 0


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def measure(device: str) -> Machine:
    """Time matrix products and a triad on `device`; a second or two on a small CPU."""
    rates = {dtype: matrix_rate(dtype, device) for dtype in DTYPES}
    return Machine(rates, bandwidth(device))


def matrix_rate(dtype: torch.dtype, device: str) -> float:
    """Operations a second of a large product of two square matrices, at its best."""
    size = GPU_SIZE if device.startswith("cuda") else CPU_SIZE
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    multiply = torch._int_mm if dtype == torch.int8 else torch.matmul  # the one that int8 has
    return 2 * size**3 / _least_seconds(lambda: multiply(left, right), device)


def bandwidth(device: str) -> float:
    """Bytes a second of a = b + 2 c over large arrays, as STREAM's triad counts them."""
    a, b, c = (torch.ones(TRIAD_BYTES // 4, device=device) for _ in range(3))
    seconds = _least_seconds(lambda: torch.add(b, c, alpha=2, out=a), device)
    return 3 * TRIAD_BYTES / seconds


def floors(
    model: Dimensions,
    clips: Sequence[Utterance],
    emitted: Sequence[int],
    settings: ModelSettings,
    machine: Machine,
) -> list[Floor]:
    """Every kind of windows and numbers; emitted: each clip's tokens with the end."""
    own = [window_s(row.duration_s, settings.padding_s, settings.bucket_s) for row in clips]
    audio_s = sum(row.duration_s for row in clips)
    kinds = {"own": blocks(own, emitted), "30 s": blocks([MAX_WINDOW_S] * len(clips), emitted)}
    return [
        floor(name, dtype, [parts(model, row) for row in rows], machine, audio_s)
        for name, rows in kinds.items()
        for dtype in machine.rates
    ]


def blocks(windows: Sequence[float], emitted: Sequence[int]) -> list[Block]:
    """All clips of one window together, so that no weight is read more often than need be."""
    grouped: dict[float, list[int]] = {}
    for window, count in zip(windows, emitted, strict=True):
        grouped.setdefault(window, []).append(count)
    return [
        Block(round(window * FRAMES_PER_S), counts) for window, counts in sorted(grouped.items())
    ]


def parts(model: Dimensions, block: Block) -> tuple[Work, Work]:
    """The encoder's and the decoder's work: neither can hide behind the other."""
    encoder = encoder_work(model, block.frames, len(block.emitted))
    return encoder, decoder_work(model, block.frames, block.emitted)


def floor(
    name: str,
    dtype: torch.dtype,
    works: Sequence[tuple[Work, Work]],
    machine: Machine,
    audio_s: float,
) -> Floor:
    """The sum over parts of what takes longer there, arithmetic or traffic."""
    width = dtype.itemsize
    each = [work for pair in works for work in pair]
    seconds = sum(
        max(work.flops / machine.rates[dtype], work.numbers * width / machine.bandwidth)
        for work in each
    )
    whole = sum(each, Work(0, 0))
    return Floor(
        name, dtype, whole.flops / audio_s, whole.numbers * width / audio_s, seconds / audio_s
    )


def _least_seconds(run: Callable[[], object], device: str) -> float:
    run()
    found = []
    for _ in range(REPEATS):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        found.append(time.perf_counter() - start)
    return min(found)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
