"""The n-gram estimator: against numbers worked out by hand, and what holds of every model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from al_loop.pseudo.kneser_ney import FEW, START, UNKNOWN, Table, arpa, discounts, estimate

SUBJECTS = ("бала", "кыз", "мугалим", "дыйкан", "айдоочу")
OBJECTS = ("китеп", "суу", "нан", "кат")
VERBS = ("алды", "берди", "көрдү")


def sentences(count: int, seed: int) -> list[str]:
    """Of a grammar: who, sometimes whom, what, did; not every word follows every other."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        subject = rng.choice(SUBJECTS, p=[0.4, 0.3, 0.15, 0.1, 0.05])
        place = rng.integers(len(OBJECTS))
        verb = VERBS[(place + int(rng.random() < 0.2)) % len(VERBS)]
        adverb = ["бүгүн"] if rng.random() < 0.3 else []
        found.append(" ".join([*adverb, str(subject), OBJECTS[place], verb]))
    return found


def contexts(table: Table) -> list[tuple[str, ...]]:
    return [(), *table.backoffs, ("жок",), (START, "жок"), ("жок", "бала")]


# -- by hand ---------------------------------------------------------------------------------------


def test_two_sentences_worked_out_by_hand() -> None:
    """`a b` and `a`: too few n-grams to estimate discounts, so they are 0.5, 1 and 1.5.

    Single words count after how many others they stand: a 1, b 1, </s> 2, so 4 in all; of 4 the
    discounts take 2, a half, of which each of a, b, </s> and <unk> has a quarter: 0.125.
    """
    table = estimate(["a b", "a"], order=2)
    expected = {
        ("a",): 0.5 / 4 + 0.125,
        ("b",): 0.5 / 4 + 0.125,
        ("</s>",): 1 / 4 + 0.125,
        (UNKNOWN,): 0.125,
        (START, "a"): (2 - 1) / 2 + 0.5 * 0.25,
        ("a", "b"): 0.5 / 2 + 0.5 * 0.25,
        ("a", "</s>"): 0.5 / 2 + 0.5 * 0.375,
        ("b", "</s>"): 0.5 / 1 + 0.5 * 0.375,
    }
    found = {gram: 10**value for gram, value in table.probabilities.items() if gram != (START,)}
    assert found == pytest.approx(expected)
    assert {gram: 10**value for gram, value in table.backoffs.items()} == pytest.approx(
        {(START,): 0.5, ("a",): 0.5, ("b",): 0.5}
    )
    assert 10 ** table.sentence("a") == pytest.approx(0.625 * 0.4375)
    # b is never first: what the start leaves over, times how likely b is anywhere
    assert 10 ** table.sentence("b") == pytest.approx(0.5 * 0.25 * 0.6875)
    assert 10 ** table.log10("c", ("a",)) == pytest.approx(0.5 * 0.125)


def test_below_the_highest_order_different_predecessors_count() -> None:
    """`мен` is frequent after one word only, `бар` rare after three."""
    texts = ["сиз мен"] * 9 + ["ат бар", "уй бар", "кой бар"]
    table = estimate(texts, order=2)
    assert table.probabilities["бар",] > table.probabilities["мен",]


@pytest.mark.parametrize(
    ("order", "scores"),
    [
        (2, [-5.995311, -4.794169, -6.813346, -2.102893]),
        (3, [-5.407495, -3.993203, -6.982878, -1.996376]),
        (4, [-5.345931, -4.056085, -7.000810, -1.996376]),
    ],
)
def test_it_is_what_kenlms_own_estimator_finds(order: int, scores: list[float]) -> None:
    """`lmplz --discount_fallback` of KenLM 0.3.0 on the same texts, log10."""
    words = ["бир", "эки", "үч", "төрт", "беш", "алты", "жети", "сегиз", "тогуз", "он"]
    texts = [
        " ".join(
            words[(row**2 * step + 3 * row + step**2) % (3 + (row + step) % 8)]
            for step in range(1, 2 + row % 6)
        )
        for row in range(40)
    ]
    table = estimate(texts, order)
    asked = ["бир эки үч", "төрт беш", "он он бир жок", "сегиз"]
    assert [table.sentence(text) for text in asked] == pytest.approx(scores, abs=2e-6)


