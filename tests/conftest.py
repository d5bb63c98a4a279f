"""What tests of several rooms need: clips, a workspace, and a filled store."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from storage.workspace import Workspace

MakeClip = Callable[..., Path]

# read when Ray is imported, which a test may do before an engine would set it
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Writes a 16 kHz mono WAV of a tone; different `seed`s give different clips."""

    def make(name: str, seconds: float = 1.0, seed: int = 0, sample_rate: int = 16_000) -> Path:
        times = np.arange(round(seconds * sample_rate)) / sample_rate
        rng = np.random.default_rng(seed)
        tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * seed) * times)
        samples = ((tone + 0.01 * rng.standard_normal(len(times))) * 32767).astype("<i2")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(samples.tobytes())
        return path

    return make


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "al_loop.toml").write_text("", encoding="utf-8")
    return Workspace.open(root)


@pytest.fixture
def store(workspace: Workspace) -> Store:
    return Store(workspace)
