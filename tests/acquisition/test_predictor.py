"""The predicted WER: when it exists, what it learns, and what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from al_loop.acquisition.functions import WORST_WER
from al_loop.acquisition.predictor import (
    DOUBTS,
    ENOUGH_CONTROL,
    FEWEST,
    HINTS,
    MANY,
    Predictor,
    fit,
)
from al_loop.acquisition.quality import spearman
from al_loop.metrics import count_errors
from al_loop.records import Answer
from tests.acquisition.rows import HYPOTHESIS_NAMES, RARE, Clip, answer, clip, pool_of

KINDS = ("easy", "easy", *RARE)


def clips(size: int, seed: int = 0) -> list[Clip]:
    return [clip(KINDS[number % len(KINDS)], number, seed) for number in range(size)]


def learn(answers: Sequence[Answer], seed: int = 0) -> Predictor:
    found = fit(answers, "mean_token_entropy", np.random.default_rng(seed))
    assert found is not None
    return found


def predicted_and_true(found: Predictor, rows: Sequence[Clip]) -> tuple[np.ndarray, np.ndarray]:
    pool = pool_of(rows)
    true = {}
    for row in rows:
        counts = count_errors(row.text, row.hypothesis.text, "ky")
        true[row.id.encode()] = counts.word_errors / counts.words
    return found.wer(pool.statistics, pool.duration_s), np.array([true[name] for name in pool.ids])


def test_too_few_answers_give_no_predictor() -> None:
    rows = [answer(row) for row in clips(FEWEST)]
    rng = np.random.default_rng(0)
    assert fit(rows[:-1], "random", rng) is None
    assert fit([*rows[:-1], answer(clip("reversed", 1))], "random", rng) is None  # a verdict
    assert fit([*rows[:-1], replace(rows[-1], hypothesis=None)], "random", rng) is None
    assert fit([*rows[:-1], replace(rows[-1], trusted=False)], "random", rng) is None
    assert fit([*rows[:-1], replace(rows[-1], text="…")], "random", rng) is None  # no word
    assert fit(rows, "random", rng) is not None


@pytest.mark.parametrize(("size", "least"), [(24, 0.6), (80, 0.65), (MANY + 50, 0.65)])
def test_it_orders_clips_that_it_has_not_seen(size: int, least: float) -> None:
    found = learn([answer(row) for row in clips(size)])
    predicted, true = predicted_and_true(found, clips(300, seed=1))
    rank = spearman(predicted, true)
    assert rank is not None
    assert rank > least
    assert abs(predicted.mean() - true.mean()) < 0.12


@pytest.mark.parametrize("size", [30, MANY])
def test_more_doubt_never_means_a_lower_wer(size: int) -> None:
    found = learn([answer(row) for row in clips(size)])
    pool = pool_of(clips(60, seed=2))
    before = found.wer(pool.statistics, pool.duration_s)
    for name in HYPOTHESIS_NAMES:
        sign = -1 if name in ("mean_log_prob", "mean_margin") else 1
        moved = {**pool.statistics, name: pool.statistics[name] + np.float32(0.3 * sign)}
        assert (found.wer(moved, pool.duration_s) >= before - 1e-9).all()
    assert 0 <= before.min() <= before.max() <= WORST_WER


@pytest.mark.parametrize("size", [30, MANY])
def test_the_order_of_the_answers_does_not_matter(size: int) -> None:
    rows = [answer(row) for row in clips(size)]
    assert learn(rows).quality == learn(rows[::-1]).quality


def test_a_clip_without_statistics_has_no_prediction() -> None:
    found = learn([answer(row) for row in clips(30)])
    pool = pool_of(clips(5))
    pool.statistics["mean_margin"][3] = np.nan
    predicted = found.wer(pool.statistics, pool.duration_s)
    assert np.flatnonzero(np.isnan(predicted)).tolist() == [3]


def test_its_quality_is_json_with_intervals_and_a_control_arm() -> None:
    rows = [
        answer(row, arm="control" if n % 4 == 0 else "acquired") for n, row in enumerate(clips(60))
    ]
    quality = learn(rows).quality
    json.dumps(quality, allow_nan=False)
    assert quality["answers"] == 60
    assert set(quality["statistics"]) == {*DOUBTS, *HINTS}
    own = quality["out_of_fold"]
    assert own["low"] < own["value"] < own["high"]
    assert quality["statistics"]["compression_ratio"] is None  # it never varies
    assert quality["control"]["answers"] == 15
    assert sum(row["answers"] for row in quality["calibration"]) == 60
    predicted = [row["predicted"] for row in quality["calibration"]]
    assert predicted == sorted(predicted)
    assert 0 < quality["mae"] < 0.3


def test_it_takes_over_where_it_orders_better_than_the_fallback() -> None:
    """A fallback whose statistic is noise is beaten; one that says the true WER is not."""
    rng = np.random.default_rng(0)
    rows = [answer(row) for row in clips(60)]

    def with_entropy(row: Answer, entropy: float) -> Answer:
        assert row.hypothesis is not None
        return replace(row, hypothesis=replace(row.hypothesis, mean_token_entropy=entropy))

    def true_wer(row: Answer) -> float:
        assert row.text is not None
        assert row.hypothesis is not None
        counts = count_errors(row.text, row.hypothesis.text, "ky")
        return counts.word_errors / counts.words

    assert learn([with_entropy(row, float(rng.random())) for row in rows]).took_over
    assert not learn([with_entropy(row, true_wer(row)) for row in rows]).took_over


def noisy_fallback(row: Answer, noise: float) -> Answer:
    """One whose fallback is its true WER, blurred."""
    assert row.text is not None
    assert row.hypothesis is not None
    counts = count_errors(row.text, row.hypothesis.text, "ky")
    rng = np.random.default_rng(int(row.utterance_id[:8], 16))
    entropy = counts.word_errors / counts.words + noise * rng.standard_normal()
    return replace(row, hypothesis=replace(row.hypothesis, mean_token_entropy=entropy))


def test_a_lead_within_the_noise_is_none() -> None:
    found = [
        learn([noisy_fallback(answer(row), 0.18) for row in clips(40, seed)]) for seed in range(8)
    ]
    leads = [row.quality["lead"] for row in found]
    assert sum(lead["value"] > 0 for lead in leads) >= 2
    assert [row.took_over for row in found] == [lead["low"] > 0 for lead in leads]
    assert sum(row.took_over for row in found) <= 1
    assert {(lead["of"], lead["answers"]) for lead in leads} == {("all arms", 40)}


def test_enough_answers_of_the_control_arm_decide_alone() -> None:
    """What chose the acquired arm tells nothing of it, and is the whole truth of the control."""
    rows = clips(ENOUGH_CONTROL + 120)
    control = [noisy_fallback(answer(row, arm="control"), 0) for row in rows[:ENOUGH_CONTROL]]
    acquired = [noisy_fallback(answer(row), 9) for row in rows[ENOUGH_CONTROL:]]
    assert learn([*control[1:], *acquired]).took_over
    found = learn([*control, *acquired])
    assert found.quality["lead"]["of"] == "control arm"
    assert found.quality["lead"]["answers"] == ENOUGH_CONTROL
    assert not found.took_over


def test_the_age_of_answers_is_counted_from_the_round_that_is_chosen_for() -> None:
    rows = [answer(row, 3) for row in clips(30)]
    pool = pool_of(clips(20, seed=1))

    def predicted(number: int | None) -> list[float]:
        found = fit(rows, "random", np.random.default_rng(0), number)
        assert found is not None
        return found.wer(pool.statistics, pool.duration_s).tolist()

    assert predicted(None) == predicted(4)
    assert predicted(20) != predicted(4)


def test_recent_rounds_weigh_more() -> None:
    old = [answer(row, 1) for row in clips(60)]
    new = [replace(answer(row, 9), text=row.hypothesis.text) for row in clips(60, seed=3)]
    pool = pool_of(clips(40, seed=4))
    both = learn([*old, *new]).wer(pool.statistics, pool.duration_s)
    assert both.mean() < 0.5 * learn(old).wer(pool.statistics, pool.duration_s).mean()


def test_no_rank_correlation_without_variation() -> None:
    assert spearman(np.ones(9), np.arange(9.0)) is None
    assert spearman(np.arange(4.0), np.arange(4.0)) is None
    assert spearman(np.arange(9.0), np.arange(9.0) ** 3) == pytest.approx(1)
