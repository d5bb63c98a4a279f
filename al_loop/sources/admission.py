"""What becomes of a clip, given what the catalogue holds. Knows no audio, and no SQL.

An evaluation set, silence too, is stronger than its namesakes: its audio cannot enter training or
the pool under any name, and audio that waits in the pool moves out of it. Of the speakers or
recordings of a set that was drawn nothing enters training, and what would enter the pool is
reserved. What a recogniser may have learned, audio or sentence, cannot become a test. Parts of one
recording are told apart by their times, as `al_loop.sources.overlaps` says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from al_loop.errors import AudioError
from al_loop.groups import By, kin_of, own_groups
from al_loop.leakage import Sentences
from al_loop.records import HELD_OUT, RESERVED, Refusal, Source, SourceKind, Split, Utterance
from al_loop.sources.overlaps import Overlaps, whole_recording
from al_loop.text import normalise

NOT_HEARD_OF_PEOPLE: tuple[SourceKind, ...] = ("synthetic", "pseudo_label")
"""Kinds of sources that models made: nothing of them is measured on, or asked about."""


class Catalogue(Protocol):
    """What ingest needs of the store."""

    def source(self, name: str) -> Source | None: ...
    def put_source(self, source: Source) -> None: ...
    def find(self, utterance_id: str, sample_hash: str) -> Utterance | None: ...
    def draws(self) -> Mapping[str, str | None]: ...
    def held_groups(self) -> Mapping[By, Collection[str]]: ...
    def learned_stamp(self) -> object: ...
    def learned_texts(self) -> list[tuple[str, str, str]]: ...
    def parts_of(self, recording: str) -> Iterable[tuple[Any, ...]]: ...
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


class Admission:
    """The rules of one ingest. moving: ids of what leaves the pool for an evaluation set."""

    def __init__(self, intake: Intake, catalogue: Catalogue) -> None:
        self.intake = intake
        self.catalogue = catalogue
        self.moving: set[str] = set()
        self._sources: set[str] = set()
        self._learned: dict[tuple[str, str], str] = {}
        self._learned_stamp: object = None
        self._learned_asked = False
        self._held_groups: dict[By, set[str]] = {}
        self._draws: Mapping[str, str | None] | None = None
        self._overlaps = Overlaps(catalogue.parts_of)

    def forget(self) -> None:
        """Ask the catalogue anew what was learned, drawn and cut: a round may be at work meanwhile.

        What was learned, and the groups of sets, are read again only where they are others.
        """
        self._learned_asked = False
        self._overlaps.forget()
        if self._draws is not None and self._draws != self.catalogue.draws():
            self._draws = None

    def of(
        self,
        new: Utterance,
        known: Utterance | None,
        recording: str,
        whole: Utterance | None = None,
    ) -> Utterance | None:
        """The clip as it is taken in; None when nothing is new about it. Raises AudioError.

        known: what the catalogue has of the same audio. recording: what parts of the clip are named
        after, if it is a whole file. whole: what the catalogue has of the recording that the clip
        is a part of.
        """
        if self.intake.kind in NOT_HEARD_OF_PEOPLE and new.split not in ("train", "silence"):
            raise AudioError(
                "made_by_models",
                f"of kind {self.intake.kind} and split {new.split}: what models say or write is "
                "for training alone (--split train); it is measured on people, and they are asked",
            )
        utterance = self._reconcile(known, new) if known else self._apart_from_sets(new)
        if utterance is not None:
            self._check_learned(utterance)
            kind = self.intake.kind
            source = self.catalogue.source(whole.source) if whole else None
            clip = whole_recording(whole, source.kind if source else kind) if whole else None
            self._overlaps.check(utterance, kind, recording, clip)
            self._overlaps.put(utterance, kind)
        return utterance

    def _apart_from_sets(self, new: Utterance) -> Utterance:
        """The clip, reserved where an evaluation set was drawn of its speaker or recording.

        Raises AudioError when a recogniser would learn from it.
        """
        if new.split in HELD_OUT:
            return new
        if self._draws is None:
            self._draws = self.catalogue.draws()
            held = self.catalogue.held_groups()
            self._held_groups = {by: set(groups) for by, groups in held.items()}
        for by, groups in self._held_groups.items():
            shared = kin_of(new.speaker, new.origin, new.id, by) & groups
            if not shared:
                continue
            if new.split != "pool":
                raise AudioError("in_evaluation_set", f"a set was drawn of its {min(shared)}")
            if by == "speaker":  # a voice that is held may get a name, or a further recording
                groups.update(own_groups(new.speaker, new.origin, new.id, by))
            return replace(new, split=RESERVED)
        return new

    def _check_learned(self, utterance: Utterance) -> None:
        """Raises AudioError when a recogniser may have learned a test's text from another clip.

        Of the very same clip, the catalogue itself says so.
        """
        if utterance.split != "test":
            return
        said = utterance.language, normalise(utterance.text or "", utterance.language)
        if self._what_was_learned().get(said, utterance.id) != utterance.id:
            raise AudioError("text_trained_on", "a recogniser has learned the same text")

    def _what_was_learned(self) -> dict[tuple[str, str], str]:
        """Who says it, by language and normalised text: kept from block to block."""
        if not self._learned_asked:
            stamp = self.catalogue.learned_stamp()  # before the texts: what comes between is seen
            if stamp != self._learned_stamp:
                self._learned = {
                    (language, normalise(text, language)): utterance_id
                    for language, text, utterance_id in self.catalogue.learned_texts()
                }
                self._learned_stamp = stamp
            self._learned_asked = True
        return self._learned

    def learned_inside(self, utterances: Iterable[Utterance]) -> dict[str, str]:
        """Of tests, those whose text was learned inside a longer one; by id, and who holds that.

        All at once: every learned text is looked at. A block's last look: what was learned since it
        began counts.
        """
        tests = [row for row in utterances if row.split == "test" and row.text]
        if not tests:
            return {}
        texts = {row.id: (row.language, normalise(row.text or "", row.language)) for row in tests}
        sentences = Sentences((*said, said[1]) for said in texts.values())
        self._learned_asked = False
        held = {
            (language, said): utterance_id
            for (language, text), utterance_id in self._what_was_learned().items()
            for said in sentences.find(language, text)
        }
        return {id_: held[said] for id_, said in texts.items() if held.get(said, id_) != id_}

    def source(self, row_language: str | None) -> str:
        """The source's name; rows that state their language go to one source a language."""
        intake = self.intake
        name = f"{intake.source}_{row_language}" if row_language else intake.source
        if name not in self._sources:
            if name in self.catalogue.draws():
                raise AudioError("source_taken", f"{name!r} is an evaluation set that was drawn")
            known = self.catalogue.source(name)
            weight = intake.weight or (known.weight if known else 1.0)
            language = row_language or intake.language
            self.catalogue.put_source(Source(name, intake.kind, language, weight))
            self._sources.add(name)
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
        source = self.catalogue.source(known.source)
        if source is not None and source.kind in NOT_HEARD_OF_PEOPLE:
            raise AudioError(
                "made_by_models", f"{known.origin} has the same audio, and a model made it"
            )
        self.moving.add(known.id)
        return replace(new, id=known.id, sample_hash=known.sample_hash, audio=known.audio)
