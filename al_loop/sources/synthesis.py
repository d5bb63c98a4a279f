"""How a line of text is spoken: each in a voice and a room of its own.

Knows the port `Synthesiser`, no model. How a line is spoken follows from the run's seed, the model
and the line's text alone: in whatever order, and however often a run is begun, it is the same clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import soxr

from al_loop.audio import MAX_DURATION_S, SAMPLE_RATE
from al_loop.errors import AudioError, ManifestError
from al_loop.records import content_hash
from al_loop.sources.synthesis_sound import recorded

Range = tuple[float, float]
OWN_PITCH = 50
NOISY_SHARE, ROOM_SHARE = 0.6, 0.5
"""Of the lines, so that clean and dry speech is heard too. Ours."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a line is spoken.

    speaker: one of the synthesiser's. pace: 1 is the speaker's own, 2 twice as fast. pitch: 0 to
    99, 50 is the speaker's own; who cannot change it leaves it. seed: of what the model draws, 31
    bits.
    """

    speaker: str
    pace: float = 1.0
    pitch: int = OWN_PITCH
    seed: int = 0


class Synthesiser(Protocol):
    """What speaks. name: of the model, as `made_by` has it. licence: of its weights or program.

    id: the name, and all settings that its speech depends on besides the manner. speakers: whom it
    can speak as, with the model's name, as the catalogue has them.
    speak: the text as samples (T,) float32 in [-1, 1], and their rate in Hz; equal arguments give
    equal samples. Raises AudioError `unspeakable` where it cannot, and why.
    close: ends what it has started.
    """

    name: str
    licence: str
    id: str
    speakers: Sequence[str]

    def speak(self, text: str, manner: Manner) -> tuple[np.ndarray, int]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Variety:
    """What is drawn for each line, uniformly from these ranges.

    speakers: of the synthesiser's. plain: neither noise nor room.
    """

    speakers: Sequence[str]
    seed: int
    pace: Range = (0.8, 1.25)
    pitch: Range = (40, 60)
    snr_db: Range = (5, 35)
    rt60_s: Range = (0.1, 0.6)
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """What was drawn for one line. snr_db, rt60_s: None without noise, without a room."""

    manner: Manner
    snr_db: float | None
    rt60_s: float | None

    @property
    def recipe(self) -> str:
        """All that a clip depends on besides its text and its speaker."""
        manner = self.manner
        parts = [f"pace {manner.pace:.2f}", f"pitch {manner.pitch}"]
        parts += [] if self.snr_db is None else [f"noise {self.snr_db:.0f} dB"]
        parts += [] if self.rt60_s is None else [f"room {self.rt60_s:.2f} s"]
        return ", ".join([*parts, f"seed {manner.seed:08x}"])


class Known(NamedTuple):
    """What tells a clip that is in already."""

    text: str
    speaker: str
    recipe: str


def known_of(text: str, speaker: str, origin: str) -> Known:
    """Of a clip that `al_loop.sources.synthesis_clips` made once."""
    return Known(text, speaker, origin.rpartition(" (")[2].removesuffix(")"))


def draw_take(text: str, synthesiser_id: str, variety: Variety) -> Take:
    """How a line is spoken. What is not used is drawn all the same: the plain clip of a line has
    the voice of the other one."""
    seed = int(content_hash([variety.seed, synthesiser_id, text])[:8], 16) % 2**31
    rng = np.random.default_rng([seed, 0])
    manner = Manner(
        variety.speakers[int(rng.integers(len(variety.speakers)))],
        round(rng.uniform(*variety.pace), 2),
        round(rng.uniform(*variety.pitch)),
        seed,
    )
    snr_db, rt60_s = round(rng.uniform(*variety.snr_db)), round(rng.uniform(*variety.rt60_s), 2)
    noisy, roomy = rng.random() < NOISY_SHARE, rng.random() < ROOM_SHARE
    return Take(
        manner,
        snr_db if noisy and not variety.plain else None,
        rt60_s if roomy and not variety.plain else None,
    )


def spoken(text: str, take: Take, synthesiser: Synthesiser) -> np.ndarray:
    """The line's clip, (T,) float32 at 16 kHz. Raises AudioError."""
    samples, rate = synthesiser.speak(text, take.manner)
    if not len(samples) or not np.isfinite(samples).all() or not np.abs(samples).max() > 0:
        raise AudioError("unspeakable", f"{take.manner.speaker} makes no sound of it")
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
    rng = np.random.default_rng([take.manner.seed, 1])
    heard = recorded(samples, take.snr_db, take.rt60_s, rng)
    if len(heard) > MAX_DURATION_S * SAMPLE_RATE:
        raise AudioError(
            "too_long",
            f"spoken it lasts {len(heard) / SAMPLE_RATE:.1f} s, and Whisper hears "
            f"{MAX_DURATION_S:.0f} s: part the line",
        )
    return heard


def chosen(speakers: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The speakers that the user names by the ends of their names; all, where none is named.

    Raises ManifestError where there is no such speaker.
    """
    found = []
    for name in wanted:
        match = next((row for row in speakers if row == name or _ends(row, name)), None)
        if match is None:
            some = ", ".join(speakers[:12]) + (" …" if len(speakers) > 12 else "")
            raise ManifestError(f"--voices {name!r}: expected some of {some}")
        found.append(match)
    return found or list(speakers)


def _ends(speaker: str, name: str) -> bool:
    return speaker.endswith((f" {name}", f"+{name}"))
