"""Where recordings are quiet, what words cost, and which segments are cut of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from al_loop.alignment.quiet import longest_pause, loudness, quiet_steps
from al_loop.alignment.segments import (
    CLAUSE,
    INSIDE,
    SENTENCE,
    SPACE,
    Rules,
    Segment,
    find_segments,
)
from al_loop.alignment.text import spell
from al_loop.alignment.viterbi import align
from al_loop.alignment.words import Spoken, spoken
from tests.alignment.test_viterbi import LABELS, random_words
from tests.alignment.test_viterbi import spoken as say

FRAME_S = 0.02
WORD_S, PAUSE_S = 0.6, 0.3


def test_loudness_is_that_of_a_tone() -> None:
    tone = np.sqrt(2) * 0.1 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    levels = loudness(np.concatenate([tone, np.zeros(8_050)]).astype(np.float32), 16_000)
    assert levels.shape == (151,)
    assert levels[:100] == pytest.approx(-20, abs=0.3)
    assert levels[101:] == pytest.approx(-90)


@pytest.mark.parametrize("gain_db", [0, -30])
def test_quiet_is_judged_by_what_is_around(gain_db: float) -> None:
    """A recording that gets 30 dB softer in its middle has the same pauses."""
    rng = np.random.default_rng(0)
    speaking = (np.arange(12_000) % 100) < 70
    levels = np.where(speaking, -20, -60) + rng.normal(0, 1, 12_000)
    levels[6000:] += gain_db
    found = quiet_steps(levels)
    away = np.abs(np.arange(12_000) - 6000) > 6000 - 1 if gain_db == 0 else np.ones(12_000, bool)
    away[3000:9000] = gain_db == 0  # blocks that see both levels
    assert (found == ~speaking)[away].all()


def test_silence_alone_is_quiet() -> None:
    assert quiet_steps(np.full(500, -90.0)).all()
    assert quiet_steps(np.zeros(0)).shape == (0,)


def test_the_longest_pause() -> None:
    quiet = np.zeros(100, dtype=bool)
    quiet[10:15] = quiet[30:42] = True
    found = longest_pause(quiet, 0.0, 1.0)
    assert found is not None
    assert (found.start_s, found.end_s) == (0.30, 0.42)
    assert found.middle_s == pytest.approx(0.36)
    assert longest_pause(quiet, 0.5, 1.0) is None
    assert longest_pause(quiet, -1.0, 0.2).duration_s == pytest.approx(0.05)  # type: ignore[union-attr]


def test_words_have_their_frames_and_costs() -> None:
    words = random_words(30)
    log_probs, begins = say(words)
    wrong = [*words[:12], "жжжж", *words[13:]]
    text = spell(wrong, LABELS)
    found = spoken(log_probs, text, LABELS, align(log_probs, text, LABELS))
    right = np.arange(30) != 12
    assert found.heard[right].all()
    assert found.first[right].tolist() == np.array(begins)[right].tolist()
    assert found.costs[right] == pytest.approx(0, abs=1e-6)
    assert not found.heard[12] or found.costs[12] < -1
    assert found.between[[0, 5, 30]] == pytest.approx(0, abs=1e-6)
    if not found.heard[12]:
        assert found.between[12:14].min() < -5  # what was said in its place


def reading(count: int, pauses: list[int]) -> tuple[Spoken, np.ndarray]:
    """Words of 0.6 s each and their recording, with 0.3 s of silence behind those in `pauses`."""
    first, quiet, now = [], [True] * 30, 0.3
    for word in range(count):
        first.append(now)
        quiet += [False] * 60
        now += WORD_S
        if word in pauses:
            quiet += [True] * 30
            now += PAUSE_S
    begins = np.round(np.array(first) / FRAME_S).astype(int)
    heard = Spoken(
        np.ones(count, dtype=bool), begins + 2, begins + 25, np.zeros(count), np.zeros(count + 1)
    )
    return heard, np.array([*quiet, *[True] * 30])


def cut(
    heard: Spoken, quiet: np.ndarray, breaks: list[int], rules: Rules | None = None
) -> list[Segment]:
    sizes = np.full(len(breaks), 5)
    return find_segments(heard, sizes, np.array(breaks), quiet, FRAME_S, rules or Rules())


def spans(found: list[Segment]) -> list[tuple[int, int]]:
    return [(row.first, row.end) for row in found]


def test_all_that_fits_is_kept_in_segments_of_2_to_15_s() -> None:
    ends = list(range(4, 100, 5))
    heard, quiet = reading(100, ends)
    breaks = [SENTENCE if word in ends else SPACE for word in range(100)]
    found = cut(heard, quiet, breaks)
    assert [row.first for row in found] == [0, *[row.end for row in found[:-1]]]
    assert found[-1].end == 100
    assert all(2 <= row.end_s - row.start_s <= 15 for row in found)
    assert {row.end - 1 for row in found} <= set(ends)


def test_a_segment_begins_and_ends_in_its_pauses() -> None:
    heard, quiet = reading(5, [4])
    (found,) = cut(heard, quiet, [SPACE] * 4 + [SENTENCE])
    assert (found.speech_start_s, found.speech_end_s) == pytest.approx((0.3, 3.3))
    assert (found.start_s, found.end_s) == pytest.approx((0.15, 3.5))


def test_where_nobody_pauses_nothing_is_cut() -> None:
    heard, quiet = reading(40, [9, 29])
    found = cut(heard, quiet, [SENTENCE] * 40)
    assert spans(found) == [(0, 10), (10, 30), (30, 40)]
    heard, quiet = reading(40, [])
    assert cut(heard, quiet, [SENTENCE] * 40) == []  # 24 s without a pause


def test_a_number_is_not_cut() -> None:
    heard, quiet = reading(30, [14])
    breaks = [SPACE] * 30
    breaks[14] = INSIDE
    assert cut(heard, quiet, breaks) == []  # 18.9 s


def test_a_misprint_costs_its_own_phrase() -> None:
    ends = [4, 9, 14, 19]
    heard, quiet = reading(20, ends)
    breaks = [CLAUSE if word in ends else SPACE for word in range(20)]
    costs = np.zeros(20)
    costs[7] = -2.0
    found = cut(replace(heard, costs=costs), quiet, breaks)
    assert spans(found) == [(0, 5), (10, 20)]
    assert spans(cut(replace(heard, costs=costs), quiet, breaks, Rules(min_score=-3))) == [(0, 20)]


def test_what_is_said_and_not_written_costs_its_phrase_too() -> None:
    heard, quiet = reading(20, [4, 9, 14, 19])
    between = np.zeros(21)
    between[7] = -12.0
    between[10] = -40.0  # behind a pause: no segment goes across
    found = cut(replace(heard, between=between), quiet, [SPACE] * 19 + [SENTENCE])
    assert spans(found) == [(0, 5), (10, 20)]
    missing = np.ones(20, dtype=bool)
    missing[12] = False
    found = cut(replace(heard, heard=missing), quiet, [SPACE] * 19 + [SENTENCE])
    assert spans(found) == [(0, 10), (15, 20)]


def test_a_score_is_that_of_the_worst_word() -> None:
    heard, quiet = reading(5, [4])
    costs = np.array([0, -0.2, -0.6, 0, 0])
    (found,) = cut(replace(heard, costs=costs), quiet, [SPACE] * 4 + [SENTENCE])
    assert found.score == pytest.approx(-0.6)


def test_an_empty_text_has_no_segments() -> None:
    heard, quiet = reading(0, [])
    assert cut(heard, quiet, []) == []
