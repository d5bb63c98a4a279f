"""Where a recording is quiet, so that it can be cut there. Pure NumPy; knows no words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEPS_PER_S = 100
"""Of the loudness."""
AROUND_S = 30.0
"""Loudness is judged by what lies this far on either side: levels change in a long recording."""
QUIET_SHARE = 0.3
"""Ours: quiet is what lies in the lowest three tenths, in dB, between a place's noise (the 5th
percentile) and its speech (the 90th)."""
SILENT_DB = -90.0
"""Digital silence counts as this much below full scale, and so does what is near it."""
LEAST_SPAN_DB = 12.0
"""Speech is louder than noise by this at least; where nothing is, all is noise or all is speech."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A quiet stretch, in seconds."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def loudness(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Root mean square of samples (N,) in dB below full scale, per hundredth of a second: (S,)."""
    step = sample_rate // STEPS_PER_S
    padded = np.pad(samples, (0, -len(samples) % step)).reshape(-1, step)
    power = np.square(padded, dtype=np.float64).mean(axis=1)
    return np.maximum(10 * np.log10(power + 1e-12), SILENT_DB).astype(np.float32)


def quiet_steps(levels: np.ndarray) -> np.ndarray:
    """(S,) bool: which steps are quiet for where they are. levels: (S,) dB, as `loudness` gives."""
    quiet = np.zeros(len(levels), dtype=bool)
    size = round(AROUND_S * STEPS_PER_S)
    for begin in range(0, len(levels), size):
        around = levels[max(begin - size, 0) : begin + 2 * size]
        noise, speech = np.percentile(around, [5, 90])
        limit = noise + QUIET_SHARE * max(speech - noise, LEAST_SPAN_DB)
        quiet[begin : begin + size] = levels[begin : begin + size] < limit
    return quiet


def longest_pause(quiet: np.ndarray, start_s: float, end_s: float) -> Pause | None:
    """The longest quiet stretch that begins or ends between the two times; None without any.

    quiet: (S,) bool. A stretch that reaches beyond counts in full: speech begins where it ends.
    """
    low = max(round(start_s * STEPS_PER_S), 0)
    high = min(round(end_s * STEPS_PER_S), len(quiet))
    inside = quiet[low:high]
    if not inside.any():
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    longest = int((ends - begins).argmax())
    start, end = low + int(begins[longest]), low + int(ends[longest])
    return Pause(start / STEPS_PER_S, end / STEPS_PER_S)
