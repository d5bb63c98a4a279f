"""A language of tones and a recogniser that hears it: letters are sine waves of 60 ms."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from al_loop.alignment.text import Labels

RATE = 16_000
FRAME = 320
LETTER_S, BETWEEN_WORDS_S = 0.06, 0.1
LETTERS = "абвгдежз"
LOWEST_HZ, STEP_HZ = 500, 400
SURE = 0.95


class ToneRecogniser:
    """The port of `al_loop.sources.heard`; counts the seconds that it was given."""

    id = "tones@1"
    labels = Labels({letter: index + 2 for index, letter in enumerate(LETTERS)}, blank=0, space=1)
    frame_s = FRAME / RATE
    chunk_s = 5.0
    context_s = 0.5
    manner = "tones"

    def __init__(self, fail_after_s: float = float("inf")) -> None:
        self.heard_s = 0.0
        self.fail_after_s = fail_after_s

    def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.heard_s += sum(map(len, clips)) / RATE
        if self.heard_s > self.fail_after_s:
            raise KeyboardInterrupt
        return [self._hear(clip) for clip in clips]

    def _hear(self, clip: np.ndarray) -> np.ndarray:
        frames = np.pad(clip, (0, -len(clip) % FRAME)).reshape(-1, FRAME)
        spectrum = np.abs(np.fft.rfft(frames))
        place = (spectrum.argmax(axis=1) * RATE / FRAME - LOWEST_HZ) / STEP_HZ
        heard = np.clip(np.round(place).astype(int), 0, len(LETTERS) - 1) + 2
        heard[np.abs(frames).max(axis=1) < 0.05] = 1
        again = np.insert(heard[1:] == heard[:-1], 0, False)
        heard[again & (heard > 1)] = 0  # a letter is one frame long, as CTC has it
        probs = np.full((len(heard), len(LETTERS) + 2), (1 - SURE) / (len(LETTERS) + 1))
        probs[np.arange(len(heard)), heard] = SURE
        return np.log(probs).astype(np.float32)


def sing(sentences: Sequence[str], pause_s: float = 0.4) -> tuple[np.ndarray, list[float]]:
    """The sentences' samples (N,) float32, and when each begins; none begins with a letter twice.

    A letter that follows itself would be one long tone: there must be none.
    """
    parts, begins, now = [np.zeros(round(pause_s * RATE))], [], pause_s
    for sentence in sentences:
        begins.append(now)
        words = sentence.lower().strip(".").split()
        for number, word in enumerate(words):
            for letter in word:
                times = np.arange(round(LETTER_S * RATE)) / RATE
                hertz = LOWEST_HZ + STEP_HZ * LETTERS.index(letter)
                parts.append(0.3 * np.sin(2 * np.pi * hertz * times))
            last = number == len(words) - 1
            parts.append(np.zeros(round((pause_s if last else BETWEEN_WORDS_S) * RATE)))
        now = sum(map(len, parts)) / RATE
    return np.concatenate(parts).astype(np.float32), begins


def random_sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences of 6 to 10 words of 3 to 6 letters, about 3 s each."""
    rng = np.random.default_rng(seed)

    def word() -> str:
        letters = [str(rng.choice(list(LETTERS)))]
        for _ in range(int(rng.integers(2, 6))):
            letters.append(str(rng.choice([row for row in LETTERS if row != letters[-1]])))
        return "".join(letters)

    return [
        " ".join(word() for _ in range(int(rng.integers(6, 11)))).capitalize() + "."
        for _ in range(count)
    ]


def write_wav(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path
