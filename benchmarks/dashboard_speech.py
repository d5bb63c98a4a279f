"""What is said in the generated clips of the dashboard's workspace, and how it is misheard. Pure.

Texts are stretches of the demo's own sentences; errors are those that Whisper makes in Kyrgyz and
Russian: letters taken for others, words lost, words added. Sound is tones that rise and fall as
speech does. Knows neither rounds nor the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random

import numpy as np

from al_loop.demo.corpus import read_sentences

SAMPLE_RATE = 16_000
TAKEN_FOR = (("ө", "о"), ("ү", "у"), ("ң", "н"), ("ы", "и"), ("г", "к"), ("ж", "ш"), ("о", "а"))
"""Letters that are misheard, and as what: the first that a word has."""
ADDED = {"ky": "да", "ru": "ну"}
SUBSTITUTED, DELETED = 0.65, 0.85
"""Of the words that are misheard: up to here another word, from there to here none."""
OWN = 0.1
"""How far a checkpoint's own luck moves what is misheard; the rest is the clip's."""
SYLLABLES_PER_S = 4.0


@cache
def _running_text(language: str) -> tuple[list[str], list[int]]:
    """Words, one sentence after the other, and where each sentence begins."""
    words: list[str] = []
    starts = []
    for sentence in read_sentences(language):
        starts.append(len(words))
        words += sentence.split()
    return words, starts


def said(language: str, words: int, name: str) -> str:
    """So many words, from the beginning of a sentence on; the same for every `name`."""
    running, starts = _running_text(language)
    start = starts[Random(f"said {name}").randrange(len(starts))]
    return " ".join((running[start:] + running)[:words])


def misheard(text: str, language: str, name: str, hearer: str, share: float) -> str:
    """What `hearer` makes of the text: about `share` of its words are wrong.

    Where a smaller share is wrong, mostly the same words are among them.
    """
    clip, own = Random(f"clip {name}"), Random(f"{hearer} {name}")
    heard = []
    for word in text.split():
        chance, kind = (clip.random() + OWN * own.random()) % 1, clip.random()
        if chance >= share:
            heard.append(word)
        elif kind < SUBSTITUTED:
            heard.append(like(word))
        elif kind >= DELETED:
            heard += [word, ADDED[language]]
    return " ".join(heard)


def like(word: str) -> str:
    """Another word that sounds much like this one."""
    for letter, other in TAKEN_FOR:
        if letter in word:
            return word.replace(letter, other, 1)
    return word[:-1] if len(word) > 2 else word + word


def tones(duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) float32 at 16 kHz: a gliding voice of many harmonics, cut into syllables, with pauses.

    It has a spectrum to look at, and hurts nobody's ears.
    """
    times = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = rng.uniform(100, 220) * (1 + 0.15 * np.sin(2 * np.pi * times * rng.uniform(0.2, 0.6)))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    count = max(round(SYLLABLES_PER_S * duration_s), 1)
    places = np.linspace(0, duration_s, count)
    voice = np.zeros_like(times)
    formants = [np.interp(times, places, rng.uniform(*ends, count)) for ends in _formants()]
    for harmonic in range(1, 25):
        near = sum(np.exp(-(((harmonic * pitch - formant) / 220) ** 2)) for formant in formants)
        voice += (0.1 / harmonic + near) * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(np.pi * SYLLABLES_PER_S * times) ** 2, 0.05, 1)
    spoken = np.interp(times, places, (rng.random(count) > 0.12).astype(float))
    sound = voice * syllables * spoken + 0.01 * rng.standard_normal(len(times))
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def _formants() -> Sequence[tuple[float, float]]:
    """Where the first two formants of vowels lie, in Hz: lowest and highest."""
    return (300, 800), (900, 2300)
