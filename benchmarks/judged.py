"""What an alignment made of a planted book: what is kept of it, and what is found at all.

Knows where each clip begins and ends, and so nothing of where words lie inside of one: what can
only be known there is counted apart, as unknown or unjudged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import jiwer
import numpy as np

from al_loop.alignment.segments import Segment
from al_loop.sources.books import Aligned
from benchmarks.planted import Planted

SWALLOWED_S = 0.1
"""A segment that has so much of a clip's speech says something of it."""
INSIDE_S = 0.2
"""A cut so far inside a clip's speech is inside of it."""
BESIDE_S = 0.3
"""A word so far outside of its clip is not found there."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Of the segments of one threshold, or of several alignments' joined.

    errors_s: (E,) of the speech edges that fall on a clip's, in seconds, unsigned. unjudged: edges
    that lie inside a clip. words, wrong: (N,) of each segment, against what is said there.
    unknown: words beside an edge inside a clip, of which nobody knows whether they are whole.
    misprints: printed wrong, and kept. removed: words said in a segment and not printed.
    """

    errors_s: np.ndarray
    unjudged: int
    words: np.ndarray
    wrong: np.ndarray
    unknown: int
    misprints: int
    removed: int
    kept_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """Of all words, kept or not. begins_s, ends_s: how far the first and the last letter's frame of
    each clip is from where its speech begins and ends, in seconds, unsigned; inf: not found. Of
    clips whose first or last word is printed right. recall: words found and all, of those printed
    right; by gap, those of the sentences behind it. unread: words found of text that nobody reads,
    and all.
    """

    begins_s: np.ndarray
    ends_s: np.ndarray
    recall: tuple[int, int]
    behind: Mapping[str, tuple[int, int]]
    unread: tuple[int, int]


