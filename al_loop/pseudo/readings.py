"""What several recognisers heard in one clip: how far they agree, and what they vote for. Pure.

Recognisers that were trained apart rarely err alike, so words that they share are likely right: as
in Jiang et al., "Improved noisy student training for automatic speech recognition" (Interspeech
2020), and in the filters of Kahn, Lee and Hannun (arXiv 1909.09116). Knows no model: a reading is
a text with the name of whoever heard it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations

from al_loop.agreement import compare
from al_loop.rover import rover
from al_loop.text import normalise


@dataclass(frozen=True, slots=True)
class Reading:
    """What one recogniser heard. weight: above 0, how much its voice counts in a vote."""

    recogniser: str
    text: str
    weight: float = 1.0


def agreement(readings: Sequence[Reading], language: str) -> float:
    """How far different recognisers say the same, from 0 to 1.

    1 less the mean, over the pairs of different recognisers, of the word errors between their
    texts by the words of the longer one; both normalised. Two texts without a word do not agree:
    that nobody heard anything confirms nothing. 0 where there is no pair.

    In words alone: what the filter promises is a share of right words, and one wrong letter is a
    wrong word there.
    """
    found = [
        _alike(one.text, other.text, language)
        for one, other in combinations(readings, 2)
        if one.recogniser != other.recogniser
    ]
    return math.fsum(found) / len(found) if found else 0.0


def _alike(one: str, other: str, language: str) -> float:
    apart = compare(one, other, language)
    return 1 - apart.wer if apart.words else 0.0


def vote(readings: Sequence[Reading], language: str) -> str:
    """The text that the readings vote for, word by word; empty where silence wins.

    `al_loop.rover` over the normalised words. Each word that wins is spelled, with its capitals
    and punctuation, as the heaviest reading that has it there spells it; among equals as the first
    given. With two readings of one weight the first wins every dispute. Raises ValueError for a
    weight that is not above 0.
    """
    for row in readings:
        if not (row.weight > 0 and math.isfinite(row.weight)):
            raise ValueError(
                f"the reading of {row.recogniser!r} has the weight {row.weight}: it must be above 0"
            )
    if not readings:
        return ""
    heaviest = sorted(readings, key=lambda row: -row.weight)  # stable: ties as given
    heard = [normalise(row.text, language).split() for row in heaviest]
    won = rover(heard, [row.weight for row in heaviest])
    if won and heard[0] == won:
        return " ".join(heaviest[0].text.split())
    spelled = [
        _spellings(row.text, words, won, language)
        for row, words in zip(heaviest, heard, strict=True)
    ]
    tokens, place = [], 0
    while place < len(won):
        token, length = next((known[place] for known in spelled if place in known), (won[place], 1))
        tokens.append(token)
        place += length
    return " ".join(tokens)


def _spellings(
    text: str, words: Sequence[str], won: Sequence[str], language: str
) -> dict[int, tuple[str, int]]:
    """Where in `won` a token of `text` stands, whole: its spelling and how many words it has.

    words: those of `text`, normalised. A number in digits is a token of several words. Empty where
    the tokens cannot be told apart in `words`, as in `12 000`.
    """
    tokens = [(token, normalise(token, language).split()) for token in text.split()]
    if [word for _, own in tokens for word in own] != list(words):
        return {}
    matching = SequenceMatcher(None, words, won, autojunk=False).get_matching_blocks()
    target = {block.a + step: block.b + step for block in matching for step in range(block.size)}
    found, start = {}, 0
    for token, own in tokens:
        first = target.get(start)
        if (
            own
            and first is not None
            and all(target.get(start + step) == first + step for step in range(len(own)))
        ):
            found[first] = (token, len(own))
        start += len(own)
    return found
