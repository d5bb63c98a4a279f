"""A clip's sound, by its utterance alone: what the model hears, and how it looks.

Its path comes from the database, never from an address, and has to lie in the workspace's audio
folder, wherever links lead. Knows neither hypotheses nor labels.
"""

from __future__ import annotations

import io
import wave
from functools import cache
from pathlib import Path

import numpy as np
import streamlit as st

from al_loop.audio import MAX_DURATION_S, SAMPLE_RATE, decode
from al_loop.clips import Clips, Place, place_of
from al_loop.errors import AudioError, StorageError, WorkspaceError
from storage.workspace import Workspace
from ui.charts.sound import sound_chart
from ui.elements import show_chart, show_text
from ui.view import View

KEPT = 20
"""Clips in memory: one of 30 s takes 2 MB."""


def show_sound(view: View, utterance_id: str, audio: str) -> None:
    """Player, waveform and spectrogram; or why there are none. audio: as `utterances` has it."""
    try:
        clips = clips_at(place_of(view.workspace.root, view.settings.audio))
        path = clip_path(view.workspace, audio, clips)
        samples = _heard(str(path), path.stat().st_mtime_ns)
    except (AudioError, StorageError, WorkspaceError, OSError) as exc:
        st.warning(view.say("round.no_sound"))
        show_text(str(exc))
        return
    seconds = len(samples) / SAMPLE_RATE
    st.audio(as_wav(samples), alt=view.say("round.player", seconds=f"{seconds:.1f}"))
    show_chart(
        view,
        sound_chart(samples, SAMPLE_RATE, view.say),
        f"sound-{utterance_id[:12]}",
        view.say("round.sound_described", seconds=f"{seconds:.1f}"),
    )


@cache
def clips_at(place: Place) -> Clips:
    """One for each place and process, which counts what it puts into the cache."""
    return Clips(place)


def clip_path(workspace: Workspace, audio: str, clips: Clips | None = None) -> Path:
    """Where a clip lies, fetched from object storage where that is its place.

    Raises WorkspaceError where that is outside the audio folder, or no file.
    """
    clips = clips or Clips(Place(workspace.root))
    folder = workspace.audio.resolve()
    if not (workspace.root / audio).resolve().is_relative_to(folder):
        raise WorkspaceError(
            f"the database says that this clip lies at {audio!r}, expected was a file in the "
            f"workspace's folder {workspace.audio.name}/; it is not opened. `al-loop doctor` "
            "checks the workspace"
        )
    path = clips.path(audio).resolve()
    if not path.is_file():
        raise WorkspaceError(
            f"{audio} is not in the workspace; bring the folder {workspace.audio.name}/ back from "
            "a backup, or ingest the audio again"
        )
    return path


def as_wav(samples: np.ndarray) -> bytes:
    """Samples (T,) float32 in [-1, 1] as a WAV file, as loud as they are.

    Streamlit would make arrays as loud as can be, and a quiet clip could not be told.
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes((samples * 32767).round().clip(-32768, 32767).astype("<i2").tobytes())
    return file.getvalue()


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _heard(path: str, changed_at: int) -> np.ndarray:
    """Samples (T,) float32: decoded once for each state of the file. Raises AudioError."""
    samples = decode(Path(path), MAX_DURATION_S)
    if not len(samples):
        raise AudioError("no_samples", "the file decodes to nothing")
    return samples
