"""Which words and letters a model takes for others: pure, from pairs of texts.

Texts are normalised and aligned word by word with the fewest edits (Levenshtein, Soviet Physics
Doklady 10, 1966), as for every WER; the words of a confused pair that are alike are aligned letter
by letter too. Knows neither clips nor who spoke them, but for their names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jiwer

from al_loop.text import normalise

Kind = Literal["same", "changed", "missed", "added"]
EXAMPLES = 20
"""Clips that a mistake names."""
MOST = 500
"""Mistakes that come at once: the most frequent."""
ALIKE = 2 / 3
"""Two words are alike where no more than this part of the longer one has to be edited, as of көңүл
heard as конул. Letters of others are not compared: another word was heard, not another letter.
Ours."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is said in a clip, and what was heard. speaker: None where nobody knows."""

    utterance_id: str
    language: str
    said: str
    heard: str
    source: str
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One step of an alignment. said is empty of what was added, heard of what was missed."""

    kind: Kind
    said: str
    heard: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A word, or a letter, that is heard as another, missed, or added.

    times: how often. of: how often `said` is said at all; 0 of what was added. clips, speakers: in
    so many; unknown speakers do not count. examples: ids of the first of the clips.
    """

    kind: Kind
    said: str
    heard: str
    times: int
    of: int
    clips: int
    speakers: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """What all clips of a source, or of a speaker, come to. words: that are said in them.

    most: the most frequent mistake among them; None where there is none.
    """

    name: str
    clips: int
    words: int
    changed: int
    missed: int
    added: int
    most: Part | None

    @property
    def errors(self) -> int:
        return self.changed + self.missed + self.added

    @property
    def wer(self) -> float:
        return self.errors / self.words if self.words else 0.0


@dataclass(frozen=True, slots=True)
class Mistakes:
    """All of the pairs, and the mistakes in them, the most frequent first.

    sources, speakers: those with the most errors first; speakers are those that are known.
    """

    all: Group
    words: Sequence[Mistake]
    letters: Sequence[Mistake]
    sources: Sequence[Group]
    speakers: Sequence[Group]


def word_parts(said: str, heard: str, language: str) -> list[Part]:
    """The words of both texts, normalised, in the order of what is said."""
    return _aligned([(normalise(said, language), normalise(heard, language))])[0]


def mistakes(pairs: Iterable[Pair]) -> Mistakes:
    """Pairs in which nothing is said, once it is normalised, are left out."""
    rows = []
    texts = []
    for row in pairs:
        said = normalise(row.said, row.language)
        if said:
            rows.append(row)
            texts.append((said, normalise(row.heard, row.language)))
    parts = _aligned(texts)
    return Mistakes(
        all=_group("", parts),
        words=_mistakes(rows, parts),
        letters=_mistakes(rows, _letters(parts)),
        sources=_groups((row.source for row in rows), parts),
        speakers=_groups((row.speaker for row in rows), parts),
    )


def _aligned(texts: Sequence[tuple[str, str]], letters: bool = False) -> list[list[Part]]:
    """The parts of each pair of normalised texts: words, or letters."""
    join = jiwer.process_characters if letters else jiwer.process_words
    known = [pair for pair in texts if pair[0]]  # jiwer takes no empty reference
    found: Iterator[list[Part]] = iter(())
    if known:
        output = join([said for said, _ in known], [heard for _, heard in known])
        found = (
            _parts(said, heard, chunks)
            for said, heard, chunks in zip(
                output.references, output.hypotheses, output.alignments, strict=True
            )
        )
    return [
        next(found) if said else [Part("added", "", word) for word in heard.split()]
        for said, heard in texts
    ]


def _parts(
    said: Sequence[str], heard: Sequence[str], chunks: Iterable[jiwer.AlignmentChunk]
) -> list[Part]:
    parts = []
    for chunk in chunks:
        ours = said[chunk.ref_start_idx : chunk.ref_end_idx]
        theirs = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "delete":
            parts += [Part("missed", word, "") for word in ours]
        elif chunk.type == "insert":
            parts += [Part("added", "", word) for word in theirs]
        else:
            kind: Kind = "same" if chunk.type == "equal" else "changed"
            parts += [Part(kind, *words) for words in zip(ours, theirs, strict=True)]
    return parts


def _letters(clips: Sequence[Sequence[Part]]) -> list[list[Part]]:
    """The letters of each clip's words: of those that are right, and of the pairs that are alike.

    Every pair of words is aligned once, however often it comes.
    """
    changed = sorted({row for parts in clips for row in parts if row.kind == "changed"}, key=str)
    letters = _aligned([(row.said, row.heard) for row in changed], letters=True)
    spelled = {
        row: found if _alike(row, found) else []
        for row, found in zip(changed, letters, strict=True)
    }
    return [
        [
            letter
            for row in parts
            for letter in (
                (Part("same", of, of) for of in row.said)
                if row.kind == "same"
                else spelled.get(row, ())
            )
        ]
        for parts in clips
    ]


def _alike(word: Part, letters: Sequence[Part]) -> bool:
    edits = sum(row.kind != "same" for row in letters)
    return edits <= ALIKE * max(len(word.said), len(word.heard))


def _mistakes(rows: Sequence[Pair], clips: Sequence[Sequence[Part]]) -> list[Mistake]:
    """rows: whose parts those of `clips` are, one by one."""
    said = Counter(part.said for parts in clips for part in parts if part.kind != "added")
    times: Counter[Part] = Counter()
    places: defaultdict[Part, list[Pair]] = defaultdict(list)
    for row, parts in zip(rows, clips, strict=True):
        here = Counter(part for part in parts if part.kind != "same")
        times.update(here)
        for part in here:
            places[part].append(row)
    most = sorted(times, key=lambda part: (-times[part], -len(places[part]), part.said, part.heard))
    return [
        Mistake(
            part.kind,
            part.said,
            part.heard,
            times[part],
            said[part.said] if part.said else 0,
            len(places[part]),
            len({row.speaker for row in places[part]} - {None}),
            tuple(row.utterance_id for row in places[part][:EXAMPLES]),
        )
        for part in most[:MOST]
    ]


def _groups(names: Iterable[str | None], clips: Sequence[Sequence[Part]]) -> list[Group]:
    grouped: defaultdict[str, list[Sequence[Part]]] = defaultdict(list)
    for name, parts in zip(names, clips, strict=True):
        if name is not None:
            grouped[name].append(parts)
    found = [_group(name, of) for name, of in grouped.items()]
    return sorted(found, key=lambda row: (-row.errors, row.name))


def _group(name: str, clips: Sequence[Sequence[Part]]) -> Group:
    kinds: Mapping[Kind, int] = Counter(part.kind for parts in clips for part in parts)
    wrong = Counter(part for parts in clips for part in parts if part.kind != "same")
    most = min(wrong, key=lambda part: (-wrong[part], part.said, part.heard), default=None)
    return Group(
        name,
        len(clips),
        kinds["same"] + kinds["changed"] + kinds["missed"],
        kinds["changed"],
        kinds["missed"],
        kinds["added"],
        most,
    )
