"""How far transcripts of the same audio differ: WER and CER between annotators. Pure.

Neither side is the reference, so the measure is symmetric: the edit distance (Levenshtein, Soviet
Physics Doklady 10, 1966), in words or in characters, over the length of the longer text. It lies
between 0 and 1, and is the WER where both are of one length. To divide by the longer one is ours.
Texts are normalised first, as they are for every other WER. Over several clips, edits and lengths
are summed, so that long clips count for more, as in any WER.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import jiwer

from al_loop.text import normalise

PAIRS_KEPT = 32_768
"""Of texts, with how far they differ. Whoever asks again after a few more answers, as a dashboard
does, compares the same pairs again."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Edits between two texts, or the sums over several pairs. words, characters: of the longer.

    clips: how many pairs of texts it sums.
    """

    word_edits: int = 0
    words: int = 0
    character_edits: int = 0
    characters: int = 0
    clips: int = 0

    @property
    def wer(self) -> float:
        return self.word_edits / self.words if self.words else 0.0

    @property
    def cer(self) -> float:
        return self.character_edits / self.characters if self.characters else 0.0


@lru_cache(PAIRS_KEPT)
def compare(one: str, other: str, language: str) -> Disagreement:
    """How far two texts differ. Two without a word agree."""
    first, second = normalise(one, language), normalise(other, language)
    words = max(len(first.split()), len(second.split()))
    characters = max(len(first), len(second))
    if first == second:
        return Disagreement(0, words, 0, characters, 1)
    if not first or not second:  # jiwer takes no empty reference
        return Disagreement(words, words, characters, characters, 1)
    by_word = jiwer.process_words(first, second)
    by_character = jiwer.process_characters(first, second)
    return Disagreement(
        by_word.substitutions + by_word.deletions + by_word.insertions,
        words,
        by_character.substitutions + by_character.deletions + by_character.insertions,
        characters,
        1,
    )


def unchanged(text: str, shown: str, language: str) -> bool:
    """Whether the words of a draft were left as they were; case and punctuation may differ."""
    return text == shown or normalise(text, language) == normalise(shown, language)


def pooled(rows: Iterable[Disagreement]) -> Disagreement:
    """The sums over several pairs of texts."""
    found = list(rows)
    return Disagreement(
        sum(row.word_edits for row in found),
        sum(row.words for row in found),
        sum(row.character_edits for row in found),
        sum(row.characters for row in found),
        sum(row.clips for row in found),
    )


def between(
    texts: Mapping[str, Mapping[str, str]], language: str
) -> dict[tuple[str, str], list[Disagreement]]:
    """For each two annotators with a clip in common, how far they differ, clip by clip.

    texts: annotator -> utterance id -> text. The names of a pair are sorted. Pooled over one pair
    this is their disagreement, pooled over all pairs the mean one.
    """
    found = {}
    for one, other in combinations(sorted(texts), 2):
        common = sorted(texts[one].keys() & texts[other].keys())
        if common:
            found[one, other] = [
                compare(texts[one][name], texts[other][name], language) for name in common
            ]
    return found
