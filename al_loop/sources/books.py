"""A book and its recording become rows of utterances: heard, aligned, cut, and what fits badly left
out. Knows no model, but the port that spells speech; knows no database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_loop.alignment.costs import Prices
from al_loop.alignment.passages import letters_heard, passages
from al_loop.alignment.quiet import quiet_steps
from al_loop.alignment.segments import Rules, Segment, find_segments
from al_loop.alignment.text import spell
from al_loop.alignment.viterbi import REACH, align
from al_loop.alignment.words import Spoken, fitting, spoken, spread
from al_loop.errors import AudioError, ManifestError
from al_loop.records import content_hash
from al_loop.sources.book_text import origin, read_book
from al_loop.sources.book_words import BookWords, read_words, speller
from al_loop.sources.heard import Heard, hear
from al_loop.sources.recording import Recording
from al_loop.sources.rows import Row, part_of, printable
from al_loop.sources.stretches import Elsewhere, Facts, Hears

FITTING = 0.02
"""A book that has less in common with a recording is another one. Of a weak recogniser's letters
(CER 9%) 92% fit their book, and 5% where it is disturbed until nothing can be kept; of the same
words in another order 0.0% (docs/lab-notes.md)."""
FITS = -2.0
"""What a word may cost to count there, in nats per letter, where the rules are stricter."""


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """A book on its recording. segments: what becomes utterances, in the recording's order.

    spoken, quiet, frame_s: what they are cut by, see `find_segments`.
    """

    recording: Path
    book: Path
    made_by: str
    words: BookWords
    spoken: Spoken
    quiet: np.ndarray
    frame_s: float
    segments: Sequence[Segment]
    duration_s: float

    def rows(self) -> Iterator[Row]:
        """The segments as rows to ingest, in the recording's order."""
        name = printable(self.recording)
        for segment in self.segments:
            row = Row(
                name,
                self.recording,
                text=self.words.text(segment.first, segment.end),
                text_origin=origin(self.book, self.words.place(segment.first)),
                made_by=self.made_by,
            )
            yield part_of(row, name, segment.start_s, segment.end_s)

    def share(self) -> Share:
        kept_s = sum(row.end_s - row.start_s for row in self.segments)
        kept = sum(row.end - row.first for row in self.segments)
        return Share(
            kept_s,
            self.duration_s,
            kept,
            int(self.spoken.heard.sum()),
            len(self.words.words),
        )


@dataclass(frozen=True, slots=True)
class Share:
    """What was kept: seconds of the recording's, and words of those found in it, of the book's."""

    kept_s: float
    duration_s: float
    kept_words: int
    heard_words: int
    words: int

    def lines(self) -> Iterator[str]:
        yield (
            f"{self.kept_s / 60:.1f} of {self.duration_s / 60:.1f} min are kept "
            f"({self.kept_s / max(self.duration_s, 1e-9):.0%})"
        )
        yield (
            f"{self.kept_words} of {self.words} words of the text are kept; "
            f"{self.words - self.heard_words} were not found in the recording, "
            f"{self.heard_words - self.kept_words} fit too badly or stand without a pause"
        )


def align_book(
    recording: Path,
    book: Path,
    language: str,
    recogniser: Hears | Elsewhere,
    folder: Path,
    rules: Rules | None = None,
    tell: Callable[[float], None] = lambda heard_s: None,
) -> Aligned:
    """Find the text of `book` in `recording`, and what of it makes utterances.

    language: Whisper's code. recogniser: may be elsewhere; then `recording` and `folder` are where
    its workers find them too. folder: where what was heard is kept, for a run that was killed, or
    comes again with another threshold. tell: is told how many seconds are heard.
    Raises AudioError, ManifestError (the book; or hardly anything of it is heard), ModelError
    (letters that do not fit).
    """
    rules = rules or Rules()
    paragraphs = read_book(book)
    facts = recogniser.facts if isinstance(recogniser, Elsewhere) else Facts.of(recogniser)
    spelled = speller(facts.labels.letters.keys(), paragraphs, language)
    words = read_words(paragraphs, language, spelled)
    place = folder / heard_key(recording, facts)
    Recording(recording).close()  # says what is wrong with it before anybody listens
    heard = hear(recording, recogniser, place, tell)
    if not len(heard.log_probs):
        raise AudioError("no_samples", f"{recording} decodes to nothing")
    found, share = locate(words, heard, facts, min(rules.min_score, FITS))
    if share < FITTING:
        raise ManifestError(
            f"{book}: hardly anything of it is heard in {recording}: {share:.1%} of the letters, "
            f"where {FITTING:.0%} is the least. Is it the text that is read there, and does the "
            f"recogniser {facts.id} know the language?"
        )
    quiet = quiet_steps(heard.levels)
    return Aligned(
        recording,
        book,
        facts.id,
        words,
        found,
        quiet,
        facts.frame_s,
        cut(words, found, quiet, facts.frame_s, rules),
        heard.duration_s,
    )


def locate(
    words: BookWords,
    heard: Heard,
    recogniser: Hears | Facts,
    least: float = FITS,
    prices: Prices | None = None,
    reach: int = REACH,
) -> tuple[Spoken, float]:
    """When each word is said, and the share of the letters that fit.

    Of the text's letters or of those heard, whichever are fewer: a chapter may come with the whole
    book, a book's recording with one chapter. least: see `fitting`. reach: see `align`.
    """
    text, labels = spell(words.words, recogniser.labels), recogniser.labels
    letters = letters_heard(heard.log_probs, labels)
    kept = passages(letters, text, reach)
    part = text.part(kept)
    path = align(heard.log_probs, part, labels, prices, reach)
    found = spread(spoken(heard.log_probs, part, labels, path, prices), kept)
    fits = int(text.sizes[fitting(found, least, prices)].sum())
    return found, fits / max(min(len(letters), len(text.labels)), 1)


def cut(
    words: BookWords, found: Spoken, quiet: np.ndarray, frame_s: float, rules: Rules
) -> list[Segment]:
    """The segments that are kept, of words that are said when `found` says."""
    sizes = np.array([len(word) for word in words.words], dtype=np.int64)
    return find_segments(found, sizes, words.breaks, quiet, frame_s, rules)


def heard_key(recording: Path, recogniser: Hears | Facts) -> str:
    """The name of what this recogniser hears in a recording of these bytes.

    Raises AudioError where the file cannot be read.
    """
    try:
        with recording.open("rb") as file:
            audio = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise AudioError("not_a_file", f"{recording} cannot be read: {exc}") from exc
    facts: Mapping[str, object] = {
        "audio": audio,
        "model": recogniser.id,
        "manner": recogniser.manner,
        "chunk_s": recogniser.chunk_s,
        "context_s": recogniser.context_s,
    }
    return content_hash(facts)[:24]
