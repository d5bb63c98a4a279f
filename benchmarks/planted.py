"""A recording joined from clips, and a book with planted faults.

All that differs between the two is known: where each clip begins and ends, which words are
misprinted, left out or added, which sentences only one side has. Knows no model and no judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from al_loop.audio import SAMPLE_RATE, decode, write_flac
from al_loop.records import Utterance
from al_loop.text import normalise

PAUSE_S = (0.1, 0.6)
"""Between two clips, beside the silence that they have themselves."""
FLOOR_DBFS = -60.0
"""Of the noise under all of it, so that no pause is digital silence."""
EDGE_DB = -34.0
"""Below the loudest hundredth of a second of its clip, this is where speech begins and ends."""
MISPRINTED = 0.02
"""Of the printed words: one in fifty, as in a badly scanned book."""
PARAGRAPH = 5
"""Sentences."""
INTRODUCTION = 3
"""Sentences that the recording begins with and the book lacks."""
LETTERS = "абвгдежзийклмнопрстуфхцчшыэюяңөү"


@dataclass(frozen=True, slots=True)
class Said:
    """A clip in the recording. words: normalised, as they are said."""

    start_s: float
    end_s: float
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Printed:
    """A sentence of the book. said: which clip it is of, None: nobody reads it.

    units: as printed, what stands between two spaces. places: of each unit's words, which words of
    the clip they stand for; None for a unit that is misprinted, or that nobody reads.
    """

    said: int | None
    units: Sequence[str]
    places: Sequence[Sequence[int] | None]


@dataclass(frozen=True, slots=True)
class Planted:
    """clips: in the recording's order. book: in the book's. before: units of other chapters that
    stand before it. misprints: of printed units that are wrong, how many. removed: words that are
    said and not printed, by clip and place. after: the clips of the first sentences behind each
    gap, by what is missing there.
    """

    clips: Sequence[Said]
    book: Sequence[Printed]
    before: int
    misprints: int
    removed: Sequence[tuple[int, int]]
    after: Mapping[str, Sequence[int]]


def join(
    clips: Sequence[Utterance],
    seconds: float,
    seed: int,
    recording: Path,
    book: Path,
    snr_db: float | None = None,
    unread: int = 0,
) -> tuple[Planted, Sequence[Utterance]]:
    """Write a recording of so many seconds, and its book; the clips of neither are returned.

    The recording begins with three sentences that the book lacks. In each half the book lacks a
    paragraph, and has one that nobody reads. snr_db: of pink noise over all of it, relative to
    speech. unread: letters of other chapters, before what is read and behind it. The same seed
    gives the same order and faults, whatever the noise.
    """
    rng = np.random.default_rng(seed)
    order = [clips[index] for index in rng.permutation(len(clips))]
    parts = [_silence(rng)]
    said: list[Said] = []
    length = len(parts[0])
    while length < seconds * SAMPLE_RATE:
        row = order[len(said)]
        samples = decode(Path(row.audio))
        first, last = _speech(samples)
        words = [word for unit in units_of(row) for word in words_of(unit, row.language)]
        said.append(Said((length + first) / SAMPLE_RATE, (length + last) / SAMPLE_RATE, words))
        parts += [samples, _silence(rng)]
        length += len(samples) + len(parts[-1])
    others = order[len(said) : len(said) + 2 * PARAGRAPH]
    planted = _print(order[: len(said)], said, others, rng)
    before, behind = ([*_chapters(clips, unread, rng)] for _ in range(2))
    planted = replace(planted, before=sum(len(row.split()) for row in before))
    paragraphs = [*before, *_paragraphs(planted.book), *behind]
    book.write_text("\n\n".join(paragraphs), encoding="utf-8")
    joined = np.concatenate(parts)
    joined += 10 ** (FLOOR_DBFS / 20) * rng.standard_normal(len(joined)).astype(np.float32)
    if snr_db is not None:
        joined += _noise(joined, said, snr_db, rng)
    write_flac(joined, recording)
    return planted, order[len(said) + 2 * PARAGRAPH :]


def units_of(row: Utterance) -> list[str]:
    """The clip's text as printed, by what stands between spaces; a lone dash goes with the unit
    before it, as the book's reader has it."""
    units: list[str] = []
    for unit in (row.text or "").split():
        if words_of(unit, row.language):
            units.append(unit)
        elif units:
            units[-1] = f"{units[-1]} {unit}"
    return units


