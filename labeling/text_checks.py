"""What is odd about a transcript, each with the reason that is shown to people. Pure.

Three things are repaired, and said. Letters and accents typed apart are put together (Unicode NFC).
Characters that nobody sees are left out; for both see `labeling.transcripts`. A Latin letter alone
among Cyrillic ones becomes the Cyrillic one that looks the same (`LOOK_ALIKES`): a keyboard was
switched for one letter. All else is only flagged: what an annotator meant is not ours to guess.
Two Latin letters in a row may be a name with a Cyrillic ending, a word that is Latin as a whole
may be meant so, and a `y` may stand for у or, where the alphabet has it, for ү.

A flag is grave where the text is likely wrong rather than untidy: a second annotator should hear
the clip. Knows one transcript at a time, neither who wrote it nor what was shown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from al_loop.text import FOREIGN_LETTERS, normalise
from labeling.transcripts import tidy

CYRILLIC_LANGUAGES = frozenset(("ky", "ru", "kk", "uk", "be", "bg", "mk", "tg", "tt", "ba"))
"""Languages that are written in Cyrillic only, by Whisper's codes; of others no script is checked.
"""

LOOK_ALIKES = dict(zip("aceopxyëɵABCEHKMOPTXËƟ", "асеорхуёөАВСЕНКМОРТХЁӨ", strict=True))
"""Latin letters that print like a Cyrillic one. Ours. `Y` is left out: it is У as well as Ү."""
TWO_LETTERS_Y = frozenset(("ky", "kk", "tt", "ba"))
"""Languages in whose texts a `y` may stand for у or for ү."""

LEAST_CHARACTERS_PER_S, MOST_CHARACTERS_PER_S = 1.0, 30.0
"""Of normalised text, spaces included. The lower one is that of the gate on hypotheses. Above 30
nobody speaks: a synthesiser's Kyrgyz and Russian sentences had 9.6 to 22.4, spelled-out numbers
included. Hypotheses may have 35, because an annotator corrects them still."""
ONE_WORD = 6
"""Characters by which a text may miss these: in a short clip one word more or less is no sign."""

WORD_LOOP, PHRASE_LOOP = 5, 3
"""One word, or two to eight, so often in a row: people repeat themselves, but less. Ours."""
LETTER_LOOP = 5

PUNCTUATION = frozenset(".,!?;:-–—…«»„“”\"'’")
SHOWN = 3
"""So many of the words in question are named."""

_WORD = re.compile(r"[^\W_]+")
_MARKUP = re.compile(r"<[^>]*>|\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|&#?\w+;|https?://\S+|www\.\S+")
_LOOPS = (
    re.compile(rf"\b(\w+)(?: \1){{{WORD_LOOP - 1},}}\b"),
    re.compile(rf"\b(\w+(?: \w+){{1,7}}?)(?: \1){{{PHRASE_LOOP - 1},}}\b"),
    re.compile(rf"([^\W\d])\1{{{LETTER_LOOP - 1},}}"),
)


@dataclass(frozen=True, slots=True)
class Flag:
    """One oddity. name: repaired, empty, other_script, foreign_letters, digits, markup, symbols,
    loop, too_short or too_long, or one that a judge adds. As text: `digits: has 12`."""

    name: str
    reason: str
    grave: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A transcript, repaired where a rule says so, and its flags."""

    text: str
    flags: tuple[Flag, ...] = ()


def check(text: str, duration_s: float, language: str, digits: bool) -> Checked:
    """What is odd about the transcript of a clip of `duration_s` seconds.

    digits: whether transcripts may hold them. A duration of 0 is unknown: nothing is said of it.
    """
    repaired, done = _tidy(text)
    if language in CYRILLIC_LANGUAGES:
        repaired, mixed = _with_cyrillic(repaired, language)
        if mixed:
            done.append(f"Latin letters in {_named(mixed)} are replaced by Cyrillic ones")
    flags = [Flag("repaired", "; ".join(done))] if done else []
    plain = normalise(repaired, language)
    if not plain:
        return Checked(repaired, (*flags, Flag("empty", "holds no word")))
    flags += _letters(repaired, language)
    numbers = [word for word in _WORD.findall(repaired) if any(map(str.isdecimal, word))]
    if numbers and not digits:
        flags.append(Flag("digits", f"has {_named(numbers)}, and numbers are to be written out"))
    flags += _signs(repaired)
    flags += _loop(plain)
    flags += _length(plain, duration_s)
    return Checked(repaired, tuple(flags))


