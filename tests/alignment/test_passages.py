"""Where in a long text a recording is, by strings of letters that agree."""

from __future__ import annotations

import numpy as np
import pytest

from al_loop.alignment.passages import STRING, letters_heard, passages
from al_loop.alignment.text import Letters, spell
from tests.alignment.test_viterbi import LABELS, noise, random_words, spoken

REACH = 1200
COLUMNS = np.array(list(LABELS.letters.values()))


def novel(words: int = 4000) -> Letters:
    return spell(random_words(words), LABELS)


def misheard(letters: np.ndarray, share: float) -> np.ndarray:
    """The letters with a share of them left out, replaced, or become two others."""
    rng = np.random.default_rng(0)
    found: list[int] = []
    for letter in letters.tolist():
        if rng.random() >= share:
            found.append(letter)
        else:
            found += rng.choice(COLUMNS, rng.integers(3)).tolist()
    return np.array(found)


def test_letters_are_read_greedily() -> None:
    words = random_words(50)
    log_probs, _ = spoken(words)
    letters = {column: letter for letter, column in LABELS.letters.items()}
    assert "".join(letters[row] for row in letters_heard(log_probs, LABELS)) == "".join(words)
    assert letters_heard(log_probs[:0], LABELS).shape == (0,)


def test_a_letter_across_two_blocks_is_one() -> None:
    log_probs = np.repeat(noise(60, 0), 400, axis=0)
    assert len(letters_heard(log_probs, LABELS)) == len(letters_heard(log_probs[::400], LABELS))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25])
def test_what_is_read_is_kept_with_a_margin(share: float) -> None:
    """Two chapters of ten; up to a quarter of the letters misheard."""
    text = novel()
    ends = text.starts[[1000, 1400, 3000, 3400]]
    said = np.concatenate([text.labels[ends[0] : ends[1]], text.labels[ends[2] : ends[3]]])
    kept = passages(misheard(said, share), text, REACH)
    assert kept[1000:1400].all()
    assert kept[3000:3400].all()
    assert not kept[:900].any()
    assert not kept[1500:2900].any()
    assert not kept[3500:].any()


def test_speech_that_is_nowhere_in_the_text_leaves_all_of_it() -> None:
    text = novel()
    other = spell(random_words(2000, seed=5), LABELS).labels
    assert passages(other, text, REACH).all()
    assert passages(other[: STRING - 1], text, REACH).all()
    assert passages(other[:0], text, REACH).all()


def test_a_phrase_that_is_there_by_chance_says_nothing() -> None:
    text = novel()
    other = spell(random_words(2000, seed=5), LABELS).labels
    first = int(text.starts[500])
    phrase = text.labels[first : first + STRING + 5]
    assert passages(np.concatenate([other[:100], phrase, other[100:]]), text, REACH).all()


def test_a_text_within_the_window_is_left_whole() -> None:
    text = novel(300)  # 1,200 letters
    said = text.labels[:100]
    assert passages(said, text, len(text.labels) // 2 + 1).all()
    assert not passages(said, text, 100).all()


def test_a_text_that_repeats_itself_is_left_whole() -> None:
    once = random_words(600)
    text = spell(once * 2, LABELS)
    assert passages(spell(once[200:300], LABELS).labels, text, REACH).all()


def test_letters_that_the_recogniser_lacks_are_no_place() -> None:
    words = random_words(1500)
    strange = ["q" * len(word) for word in words]
    text = spell([*strange, *words, *strange], LABELS)
    kept = passages(spell(words[700:900], LABELS).labels, text, REACH)
    assert kept[2200:2400].all()
    assert kept.sum() < 400
