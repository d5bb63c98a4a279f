from pathlib import Path

import av
import numpy as np
import pytest

from al_loop.audio import SAMPLE_RATE, check, decode, sample_hash, write_flac
from al_loop.errors import AudioError


def encode(samples: np.ndarray, path: Path, codec: str, rate: int, layout: str = "mono") -> None:
    """Write (C, T) int16 samples with one of FFmpeg's encoders."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            samples.T.reshape(1, -1).copy(), format="s16", layout=layout
        )
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
        fifo = av.AudioFifo()
        for converted in resampler.resample(frame):
            fifo.write(converted)
        size = stream.codec_context.frame_size or 1024
        while (part := fifo.read(size, partial=True)) is not None:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def tone(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    wave = (0.3 * 32767 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
    return np.stack([wave] * channels)


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "channels"),
    [
        ("wav", "pcm_s16le", 16_000, 1),
        ("wav", "pcm_s16le", 44_100, 2),
        ("wav", "pcm_s16le", 8_000, 1),
        ("flac", "flac", 48_000, 2),
        ("mp3", "libmp3lame", 44_100, 2),
        ("ogg", "libopus", 48_000, 2),
        ("m4a", "aac", 48_000, 1),
        ("opus", "libopus", 48_000, 1),
    ],
)
def test_any_format_becomes_16_khz_mono(
    tmp_path: Path, suffix: str, codec: str, rate: int, channels: int
) -> None:
    path = tmp_path / f"clip.{suffix}"
    layout = "mono" if channels == 1 else "stereo"
    encode(tone(1.5, rate, channels), path, codec, rate, layout)
    samples = decode(path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) / SAMPLE_RATE == pytest.approx(1.5, abs=0.1)
    middle = samples[4000:-4000]
    assert np.abs(middle).max() == pytest.approx(0.3, abs=0.04)
    strongest = np.argmax(np.abs(np.fft.rfft(middle))) * SAMPLE_RATE / len(middle)
    assert strongest == pytest.approx(440, abs=5)
    check(samples)


def test_flac_keeps_samples_to_the_bit(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    write_flac(samples, tmp_path / "a.flac")
    again = decode(tmp_path / "a.flac")
    assert sample_hash(again) == sample_hash(samples)
    write_flac(again, tmp_path / "b.flac")
    assert sample_hash(decode(tmp_path / "b.flac")) == sample_hash(samples)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.flac", "b.flac"]


def test_a_long_file_is_not_decoded_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    encode(tone(40, 8_000), path, "pcm_s16le", 8_000)
    samples = decode(path, max_duration_s=5)
    assert 5 < len(samples) / SAMPLE_RATE < 7


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), "no_samples"),
        (np.full(SAMPLE_RATE, np.nan), "not_finite"),
        (np.ones(int(0.1 * SAMPLE_RATE)), "too_short"),
        (np.random.default_rng(0).uniform(-1, 1, 31 * SAMPLE_RATE), "too_long"),
        (np.zeros(SAMPLE_RATE), "silent"),
        (np.full(SAMPLE_RATE, 0.5), "silent"),
    ],
)
def test_what_nobody_could_label_is_refused(samples: np.ndarray, reason: str) -> None:
    with pytest.raises(AudioError) as caught:
        check(samples.astype(np.float32))
    assert caught.value.reason == reason


@pytest.mark.parametrize("stated", [0, 0x7FFF_F024, 0xFFFF_FFFF])
def test_a_wav_written_to_a_pipe_does_not_know_its_length(tmp_path: Path, stated: int) -> None:
    path = tmp_path / "piped.wav"
    encode(tone(1, 16_000), path, "pcm_s16le", 16_000)
    data = bytearray(path.read_bytes())
    data[4:8] = stated.to_bytes(4, "little")
    path.write_bytes(data)
    assert len(decode(path)) == pytest.approx(16_000, abs=100)
