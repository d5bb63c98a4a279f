"""Audio in and out: any format that PyAV reads becomes 16 kHz mono, and is kept as FLAC.

Knows nothing of utterances, workspaces or models.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import av
import numpy as np
import soxr

from al_loop.errors import AudioError

SAMPLE_RATE = 16_000
MIN_DURATION_S = 0.2
MAX_DURATION_S = 30.0
"""Whisper's window; a longer recording has to be cut at pauses first."""
SILENCE_PEAK = 1e-3
"""Ours: -60 dBFS, below the noise floor of any microphone that one would label."""
UNKNOWN_LENGTH = 0x7FFF_F000
"""What writes a WAV to a pipe states 2 or 4 GiB, for it cannot know."""
EXACT_LENGTH_FORMATS = {"flac", "w64", "aiff"}
"""Containers whose header states the length; elsewhere FFmpeg estimates it."""


def decode(path: Path, max_duration_s: float | None = None) -> np.ndarray:
    """The first audio stream of `path` as (T,) float32 in [-1, 1] at 16 kHz, channels averaged.

    Decoding stops soon after `max_duration_s`, so that a file of hours costs no memory.
    Raises AudioError: not_a_file, empty_file, unreadable, no_audio, corrupt, truncated.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise AudioError("not_a_file", "it is no regular file")
        check_size(path)
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioError("no_audio", "the file holds no audio stream")
            stream = container.streams.audio[0]
            blocks, sample_rate, length = _read(container, stream, max_duration_s)
            stated_s = _stated_duration_s(container, stream)
    except PermissionError as exc:
        raise AudioError("unreadable", "no permission to read it") from exc
    except FileNotFoundError as exc:
        raise AudioError("not_a_file", "there is no file of that name") from exc
    except (av.FFmpegError, ValueError, OSError) as exc:
        raise AudioError("corrupt", f"cannot be decoded: {exc}") from exc
    if not blocks:
        return np.zeros(0, dtype=np.float32)
    decoded_s = length / sample_rate
    cut_short = max_duration_s is not None and decoded_s > max_duration_s
    if stated_s is not None and not cut_short and decoded_s < 0.95 * stated_s - 0.05:
        raise AudioError("truncated", f"{decoded_s:.2f} s where its header says {stated_s:.2f} s")
    samples = np.concatenate(blocks)
    return samples if sample_rate == SAMPLE_RATE else _resample(samples, sample_rate)


def check(samples: np.ndarray, may_be_silent: bool = False) -> None:
    """Refuse samples (T,) that nobody could label.

    Raises AudioError: no_samples, not_finite, too_short, too_long, silent.
    """
    duration_s = len(samples) / SAMPLE_RATE
    if len(samples) == 0:
        raise AudioError("no_samples", "the file decodes to nothing")
    if not np.isfinite(samples).all():
        raise AudioError("not_finite", "it holds samples that are not numbers")
    if duration_s < MIN_DURATION_S:
        raise AudioError("too_short", f"{duration_s:.3f} s; at least {MIN_DURATION_S} s are needed")
    if duration_s > MAX_DURATION_S:
        raise AudioError(
            "too_long", f"more than {MAX_DURATION_S:.0f} s; cut it at pauses, then ingest the parts"
        )
    peak = float(np.abs(samples - samples.mean()).max())
    if peak < SILENCE_PEAK and not may_be_silent:
        raise AudioError("silent", f"its peak is {peak:.1e} of full scale")


def sample_hash(samples: np.ndarray) -> str:
    """SHA-256 of the samples (T,) as 16-bit integers: equal for lossless copies in any format."""
    return hashlib.sha256(_to_int16(samples).tobytes()).hexdigest()


def stated_sum(path: Path) -> bytes | None:
    """The MD5 of its samples that a FLAC file states in its header (RFC 9639, 8.2).

    None where it states none, is no FLAC, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(42)
    except OSError:
        return None
    stated = header[26:42]
    return stated if header[:4] == b"fLaC" and any(stated) else None


def sum_of(samples: np.ndarray) -> bytes:
    """The same of samples (T,) that were decoded from a file that `write_flac` wrote."""
    return hashlib.md5(_to_int16(samples).tobytes(), usedforsecurity=False).digest()


def decode_whole(path: Path, with_sum: bool = True) -> np.ndarray:
    """The samples (N,) float32 of a file at 16 kHz. Raises AudioError, also where it holds none, or
    others than a FLAC file states by its sum."""
    samples = decode(path)
    if not len(samples):
        raise AudioError("no_samples", "the file decodes to nothing")
    if with_sum and stated_sum(path) not in (None, sum_of(samples)):
        raise AudioError("corrupt", "its samples are not those that were written")
    return samples


def is_whole(path: Path) -> bool:
    try:
        return len(decode_whole(path)) > 0
    except AudioError:
        return False


def write_flac(samples: np.ndarray, path: Path) -> None:
    """Write samples (T,) at 16 kHz as 16-bit FLAC: first under a temporary name, then renamed."""
    unfinished = path.with_suffix(".unfinished")
    with av.open(str(unfinished), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(_to_int16(samples)[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    os.replace(unfinished, path)


def check_size(path: Path) -> None:
    """Refuse an empty file, and a WAV shorter than its header says, which FFmpeg would take.

    Raises AudioError: empty_file, truncated; OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        header = file.read(8)
    if not header:
        raise AudioError("empty_file", "0 bytes")
    if header[:4] != b"RIFF" or len(header) < 8:
        return
    stated = 8 + int.from_bytes(header[4:], "little")
    streamed = stated >= UNKNOWN_LENGTH
    if not streamed and path.stat().st_size < stated - 1:
        raise AudioError("truncated", f"{path.stat().st_size} bytes, its header says {stated}")


def _read(
    container: av.container.InputContainer,
    stream: av.AudioStream,
    max_duration_s: float | None,
) -> tuple[list[np.ndarray], int, int]:
    """Decoded blocks (T,) float32, their sample rate, and their joint length in samples."""
    blocks: list[np.ndarray] = []
    sample_rate = stream.rate or SAMPLE_RATE
    length = 0
    resampler = av.AudioResampler(format="fltp")
    for frame in container.decode(stream):
        sample_rate = frame.sample_rate
        for planar in resampler.resample(frame):
            block = planar.to_ndarray().mean(axis=0, dtype=np.float32)
            blocks.append(block)
            length += len(block)
        if max_duration_s is not None and length > (max_duration_s + 1) * sample_rate:
            break
    return blocks, sample_rate, length


def _stated_duration_s(
    container: av.container.InputContainer, stream: av.AudioStream
) -> float | None:
    if container.format.name not in EXACT_LENGTH_FORMATS or not stream.duration:
        return None
    return float(stream.duration * stream.time_base) if stream.time_base else None


def _resample(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    return soxr.resample(samples, sample_rate, SAMPLE_RATE, quality="HQ").astype(np.float32)


def _to_int16(samples: np.ndarray) -> np.ndarray:
    return (samples * 32768).round().clip(-32768, 32767).astype("<i2")
