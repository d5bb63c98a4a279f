"""What training does to a draw so that the model hears more than was recorded: speed, noise, masks.

Knows NumPy and soxr, neither torch nor files. All that happens to a draw follows from its
`Augmentation`, so a draw sounds the same whenever, and in whatever process, it is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from al_loop.audio import MAX_DURATION_S, SAMPLE_RATE
from al_loop.config import TrainSettings

BROWN = 2.0
"""White noise has power f^0 at frequency f, pink f^-1, brown f^-2."""
LOWEST_NOISE_HZ = 50.0
"""Ours: most of brown noise's power would lie where neither a microphone nor Whisper hears."""
MASKED_BANDS, OF_BANDS = 27, 80
"""F of SpecAugment's policy LB, and the mel bands that its authors have."""
MASKED_FRAMES = 100
"""T of the same policy; its frames are 10 ms long, as Whisper's are."""
MASKED_SHARE = 0.2
"""The most that a time mask takes of a clip: p of the policies SM and SS. LB's p is 1, for
utterances of 12 s on average; a clip of 2 s would lose half its words."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """One draw's fate. `speed`: 1.1 is a tenth faster. `noise_snr_db`: None adds no noise."""

    speed: float = 1.0
    noise_snr_db: float | None = None
    masked: bool = False
    seed: int = 0


def draw_augmentation(settings: TrainSettings, rng: np.random.Generator) -> Augmentation:
    """What `settings` and `rng` make of one draw. What it does not use is drawn all the same, so
    that another noise share changes no speed."""
    speed = settings.speeds[rng.integers(len(settings.speeds))]
    noisy = rng.random() < settings.noise_share
    snr_db = rng.uniform(*settings.noise_snr_db)
    seed = int(rng.integers(2**32))
    return Augmentation(speed, snr_db if noisy else None, settings.spec_augment, seed)


def augment_samples(samples: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Samples (N,) float32 at 16 kHz, played at the speed and with the noise: (N / speed,) float32.

    A clip that would outgrow Whisper's 30 s is slowed only as far as they reach, or the end of its
    text would go unheard.
    """
    slowest = min(len(samples) / (MAX_DURATION_S * SAMPLE_RATE), 1.0)
    played = _change_speed(samples, max(augmentation.speed, slowest))
    if augmentation.noise_snr_db is None:
        return played
    # streams of their own: whether there is noise does not move the masks
    noise = _coloured_noise(len(played), np.random.default_rng([augmentation.seed, 0]))
    power = np.mean(np.square(played, dtype=np.float64))
    gain = np.sqrt(power / 10 ** (augmentation.noise_snr_db / 10))
    return (played + gain * noise).astype(np.float32)


def mask_log_mel(log_mel: np.ndarray, frames: int, augmentation: Augmentation) -> np.ndarray:
    """A log-mel (n_mels, T) float32 with one band and one stretch of its `frames` masked.

    SpecAugment (Park et al., Interspeech 2019, arXiv 1904.08779) without time warping, which its
    authors found to matter least. Masked means: set to the mean. They write 0 into features that
    were normalised to a mean of 0; in Whisper's, 0 is a level like any other. frames: the clip's
    own; the padding behind them stays as silent as it is wherever the model is used, and does not
    count for the mean.
    """
    if not augmentation.masked:
        return log_mel
    rng = np.random.default_rng([augmentation.seed, 1])
    bands = len(log_mel)
    masked = log_mel.copy()
    clip = masked[:, :frames]
    mean = clip.mean()
    clip[_stretch(bands, round(MASKED_BANDS * bands / OF_BANDS), rng)] = mean
    longest = min(MASKED_FRAMES, int(MASKED_SHARE * clip.shape[1]))
    clip[:, _stretch(clip.shape[1], longest, rng)] = mean
    return masked


def _change_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Speed perturbation by resampling; the pitch goes along, as in Ko et al., "Audio augmentation
    for speech recognition", Interspeech 2015."""
    if speed == 1.0:
        return samples
    return soxr.resample(samples, speed * SAMPLE_RATE, SAMPLE_RATE, quality="HQ")


def _coloured_noise(length: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) float64 of power 1, its spectrum between white and brown.

    A random spectrum of the wanted shape, transformed back: Timmer and König, Astronomy and
    Astrophysics 300 (1995) 707.
    """
    exponent = rng.uniform(0, BROWN)
    frequency = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    real, imaginary = rng.standard_normal((2, len(frequency)))
    shape = np.maximum(frequency, LOWEST_NOISE_HZ) ** (-exponent / 2)
    spectrum = (real + 1j * imaginary) * np.where(frequency < LOWEST_NOISE_HZ, 0, shape)
    noise = np.fft.irfft(spectrum, length)
    return noise / np.sqrt(np.mean(noise**2))


def _stretch(length: int, longest: int, rng: np.random.Generator) -> slice:
    """Up to `longest` of `length` places: width, then start, each uniform."""
    width = int(rng.integers(longest + 1))
    start = int(rng.integers(length - width + 1))
    return slice(start, start + width)
