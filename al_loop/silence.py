"""Clips in which nobody speaks, generated: what a recogniser hears in them is hallucinated.

Pure NumPy, float32 samples at 16 kHz out. The standard set of a workspace without a silence set of
its own; a room's own noise says more about that room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

SAMPLE_RATE = 16_000
DURATIONS_S = (1.5, 2.5, 4.0, 6.0)
LEVELS_DBFS = (-60.0, -45.0, -30.0, -20.0)
"""Root mean square, from a quiet room's microphone to a running engine. Ours, as is the rest."""
SEED = 0
HUM_HZ = 50.0
CLICKS_PER_S = 2.0
CLICK_S = 0.005


def standard_set() -> Iterator[tuple[str, np.ndarray]]:
    """Name and samples (T,) float32 of each clip; the same ones on every call.

    Digital silence in four lengths, and five noises in four lengths and levels.
    """
    for duration_s in DURATIONS_S:
        yield f"zeros {duration_s:g} s", np.zeros(round(duration_s * SAMPLE_RATE), np.float32)
    for kind, (name, make) in enumerate(NOISES.items()):
        # the loudest clip is another one's longest, so that length and level are no twins
        for turn, level_dbfs in enumerate(LEVELS_DBFS):
            duration_s = DURATIONS_S[(turn + kind) % len(DURATIONS_S)]
            rng = np.random.default_rng([SEED, kind, turn])
            samples = make(round(duration_s * SAMPLE_RATE), rng)
            # a click reaches full scale at the louder levels, and is cut there
            gain = 10 ** (level_dbfs / 20) / np.sqrt(np.mean(samples**2))
            clip = np.clip(gain * samples, -1, 1).astype(np.float32)
            yield f"{name} {duration_s:g} s {level_dbfs:g} dBFS", clip


def _coloured(exponent: float) -> Callable[[int, np.random.Generator], np.ndarray]:
    """Gaussian noise (T,) whose power falls with frequency to the `exponent`: 0 white, 2 brown."""

    def make(size: int, rng: np.random.Generator) -> np.ndarray:
        spectrum = np.fft.rfft(rng.standard_normal(size))
        frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 20.0)  # none below hearing
        return np.fft.irfft(spectrum / frequency ** (exponent / 2), size)

    return make


def _hum(size: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum: 50 Hz and nine harmonics (T,), each weaker than the one below, over faint hiss."""
    times = np.arange(size) / SAMPLE_RATE
    hum = sum(
        np.sin(2 * np.pi * (HUM_HZ * order * times + rng.random())) / order
        for order in range(1, 11)
    )
    return hum + 0.01 * rng.standard_normal(size)


def _clicks(size: int, rng: np.random.Generator) -> np.ndarray:
    """Short bursts (T,) at random times, as of keys or of a bad contact, over faint hiss."""
    samples = 0.001 * rng.standard_normal(size)
    length = round(CLICK_S * SAMPLE_RATE)
    decay = np.exp(-np.linspace(0, 5, length))
    for start in rng.integers(0, size - length, round(CLICKS_PER_S * size / SAMPLE_RATE)):
        samples[start : start + length] += decay * rng.standard_normal(length)
    return samples


NOISES = {
    "white noise": _coloured(0),
    "pink noise": _coloured(1),
    "brown noise": _coloured(2),
    "mains hum": _hum,
    "clicks": _clicks,
}
