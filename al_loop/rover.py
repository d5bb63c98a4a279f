"""ROVER: several word sequences aligned into a network of slots, and a vote in every slot. Pure.

J. G. Fiscus, "A post-processing system to yield reduced word error rates: Recognizer Output Voting
Error Reduction (ROVER)", IEEE ASRU 1997. The network starts as one sequence; each further one is
aligned with it by dynamic programming and adds its words to the slots, or its silence where it
has no word. What a word scores in its slot, with α = `trust`:

    α · share of the voters' weight + (1 - α) · mean confidence of those who said it

With α = 1, the default, only frequency counts. Three things are ours. A word costs in a slot the
share of the weight that says something else there, where Fiscus asks only whether anybody says the
same: so the costs are those of the mean edit distance to the sequences before. Like sequences are
one voter with the sum of their weights: a majority that agrees word for word always wins. The
network starts with the heaviest sequence. Ties, there and in a slot, go to the one given first.

Knows neither annotators nor models: a voter is a sequence of words, whoever said them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key")
TIE = 1e-9
"""A difference below it comes from floating point."""


@dataclass(frozen=True, slots=True)
class _Voter:
    """words: as they are said. keys: as they are compared. confidences: one for each word."""

    words: Sequence[str]
    keys: tuple[str, ...]
    weight: float
    confidences: Sequence[float]


def rover(
    sequences: Sequence[Sequence[str]],
    weights: Sequence[float] | None = None,
    confidences: Sequence[Sequence[float]] | None = None,
    trust: float = 1.0,
    silence_confidence: float = 0.0,
    key: Callable[[str], str] = str,
) -> list[str]:
    """The words that win their slots, in order; none where silence wins everywhere.

    weights: above 0, one for each sequence; 1 where not given. confidences: from 0 to 1, one for
    each word of each sequence; needed where `trust` is below 1. silence_confidence: of saying
    nothing in a slot. key: words with the same key are the same; of the spellings of the winner
    the most frequent is taken. Raises ValueError for lengths that do not match.
    """
    if trust < 1 and confidences is None:
        raise ValueError(f"trust is {trust}, below 1: the words' confidences are needed")
    given = [1.0] * len(sequences) if weights is None else weights
    sure = [[1.0] * len(row) for row in sequences] if confidences is None else confidences
    voters = [
        _Voter(words, tuple(map(key, words)), weight, own)
        for words, weight, own in zip(sequences, given, sure, strict=True)
    ]
    for voter in voters:
        if len(voter.words) != len(voter.confidences):
            raise ValueError(
                f"{len(voter.words)} words have {len(voter.confidences)} confidences: "
                f"{' '.join(voter.words)}"
            )
    groups: dict[tuple[str, ...], list[_Voter]] = {}
    for voter in voters:
        groups.setdefault(voter.keys, []).append(voter)
    total = {keys: sum(voter.weight for voter in group) for keys, group in groups.items()}
    order = sorted(groups, key=lambda keys: -total[keys])  # stable: ties as given
    slots = network(order, [total[keys] for keys in order])
    rank = {id(voter): place for place, voter in enumerate(voters)}
    won = []
    for slot in slots:
        said = [
            (voter, place)
            for keys, place in zip(order, slot, strict=True)
            for voter in groups[keys]
        ]
        said.sort(key=lambda vote: rank[id(vote[0])])
        word = _winner(said, trust, silence_confidence)
        if word is not None:
            won.append(word)
    return won


def network(sequences: Sequence[Sequence[str]], weights: Sequence[float]) -> list[list[int | None]]:
    """The slots, in order: for each sequence the position of its word there, None for silence.

    The first sequence starts the network. Every sequence's words appear once, in their order.
    """
    slots: list[list[int | None]] = []
    for count, sequence in enumerate(sequences):
        before = sequences[:count]
        aligned: list[list[int | None]] = []
        for slot, place in _align(slots, before, weights, sequence):
            aligned.append([*(slot or [None] * count), place])
        slots = aligned
    return slots


def _align(
    slots: Sequence[list[int | None]],
    before: Sequence[Sequence[str]],
    weights: Sequence[float],
    sequence: Sequence[str],
) -> list[tuple[list[int | None] | None, int | None]]:
    """Pairs of a slot and a position in `sequence`, of least cost; None for a new slot or silence.

    Among equal costs a word in a slot is preferred to silence there, and that to a new slot.
    """
    shares = [_shares(slot, before, weights) for slot in slots]
    silent = [1 - share.get(None, 0.0) for share in shares]
    # cost[i][j]: of the first i slots with the first j words
    cost = [[float(j) for j in range(len(sequence) + 1)]]
    for i, share in enumerate(shares):
        row = [cost[i][0] + silent[i]]
        for j, word in enumerate(sequence):
            said = cost[i][j] + 1 - share.get(word, 0.0)
            row.append(min(said, cost[i][j + 1] + silent[i], row[j] + 1))
        cost.append(row)
    pairs: list[tuple[list[int | None] | None, int | None]] = []
    i, j = len(slots), len(sequence)
    while i or j:
        least = cost[i][j] + TIE
        if i and j and cost[i - 1][j - 1] + 1 - shares[i - 1].get(sequence[j - 1], 0.0) <= least:
            i, j = i - 1, j - 1
            pairs.append((slots[i], j))
        elif i and cost[i - 1][j] + silent[i - 1] <= least:
            i -= 1
            pairs.append((slots[i], None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


def _shares(
    slot: Sequence[int | None], before: Sequence[Sequence[str]], weights: Sequence[float]
) -> dict[str | None, float]:
    """The share of the weight that each word has in a slot; None is silence."""
    total = sum(weights[: len(slot)])
    shares: dict[str | None, float] = {}
    for place, sequence, weight in zip(slot, before, weights, strict=False):
        word = None if place is None else sequence[place]
        shares[word] = shares.get(word, 0.0) + weight / total
    return shares


def _winner(
    said: Sequence[tuple[_Voter, int | None]], trust: float, silence_confidence: float
) -> str | None:
    """The word with the best score in one slot; None where silence has it."""
    weights: dict[str | None, float] = {}
    confidence: dict[str | None, float] = {}
    spellings: dict[str | None, dict[str, float]] = {}
    for voter, place in said:
        key = None if place is None else voter.keys[place]
        sure = silence_confidence if place is None else voter.confidences[place]
        weights[key] = weights.get(key, 0.0) + voter.weight
        confidence[key] = confidence.get(key, 0.0) + voter.weight * sure
        if place is not None:
            known = spellings.setdefault(key, {})
            word = voter.words[place]
            known[word] = known.get(word, 0.0) + voter.weight
    total = sum(weights.values())
    score = {
        key: trust * weights[key] / total + (1 - trust) * confidence[key] / weights[key]
        for key in weights
    }
    best = _first_best(score)
    return None if best is None else _first_best(spellings[best])


def _first_best(scores: dict[Key, float]) -> Key:
    """The key of the highest score; the first of those that are as high."""
    most = max(scores.values())
    return next(key for key, score in scores.items() if score >= most - TIE)
