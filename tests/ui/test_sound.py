"""A clip's sound: found by its utterance alone, as loud as it is, and drawn."""

from __future__ import annotations

import base64
import io
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_loop.audio import SAMPLE_RATE
from al_loop.clips import Place
from al_loop.errors import WorkspaceError
from storage.workspace import Workspace
from ui.charts.sound import COLUMNS, PEAKS, as_picture, peaks, sound_chart, spectrogram
from ui.language import Say
from ui.sound import as_wav, clip_path, clips_at


def tone(hertz: float, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


@pytest.fixture
def inside(workspace: Workspace) -> Path:
    path = workspace.audio / "ab" / "clip.flac"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"sound")
    return path


def test_a_clip_of_the_workspace(workspace: Workspace, inside: Path) -> None:
    assert clip_path(workspace, "audio/ab/clip.flac") == inside


@pytest.mark.parametrize(
    "audio",
    ["/etc/passwd", "../outside.flac", "audio/../al_loop.toml", "audio/../../etc/passwd", "audio"],
)
def test_nothing_but_a_clip_can_be_asked_for(workspace: Workspace, audio: str) -> None:
    workspace.audio.mkdir()
    (workspace.root.parent / "outside.flac").write_bytes(b"secret")
    with pytest.raises(WorkspaceError):
        clip_path(workspace, audio)


def test_a_link_that_leads_outside_is_not_followed(workspace: Workspace, inside: Path) -> None:
    outside = workspace.root.parent / "outside.flac"
    outside.write_bytes(b"secret")
    inside.unlink()
    inside.symlink_to(outside)
    with pytest.raises(WorkspaceError, match="it is not opened"):
        clip_path(workspace, "audio/ab/clip.flac")


def test_the_audio_folder_itself_may_be_elsewhere(workspace: Workspace, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "clip.flac").write_bytes(b"sound")
    workspace.audio.symlink_to(disk)
    assert clip_path(workspace, "audio/clip.flac") == disk / "clip.flac"


def test_a_missing_clip_says_what_to_do(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="bring the folder audio/ back from a backup"):
        clip_path(workspace, "audio/ab/gone.flac")


def test_one_process_has_one_cache_of_a_place(workspace: Workspace, tmp_path: Path) -> None:
    assert clips_at(Place(workspace.root)) is clips_at(Place(workspace.root))
    assert clips_at(Place(workspace.root)) is not clips_at(Place(tmp_path))


def test_a_quiet_clip_stays_quiet() -> None:
    with wave.open(io.BytesIO(as_wav(tone(440, amplitude=0.01)))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16000, 1, 16000)
        samples = np.frombuffer(file.readframes(16000), "<i2")
    assert abs(samples).max() == pytest.approx(0.01 * 32767, rel=0.01)


@pytest.mark.parametrize("hertz", [1000, 6000])
def test_a_tone_is_a_line_at_its_frequency(hertz: int) -> None:
    shares = spectrogram(tone(hertz), SAMPLE_RATE)
    assert (shares.min(), shares.max()) == (0, 1)
    from_below = 1 - np.argmax(shares[:, shares.shape[1] // 2]) / len(shares)
    assert from_below == pytest.approx(hertz / 8000, abs=0.02)


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), tone(440, 0.001), tone(440, 30)])
def test_any_length_can_be_drawn(samples: np.ndarray) -> None:
    assert 1 <= spectrogram(samples, SAMPLE_RATE).shape[1] <= COLUMNS
    assert len(peaks(samples, SAMPLE_RATE)) <= PEAKS
    drawn = sound_chart(samples, SAMPLE_RATE, Say("en")).to_dict()
    assert [layer["mark"]["type"] for layer in drawn["layer"]] == ["image", "area"]


def test_the_waveform_reaches_as_far_as_the_sound() -> None:
    rows = peaks(np.concatenate([tone(440), 0 * tone(440)]), SAMPLE_RATE)
    first, last = rows[10], rows[-1]
    assert [first["low"], first["high"]] == pytest.approx([-0.5, 0.5], abs=0.01)
    assert (last["low"], last["high"]) == (0, 0)
    assert last["from"] == pytest.approx(2, abs=0.01)


def test_the_picture_is_the_denser_the_louder() -> None:
    address = as_picture(np.array([[0.0, 1.0]]))
    kind, data = address.split(",")
    assert kind == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    assert list(pixels[0, :, 3]) == [0, 255]