def words_of(unit: str, language: str) -> list[str]:
    return normalise(unit, language).split()


def _silence(rng: np.random.Generator) -> np.ndarray:
    return np.zeros(round(rng.uniform(*PAUSE_S) * SAMPLE_RATE), dtype=np.float32)


def _noise(
    samples: np.ndarray, said: Sequence[Said], snr_db: float, rng: np.random.Generator
) -> np.ndarray:
    """Pink noise (N,) float32, so far below the mean power of speech."""
    speech = np.concatenate(
        [samples[int(row.start_s * SAMPLE_RATE) : int(row.end_s * SAMPLE_RATE)] for row in said]
    )
    size = 1 << (len(samples) - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(size).astype(np.float32))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 20 * size / SAMPLE_RATE))
    noise = np.fft.irfft(spectrum, size)[: len(samples)]
    power = np.square(speech, dtype=np.float64).mean() / 10 ** (snr_db / 10)
    return (noise * np.sqrt(power / np.square(noise).mean())).astype(np.float32)


def _speech(samples: np.ndarray) -> tuple[int, int]:
    """Where speech begins and ends in a clip, in samples."""
    step = SAMPLE_RATE // 100
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    size = np.sqrt(np.square(blocks, dtype=np.float64).mean(axis=1))
    loud = np.flatnonzero(size > size.max() * 10 ** (EDGE_DB / 20))
    return int(loud[0]) * step, int(loud[-1] + 1) * step


# -- the book --------------------------------------------------------------------------------------


