from __future__ import annotations

import math

import numpy as np
import pytest

from al_loop.whisper.noise import MARGIN, GradientNoise, accumulation_for, gradient_noise


def measured(
    mean: np.ndarray, deviation: float, sizes: list[int], rng: np.random.Generator
) -> GradientNoise:
    """A measurement on clips whose gradients are `mean` and Gaussian noise of that deviation."""
    gradients = [mean + deviation * rng.standard_normal((size, len(mean))) for size in sizes]
    parts = [rows.mean(axis=0) for rows in gradients]
    full = np.concatenate(gradients).mean(axis=0)
    return gradient_noise(sizes, [float(part @ part) for part in parts], float(full @ full))


@pytest.mark.parametrize("sizes", [[4] * 16, [1] * 64, [8, 5, 4, 8, 8, 7, 8, 8, 8]])
def test_both_terms_are_unbiased(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    mean = np.full(100, 0.3)  # |G|^2 = 9
    rows = [measured(mean, 2.0, sizes, rng) for _ in range(400)]  # tr(S) = 400
    assert np.mean([row.squared_norm for row in rows]) == pytest.approx(9, rel=0.03)
    assert np.mean([row.variance for row in rows]) == pytest.approx(400, rel=0.03)


def test_one_part_says_nothing_about_noise() -> None:
    assert gradient_noise([8], [4.0], 4.0) == GradientNoise(8, 2.0, 4.0, 0.0)


def test_equal_gradients_have_no_noise() -> None:
    assert gradient_noise([4, 4], [9.0, 9.0], 9.0) == GradientNoise(8, 3.0, 9.0, 0.0)


def test_the_full_gradient_is_without_the_measurement_s_own_noise() -> None:
    noise = GradientNoise(16, measured_norm=5.8, squared_norm=9.0, variance=400.0)
    assert noise.full_norm == 3.0


@pytest.mark.parametrize("bound", [3.2, 3.5, 5.0, 8.0])
def test_the_chosen_batch_meets_the_bound(bound: float) -> None:
    """On a generated problem whose full gradient, of norm 3, lies below it."""
    rng = np.random.default_rng(1)
    mean = np.full(100, 0.3)
    noise = measured(mean, 2.0, [8] * 200, rng)
    accumulation = accumulation_for(noise, bound, 8, 1000)
    steps = mean + 2.0 / math.sqrt(8 * accumulation) * rng.standard_normal((200, 100))
    assert np.linalg.norm(steps, axis=1).mean() <= bound
    if 1 < accumulation < 1000:  # and no more than it takes, but for the margin
        fewer = mean + 2.0 / math.sqrt(4 * accumulation) * rng.standard_normal((200, 100))
        assert np.linalg.norm(fewer, axis=1).mean() > MARGIN * bound


def test_limits() -> None:
    noisy = GradientNoise(64, 3.0, 9.0, 400.0)
    assert accumulation_for(noisy, 3.4, 8, 16) == 16
    assert accumulation_for(noisy, 1000.0, 8, 16) == 1
    assert accumulation_for(GradientNoise(64, 3.0, 9.0, 0.0), 5.0, 8, 16) == 1


def test_beyond_the_bound_the_noise_scale_decides() -> None:
    """Full gradient 29, as untrained whisper-base: tr(S)/|G|^2 = 40 clips, five batches of 8."""
    noise = GradientNoise(64, 29.0, 841.0, 841.0 * 40)
    assert accumulation_for(noise, 5.0, 8, 16) == 5


def test_a_gradient_that_vanishes() -> None:
    assert accumulation_for(GradientNoise(4, 0.0, 0.0, 0.0), 5.0, 8, 16) == 1
