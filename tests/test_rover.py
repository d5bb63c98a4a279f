"""Voting over word sequences, and what holds of it whatever the words."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from al_loop.rover import network, rover

LETTERS = ("ACEFJFRT", "ACEFJFOST", "EFJFRT")


def random_words(rng: np.random.Generator, most: int = 7) -> list[str]:
    """Few different words, so that they repeat and alignments are ambiguous."""
    return [str(letter) for letter in rng.choice(list("абв"), rng.integers(0, most + 1))]


def corrupted(words: list[str], rng: np.random.Generator, rate: float) -> list[str]:
    heard = []
    for word in words:
        if rng.random() >= rate:
            heard.append(word)
        elif rng.random() < 0.5:
            heard.append(f"x{rng.integers(1000)}")
    return heard


# -- the worked example ----------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(LETTERS)))
def test_the_worked_example_in_any_order(order: tuple[str, ...]) -> None:
    assert "".join(rover([list(text) for text in order])) == "ACEFJFRT"


def test_the_network_of_the_worked_example() -> None:
    sequences = [list(text) for text in LETTERS]
    slots = [
        "".join("-" if place is None else sequences[voter][place] for voter, place in enumerate(s))
        for s in network(sequences, [1, 1, 1])
    ]
    assert slots == ["AA-", "CC-", "EEE", "FFF", "JJJ", "FFF", "-O-", "RSR", "TTT"]


# -- what always holds -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_every_word_has_one_slot_and_keeps_its_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sequences = [random_words(rng) for _ in range(4)]
    slots = network(sequences, [1.0] * 4)
    assert all(len(slot) == 4 for slot in slots)
    for voter, words in enumerate(sequences):
        places = [slot[voter] for slot in slots if slot[voter] is not None]
        assert places == list(range(len(words)))


@pytest.mark.parametrize("seed", range(20))
def test_one_voter_and_equal_voters_give_themselves(seed: int) -> None:
    words = random_words(np.random.default_rng(seed))
    assert rover([words]) == words
    assert rover([words] * 3) == words


@pytest.mark.parametrize("seed", range(40))
def test_a_majority_that_agrees_wins_among_whomever(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = random_words(rng)
    others = [random_words(rng), random_words(rng)]
    voters = [words, words, words, *others]
    for order in [voters, voters[::-1], [others[0], words, others[1], words, words]]:
        assert rover(order) == words


@pytest.mark.parametrize("seed", range(20))
def test_equal_voters_may_change_places(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = random_words(rng), random_words(rng)
    a, b, c = list(one), list(one), list(other)
    assert rover([a, b, c]) == rover([b, a, c])


@pytest.mark.parametrize("seed", range(20))
def test_of_two_that_differ_the_first_wins_every_tie(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = random_words(rng), random_words(rng)
    assert rover([one, other]) == one


def test_nobody_and_nothing() -> None:
    assert rover([]) == []
    assert rover([[], []]) == []
    assert rover([[], ["бир"], []]) == []


def test_voting_has_fewer_errors_than_the_voters() -> None:
    rng = np.random.default_rng(0)
    truth = [f"w{number}" for number in range(400)]
    voters = [corrupted(truth, rng, 0.1) for _ in range(3)]
    missing = [len(set(truth) - set(words)) for words in (*voters, rover(voters))]
    assert missing[3] < 0.6 * min(missing[:3])


# -- weights, confidences, spellings ---------------------------------------------------------------


def test_weights_outvote_numbers() -> None:
    sequences = [["бир"], ["эки"], ["эки"]]
    assert rover(sequences) == ["эки"]
    assert rover(sequences, weights=[3, 1, 1]) == ["бир"]


def test_confidence_counts_as_far_as_frequency_is_not_trusted() -> None:
    sequences = [["бир"], ["эки"], ["эки"]]
    sure = [[0.9], [0.2], [0.2]]
    assert rover(sequences, confidences=sure) == ["эки"]
    # бир: 0.5 / 3 + 0.5 * 0.9, эки: 0.5 * 2 / 3 + 0.5 * 0.2
    assert rover(sequences, confidences=sure, trust=0.5) == ["бир"]


def test_silence_has_a_confidence_of_its_own() -> None:
    sequences, sure = [["бир", "эки"], ["бир"]], [[0.9, 0.4], [0.9]]
    assert rover(sequences, confidences=sure, trust=0.0) == ["бир", "эки"]
    assert rover(sequences, confidences=sure, trust=0.0, silence_confidence=0.5) == ["бир"]


def test_spellings_of_a_word_vote_together_and_then_among_each_other() -> None:
    sequences = [["Бир", "эки."], ["бир,", "үч"], ["Бир", "эки"], ["он", "эки."]]
    assert rover(sequences, key=lambda word: word.lower().strip(".,")) == ["Бир", "эки."]


def test_lengths_must_match() -> None:
    with pytest.raises(ValueError, match="2 words have 1 confidences: бир эки"):
        rover([["бир", "эки"]], confidences=[[0.5]])
    with pytest.raises(ValueError, match="confidences are needed"):
        rover([["бир"]], trust=0.5)
    with pytest.raises(ValueError, match="shorter"):
        rover([["бир"], ["эки"]], weights=[1.0])
