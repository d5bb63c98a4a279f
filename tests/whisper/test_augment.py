import numpy as np
import pytest

from al_loop.config import TrainSettings
from al_loop.whisper.augment import (
    Augmentation,
    augment_samples,
    draw_augmentation,
    mask_log_mel,
)

SEEDS = range(100)


@pytest.fixture
def tone() -> np.ndarray:
    """Two seconds of 400 Hz at 16 kHz."""
    return (0.3 * np.sin(2 * np.pi * 400 * np.arange(32_000) / 16_000)).astype(np.float32)


@pytest.fixture
def log_mel() -> np.ndarray:
    """Four seconds, of which the last one is padding; no value occurs twice."""
    values = np.random.default_rng(0).uniform(-0.5, 1.5, (80, 400)).astype(np.float32)
    values[:, 300:] -= 2
    return values


def draws(settings: TrainSettings, count: int = 1000) -> list[Augmentation]:
    rng = np.random.default_rng(0)
    return [draw_augmentation(settings, rng) for _ in range(count)]


def peak_hz(samples: np.ndarray) -> float:
    return float(np.fft.rfftfreq(len(samples), 1 / 16_000)[np.abs(np.fft.rfft(samples)).argmax()])


def test_a_draw_without_augmentation_stays_as_it_is(tone: np.ndarray, log_mel: np.ndarray) -> None:
    for augmentation in [Augmentation(), *draws(TrainSettings(), 3)]:
        assert np.array_equal(augment_samples(tone, augmentation), tone)
        assert np.array_equal(mask_log_mel(log_mel, 300, augmentation), log_mel)


def test_fates_follow_the_settings_and_the_seed() -> None:
    settings = TrainSettings(
        speeds=[0.9, 1.0, 1.1], noise_share=0.25, noise_snr_db=(10, 20), spec_augment=True
    )
    fates = draws(settings)
    assert fates == draws(settings)
    for speed in settings.speeds:
        assert np.mean([fate.speed == speed for fate in fates]) == pytest.approx(1 / 3, abs=0.05)
    ratios = [fate.noise_snr_db for fate in fates if fate.noise_snr_db is not None]
    assert len(ratios) / len(fates) == pytest.approx(0.25, abs=0.05)
    assert 10 <= min(ratios) < 11
    assert 19 < max(ratios) <= 20
    assert all(fate.masked for fate in fates)
    assert len({fate.seed for fate in fates}) == len(fates)
    quiet = draws(settings.model_copy(update={"noise_share": 0.0}))
    assert [(fate.speed, fate.seed) for fate in quiet] == [(f.speed, f.seed) for f in fates]


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_speed_changes_length_and_pitch(tone: np.ndarray, speed: float) -> None:
    played = augment_samples(tone, Augmentation(speed))
    assert played.dtype == np.float32
    assert len(played) == pytest.approx(len(tone) / speed, abs=1)
    assert peak_hz(played) == pytest.approx(400 * speed, abs=1)
    assert np.sqrt(np.mean(played**2)) == pytest.approx(np.sqrt(np.mean(tone**2)), rel=0.01)


def test_no_clip_outgrows_thirty_seconds(tone: np.ndarray) -> None:
    long = np.tile(tone, 14)
    assert len(augment_samples(long, Augmentation(0.5))) == 30 * 16_000
    assert len(augment_samples(long, Augmentation(1.1))) == pytest.approx(28 * 16_000 / 1.1, abs=1)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_has_the_ratio_that_was_asked_for(tone: np.ndarray, snr_db: float) -> None:
    for level in (1.0, 0.01):
        noisy = augment_samples(level * tone, Augmentation(noise_snr_db=snr_db, seed=1))
        assert noisy.dtype == np.float32
        noise = noisy - level * tone
        measured = 10 * np.log10(np.sum((level * tone) ** 2) / np.sum(noise**2))
        assert measured == pytest.approx(snr_db, abs=0.01)


def test_noise_is_white_to_brown_and_repeats(tone: np.ndarray) -> None:
    slopes = []
    for seed in SEEDS:
        fate = Augmentation(noise_snr_db=-20.0, seed=seed)
        noise = augment_samples(tone, fate) - tone
        assert np.array_equal(augment_samples(tone, fate) - tone, noise)
        frequency = np.fft.rfftfreq(len(noise), 1 / 16_000)
        power = np.abs(np.fft.rfft(noise)) ** 2
        assert power[frequency < 50].sum() < 1e-6 * power.sum()
        heard = frequency >= 50
        slopes.append(np.polyfit(np.log(frequency[heard]), np.log(power[heard]), 1)[0])
    assert -2.1 < min(slopes) < -1.8
    assert -0.2 < max(slopes) < 0.1
    assert np.mean(slopes) == pytest.approx(-1, abs=0.15)


def test_noise_on_silence_is_silent() -> None:
    silence = np.zeros(16_000, dtype=np.float32)
    assert np.array_equal(augment_samples(silence, Augmentation(noise_snr_db=5.0)), silence)


@pytest.mark.parametrize(("bands", "widest"), [(80, 27), (128, 43)])
def test_one_band_and_one_stretch_are_masked_to_the_mean(bands: int, widest: int) -> None:
    log_mel = np.random.default_rng(1).uniform(-0.5, 1.5, (bands, 400)).astype(np.float32)
    before = log_mel.copy()
    mean = log_mel[:, :300].mean()
    rows, columns = [], []
    for seed in SEEDS:
        masked = mask_log_mel(log_mel, 300, Augmentation(masked=True, seed=seed))
        assert masked.dtype == np.float32
        assert np.array_equal(log_mel, before)
        changed = masked != log_mel
        assert np.all(masked[changed] == mean)
        in_band, in_stretch = changed[:, :300].all(axis=1), changed[:, :300].all(axis=0)
        assert np.array_equal(changed[:, :300], in_band[:, None] | in_stretch)
        for hit in (in_band, in_stretch):
            assert np.abs(np.diff(hit.astype(int))).sum() <= 2  # one piece
        rows.append(in_band.sum())
        columns.append(in_stretch.sum())
        assert not changed[:, 300:].any()
    assert min(rows) == 0
    assert widest - 3 <= max(rows) <= widest
    assert min(columns) < 5
    assert 55 <= max(columns) <= 60


def test_a_time_mask_is_a_second_at_most() -> None:
    log_mel = np.random.default_rng(1).uniform(-0.5, 1.5, (80, 3000)).astype(np.float32)
    widths = []
    for seed in SEEDS:
        changed = mask_log_mel(log_mel, 3000, Augmentation(masked=True, seed=seed)) != log_mel
        widths.append(changed.all(axis=0).sum())
    assert 95 <= max(widths) <= 100


def test_padding_is_neither_masked_nor_part_of_the_mean(log_mel: np.ndarray) -> None:
    for seed in SEEDS:
        masked = mask_log_mel(log_mel, 300, Augmentation(masked=True, seed=seed))
        assert np.array_equal(masked[:, 300:], log_mel[:, 300:])
        assert np.all(masked[masked != log_mel] == log_mel[:, :300].mean())


def test_noise_does_not_move_the_masks(log_mel: np.ndarray) -> None:
    quiet, noisy = (Augmentation(noise_snr_db=snr, masked=True, seed=7) for snr in (None, 5.0))
    assert np.array_equal(mask_log_mel(log_mel, 300, quiet), mask_log_mel(log_mel, 300, noisy))
