"""What is held back, what never is, and how verdicts move the limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from al_loop.acquisition.gates import (
    CLIPPED,
    DESCRIPTIONS,
    LOOPING,
    NO_SPEECH,
    OTHER_LANGUAGE,
    QUIET,
    TOO_LONG,
    TOO_SHORT,
    Verdicts,
    hypothesis_gates,
    limits,
    profile_gates,
    rejected_share,
)
from al_loop.config import GateSettings
from al_loop.records import Answer, ScoredPool
from tests.acquisition.rows import Clip, answer, clip, pool_of

SETTINGS = GateSettings(min_speech_share=0.15, max_other_language_prob=0.9)
DEFAULTS = limits(SETTINGS, [])


def with_profile(row: Clip, **values: float) -> Clip:
    return replace(row, profile=replace(row.profile, **values))  # type: ignore[arg-type]


def one(statistic: str, value: float) -> ScoredPool:
    pool = pool_of([clip("easy", 0, duration_s=4.0)])
    return replace(pool, statistics={**pool.statistics, statistic: np.array([value], np.float32)})


@pytest.mark.parametrize(
    ("statistic", "held", "free", "gate"),
    [
        ("loudness_dbfs", -50.0, -40.0, QUIET),
        ("clipped_share", 0.1, 0.01, CLIPPED),
        ("speech_share", 0.0, 0.16, NO_SPEECH),
        ("other_language_prob", 0.95, 0.85, OTHER_LANGUAGE),
    ],
)
def test_gates_on_the_sound(statistic: str, held: float, free: float, gate: str) -> None:
    (found,) = profile_gates(one(statistic, held), DEFAULTS, ())
    assert (found.gate, found.value) == (gate, pytest.approx(held))
    assert found.limit == DEFAULTS[gate]
    assert profile_gates(one(statistic, free), DEFAULTS, ()) == []
    assert profile_gates(one(statistic, np.nan), DEFAULTS, ()) == []


@pytest.mark.parametrize(
    ("statistic", "held", "free", "gate"),
    [
        ("compression_ratio", 3.0, 2.0, LOOPING),
        ("character_count", 2.0, 40.0, TOO_SHORT),
        ("character_count", 400.0, 120.0, TOO_LONG),
    ],
)
def test_gates_on_the_hypothesis(statistic: str, held: float, free: float, gate: str) -> None:
    assert [row.gate for row in hypothesis_gates(one(statistic, held), DEFAULTS, ())] == [gate]
    assert hypothesis_gates(one(statistic, free), DEFAULTS, ()) == []
    assert hypothesis_gates(one(statistic, np.nan), DEFAULTS, ()) == []


def test_a_clip_is_held_back_by_one_gate_and_a_released_one_by_none() -> None:
    silent = [with_profile(clip("silence", number), loudness_dbfs=-60.0) for number in range(3)]
    pool = pool_of([*silent, clip("easy", 1)])
    assert len(profile_gates(pool, DEFAULTS, ())) == 3
    left = profile_gates(pool, DEFAULTS, {silent[0].id})
    assert {row.utterance_id for row in left} == {row.id for row in silent[1:]}


def test_every_gate_is_described() -> None:
    assert set(DEFAULTS) == set(DESCRIPTIONS)


# -- learning --------------------------------------------------------------------------------------


def good(speech: float, number: int) -> Answer:
    return answer(with_profile(clip("easy", number), speech_share=speech))


def bad(speech: float, number: int) -> Answer:
    return answer(with_profile(clip("silence", number), speech_share=speech))


def test_without_answers_or_without_learning_the_limits_are_the_configured_ones() -> None:
    rows = [bad(0.3, number) for number in range(30)]
    assert DEFAULTS[NO_SPEECH] == SETTINGS.min_speech_share
    assert limits(SETTINGS.model_copy(update={"learn": False}), rows) == DEFAULTS


def test_a_few_verdicts_do_not_swing_a_limit() -> None:
    rows = [bad(0.35, number) for number in range(2)] + [good(0.9, number) for number in range(9)]
    assert limits(SETTINGS, rows)[NO_SPEECH] == SETTINGS.min_speech_share


def test_many_verdicts_tighten_a_limit_up_to_the_transcribed_clips() -> None:
    rows = [bad(0.3, number) for number in range(15)] + [good(0.5, number) for number in range(9)]
    assert 0.3 < limits(SETTINGS, rows)[NO_SPEECH] < 0.5


def test_transcribed_clips_of_the_explored_arm_loosen_a_limit() -> None:
    rows = [good(0.08, number) for number in range(4)] + [bad(0.0, number) for number in range(9)]
    assert 0 < limits(SETTINGS, rows)[NO_SPEECH] < 0.08


def test_what_an_untrained_checkpoint_heard_moves_no_limit() -> None:
    """It loops on speech that annotators then write down."""
    loops = [clip("easy", number) for number in range(30)]
    rows = [
        answer(replace(row, hypothesis=replace(row.hypothesis, compression_ratio=5.0)))
        for row in loops
    ]
    assert limits(SETTINGS, rows)[LOOPING] > 3
    assert limits(SETTINGS, [replace(row, trusted=False) for row in rows]) == DEFAULTS


def test_verdicts_on_clips_that_sound_like_transcribed_ones_move_nothing() -> None:
    rows = [bad(0.9, number) for number in range(20)] + [good(0.9, number) for number in range(20)]
    assert limits(SETTINGS, rows)[NO_SPEECH] == SETTINGS.min_speech_share


def test_a_limit_never_leaves_its_range() -> None:
    rows = [bad(0.9, number) for number in range(300)]
    assert limits(SETTINGS, rows)[NO_SPEECH] == SETTINGS.min_speech_share  # beyond its reach
    rows += [bad(0.49, number) for number in range(300)]
    assert 0.49 < limits(SETTINGS, rows)[NO_SPEECH] <= 0.5


def test_only_verdicts_of_another_language_move_that_limit() -> None:
    rows = [with_profile(clip("silence", n), other_language_prob=0.8) for n in range(30)]
    heard = [replace(answer(row), verdict="other_language") for row in rows]
    assert limits(SETTINGS, [answer(row) for row in rows])[OTHER_LANGUAGE] == 0.9
    assert limits(SETTINGS, heard)[OTHER_LANGUAGE] < 0.8
    assert limits(SETTINGS, heard)[NO_SPEECH] == SETTINGS.min_speech_share


# -- like rejected ---------------------------------------------------------------------------------


def directions(*angles: float) -> np.ndarray:
    return np.array([[np.cos(angle), np.sin(angle)] for angle in angles], np.float32)


def test_a_clip_among_rejected_ones_is_like_them() -> None:
    around = Verdicts(
        directions(0.0, 0.1, 0.2, 1.5, 1.6), np.array([True, True, True, False, False])
    )
    share, usable = rejected_share(directions(0.05, 1.55), around)
    assert share[0] > 0.9
    assert share[1] < 0.5
    assert usable[0] < 0.3
    assert usable[1] > 0.9


def test_one_rejected_clip_is_no_pattern_but_a_warning() -> None:
    around = Verdicts(directions(0.0, 2.0), np.array([True, False]))
    share, usable = rejected_share(directions(0.0), around)
    assert share[0] == 0
    assert usable[0] < 0.5


def test_where_nothing_was_answered_nothing_is_held_against_a_clip() -> None:
    nothing = Verdicts(np.zeros((0, 2), np.float32), np.zeros(0, bool))
    share, usable = rejected_share(directions(0.0), nothing)
    assert share.tolist() == [0.0]
    assert usable[0] > 0.9