def _print(
    read: Sequence[Utterance],
    said: Sequence[Said],
    unread: Sequence[Utterance],
    rng: np.random.Generator,
) -> Planted:
    count = len(read)
    lacking = {count // 6: "lacking 1", 2 * count // 3: "lacking 2"}
    inserted = {2 * count // 5: "unread 1", 6 * count // 7: "unread 2"}
    skipped = set(range(INTRODUCTION))
    skipped |= {first + place for first in lacking for place in range(PARAGRAPH)}
    book: list[Printed] = []
    misprints, removed = 0, []
    for number, row in enumerate(read):
        if number in inserted:
            others = unread[:PARAGRAPH] if len(book) < count // 2 else unread[PARAGRAPH:]
            book += [as_printed(None, other) for other in others]
        if number in skipped:
            continue
        sentence = as_printed(number, row)
        hit = rng.random(len(sentence.units)) < MISPRINTED
        for place in np.flatnonzero(hit)[::-1].tolist():
            gone = sentence.places[place] or ()
            sentence, printed = _misprint(sentence, place, row.language, rng)
            misprints += printed
            removed += [] if printed else [(number, word) for word in gone]
        if sentence.units:
            book.append(sentence)
    behind = {INTRODUCTION: "introduction", **inserted}
    behind |= {first + PARAGRAPH: name for first, name in lacking.items()}
    after = {name: range(first, min(first + PARAGRAPH, count)) for first, name in behind.items()}
    return Planted(said, book, 0, misprints, removed, after)


def as_printed(number: int | None, row: Utterance) -> Printed:
    """The clip's text without a fault, as a book has it."""
    units = units_of(row)
    places: list[Sequence[int] | None] = []
    first = 0
    for unit in units:
        size = len(words_of(unit, row.language))
        places.append(range(first, first + size) if number is not None else None)
        first += size
    digits = _numerals(row.language)
    printed: list[str] = []
    for unit in units:
        apart = not printed or not printed[-1][-1].isdigit()  # `2 100` would be one number
        printed.append(_in_digits(unit, digits, row.language) if apart else unit)
    return Printed(number, printed, places)


def _numerals(language: str) -> Mapping[str, str]:
    """The digits of each number that is one word; `one` is also an article, and stays."""
    numbers = [*range(2, 10), *range(10, 100, 10), 100, 1000]
    spelled = {normalise(str(number), language): str(number) for number in numbers}
    return {word: digits for word, digits in spelled.items() if word.isalpha()}


def _in_digits(unit: str, digits: Mapping[str, str], language: str) -> str:
    """A spelled number as a book prints it, where it reads the same; its punctuation stays."""
    words = words_of(unit, language)
    number = digits.get(words[0]) if len(words) == 1 else None
    printed = unit.lower().replace(words[0], number, 1) if number else unit
    return printed if words_of(printed, language) == words else unit


def _misprint(
    sentence: Printed, place: int, language: str, rng: np.random.Generator
) -> tuple[Printed, bool]:
    """The sentence with one unit spelled wrong, replaced, printed twice, or left out; whether
    something wrong is printed."""
    units, places = list(sentence.units), list(sentence.places)
    ways: list[Callable[[str], str]] = [_substitute(rng), _lose(rng), _double(rng)]
    kind = int(rng.integers(6))
    before = words_of(units[place], language)
    if kind < len(ways):
        units[place], places[place] = _changed(units[place], ways[kind]), None
    elif kind == 3:
        other = words_of(units[(place + 1) % len(units)], language)
        units[place], places[place] = f"{other[0]}лар", None
    elif kind == 4:
        del units[place], places[place]
        return Printed(sentence.said, units, places), False
    else:
        units.insert(place, units[place])
        places.insert(place, None)
    if kind < 4 and words_of(units[place], language) == before:
        units[place] = f"{before[0]}лар"  # a digit was changed that is not spoken, or the like
    return Printed(sentence.said, units, places), True


def _changed(unit: str, way: Callable[[str], str]) -> str:
    """The unit with its longest run of letters and digits changed; punctuation stays."""
    runs, begin = [], None
    for place, letter in enumerate(f"{unit} "):
        if letter.isalnum() and begin is None:
            begin = place
        elif not letter.isalnum() and begin is not None:
            runs.append((begin, place))
            begin = None
    first, end = max(runs, key=lambda run: run[1] - run[0])
    return unit[:first] + way(unit[first:end]) + unit[end:]


def _substitute(rng: np.random.Generator) -> Callable[[str], str]:
    def change(word: str) -> str:
        place = int(rng.integers(len(word)))
        letter = str(rng.choice([row for row in LETTERS if row != word[place].lower()]))
        return word[:place] + letter + word[place + 1 :]

    return change


def _lose(rng: np.random.Generator) -> Callable[[str], str]:
    def change(word: str) -> str:
        place = int(rng.integers(len(word)))
        return word[:place] + word[place + 1 :] or word * 2

    return change


def _double(rng: np.random.Generator) -> Callable[[str], str]:
    def change(word: str) -> str:
        place = int(rng.integers(len(word)))
        return word[: place + 1] + word[place] + word[place + 1 :]

    return change


def _paragraphs(book: Sequence[Printed]) -> Iterator[str]:
    for first, end in pairwise([*range(0, len(book), PARAGRAPH), len(book)]):
        yield " ".join(" ".join(row.units) for row in book[first:end])


def _chapters(clips: Sequence[Utterance], letters: int, rng: np.random.Generator) -> Iterator[str]:
    """Paragraphs of so many letters in all: the clips' words, in no order that anybody reads."""
    words = [word for row in clips for word in words_of(row.text or "", row.language)]
    while letters > 0:
        drawn = " ".join(rng.choice(words, 60))
        letters -= len(drawn)
        yield drawn.capitalize() + "."