def _tidy(text: str) -> tuple[str, list[str]]:
    """The text on one line, with whole letters and without what is invisible; what was done."""
    reasons = []
    whole = unicodedata.normalize("NFC", text)
    if whole != text:
        reasons.append("letters typed in parts are put together")
    seen = tidy(text)
    if seen != " ".join(whole.split()):
        reasons.append("invisible characters are left out")
    return seen, reasons


def _with_cyrillic(text: str, language: str) -> tuple[str, list[str]]:
    """The text with its repairable words in Cyrillic, and those words as they were."""
    mixed: list[str] = []

    def repair(found: re.Match[str]) -> str:
        word = found[0]
        other = [sign for sign in word if _is_other(sign)]
        if not other or _left(word, language) is not None:
            return word
        mixed.append(word)
        return "".join(LOOK_ALIKES.get(sign, sign) for sign in word)

    return _WORD.sub(repair, text), mixed


def _left(word: str, language: str) -> str | None:
    """Why a word with letters of another script stays as it is; None where it is repaired."""
    if any(map(_is_cyrillic, word)):
        if any(_is_other(one) and _is_other(other) for one, other in pairwise(word)):
            return "letters in a row that are not Cyrillic may be a name"
        if language in TWO_LETTERS_Y and not {"y", "Y"}.isdisjoint(word):
            return "a Latin y may stand for у or ү"
    if any(_is_other(sign) and sign not in LOOK_ALIKES for sign in word):
        return "not in Cyrillic letters alone"
    return None if any(map(_is_cyrillic, word)) else "not in Cyrillic letters alone"


def _is_other(sign: str) -> bool:
    return sign.isalpha() and not _is_cyrillic(sign)


@cache
def _is_cyrillic(sign: str) -> bool:
    return unicodedata.name(sign, "").startswith("CYRILLIC")


def _letters(text: str, language: str) -> list[Flag]:
    words = _WORD.findall(text)
    flags = []
    other: dict[str, list[str]] = {}
    for word in words if language in CYRILLIC_LANGUAGES else ():
        if any(map(_is_other, word)):
            other.setdefault(_left(word, language) or "", []).append(word)
    if other:
        reasons = (f"{_named(found)}: {reason}" for reason, found in other.items())
        flags.append(Flag("other_script", "; ".join(reasons), grave=True))
    foreign = FOREIGN_LETTERS.get(language, frozenset())
    if found := [word for word in words if not foreign.isdisjoint(word.lower())]:
        letters = " ".join(sorted(foreign & set("".join(found).lower())))
        reason = f"{_named(found)}: the alphabet has no {letters}"
        flags.append(Flag("foreign_letters", reason, grave=True))
    return flags


def _signs(text: str) -> list[Flag]:
    flags = []
    if markup := _MARKUP.findall(text):
        # a pasted page or a remark of a program, while round brackets are people's own
        grave = any(found.startswith("<") for found in markup)
        flags.append(Flag("markup", f"has {_named(markup)}, which nobody says", grave))
        text = _MARKUP.sub(" ", text)
    signs = [
        sign
        for sign in text
        # letters, marks such as a stress, and digits are judged elsewhere; joiners shape letters
        if unicodedata.category(sign)[0] not in "LMNZ"
        and unicodedata.category(sign) != "Cf"
        and sign not in PUNCTUATION
    ]
    if signs:
        flags.append(Flag("symbols", f"has {_named(signs)}, which is to be written in words"))
    return flags


def _loop(plain: str) -> list[Flag]:
    for pattern in _LOOPS:
        if found := pattern.search(plain):
            unit = found[1]
            times = found[0].count(unit)
            return [Flag("loop", f"`{unit}` stands there {times} times in a row", grave=True)]
    return []


def _length(plain: str, duration_s: float) -> list[Flag]:
    if duration_s <= 0:
        return []
    fact = f"{len(plain)} characters in {duration_s:.1f} s"
    if len(plain) > MOST_CHARACTERS_PER_S * duration_s + ONE_WORD:
        return [Flag("too_long", f"{fact}: nobody speaks as fast", grave=True)]
    if len(plain) + ONE_WORD < LEAST_CHARACTERS_PER_S * duration_s:
        return [Flag("too_short", f"{fact}: something may be missing", grave=True)]
    return []


def _named(found: Iterable[str]) -> str:
    """The first of them, each once."""
    names = list(dict.fromkeys(found))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:SHOWN]) + more
