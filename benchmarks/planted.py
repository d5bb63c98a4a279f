"""A recording joined from clips, a book with planted faults, and what an alignment made of them.

Everything that differs between the two is known: where each clip begins and ends, which words are
misprinted, left out or added, which sentences only one side has. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np

from al_loop.audio import SAMPLE_RATE, decode, write_flac
from al_loop.records import Utterance
from al_loop.sources.books import Aligned
from al_loop.text import normalise

PAUSE_S = (0.1, 0.6)
"""Between two clips, beside the silence that they have themselves."""
NOISE_DBFS = -60.0
"""Under all of it, so that no pause is digital silence."""
EDGE_DB = -34.0
"""Below the loudest hundredth of a second of its clip, this is where speech begins and ends."""
MISPRINTED = 0.02
"""Of the words: one in fifty, as in a badly scanned book."""
PARAGRAPH = 5
"""Sentences."""
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

    words: as printed. sources: of each, the place of the word that it stands for, None: of none.
    """

    said: int | None
    words: Sequence[str]
    sources: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Planted:
    """clips: in the recording's order. book: in the book's. misprints: how many."""

    clips: Sequence[Said]
    book: Sequence[Printed]
    misprints: int


@dataclass(frozen=True, slots=True)
class Judged:
    """errors_s: of the speech edges that fall on a clip's, in seconds, unsigned. words, wrong: of
    what was kept, against what is said there. kept_s: of the recording. unjudged: edges that lie
    inside a clip, where nobody knows the truth. misprints: how many were kept.
    """

    errors_s: np.ndarray
    words: int
    wrong: int
    kept_s: float
    unjudged: int
    misprints: int
    clips: int


def join(
    clips: Sequence[Utterance], seconds: float, seed: int, recording: Path, book: Path
) -> tuple[Planted, Sequence[Utterance]]:
    """Write a recording of so many seconds, and its book; the clips of neither are returned.

    The recording begins with three sentences that the book lacks. In its first half the book lacks
    a paragraph, in its second it has one that nobody reads.
    """
    rng = np.random.default_rng(seed)
    order = [clips[index] for index in rng.permutation(len(clips))]
    parts, said = [_silence(rng)], []
    length = len(parts[0])
    while length < seconds * SAMPLE_RATE:
        row = order[len(said)]
        samples = decode(Path(row.audio))
        first, last = _speech(samples)
        words = normalise(row.text or "", row.language).split()
        said.append(Said((length + first) / SAMPLE_RATE, (length + last) / SAMPLE_RATE, words))
        parts += [samples, _silence(rng)]
        length += len(samples) + len(parts[-1])
    joined = np.concatenate(parts)
    joined += 10 ** (NOISE_DBFS / 20) * rng.standard_normal(len(joined)).astype(np.float32)
    write_flac(joined, recording)
    unread = order[len(said) : len(said) + PARAGRAPH]
    printed, misprints = _print(order[: len(said)], unread, rng)
    book.write_text("\n\n".join(_paragraphs(printed)), encoding="utf-8")
    return Planted(said, printed, misprints), order[len(said) + PARAGRAPH :]


def judge(planted: Planted, found: Aligned) -> Judged:
    """How far the edges are off, and how many of the words kept are not said where they are."""
    owners = [(row.said, source) for row in planted.book for source in row.sources]
    errors, words, wrong, unjudged, clips = [], 0, 0, 0, 0
    for segment in found.segments:
        kept = owners[segment.first : segment.end]
        first, last = kept[0][0], kept[-1][0]
        if first is not None and kept[0][1] == 0:
            errors.append(abs(segment.speech_start_s - planted.clips[first].start_s))
        else:
            unjudged += 1
        if last is not None and kept[-1][1] == len(planted.clips[last].words) - 1:
            errors.append(abs(segment.speech_end_s - planted.clips[last].end_s))
        else:
            unjudged += 1
        said = " ".join(_said_in(planted, kept, segment.start_s, segment.end_s))
        text = " ".join(found.words.words[segment.first : segment.end])
        counted = jiwer.process_words(said, text) if said else None
        hits = counted.hits if counted else 0
        words += max(segment.end - segment.first, len(said.split()))
        wrong += max(segment.end - segment.first, len(said.split())) - hits
        clips += sum(row is not None for row in {owner for owner, _ in kept})
    misprints = sum(
        source is None
        for segment in found.segments
        for _, source in owners[segment.first : segment.end]
    )
    kept_s = sum(row.end_s - row.start_s for row in found.segments)
    return Judged(np.array(errors), words, wrong, kept_s, unjudged, misprints, clips)


