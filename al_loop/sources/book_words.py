"""A book's paragraphs as the words that somebody reads aloud: pure, but for romanising.

A unit is what stands between two spaces, as it will be trained on; its words are what is spoken of
it, normalised. `1991-жылы` is one unit of six words. The aligner hears words, utterances are made
of units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from al_loop.alignment.segments import CLAUSE, INSIDE, SENTENCE, SPACE
from al_loop.errors import ModelError
from al_loop.sources.book_text import Paragraph
from al_loop.text import normalise

LATIN = frozenset("abcdefghijklmnopqrstuvwxyz")
ENOUGH = 0.7
"""Of a text's letters that a recogniser has to know, or else the text is romanised."""
ISO_639_3 = {
    **{"ar": "ara", "be": "bel", "bg": "bul", "de": "deu", "el": "ell", "en": "eng", "fa": "fas"},
    **{"he": "heb", "kk": "kaz", "ky": "kir", "lt": "lit", "lv": "lav", "mk": "mkd", "ru": "rus"},
    **{"sr": "srp", "tr": "tur", "ug": "uig", "uk": "ukr", "yi": "yid"},
}
"""The languages that uroman treats in ways of their own, by Whisper's codes."""

_DIGITS_APART = re.compile(r"(?<=\d)[ \u00a0\u202f](?=\d{3}(?!\d))")
_SENTENCE_END = re.compile(r"[.!?…][\"'»”’)\]]*$")
_INITIAL = re.compile(r"^\W*[^\W\d_]\.$")
_CLAUSE_END = re.compile(r"[,;:—–)»\]][\"'»”’)\]]*$")
_TAIL = re.compile(r"\W*$")

Spell = Callable[[str], str]
"""A normalised word in the recogniser's letters."""


@dataclass(frozen=True, slots=True)
class BookWords:
    """A book, in U units of W words in all.

    texts: of each unit, as printed, but with its numbers in words. places: where it stands. words:
    what is spoken. unit_of: (W,) int64, of each word. breaks: (W,) int8, what is behind it.
    """

    texts: Sequence[str]
    places: Sequence[str]
    words: Sequence[str]
    unit_of: np.ndarray
    breaks: np.ndarray

    def text(self, first: int, end: int) -> str:
        """The words from `first` up to `end`, as printed; whole units."""
        return " ".join(self.texts[self.unit_of[first] : self.unit_of[end - 1] + 1])

    def place(self, word: int) -> str:
        return self.places[self.unit_of[word]]


def read_words(
    paragraphs: Iterable[Paragraph], language: str, spell: Spell = lambda word: word
) -> BookWords:
    """The paragraphs' words; what has no letter to speak goes with the unit before it."""
    texts: list[str] = []
    places: list[str] = []
    words: list[str] = []
    unit_of: list[int] = []
    breaks: list[int] = []
    for paragraph in paragraphs:
        begins = len(texts)
        for unit in _units(paragraph.text):
            spoken = [row for word in normalise(unit, language).split() if (row := spell(word))]
            if not spoken:
                if len(texts) > begins:
                    texts[-1] = f"{texts[-1]} {unit}"
                    breaks[-1] = max(breaks[-1], CLAUSE)
                continue
            if len(texts) > begins and breaks[-1] == SENTENCE and _goes_on(texts[-1], unit):
                breaks[-1] = CLAUSE
            texts.append(_as_spoken(unit, language) if re.search(r"\d", unit) else unit)
            places.append(paragraph.place)
            words += spoken
            unit_of += [len(texts) - 1] * len(spoken)
            breaks += [INSIDE] * (len(spoken) - 1) + [_behind(unit)]
        if len(texts) > begins:
            breaks[-1] = SENTENCE
    return BookWords(
        texts, places, words, np.array(unit_of, dtype=np.int64), np.array(breaks, dtype=np.int8)
    )


def speller(letters: Collection[str], texts: Iterable[Paragraph], language: str) -> Spell:
    """How words are written for a recogniser of these letters.

    As they are; or in Latin letters, by uroman, where it has those and hardly the text's. Letters
    that it lacks all the same stay: the aligner takes whatever is heard for them. Raises ModelError
    where the letters do not fit at all, or uroman is not installed.
    """
    counted = [letter for row in texts for letter in normalise(row.text, language) if letter != " "]
    known = sum(letter in letters for letter in counted)
    if known >= ENOUGH * len(counted):
        return lambda word: word
    if not set(letters) >= LATIN - set("qwx"):
        lacking = sorted({letter for letter in counted if letter not in letters})
        raise ModelError(
            f"the recogniser knows {known} of the text's {len(counted)} letters; it lacks "
            f"{' '.join(lacking[:40])}. Is the text in the language that it was trained on?"
        )
    try:
        from uroman import Uroman
    except ModuleNotFoundError as exc:
        raise ModelError(
            "the recogniser spells in Latin letters and the text does not; run "
            "`pip install 'al-loop[romanise]'`"
        ) from exc
    table: Any = Uroman()

    @cache
    def romanise(word: str) -> str:
        latin = str(table.romanize_string(word, lcode=ISO_639_3.get(language))).lower()
        return "".join(letter for letter in latin if letter in letters)

    return romanise


def _units(text: str) -> Iterator[str]:
    """What stands between spaces; `12 000` is one unit."""
    yield from _DIGITS_APART.sub("", text).split()


def _as_spoken(unit: str, language: str) -> str:
    tail = _TAIL.search(unit)
    return normalise(unit, language) + (tail[0] if tail else "")


def _behind(unit: str) -> int:
    if _SENTENCE_END.search(unit) and not _INITIAL.match(unit):
        return SENTENCE
    return CLAUSE if _CLAUSE_END.search(unit) else SPACE


def _goes_on(before: str, unit: str) -> bool:
    """Whether what looks like a sentence's end is none: a lower-case letter follows."""
    first = next((letter for letter in unit if letter.isalpha()), "")
    return first.islower() and before.endswith((".", "…"))
