"""What a spoken line sounds like where it is recorded: a room, noise, a level. NumPy and SciPy.

Knows neither texts nor voices. Samples are float32 at 16 kHz; what happens to them follows from the
arguments alone.
"""

from __future__ import annotations

import numpy as np

from al_loop.audio import SAMPLE_RATE
from al_loop.silence import NOISES

PAUSE_S = (0.1, 0.3)
"""Before and after the speech. Ours, as is the rest."""
PEAK_DBFS = (-18.0, -3.0)
DIRECT_TO_REVERBERANT_DB = (0.0, 12.0)
FIRST_ECHO_S = 0.003
"""A wall that is half a metre away."""
COLOURS = ("white noise", "pink noise", "brown noise")


def recorded(
    speech: np.ndarray, snr_db: float | None, rt60_s: float | None, rng: np.random.Generator
) -> np.ndarray:
    """Speech (T,) as a microphone in a room has it: (T',) float32, with a pause on either side.

    snr_db: of the mean powers while somebody speaks; None: no noise. rt60_s: how long a sound takes
    to fall by 60 dB; None: no room.
    """
    before, after = (rng.uniform(*PAUSE_S, size=2) * SAMPLE_RATE).astype(int)
    heard = speech.astype(float)
    if rt60_s is not None:
        from scipy.signal import oaconvolve  # slow to load

        heard = oaconvolve(heard, room(rt60_s, rng.uniform(*DIRECT_TO_REVERBERANT_DB), rng))
    power = np.mean(np.square(heard[: len(speech)]))
    heard = np.pad(heard, (before, after))
    if snr_db is not None:
        noise = NOISES[COLOURS[rng.integers(len(COLOURS))]](len(heard), rng)
        heard += noise * np.sqrt(power / np.mean(np.square(noise)) / 10 ** (snr_db / 10))
    peak = 10 ** (rng.uniform(*PEAK_DBFS) / 20)
    return (heard * (peak / max(np.abs(heard).max(), 1e-9))).astype(np.float32)


def room(rt60_s: float, direct_db: float, rng: np.random.Generator) -> np.ndarray:
    """An impulse response (T,) float64: the direct sound, then noise that decays exponentially.

    The model of Moorer, "About this reverberation business", Computer Music Journal 3 (1979) 13.
    direct_db: the power of the direct sound over that of all the rest.
    """
    times = np.arange(round(rt60_s * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / rt60_s)
    tail *= np.sqrt(10 ** (-direct_db / 10) / np.sum(np.square(tail)))
    gap = np.zeros(round(FIRST_ECHO_S * SAMPLE_RATE) - 1)
    return np.concatenate([[1.0], gap, tail])