def _said_in(
    planted: Planted, kept: Sequence[tuple[int | None, int | None]], start_s: float, end_s: float
) -> Iterator[str]:
    """The words that are said between two times.

    Where an edge lies inside a clip, as far as the words kept reach: nobody knows it better.
    """
    for number, clip in enumerate(planted.clips):
        if min(clip.end_s, end_s) - max(clip.start_s, start_s) < 0.1:
            continue
        places = [place for owner, place in kept if owner == number and place is not None]
        inside_start = start_s > clip.start_s + 0.2
        inside_end = end_s < clip.end_s - 0.2
        first = min(places, default=0) if inside_start else 0
        last = max(places, default=len(clip.words) - 1) if inside_end else len(clip.words) - 1
        yield from clip.words[first : last + 1]


def _silence(rng: np.random.Generator) -> np.ndarray:
    return np.zeros(round(rng.uniform(*PAUSE_S) * SAMPLE_RATE), dtype=np.float32)


def _speech(samples: np.ndarray) -> tuple[int, int]:
    """Where speech begins and ends in a clip, in samples."""
    step = SAMPLE_RATE // 100
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    size = np.sqrt(np.square(blocks, dtype=np.float64).mean(axis=1))
    loud = np.flatnonzero(size > size.max() * 10 ** (EDGE_DB / 20))
    return int(loud[0]) * step, int(loud[-1] + 1) * step


def _print(
    read: Sequence[Utterance], unread: Sequence[Utterance], rng: np.random.Generator
) -> tuple[list[Printed], int]:
    """The book's sentences, and the number of misprints."""
    introduction = 3
    lacking = (introduction + len(read)) // 3 // PARAGRAPH * PARAGRAPH
    inserted = 2 * len(read) // 3 // PARAGRAPH * PARAGRAPH
    book: list[Printed] = []
    misprints = 0
    for number, row in enumerate(read):
        if number == inserted:
            book += [_as_is(None, other) for other in unread]
        if number < introduction or lacking <= number < lacking + PARAGRAPH:
            continue
        sentence = _as_is(number, row)
        hit = rng.random(len(sentence.words)) < MISPRINTED
        for place in np.flatnonzero(hit)[::-1].tolist():
            sentence = _misprint(sentence, place, rng)
            misprints += 1
        if sentence.words:
            book.append(sentence)
    return book, misprints


def _as_is(number: int | None, row: Utterance) -> Printed:
    words = normalise(row.text or "", row.language).split()
    sources: list[int | None] = (
        list(range(len(words))) if number is not None else [None] * len(words)
    )
    return Printed(number, words, sources)


def _misprint(sentence: Printed, place: int, rng: np.random.Generator) -> Printed:
    """The sentence with one word spelled wrong, replaced, left out, or printed twice."""
    words, sources = list(sentence.words), list(sentence.sources)
    ways: list[Callable[[str], str]] = [_substitute(rng), _lose(rng), _double(rng)]
    kind = int(rng.integers(6))
    if kind < len(ways):
        words[place], sources[place] = ways[kind](words[place]), None
    elif kind == 3:
        other = words[(place + 1) % len(words)] + "лар"
        words[place], sources[place] = other, None
    elif kind == 4:
        del words[place], sources[place]
    else:
        words.insert(place, words[place])
        sources.insert(place, None)
    return Printed(sentence.said, words, sources)


def _substitute(rng: np.random.Generator) -> Callable[[str], str]:
    def change(word: str) -> str:
        place = int(rng.integers(len(word)))
        letter = str(rng.choice([row for row in LETTERS if row != word[place]]))
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
        yield " ".join(f"{' '.join(row.words).capitalize()}." for row in book[first:end])
