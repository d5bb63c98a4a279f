"""A recording of any length, read in parts: an hour of it costs as much memory as a minute.

Knows where in the recording samples lie; knows no speech and no rows.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr

from al_loop.audio import EXACT_LENGTH_FORMATS, SAMPLE_RATE, check_size
from al_loop.errors import AudioError

KEPT_S = 60.0
"""Of what was read, so that parts may overlap or come slightly out of order."""
AHEAD_S = 60.0
"""A part that lies farther ahead is jumped to, where the format says exactly where one lands."""
MARGIN_S = 0.1
"""Resampled around a part and cut off again: far longer than the resampler's filter."""


class Recording:
    """The first audio stream of a file, channels averaged, at 16 kHz.

    A part is the same to the bit whatever was read before it: samples are counted at the file's own
    rate, and each part is resampled by itself. Reading forwards is cheap. Backwards or far ahead it
    jumps in formats without loss; in others it reads from the beginning.
    """

    _container: Any = None
    _position: int | None = None

    def __init__(self, path: Path) -> None:
        """Raises AudioError: not_a_file, unreadable, empty_file, no_audio, corrupt, truncated."""
        self.path = path
        self._open()
        self._exact = self._container.format.name in {"wav", *EXACT_LENGTH_FORMATS}
        self._stated_s = self._stated_duration_s()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()

    def part(self, start: int, end: int) -> np.ndarray:
        """Samples (T,) float32 from `start` up to `end`, both counted at 16 kHz.

        Fewer where the recording ends before. Raises AudioError: corrupt, truncated.
        """
        if self.rate == SAMPLE_RATE:
            return self._native(start, end)
        # so many samples of the file are a whole number of ours, and the grid is kept
        step = self.rate // math.gcd(self.rate, SAMPLE_RATE)
        margin = round(MARGIN_S * self.rate)
        first = max(start * self.rate // SAMPLE_RATE - margin, 0) // step * step
        last = -(-end * self.rate // SAMPLE_RATE) + margin
        around = soxr.resample(self._native(first, last), self.rate, SAMPLE_RATE, quality="HQ")
        skipped = first * SAMPLE_RATE // self.rate
        return around[start - skipped : end - skipped].astype(np.float32)

    def _native(self, start: int, end: int) -> np.ndarray:
        """Samples (T,) float32 from `start` up to `end`, counted at the file's own rate."""
        if start < self._begin or (self._exact and start > self._end + AHEAD_S * self.rate):
            self._open()
            if self._exact:
                self._jump(start)
        while self._end < end:
            block = next(self._blocks, None)
            if block is None:
                self._check_length()
                break
            self._keep(block)
            while self._begin + len(self._kept[0]) <= min(start, self._end - KEPT_S * self.rate):
                self._begin += len(self._kept.popleft())
        found: list[np.ndarray] = [np.zeros(0, np.float32)]
        place = self._begin
        for block in self._kept:
            if place + len(block) > start and place < end:
                found.append(block[max(start - place, 0) : end - place])
            place += len(block)
        return np.concatenate(found)

    def _open(self) -> None:
        """At the beginning of the file, whatever was read before."""
        if self._container is not None:
            self._container.close()
        try:
            check_size(self.path)
            self._container = av.open(str(self.path), metadata_errors="ignore")
        except PermissionError as exc:
            raise AudioError("unreadable", "no permission to read it") from exc
        except FileNotFoundError as exc:
            raise AudioError("not_a_file", "there is no file of that name") from exc
        except (av.FFmpegError, ValueError, OSError) as exc:
            raise AudioError("corrupt", f"cannot be decoded: {exc}") from exc
        if not self._container.streams.audio:
            raise AudioError("no_audio", "the file holds no audio stream")
        self._stream = self._container.streams.audio[0]
        self.rate = 0  # the first frame says it: a header may state half of what is decoded
        self._restart()
        first = next(self._blocks, None)
        if first is not None:
            self._keep(first)
        self.rate = self.rate or self._stream.rate or SAMPLE_RATE

    def _restart(self) -> None:
        self._blocks = self._decode()
        self._kept: deque[np.ndarray] = deque()
        self._begin = self._end = 0

    def _jump(self, sample: int) -> None:
        """On to this sample of the file, or to one before it."""
        seconds = max(sample / self.rate - 1.0, 0.0)
        try:
            self._container.seek(int(seconds / (self._stream.time_base or 1)), stream=self._stream)
        except (av.FFmpegError, ValueError, OSError):
            self._open()
            return
        self._restart()
        block = next(self._blocks, None)
        if block is None or self._position is None or self._position > sample:
            self._open()
            return
        self._begin = self._end = self._position
        self._keep(block)

    def _keep(self, block: np.ndarray) -> None:
        self._kept.append(block)
        self._end += len(block)

    def _decode(self) -> Iterator[np.ndarray]:
        """Blocks (T,) float32 at the file's own rate; `_position` is where the last one begins."""
        mixer = av.AudioResampler(format="fltp")
        try:
            for frame in self._container.decode(self._stream):
                self.rate = self.rate or frame.sample_rate
                if frame.sample_rate != self.rate:
                    raise AudioError(
                        "corrupt", f"{self.rate} Hz become {frame.sample_rate} Hz on the way"
                    )
                known = frame.pts is not None and frame.time_base is not None
                self._position = round(frame.pts * frame.time_base * self.rate) if known else None
                for planar in mixer.resample(frame):
                    yield planar.to_ndarray().mean(axis=0, dtype=np.float32)
        except (av.FFmpegError, ValueError, OSError) as exc:
            raise AudioError("corrupt", f"cannot be decoded: {exc}") from exc

    def _stated_duration_s(self) -> float | None:
        if self._container.format.name not in EXACT_LENGTH_FORMATS or not self._stream.duration:
            return None
        return float(self._stream.duration * (self._stream.time_base or 0)) or None

    def _check_length(self) -> None:
        decoded_s = self._end / self.rate
        if self._stated_s is not None and decoded_s < 0.95 * self._stated_s - 0.05:
            raise AudioError(
                "truncated", f"{decoded_s:.2f} s where its header says {self._stated_s:.2f} s"
            )


def length_of(path: Path) -> float | None:
    """How long the file says it is, in seconds; None: it does not say, or is no audio."""
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            return container.duration / av.time_base if container.duration else None
    except (av.FFmpegError, ValueError, OSError):
        return None
