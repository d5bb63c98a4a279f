"""Speech that a voice-activity detector hears, and recordings made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

from al_loop.audio import SAMPLE_RATE, write_flac
from al_loop.sources.espeak import Voice, speak_all

SENTENCES = (
    "Мага жаңы ырларды ойнотуп бер.",
    "Бүгүн Бишкекте күн ачык болот.",
    "Эртең саат жетиде мени ойгот.",
    "Кыргызстан тоолуу өлкө экенин баары билет.",
)
MakeRecording = Callable[..., Path]


@pytest.fixture(scope="session")
def spoken() -> list[np.ndarray]:
    """Four sentences (T,) float32 at 16 kHz, of 1.5 to 4 s."""
    lines = [(text, Voice("ky", "m1", rate_wpm=140)) for text in SENTENCES]
    return [
        soxr.resample(samples.astype(np.float32) / 32768, rate, SAMPLE_RATE).astype(np.float32)
        for samples, rate in speak_all(lines)
    ]


@pytest.fixture
def make_recording(tmp_path: Path, spoken: list[np.ndarray]) -> MakeRecording:
    """Writes sentences `count` times over with `pause_s` between them, and a long pause halfway."""

    def make(name: str, count: int = 16, pause_s: float = 0.6, long_s: float = 5.0) -> Path:
        rng = np.random.default_rng(0)
        parts = []
        for number in range(count):
            length_s = long_s if number == count // 2 else pause_s
            parts.append(0.001 * rng.standard_normal(round(length_s * SAMPLE_RATE)))
            # no two sentences are the same to the bit
            parts.append(spoken[number % len(spoken)] * (0.5 + 0.02 * number))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_flac(np.concatenate(parts).astype(np.float32), path)
        return path

    return make
