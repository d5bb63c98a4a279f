from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from al_loop.audio import SAMPLE_RATE, check, decode
from benchmarks.corpus import CORPUS
from benchmarks.pools import FAST, Clip, clean, faster, field, noisy, telephone, write_clips

JUNK = {"silence", "noise", "tones", "reversed", "russian"}
RARE = {"fast", "noisy", "telephone", "voice"}
corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not here")


def tone(seconds: float, hertz: float = 440.0) -> np.ndarray:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def loudest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)[spectrum.argmax()])


def test_faster_speech_is_shorter_and_keeps_its_pitch() -> None:
    samples = faster(tone(3.0))
    assert len(samples) / SAMPLE_RATE == pytest.approx(3.0 / FAST, rel=0.05)
    assert loudest_hertz(samples) == pytest.approx(440, rel=0.02)


def test_noise_is_as_loud_as_it_should_be() -> None:
    samples = tone(2.0)
    noise = noisy(samples, 6.0, np.random.default_rng(0)) - samples
    ratio = np.mean(samples.astype(float) ** 2) / np.mean(noise.astype(float) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize(("hertz", "passes"), [(100.0, False), (1000.0, True), (3900.0, False)])
def test_a_telephone_passes_a_narrow_band(hertz: float, passes: bool) -> None:
    # what it does not pass is beside a tone that it does, or its gain would bring it back
    heard = telephone(tone(1.0, hertz) + tone(1.0, 700.0))
    spectrum = np.abs(np.fft.rfft(heard, SAMPLE_RATE))
    assert (spectrum[round(hertz)] > 0.2 * spectrum[700]) is np.bool_(passes)


def test_files_tell_nothing_but_their_audio(tmp_path: Path) -> None:
    clips = [
        Clip(tone(1.0), "easy", "ky", "бир эки"),
        Clip(tone(0.5, 300), "russian", "ru", None, "other_language"),
    ]
    speech, junk = write_clips(clips, "pool", tmp_path)
    assert {row.name for row in tmp_path.iterdir()} == {f"{speech.id}.flac", f"{junk.id}.flac"}
    for name in ("source", "language", "split", "speaker", "origin"):
        assert getattr(speech, name) == getattr(junk, name)
    assert (speech.text, junk.text, junk.duration_s) == ("бир эки", None, 0.5)
    assert decode(Path(junk.audio)) == pytest.approx(clips[1].samples, abs=1e-4)
    assert write_clips(clips, "pool", tmp_path) == [speech, junk]


@corpus
def test_field_is_what_pools_are_like(tmp_path: Path) -> None:
    pool, test = field()
    kinds = Counter(clip.kind for clip in pool)
    total = len(pool)
    assert sum(kinds[kind] for kind in JUNK) / total == pytest.approx(0.2, abs=0.01)
    assert sum(kinds[kind] for kind in RARE) / total == pytest.approx(0.1, abs=0.01)
    assert kinds["easy"] / total == pytest.approx(0.7, abs=0.01)
    assert set(kinds) == JUNK | RARE | {"easy"}
    measured = Counter(clip.kind for clip in test)
    assert measured["easy"] == sum(measured[kind] for kind in RARE) == len(test) / 2
    for clip in pool + test:
        check(clip.samples)
        assert (clip.verdict is not None) == (clip.text is None) == (clip.kind in JUNK)
    utterances = write_clips(pool, "pool", tmp_path) + write_clips(test, "test", tmp_path)
    assert len({row.sample_hash for row in utterances}) == len(utterances)
    # what a checkpoint may learn is not what it is measured on
    said = {clip.text for clip in pool}
    assert not said & {clip.text for clip in test}


@corpus
def test_clean_is_the_corpus_as_it_comes() -> None:
    pool, test = clean()
    assert (len(pool), len(test)) == (224, 80)  # one row of the manifest cannot be read
    assert {clip.kind for clip in pool + test} == {"easy"}
