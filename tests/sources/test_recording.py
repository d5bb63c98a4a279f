"""A part of a recording is the same whatever was read before, and what decoding gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from al_loop.audio import SAMPLE_RATE, decode
from al_loop.errors import AudioError
from al_loop.sources.recording import Recording

MakeClip = Callable[..., Path]
PLACES = [
    (0, 16_000),
    (16_005, 48_000),
    (90 * 16_000, 92 * 16_000 + 7),
    (99 * 16_000, 103 * 16_000),
]


def encode(source: Path, path: Path) -> Path:
    """The WAV at `source` in the format that the ending of `path` names."""
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream("flac" if path.suffix == ".flac" else "libmp3lame", rate=22_050)
        for frame in given.decode(audio=0):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_a_part_is_the_same_to_the_bit_in_any_order(make_clip: MakeClip, ending: str) -> None:
    wav = make_clip("long.wav", seconds=100, sample_rate=22_050)
    path = wav if ending == "wav" else encode(wav, wav.with_suffix(f".{ending}"))
    whole = decode(path)
    forwards = Recording(path)
    parts = [forwards.part(*place) for place in PLACES]
    for (start, end), part in zip(PLACES, parts, strict=True):
        assert len(part) == len(whole[start:end])
        np.testing.assert_allclose(part, whole[start:end], atol=1e-6)
    backwards = Recording(path)
    for place, part in zip(reversed(PLACES), reversed(parts), strict=True):
        np.testing.assert_array_equal(backwards.part(*place), part)
    alone = Recording(path)
    np.testing.assert_array_equal(alone.part(*PLACES[2]), parts[2])


def test_beyond_the_end_there_is_nothing(make_clip: MakeClip) -> None:
    recording = Recording(make_clip("a.wav", seconds=2))
    assert len(recording.part(SAMPLE_RATE, 9 * SAMPLE_RATE)) == SAMPLE_RATE
    assert len(recording.part(5 * SAMPLE_RATE, 6 * SAMPLE_RATE)) == 0


def test_what_is_no_recording_says_why(tmp_path: Path, make_clip: MakeClip) -> None:
    (tmp_path / "text.mp3").write_text("бул аудио эмес")
    flac = encode(make_clip("a.wav", seconds=8), tmp_path / "a.flac")
    data = flac.read_bytes()
    flac.write_bytes(data[: len(data) // 2])
    for name, reason in (("text.mp3", "corrupt"), ("gone.wav", "not_a_file")):
        with pytest.raises(AudioError) as caught:
            Recording(tmp_path / name)
        assert caught.value.reason == reason
    with pytest.raises(AudioError) as caught:
        Recording(flac).part(0, 8 * SAMPLE_RATE)
    assert caught.value.reason in {"corrupt", "truncated"}
