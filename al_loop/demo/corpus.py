"""The demo's corpus: Kyrgyz and Russian sentences, spoken by espeak-ng as if in many rooms.

    folder/
        pool.tsv      path, language, speaker: no texts, for the loop must ask for them
        train_ky.tsv  path, language, split, speaker, transcription
        train_ru.tsv  the same; apart, so that Russian can have a weight of its own
        test.tsv      the same, both languages
        answers.tsv   path, transcription of the pool: only the demo's annotator reads it
        audio/        mono WAV, 16 bit, numbered in an order that tells nothing

The pool is uneven on purpose, as pools are: the seed (the Kyrgyz part of train) knows four
speakers, the pool fourteen, and a part of the clips is hasty or noisy. Half of the test speakers
are in the seed or the pool; the others are heard nowhere else. Knows nothing of models, of
Label Studio or of how the files are ingested.
"""

from __future__ import annotations

import csv
import hashlib
import wave
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from al_loop.errors import WorkspaceError
from al_loop.records import Split
from al_loop.sources.espeak import Voice, speak_all

LABELLED_COLUMNS = ("path", "language", "split", "speaker", "transcription")
POOL_COLUMNS = ("path", "language", "speaker")
ANSWER_COLUMNS = ("path", "transcription")


@dataclass(frozen=True, slots=True)
class Part:
    """So many clips of one language in one split, shared out evenly among the speakers."""

    language: str
    split: Split
    clips: int
    speakers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Condition:
    """How a share of all clips was recorded; both ranges are drawn from uniformly."""

    share: float
    rate_wpm: tuple[int, int]
    snr_db: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip to make. `peak_dbfs`: its loudest sample, in dB below the largest one possible."""

    path: str
    split: Split
    text: str
    voice: Voice
    snr_db: float
    peak_dbfs: float

    @property
    def speaker(self) -> str:
        return f"{self.voice.language}-{self.voice.variant}"


SEED_SPEAKERS = ("m1", "m3", "f1", "f4")
POOL_SPEAKERS = (
    *SEED_SPEAKERS, "m2", "m4", "m5", "m6", "f2", "f3", "klatt3", "croak", "whisper", "grandma",
)  # fmt: skip
TEST_SPEAKERS = ("m1", "f1", "m5", "f3", "m7", "m8", "f5", "grandpa")

PARTS = (
    Part("ky", "pool", 126, POOL_SPEAKERS),
    Part("ky", "train", 42, SEED_SPEAKERS),
    Part("ky", "test", 48, TEST_SPEAKERS),
    Part("ru", "train", 55, SEED_SPEAKERS),
    Part("ru", "test", 40, TEST_SPEAKERS),
)

CONDITIONS = (
    Condition(0.6, rate_wpm=(125, 150), snr_db=(20, 35)),  # calm
    Condition(0.2, rate_wpm=(170, 195), snr_db=(15, 30)),  # hasty
    Condition(0.2, rate_wpm=(125, 150), snr_db=(3, 9)),  # noisy
)
PITCH = (40, 60)
PEAK_DBFS = (-18.0, -3.0)
PAUSE_S = (0.1, 0.3)
"""Noise alone before and after the speech."""


def build_corpus(
    folder: Path,
    seed: int,
    progress: Callable[[int, int], None],
    parts: Sequence[Part] = PARTS,
) -> None:
    """Make the corpus in `folder`, wholly or not at all; equal arguments give equal bytes.

    progress: called with (clips made, clips in all) after each clip.
    Raises WorkspaceError where `folder` exists already, AlLoopError where nothing can speak.
    """
    if folder.exists():
        raise WorkspaceError(f"{folder} exists already: remove it to have the corpus made anew.")
    rng = np.random.default_rng(seed)
    clips = plan(parts, rng)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / "corpus"
        (made / "audio").mkdir(parents=True)
        speech = speak_all([(clip.text, clip.voice) for clip in clips], seed)
        for done, (clip, (samples, sample_rate)) in enumerate(zip(clips, speech, strict=True), 1):
            write_wav(made / clip.path, record(samples, sample_rate, clip, rng), sample_rate)
            progress(done, len(clips))
        write_manifests(made, clips)
        made.rename(folder)


def plan(parts: Sequence[Part], rng: np.random.Generator) -> list[Clip]:
    """Who says what, how and where. No sentence is said twice."""
    total = sum(part.clips for part in parts)
    numbers = iter(rng.permutation(total))
    unsaid = {
        language: list(rng.permutation(read_sentences(language)))
        for language in sorted({part.language for part in parts})
    }
    clips = []
    for part in parts:
        for index in range(part.clips):
            condition = CONDITIONS[rng.choice(len(CONDITIONS), p=[c.share for c in CONDITIONS])]
            voice = Voice(
                part.language,
                part.speakers[index % len(part.speakers)],
                rate_wpm=int(rng.integers(*condition.rate_wpm, endpoint=True)),
                pitch=int(rng.integers(*PITCH, endpoint=True)),
            )
            clips.append(
                Clip(
                    path=f"audio/{next(numbers):04d}.wav",
                    split=part.split,
                    text=str(unsaid[part.language].pop()),
                    voice=voice,
                    snr_db=rng.uniform(*condition.snr_db),
                    peak_dbfs=rng.uniform(*PEAK_DBFS),
                )
            )
    return clips


def read_sentences(language: str) -> list[str]:
    """The sentences that come with this package, one a line."""
    name = f"sentences_{language}.txt"
    return (files("al_loop.demo") / name).read_text(encoding="utf-8").splitlines()


def record(
    samples: np.ndarray, sample_rate: int, clip: Clip, rng: np.random.Generator
) -> np.ndarray:
    """The speech `samples` (T,) int16 as the clip's room and microphone give them: (T',) int16.

    The signal-to-noise ratio is that of the mean powers while somebody speaks.
    """
    before, after = (rng.uniform(*PAUSE_S, size=2) * sample_rate).astype(int)
    speech = samples / np.sqrt(np.mean(np.square(samples, dtype=float)))
    noise = pink_noise(before + len(speech) + after, rng) * 10 ** (-clip.snr_db / 20)
    mixed = np.pad(speech, (before, after)) + noise
    peak = np.iinfo(np.int16).max * 10 ** (clip.peak_dbfs / 20)
    return np.round(mixed * (peak / np.abs(mixed).max())).astype(np.int16)


def pink_noise(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise (length,) float64 of unit power whose power falls as 1/f, as a room's does."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, length)
    return noise / np.sqrt(np.mean(np.square(noise)))


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Mono WAV of `samples` (T,) int16."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())


def write_manifests(folder: Path, clips: Sequence[Clip]) -> None:
    """The tables, ordered by path."""
    clips = sorted(clips, key=lambda clip: clip.path)
    pool = [clip for clip in clips if clip.split == "pool"]
    tables: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.split == "train":
            tables.setdefault(f"train_{clip.voice.language}.tsv", []).append(clip)
        elif clip.split == "test":
            tables.setdefault("test.tsv", []).append(clip)
    for name, rows in tables.items():
        _write_tsv(
            folder / name,
            LABELLED_COLUMNS,
            (
                (clip.path, clip.voice.language, clip.split, clip.speaker, clip.text)
                for clip in rows
            ),
        )
    _write_tsv(
        folder / "pool.tsv",
        POOL_COLUMNS,
        ((clip.path, clip.voice.language, clip.speaker) for clip in pool),
    )
    _write_tsv(folder / "answers.tsv", ANSWER_COLUMNS, ((clip.path, clip.text) for clip in pool))


def read_answers(folder: Path) -> dict[str, str]:
    """All transcripts by utterance id: what `DemoAnnotator` takes as its knowledge.

    Those of train too, for a clip with a known text may be asked about, to see what is answered.
    """
    answers = {}
    for table in sorted(folder.glob("*.tsv")):
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                if text := row.get("transcription"):
                    sound = (folder / row["path"]).read_bytes()
                    answers[hashlib.sha256(sound).hexdigest()] = text
    return answers


def _write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