def test_discounts_by_hand() -> None:
    """4, 2, 1 and 1 n-grams seen once to four times: Y = 4 / 8."""
    seen = [1] * 4 + [2] * 2 + [3] + [4] + [9]
    counts = {(str(place),): count for place, count in enumerate(seen)}
    assert discounts(counts) == pytest.approx((0.5, 2 - 1.5 * 0.5, 3 - 4 * 0.5))


@pytest.mark.parametrize(
    "seen",
    [[1], [2, 2], [1, 1, 2, 4], [1, 1, 1, 1, 2, 3, 3, 4]],
    ids=["once", "twice", "none three times", "nothing left"],
)
def test_too_few_n_grams_have_set_discounts(seen: list[int]) -> None:
    assert discounts({(str(place),): count for place, count in enumerate(seen)}) == FEW


# -- what always holds -----------------------------------------------------------------------------


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("count", [1, 3, 300])
def test_the_probabilities_of_every_context_sum_to_one(order: int, count: int) -> None:
    table = estimate(sentences(count, seed=1), order)
    for context in contexts(table):
        total = math.fsum(10 ** table.log10(word, context) for word in table.vocabulary)
        assert total == pytest.approx(1, abs=1e-12), context


def test_beginnings_and_endings_of_every_n_gram_are_there() -> None:
    """Readers of ARPA files rely on it."""
    table = estimate(sentences(100, seed=2), order=4)
    for gram in table.probabilities:
        assert len(gram) == 1 or {gram[1:], gram[:-1]} <= set(table.probabilities)


def test_unseen_sentences_are_likelier_than_with_one_added_to_every_count() -> None:
    learned, unseen = sentences(200, seed=3), sentences(100, seed=4)
    table = estimate(learned, order=3)
    size = len(table.vocabulary)
    contexts_seen: dict[tuple[str, ...], int] = {}
    grams_seen: dict[tuple[str, ...], int] = {}
    for text in learned:
        words = [START, START, *text.split(), "</s>"]
        for gram in zip(words, words[1:], words[2:], strict=False):
            contexts_seen[gram[:2]] = contexts_seen.get(gram[:2], 0) + 1
            grams_seen[gram] = grams_seen.get(gram, 0) + 1
    added = 0.0
    for text in unseen:
        words = [START, START, *text.split(), "</s>"]
        for gram in zip(words, words[1:], words[2:], strict=False):
            chance = (grams_seen.get(gram, 0) + 1) / (contexts_seen.get(gram[:2], 0) + size)
            added += math.log10(chance)
    steps = sum(len(text.split()) + 1 for text in unseen)
    ours = 10 ** (-sum(map(table.sentence, unseen)) / steps)
    theirs = 10 ** (-added / steps)
    assert ours < 0.9 * theirs
    assert ours < size / 2


def test_the_order_of_texts_does_not_matter() -> None:
    texts = sentences(50, seed=5)
    assert list(arpa(estimate(texts))) == list(arpa(estimate(texts[::-1])))


# -- bad input -------------------------------------------------------------------------------------


def test_texts_without_a_word_are_passed_over() -> None:
    assert estimate(["", "  ", "a b", "a"], 2) == estimate(["a b", "a"], 2)


@pytest.mark.parametrize("texts", [[], ["", "   "]])
def test_no_word_at_all_is_an_error(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="no text has a word"):
        estimate(texts)


@pytest.mark.parametrize("order", [0, 1, 7])
def test_an_order_that_kenlm_does_not_read_is_an_error(order: int) -> None:
    with pytest.raises(ValueError, match="from 2 to 6"):
        estimate(["a"], order)


def test_a_reserved_word_is_an_error() -> None:
    with pytest.raises(ValueError, match="<unk> is no word"):
        estimate(["a <unk>"])
