"""The two pools of `make bench-acquisition`, made from the corpus and from espeak-ng's speech.

*clean* is the corpus as it comes: one voice, every clip well recorded. *field* is what a pool is
like before anybody has listened to it: a fifth is junk, seven tenths are one easy voice, a tenth
are the rare conditions that half of its test set consists of.

Equal arguments give equal bytes. Knows nothing of models or of acquisition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soxr

from al_loop.audio import SAMPLE_RATE, decode, sample_hash, write_flac
from al_loop.demo.corpus import pink_noise, read_sentences
from al_loop.records import Split, Utterance, Verdict
from al_loop.sources.espeak import Voice, speak_all
from benchmarks.corpus import read_clips

JUNK_SHARE, RARE_SHARE = 0.2, 0.1
SEED = 2026
OTHER_VOICES = ("m3", "f2")
FAST = 1.6
"""Times the speed of the corpus, pitch kept."""
NOISY_SNR_DB = (5.0, 15.0)
TELEPHONE_RATE = 8_000
TELEPHONE_HZ = (300.0, 3400.0)
LANGUAGE = "ky"
"""What the whole pool is taken for, before anybody has listened to it."""
SOURCES: dict[Split, str] = {"pool": "recordings", "test": "held_out", "train": "seed"}


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a pool or a test set. kind: "easy", a rare condition, or a kind of junk.

    text: what is said; None with a verdict, which is what an annotator would answer.
    """

    samples: np.ndarray
    kind: str
    language: str
    text: str | None
    verdict: Verdict | None = None


def clean() -> tuple[list[Clip], list[Clip]]:
    """The corpus's pool and its test set."""
    return [_easy(row) for row in read_clips(LANGUAGE, ["pool"])], [
        _easy(row) for row in read_clips(LANGUAGE, ["test"])
    ]


