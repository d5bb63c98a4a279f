"""The aligner against a brute force over all paths, and on texts and speech that differ."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from al_loop.alignment.costs import Prices, frame_costs
from al_loop.alignment.text import Labels, Letters, spell
from al_loop.alignment.viterbi import align

ALPHABET = "абвгдежз"
LABELS = Labels({letter: index + 2 for index, letter in enumerate(ALPHABET)}, blank=0, space=1)
V = len(ALPHABET) + 2
PRICES = Prices(unheard=1.3, unwritten=0.9)


def noise(frames: int, seed: int) -> np.ndarray:
    """Random log-probabilities (T, V) float32."""
    logits = np.random.default_rng(seed).normal(0, 2, (frames, V))
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def spoken(words: Sequence[str], seed: int = 0, sure: float = 0.9) -> tuple[np.ndarray, list[int]]:
    """Peaky emissions of these words, and the frame in which each begins."""
    rng = np.random.default_rng(seed)
    frames, begins = [1] * 3, []
    for word in words:
        begins.append(len(frames))
        for letter in word:
            frames += [LABELS.letters[letter], *[0] * int(rng.integers(1, 4))]
        frames += [1] * int(rng.integers(1, 5))
    probs = np.full((len(frames), V), (1 - sure) / (V - 1))
    probs[np.arange(len(frames)), frames] = sure
    return np.log(probs).astype(np.float32), begins


def random_words(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(ALPHABET), rng.integers(2, 7))) for _ in range(count)]


@cache
def moves(text: Letters) -> dict[tuple[int, int], float]:
    """What each move from a state to another, with the next frame, costs besides the frame."""
    gaps = {2 * start for start in text.starts.tolist()}
    found = {}
    for old, new in itertools.product(range(2 * len(text.labels) + 1), repeat=2):
        letters = old % 2 and new % 2
        if new in (old, old + 1) or (
            new == old + 2 and letters and text.labels[old // 2] != text.labels[new // 2]
        ):
            found[old, new] = 0.0
        if old in gaps:  # on to any later gap, and from there to a letter, or to stay
            for gap in gaps:
                if gap >= old and new in (gap, gap + 1):
                    price = -PRICES.unheard * (gap - old) / 2
                    found[old, new] = max(found.get((old, new), -np.inf), price)
    return found


def path_score(log_probs: np.ndarray, text: Letters, path: Sequence[int]) -> float:
    """The score of one path, -inf where it is none; written from the model, not from the code."""
    costs = frame_costs(log_probs, LABELS, PRICES)
    gaps = {2 * start for start in text.starts.tolist()}
    price = moves(text)
    last = 2 * len(text.labels)
    begins = {gap: gap for gap in gaps} | {gap + 1: gap for gap in gaps if gap < last}
    ends = {gap: gap for gap in gaps} | {gap - 1: gap for gap in gaps if gap}
    if path[0] not in begins or path[-1] not in ends:
        return -np.inf
    total = -PRICES.unheard * (begins[path[0]] + last - ends[path[-1]]) / 2
    for frame, state in enumerate(path):
        column = -1 if state in gaps else text.labels[state // 2] if state % 2 else LABELS.blank
        total += float(costs[frame, column])
        if frame:
            total += price.get((path[frame - 1], state), -np.inf)
    return total


@pytest.mark.parametrize("words", [["аб"], ["аа", "б"], ["аб", "а"], ["а", "а", "б"]])
@pytest.mark.parametrize("seed", range(4))
def test_no_path_is_better(words: list[str], seed: int) -> None:
    text, log_probs = spell(words, LABELS), noise(5, seed)
    states = range(2 * len(text.labels) + 1)
    best = max(path_score(log_probs, text, path) for path in itertools.product(states, repeat=5))
    found = align(log_probs, text, LABELS, PRICES)
    assert path_score(log_probs, text, found.tolist()) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 40])
def test_any_length_has_a_path(frames: int) -> None:
    text, log_probs = spell(random_words(6), LABELS), noise(frames, 1)
    path = align(log_probs, text, LABELS, PRICES).tolist()
    assert len(path) == frames
    assert np.isfinite(path_score(log_probs, text, path))
    assert align(log_probs[:0], text, LABELS).shape == (0,)
    assert align(log_probs, spell([], LABELS), LABELS).tolist() == [0] * frames


def begins_of(path: np.ndarray, text: Letters) -> list[int | None]:
    """The frame of each word's first letter, None where it was left out."""
    firsts = [np.flatnonzero(path == 2 * start + 1) for start in text.starts[:-1]]
    return [int(found[0]) if found.size else None for found in firsts]


