"""Rows become utterances, or refusals with a reason. Knows no SQL: it writes to a `Catalogue`.

Refused are files that cannot be decoded or labelled, rows of a labelled split without a text, rows
of the silence split with one, and duplicates. An evaluation set, silence too, is stronger than its
namesakes: its audio cannot enter training or the pool under any name, and audio that waits in the
pool moves out of it. Of the speakers or recordings of a set that was drawn nothing enters training,
and what would enter the pool is reserved. What a checkpoint may have learned, audio or sentence,
cannot become a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

from al_loop.audio import MAX_DURATION_S, SAMPLE_RATE, check, decode, sample_hash, write_flac
from al_loop.errors import AudioError, ManifestError
from al_loop.groups import By, group_of
from al_loop.languages import WHISPER_LANGUAGES
from al_loop.records import (
    HELD_OUT,
    IN_HOUSE,
    RESERVED,
    Refusal,
    Source,
    SourceKind,
    Split,
    Utterance,
)
from al_loop.sources.named import Named
from al_loop.sources.rows import Row
from al_loop.text import normalise

BLOCK = 500
"""Rows committed at once: what a killed ingest loses and does again."""
BLOCK_BYTES = 100 * 2**20
"""Of audio in such rows: a hub's come with their audio in memory."""
UNLABELLED = {"pool", "silence"}
"""Splits whose clips have no text: nobody has written it yet, or nobody speaks."""


class Catalogue(Protocol):
    """What ingest needs of the store."""

    def source(self, name: str) -> Source | None: ...
    def put_source(self, source: Source) -> None: ...
    def find(self, utterance_id: str, sample_hash: str) -> Utterance | None: ...
    def draws(self) -> Mapping[str, str | None]: ...
    def held_groups(self) -> Mapping[By, Collection[str]]: ...
    def learned_texts(self) -> list[tuple[str, str, str]]: ...
    def add(self, utterances: Sequence[Utterance], refusals: Sequence[Refusal]) -> set[str]: ...


@dataclass(frozen=True, slots=True)
class Intake:
    """What the user says of all rows; a row's own language, split and speaker come first.

    weight: None keeps that of a source which exists already, and is 1 for a new one.
    languages: the codes that the model can be told; rows of others are refused.
    """

    source: str
    kind: SourceKind
    language: str
    split: Split
    languages: frozenset[str]
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """What a row's audio turned out to be. id: SHA-256 of its bytes. sample_hash: of its samples.

    keep: writes it as 16 kHz FLAC to a path.
    """

    id: str
    sample_hash: str
    duration_s: float
    keep: Callable[[Path], None]


Hear = Callable[[Path | bytes, bool], Clip]
"""Decodes a file, or its bytes; the flag: it may be silent. Raises AudioError."""


@dataclass(slots=True)
class Report:
    """What became of the rows. `moved`: from the pool or a train split to an evaluation set."""

    added: int = 0
    known: int = 0
    moved: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def ingest(
    rows: Iterable[Row],
    intake: Intake,
    catalogue: Catalogue,
    root: Path,
    tick: Callable[[], None] = lambda: None,
    hear: Hear | None = None,
) -> Report:
    """Take `rows` into `catalogue`, their audio as 16 kHz FLAC into `root`/audio.

    hear: what decodes a row's audio; by default, from any format that FFmpeg knows.
    Every row is added, known already, or refused with its reason; one bad row stops no other.
    Raises ManifestError when the source's name is reserved, or the language no Whisper code.
    """
    if intake.source == IN_HOUSE:
        raise ManifestError(
            f"source {IN_HOUSE!r} is made by the annotators' labels; choose another --source"
        )
    if intake.source in catalogue.draws():
        raise ManifestError(
            f"source {intake.source!r} is an evaluation set that was drawn; choose another --source"
        )
    if intake.language not in intake.languages:
        raise ManifestError(
            f"--language {intake.language!r}: expected model.language or one of Whisper's codes, "
            f"{', '.join(sorted(WHISPER_LANGUAGES))}"
        )
    run = _Run(intake, catalogue, root, hear or hear_clip)
    pending = iter(_held_out_first(rows) if isinstance(rows, Collection) else rows)
    for block in _blocks(pending):
        run.take_block(block, tick)
    return run.report


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    held = 0
    for row in rows:
        block.append(row)
        held += len(row.audio) if isinstance(row.audio, bytes) else 0
        if len(block) == BLOCK or held >= BLOCK_BYTES:
            yield block
            block, held = [], 0
    if block:
        yield block