def field() -> tuple[list[Clip], list[Clip]]:
    """The uneven pool, and a test set that weighs easy and rare equally."""
    rng = np.random.default_rng(SEED)
    clips = read_clips(LANGUAGE, ["pool"])
    test = read_clips(LANGUAGE, ["test"])
    # of N clips in all, the easy ones and three quarters of the rare ones are corpus clips
    total = round(len(clips) / (1 - JUNK_SHARE - RARE_SHARE / 4))
    rare, junk = round(RARE_SHARE * total), round(JUNK_SHARE * total)
    order = [clips[index] for index in rng.permutation(len(clips))]
    changed = 3 * (rare // 4)
    sentences = iter(rng.permutation(read_sentences(LANGUAGE)))
    pool = [_easy(row) for row in order[changed:]]
    pool += _rare(order[:changed], rare - changed, sentences, rng)
    pool += _junk(junk, order[changed:], rng)
    half = len(test) // 2
    measured = [_easy(row) for row in test[:half]]
    measured += _rare(test[half : half + 3 * (half // 4)], half - 3 * (half // 4), sentences, rng)
    return pool, measured


def _easy(row: Utterance) -> Clip:
    return Clip(decode(Path(row.audio)), "easy", row.language, row.text)


def _rare(
    rows: Sequence[Utterance], voices: int, sentences: Iterator[str], rng: np.random.Generator
) -> list[Clip]:
    """Clips in conditions that the seed does not know: a third of `rows` in each, and `voices`."""
    changes: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
        ("fast", faster),
        ("noisy", lambda samples: noisy(samples, rng.uniform(*NOISY_SNR_DB), rng)),
        ("telephone", telephone),
    ]
    clips = []
    for index, row in enumerate(rows):
        kind, change = changes[index % len(changes)]
        clips.append(Clip(change(decode(Path(row.audio))), kind, row.language, row.text))
    lines = [
        (str(next(sentences)), Voice(LANGUAGE, OTHER_VOICES[index % len(OTHER_VOICES)], 140))
        for index in range(voices)
    ]
    for (text, _), (samples, rate) in zip(lines, speak_all(lines, SEED), strict=True):
        clips.append(Clip(_float(samples, rate), "voice", LANGUAGE, text))
    return clips


def _junk(count: int, speech: Sequence[Utterance], rng: np.random.Generator) -> list[Clip]:
    """What is no Kyrgyz speech, in equal parts of five kinds."""
    russian = read_clips("ru", ["train"])
    clips = []
    for index in range(count):
        kind = index % 5
        size = int(rng.uniform(2, 7) * SAMPLE_RATE)
        if kind == 0:
            quiet = 10 ** (rng.uniform(-58, -46) / 20) * pink_noise(size, rng)
            clips.append(Clip(_bounded(quiet), "silence", LANGUAGE, None, "bad_audio"))
        elif kind == 1:
            noise = rng.uniform(0.03, 0.2) * _any_noise(size, rng)
            clips.append(Clip(_bounded(noise), "noise", LANGUAGE, None, "bad_audio"))
        elif kind == 2:
            clips.append(Clip(_tones(size, rng), "tones", LANGUAGE, None, "bad_audio"))
        elif kind == 3:
            backwards = decode(Path(speech[index].audio))[::-1].copy()
            clips.append(Clip(backwards, "reversed", LANGUAGE, None, "bad_audio"))
        else:
            samples = decode(Path(russian[index // 5].audio))
            clips.append(Clip(samples, "russian", "ru", None, "other_language"))
    return clips


def faster(samples: np.ndarray) -> np.ndarray:
    """Speech (T,) float32 at `FAST` times its speed, by FFmpeg's WSOLA; the pitch stays."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        format="flt", sample_rate=SAMPLE_RATE, layout="mono", time_base=Fraction(1, SAMPLE_RATE)
    )
    graph.link_nodes(source, graph.add("atempo", str(FAST)), graph.add("abuffersink")).configure()
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    graph.push(frame)
    graph.push(None)
    blocks = []
    while True:
        try:
            blocks.append(graph.pull().to_ndarray()[0])
        except (av.BlockingIOError, av.EOFError):
            return np.concatenate(blocks)


def noisy(samples: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Speech (T,) float32 under pink noise."""
    power = np.sqrt(np.mean(samples.astype(float) ** 2))
    return _bounded(samples + power * 10 ** (-snr_db / 20) * pink_noise(len(samples), rng))


def telephone(samples: np.ndarray) -> np.ndarray:
    """Speech (T,) float32 through a narrow band and eight bits of mu-law (ITU-T G.711)."""
    narrow = soxr.resample(samples, SAMPLE_RATE, TELEPHONE_RATE)
    spectrum = np.fft.rfft(narrow)
    frequency = np.fft.rfftfreq(len(narrow), 1 / TELEPHONE_RATE)
    spectrum[(frequency < TELEPHONE_HZ[0]) | (frequency > TELEPHONE_HZ[1])] = 0
    narrow = np.fft.irfft(spectrum, len(narrow))
    narrow /= max(np.abs(narrow).max(), 1e-9)
    pressed = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    narrow = np.sign(pressed) * (256 ** np.abs(pressed) - 1) / 255 * 0.5
    return soxr.resample(narrow.astype(np.float32), TELEPHONE_RATE, SAMPLE_RATE)


def _any_noise(size: int, rng: np.random.Generator) -> np.ndarray:
    """White or pink, steady or in gusts; (T,) of about unit power."""
    noise = rng.standard_normal(size) if rng.random() < 0.5 else pink_noise(size, rng)
    if rng.random() < 0.5:
        gusts = np.interp(np.arange(size), np.linspace(0, size, 9), rng.uniform(0.1, 1.5, 9))
        noise = noise * gusts
    return noise


def _tones(size: int, rng: np.random.Generator) -> np.ndarray:
    """Notes of a few harmonics each, one after another, as a ring tone or a jingle: (T,)."""
    notes = []
    while sum(map(len, notes)) < size:
        times = np.arange(int(rng.uniform(0.15, 0.8) * SAMPLE_RATE)) / SAMPLE_RATE
        pitch = 220 * 2 ** (rng.integers(0, 25) / 12)
        chord = pitch * np.array([1, rng.choice([1.25, 1.5, 2])])
        waves = [np.sin(2 * np.pi * tone * n * times) / n for tone in chord for n in (1, 2, 3)]
        notes.append(np.sum(waves, axis=0) * np.minimum(1, 20 * (times[-1] - times)))
    samples = np.concatenate(notes)[:size]
    return _bounded(samples * rng.uniform(0.05, 0.3))


def _bounded(samples: np.ndarray) -> np.ndarray:
    return np.clip(samples, -1, 1).astype(np.float32)


def _float(samples: np.ndarray, rate: int) -> np.ndarray:
    """(T,) int16 at `rate` as float32 at 16 kHz."""
    return soxr.resample(samples.astype(np.float32) / 32768, rate, SAMPLE_RATE)


def write_clips(clips: Sequence[Clip], split: Split, folder: Path) -> list[Utterance]:
    """Write the clips as FLAC into `folder`; their utterances, in the order of `clips`.

    A file is named after its bytes, and all are of one source and of no known speaker, so that
    only the audio tells them apart.
    """
    folder.mkdir(parents=True, exist_ok=True)
    utterances = []
    for clip in clips:
        unnamed = folder / "unnamed.flac"
        write_flac(clip.samples, unnamed)
        utterance_id = hashlib.sha256(unnamed.read_bytes()).hexdigest()
        path = unnamed.replace(folder / f"{utterance_id}.flac")
        utterances.append(
            Utterance(
                id=utterance_id,
                sample_hash=sample_hash(clip.samples),
                audio=str(path.resolve()),
                duration_s=len(clip.samples) / SAMPLE_RATE,
                source=SOURCES[split],
                language=LANGUAGE,
                split=split,
                text=clip.text,
            )
        )
    return utterances