def test_what_is_said_as_written_is_found_to_the_frame() -> None:
    words = random_words(60)
    log_probs, begins = spoken(words)
    text = spell(words, LABELS)
    assert begins_of(align(log_probs, text, LABELS), text) == begins


def test_text_that_nobody_reads_is_left_out() -> None:
    """In the middle, at the beginning (front matter), and at the end (notes)."""
    words, other = random_words(60), random_words(90, seed=1)
    log_probs, begins = spoken(words)
    written = [*other[:30], *words[:25], *other[30:60], *words[25:], *other[60:]]
    found = begins_of(align(log_probs, text := spell(written, LABELS), LABELS), text)
    expected = [*[None] * 30, *begins[:25], *[None] * 30, *begins[25:], *[None] * 30]
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= len(expected) - 2


def test_speech_that_is_not_written_is_waited_for() -> None:
    words, other = random_words(60), random_words(60, seed=1)
    said = [*other[:20], *words[:25], *other[20:40], *words[25:], *other[40:]]
    log_probs, begins = spoken(said)
    found = begins_of(align(log_probs, text := spell(words, LABELS), LABELS), text)
    expected = [*begins[20:45], *begins[65:100]]
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= len(expected) - 1


def test_a_letter_that_the_recogniser_lacks_is_whatever_it_hears() -> None:
    words = random_words(20)
    log_probs, begins = spoken(words)
    written = [word if index != 9 else "q" + word[1:] for index, word in enumerate(words)]
    found = begins_of(align(log_probs, text := spell(written, LABELS), LABELS), text)
    assert found == begins


def test_a_window_finds_the_path_of_a_full_search() -> None:
    """Seven times as long as the window, with gaps on either side shorter than it."""
    words, other = random_words(900), random_words(50, seed=1)
    said = [*words[:300], *other[:25], *words[300:]]
    written = [*words[:600], *other[25:], *words[600:]]
    log_probs, _ = spoken(said)
    text = spell(written, LABELS)
    full = align(log_probs, text, LABELS)
    assert (align(log_probs, text, LABELS, reach=250) == full).all()
    assert len(np.unique(full)) > 1.8 * len(text.labels)


def test_a_block_boundary_changes_nothing() -> None:
    """A prefix of the recording has other blocks; the path up to near its end is the same."""
    words = random_words(200)
    log_probs, _ = spoken(words)
    text = spell(words, LABELS)
    full = align(log_probs, text, LABELS)
    for frames in (1000, 1371):
        assert (align(log_probs[:frames], text, LABELS)[:-20] == full[: frames - 20]).all()


def test_memory_grows_with_the_root_of_the_audio() -> None:
    """Sixteen times as long takes four times the memory, beside the path itself."""
    text = spell(random_words(60), LABELS)
    peaks = []
    for frames in (400, 6400):
        log_probs = noise(frames, 0)
        tracemalloc.start()
        align(log_probs, text, LABELS)
        peaks.append(tracemalloc.get_traced_memory()[1] - 8 * frames)
        tracemalloc.stop()
    assert peaks[1] < 6 * peaks[0]


def test_an_empty_word_is_refused() -> None:
    with pytest.raises(ValueError, match="no letters"):
        spell(["аб", ""], LABELS)