def _held_out_first(rows: Collection[Row]) -> Iterator[Row]:
    """Evaluation sets are stronger than their namesakes. Reads twice, and holds no row."""
    yield from (row for row in rows if row.split in HELD_OUT)
    yield from (row for row in rows if row.split not in HELD_OUT)


class _Run:
    """One ingest: what was named so far, and the report.

    waiting: origins of the block that is not committed yet, by both hashes; named: ids of the
    blocks before, which the catalogue holds.
    """

    def __init__(self, intake: Intake, catalogue: Catalogue, root: Path, hear: Hear) -> None:
        self.intake = intake
        self.catalogue = catalogue
        self.root = root
        self.hear = hear
        self.report = Report()
        self.waiting: dict[str, str] = {}
        self.named = Named()
        self.moving: set[str] = set()
        self.sources: set[str] = set()
        self.learned: dict[tuple[str, str], str] = {}
        self.held_groups: Mapping[By, Collection[str]] = {}
        self.normalise = cache(normalise)

    def take_block(self, block: Sequence[Row], tick: Callable[[], None]) -> None:
        utterances, refusals = [], []
        self.held_groups = self.catalogue.held_groups()
        if any((row.split or self.intake.split) == "test" for row in block):
            self.learned = {  # asked anew, for a round may be at work meanwhile
                (language, self.normalise(text, language)): utterance_id
                for language, text, utterance_id in self.catalogue.learned_texts()
            }
        for row in block:
            tick()
            try:
                utterance = self._take(row)
            except AudioError as exc:
                refusals.append(Refusal(row.origin, exc.reason, exc.detail))
                continue
            if utterance is None:
                self.report.known += 1
            else:
                utterances.append(utterance)
        learned = self.catalogue.add(utterances, refusals)
        late = [
            Refusal(row.origin, "trained_on", "a checkpoint has learned from the same audio")
            for row in utterances
            if row.id in learned
        ]
        if late:
            self.catalogue.add([], late)
        self.waiting.clear()
        taken = {row.id for row in utterances} - learned
        self.report.moved += len(taken & self.moving)
        self.report.added += len(taken - self.moving)
        self.report.refusals += [*refusals, *late]

    def _take(self, row: Row) -> Utterance | None:
        """The row as an utterance whose audio is kept, None when it is known. Raises AudioError."""
        if row.problem is not None or row.audio is None:
            raise AudioError("bad_row", row.problem or "it names no audio file")
        language = row.language or self.intake.language
        if language not in self.intake.languages:
            raise AudioError("unknown_language", f"{language!r} is no code that the model knows")
        split: Split = row.split or self.intake.split
        text = None if split in UNLABELLED else (row.text or "").strip()
        if text is not None and not normalise(text, language):
            raise AudioError("no_text", f"a {split} split needs a transcript of at least one word")
        if split == "silence" and normalise(row.text or "", language):
            raise AudioError("speech", "its row has a transcript; in silence nobody speaks")
        clip = self.hear(row.audio, split == "silence")
        if twin := self.waiting.get(clip.id) or self.waiting.get(clip.sample_hash):
            raise AudioError("duplicate", f"the same audio as {twin}")
        new = Utterance(
            id=clip.id,
            sample_hash=clip.sample_hash,
            audio=f"audio/{clip.id[:2]}/{clip.id}.flac",
            duration_s=clip.duration_s,
            source=self._source(row.language),
            language=language,
            split=split,
            text=text,
            speaker=row.speaker,
            origin=row.origin,
        )
        known = self.catalogue.find(clip.id, clip.sample_hash)
        if known and known.id in self.named:
            raise AudioError("duplicate", f"the same audio as {known.origin}")
        utterance = self._reconcile(known, new) if known else self._apart_from_sets(new)
        if utterance is not None:
            self._check_learned(utterance)
        path = self.root / (known or new).audio
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            clip.keep(path)
        self.waiting[clip.id] = self.waiting[clip.sample_hash] = row.origin
        self.named.add((known or new).id)
        return utterance

    def _apart_from_sets(self, new: Utterance) -> Utterance:
        """The clip, reserved where an evaluation set was drawn of its speaker or recording.

        Raises AudioError when a checkpoint would learn from it.
        """
        if new.split in HELD_OUT:
            return new
        for by, groups in self.held_groups.items():
            group = group_of(new.speaker, new.origin, new.id, by)
            if group not in groups:
                continue
            if new.split != "pool":
                raise AudioError("in_evaluation_set", f"a set was drawn of its {group}")
            return replace(new, split=RESERVED)
        return new

    def _check_learned(self, utterance: Utterance) -> None:
        """Raises AudioError when a checkpoint may have learned a test's text from another clip.

        Of the very same clip, the catalogue itself says so.
        """
        if utterance.split != "test":
            return
        said = utterance.language, normalise(utterance.text or "", utterance.language)
        if self.learned.get(said, utterance.id) != utterance.id:
            raise AudioError("text_trained_on", "a checkpoint has learned the same text")

    def _source(self, row_language: str | None) -> str:
        """The source's name; rows that state their language go to one source a language."""
        intake = self.intake
        name = f"{intake.source}_{row_language}" if row_language else intake.source
        if name not in self.sources:
            if name in self.catalogue.draws():
                raise AudioError("source_taken", f"{name!r} is an evaluation set that was drawn")
            known = self.catalogue.source(name)
            weight = intake.weight or (known.weight if known else 1.0)
            language = row_language or intake.language
            self.catalogue.put_source(Source(name, intake.kind, language, weight))
            self.sources.add(name)
        return name

    def _reconcile(self, known: Utterance, new: Utterance) -> Utterance | None:
        """What to do with audio that the catalogue holds: nothing, refuse, or move it to a test."""
        if known.split == RESERVED:
            if new.split == "pool" and (known.id == new.id or known.origin == new.origin):
                return None
            raise AudioError(
                "reserved",
                f"{known.origin} has the same audio, and is kept for an evaluation set or is of "
                "its speakers",
            )
        same_place = (known.split, known.source) == (new.split, new.source)
        if same_place and (known.id == new.id or known.origin == new.origin):
            if known.text == new.text:
                return None
            raise AudioError("text_differs", f"taken in before with the text {known.text!r}")
        if known.split in HELD_OUT and new.split not in HELD_OUT:
            raise AudioError(
                "in_evaluation_set", f"the same audio as {known.origin}, of {known.source}"
            )
        if known.split in HELD_OUT or new.split not in HELD_OUT:
            raise AudioError("duplicate", f"the same audio as {known.origin}, of {known.source}")
        self.moving.add(known.id)
        return replace(new, id=known.id, sample_hash=known.sample_hash, audio=known.audio)


def hear_clip(audio: Path | bytes, may_be_silent: bool) -> Clip:
    """Decode and check a file, or its bytes. Raises AudioError."""
    if isinstance(audio, bytes):
        with NamedTemporaryFile(suffix=".audio") as file:
            file.write(audio)
            file.flush()
            return hear_clip(Path(file.name), may_be_silent)
    samples = decode(audio, MAX_DURATION_S)
    with audio.open("rb") as file:
        id_ = hashlib.file_digest(file, "sha256").hexdigest()
    check(samples, may_be_silent)
    return Clip(id_, sample_hash(samples), len(samples) / SAMPLE_RATE, partial(write_flac, samples))
