"""Where recordings are quiet, what words cost, and which segments are cut of them."""

from __future__ import annotations

import time
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
from al_loop.alignment.words import Spoken, fitting, spoken, spread
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
    assert len(found.unwritten) == len(log_probs) + 1
    assert found.said(0, begins[12]) == pytest.approx(0, abs=1e-5)
    assert found.said(begins[13], len(log_probs)) == pytest.approx(0, abs=1e-5)
    if not found.heard[12]:
        assert found.said(begins[12], begins[13]) < -5  # what was said in its place


def test_words_that_fit_are_heard_as_such_and_not_alone() -> None:
    words = random_words(40)
    log_probs, _ = say(words)
    wrong = [*words[:10], "жжжж", words[11], words[12], "зззз", *words[14:]]
    text = spell(wrong, LABELS)
    found = spoken(log_probs, text, LABELS, align(log_probs, text, LABELS))
    expected = np.ones(40, dtype=bool)
    expected[10:14] = False  # and the two between, which stand in no run of three
    assert fitting(found, -2.0).tolist() == expected.tolist()
    deaf = np.where(np.arange(10) == 0, np.log(0.2), np.log(0.8 / 9))
    log_probs = np.tile(deaf.astype(np.float32), (len(log_probs), 1))
    found = spoken(log_probs, text, LABELS, align(log_probs, text, LABELS))
    assert found.heard.any()
    assert found.costs.min() > -1.5
    assert not fitting(found, -2.0).any()


def test_words_of_a_part_are_words_of_the_whole() -> None:
    words = random_words(30)
    log_probs, begins = say(words[10:20])
    text = spell(words, LABELS)
    kept = (np.arange(30) >= 8) & (np.arange(30) < 22)
    part = text.part(kept)
    assert (len(part), part.labels.tolist()) == (14, spell(words[8:22], LABELS).labels.tolist())
    found = spread(spoken(log_probs, part, LABELS, align(log_probs, part, LABELS)), kept)
    assert found.heard.tolist() == [10 <= word < 20 for word in range(30)]
    assert found.first[10:20].tolist() == begins


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
    frames = round((now + 0.3) / FRAME_S)
    zeros = np.zeros(count)
    heard = Spoken(
        np.ones(count, dtype=bool), begins + 2, begins + 25, zeros, zeros, np.zeros(frames + 1)
    )
    return heard, np.array([*quiet, *[True] * 30])


def saying(heard: Spoken, said: dict[float, float]) -> Spoken:
    """The same with something said that is not written: nats at seconds."""
    costs = np.zeros(len(heard.unwritten))
    for second, nats in said.items():
        costs[round(second / FRAME_S) + 1] = nats
    return replace(heard, unwritten=np.cumsum(costs))


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
    behind_7 = heard.last[6] * FRAME_S + 0.04
    found = cut(saying(heard, {behind_7: -12.0}), quiet, [SPACE] * 19 + [SENTENCE])
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


@pytest.mark.parametrize("side", ["first", "last"])
def test_a_word_that_the_text_lacks_at_a_segments_edge_costs_it(side: str) -> None:
    """Spoken right behind the sentence's last written word, or before its first; then the pause."""
    heard, quiet = reading(15, [4, 9, 14])
    lacking = 9 if side == "last" else 5
    breaks = [SENTENCE if word in (4, 9, 14) else SPACE for word in range(15)]
    assert spans(cut(heard, quiet, breaks)) == [(0, 15)]
    now = float(heard.first[lacking] * FRAME_S)
    unwritten = {now + place * 0.1: -2.5 for place in range(1, 5)}
    heard = saying(heard, unwritten)
    kept = np.arange(15) != lacking
    heard = Spoken(
        heard.heard[kept],
        heard.first[kept],
        heard.last[kept],
        heard.costs[kept],
        heard.instead[kept],
        heard.unwritten,
    )
    del breaks[lacking]
    assert spans(cut(heard, quiet, breaks)) == [(0, 5), (9, 14)]


def test_a_cut_lies_before_what_is_not_written_where_there_is_a_pause() -> None:
    """Two pauses behind the last word, the longer one behind speech that the book lacks."""
    heard, quiet = reading(5, [4])
    end_s = round(float(heard.last[4] + 1) * FRAME_S, 2)
    at = round(end_s * 100)
    tail = [*[True] * 15, *[False] * 20, *[True] * 60]
    quiet = np.array([*quiet[:at], *tail])
    frames = round(len(quiet) / 100 / FRAME_S)
    heard = replace(heard, unwritten=np.zeros(frames + 1))
    heard = saying(heard, {end_s + 0.17: -2.5, end_s + 0.25: -2.5})
    (found,) = cut(heard, quiet, [SPACE] * 4 + [SENTENCE])
    assert end_s <= found.end_s <= end_s + 0.15
    assert found.score == 0
    breathed = [False if at <= step < at + 15 else bool(row) for step, row in enumerate(quiet)]
    (found,) = cut(heard, np.array(breathed), [SPACE] * 4 + [SENTENCE])
    assert found.end_s > end_s + 0.35
    assert found.score == pytest.approx(-1.0)


def test_speech_without_pauses_is_not_walked_to_its_end() -> None:
    """Pauses before every word and none behind. To walk from each to the end takes fifty times as
    long."""
    count = 12_000
    begins = 100 + 60 * np.arange(count)
    unwritten = np.zeros(60 * count + 200)
    zeros = np.zeros(count)
    heard = Spoken(np.ones(count, bool), begins, begins + 5, zeros, zeros, unwritten)
    quiet = np.zeros(2 * len(unwritten), dtype=bool)
    for begin in begins.tolist():
        quiet[2 * begin - 15 : 2 * begin] = True
    started = time.process_time()
    assert cut(heard, quiet, [SPACE] * count) == []
    assert time.process_time() - started < 3