class Judge:
    """Of one alignment, against what was planted."""

    def __init__(self, planted: Planted, found: Aligned) -> None:
        """Raises ValueError where the book was not read unit by unit as it was printed."""
        self.planted, self.found = planted, found
        printed = [(row.said, places) for row in planted.book for places in row.places]
        words = found.words
        sizes = np.bincount(words.unit_of, minlength=len(words.texts))
        self.owners: list[tuple[int | None, int | None]] = []
        for unit, size in enumerate(sizes.tolist()):
            place = unit - planted.before
            said, places = printed[place] if 0 <= place < len(printed) else (None, None)
            if places is not None and len(places) != size:
                raise ValueError(f"{words.texts[unit]!r}: {size} words read, {len(places)} printed")
            self.owners += [(said, word) for word in places or _none(size)]

    def kept(self, segments: Sequence[Segment]) -> Kept:
        errors: list[float] = []
        unjudged = unknown = removed = 0
        words, wrong = [], []
        clips = self.planted.clips
        misprinted: set[int] = set()
        for row in segments:
            (first, first_place), (last, last_place) = (
                self.owners[row.first],
                self.owners[row.end - 1],
            )
            if first is not None and first_place == 0:
                errors.append(abs(row.speech_start_s - clips[first].start_s))
            else:
                unjudged += 1
            if last is not None and last_place == len(clips[last].words) - 1:
                errors.append(abs(row.speech_end_s - clips[last].end_s))
            else:
                unjudged += 1
            said, text, doubtful = self._said(row)
            hits = jiwer.process_words(" ".join(said), " ".join(text)).hits if said and text else 0
            words.append(max(len(said), len(text)))
            wrong.append(words[-1] - hits)
            unknown += doubtful
            misprinted |= {
                int(self.found.words.unit_of[word])
                for word in range(row.first, row.end)
                if self.owners[word][0] is not None and self.owners[word][1] is None
            }
            removed += self._removed(row)
        return Kept(
            np.array(errors),
            unjudged,
            np.array(words, dtype=np.int64),
            np.array(wrong, dtype=np.int64),
            unknown,
            len(misprinted),
            removed,
            sum(row.end_s - row.start_s for row in segments),
            self.found.duration_s,
        )

    def _said(self, row: Segment) -> tuple[list[str], list[str], int]:
        """What is said in a segment, its text, and how many words are in neither, being unknown.

        A cut inside a clip has the words that the text has, but for the one at the cut, which is
        unknown. Of a clip of which the text has nothing, as many words as its time holds are said.
        """
        kept = range(row.first, row.end)
        said: list[str] = []
        doubtful: set[int] = set()
        for number, clip in enumerate(self.planted.clips):
            inside_s = min(clip.end_s, row.end_s) - max(clip.start_s, row.start_s)
            if inside_s < SWALLOWED_S:
                continue
            at = {
                place: word
                for word in kept
                for owner, place in [self.owners[word]]
                if owner == number and place is not None
            }
            begun = row.start_s > clip.start_s + INSIDE_S
            ended = row.end_s < clip.end_s - INSIDE_S
            if not at:
                share = inside_s / (clip.end_s - clip.start_s)
                size = max(round(share * len(clip.words)), 1)
                said += clip.words[-size:] if begun else clip.words[:size]
                continue
            low, high = min(at) if begun else 0, max(at) if ended else len(clip.words) - 1
            border = ({low} if begun else set()) | ({high} if ended else set())
            doubtful |= {at[place] for place in border}
            said += [clip.words[place] for place in range(low, high + 1) if place not in border]
        text = [self.found.words.words[word] for word in kept if word not in doubtful]
        return said, text, len(doubtful)

    def _removed(self, row: Segment) -> int:
        count = 0
        for number, place in self.planted.removed:
            clip = self.planted.clips[number]
            at = [
                other
                for owner, other in self.owners[row.first : row.end]
                if owner == number and other is not None
            ]
            whole = clip.start_s > row.start_s - INSIDE_S and clip.end_s < row.end_s + INSIDE_S
            count += bool(at) and (whole or min(at) < place < max(at))
        return count

    @cached_property
    def words_found(self) -> np.ndarray:
        """(W,) bool: the words that are heard in the clip that says them."""
        spoken, frame_s = self.found.spoken, self.found.frame_s
        found = spoken.heard.copy()
        for word in np.flatnonzero(found).tolist():
            said = self.owners[word][0]
            if said is not None:
                clip = self.planted.clips[said]
                early = spoken.first[word] * frame_s < clip.start_s - BESIDE_S
                found[word] = not early and spoken.last[word] * frame_s < clip.end_s + BESIDE_S
        return found

    def all_words(self) -> Found:
        spoken, frame_s = self.found.spoken, self.found.frame_s
        found = self.words_found
        begins, ends = [], []
        right: dict[int, list[bool]] = {}
        unread: list[bool] = []
        for word, (said, place) in enumerate(self.owners):
            if said is None:
                unread.append(bool(found[word]))
            if said is None or place is None:
                continue
            right.setdefault(said, []).append(bool(found[word]))
            clip = self.planted.clips[said]
            if place == 0:
                away = abs(float(spoken.first[word]) * frame_s - clip.start_s)
                begins.append(away if found[word] else np.inf)
            if place == len(clip.words) - 1:
                away = abs(float(spoken.last[word] + 1) * frame_s - clip.end_s)
                ends.append(away if found[word] else np.inf)
        behind = {
            name: _counted([row for clip in clips for row in right.get(clip, [])])
            for name, clips in self.planted.after.items()
        }
        every = [row for rows in right.values() for row in rows]
        return Found(np.array(begins), np.array(ends), _counted(every), behind, _counted(unread))


def _none(size: int) -> list[int | None]:
    return [None] * size


def _counted(rows: Sequence[bool]) -> tuple[int, int]:
    return sum(rows), len(rows)


def pool_kept(rows: Sequence[Kept]) -> Kept:
    """Several alignments as one."""
    return Kept(
        np.concatenate([row.errors_s for row in rows]),
        sum(row.unjudged for row in rows),
        np.concatenate([row.words for row in rows]),
        np.concatenate([row.wrong for row in rows]),
        sum(row.unknown for row in rows),
        sum(row.misprints for row in rows),
        sum(row.removed for row in rows),
        sum(row.kept_s for row in rows),
        sum(row.duration_s for row in rows),
    )


def pool_found(rows: Sequence[Found]) -> Found:
    """Several alignments as one; gaps of one name are joined."""
    names = {name for row in rows for name in row.behind}
    return Found(
        np.concatenate([row.begins_s for row in rows]),
        np.concatenate([row.ends_s for row in rows]),
        _sum(row.recall for row in rows),
        {name: _sum(row.behind.get(name, (0, 0)) for row in rows) for name in sorted(names)},
        _sum(row.unread for row in rows),
    )


def _sum(rows: Iterable[tuple[int, int]]) -> tuple[int, int]:
    pairs = list(rows)
    return sum(hit for hit, _ in pairs), sum(count for _, count in pairs)
