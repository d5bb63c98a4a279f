"""What becomes of a clip, given what the catalogue holds. Knows no audio, and no SQL.

An evaluation set, silence too, is stronger than its namesakes: its audio cannot enter training or
the pool under any name, and audio that waits in the pool moves out of it. Of the speakers or
recordings of a set that was drawn nothing enters training, and what would enter the pool is
reserved. What a checkpoint may have learned, audio or sentence, cannot become a test.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from al_loop.errors import AudioError
from al_loop.groups import By, group_of
from al_loop.records import HELD_OUT, RESERVED, Refusal, Source, SourceKind, Split, Utterance
from al_loop.text import normalise


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


class Admission:
    """The rules of one ingest. moving: ids of what leaves the pool for an evaluation set."""

    def __init__(self, intake: Intake, catalogue: Catalogue) -> None:
        self.intake = intake
        self.catalogue = catalogue
        self.moving: set[str] = set()
        self._sources: set[str] = set()
        self._learned: dict[tuple[str, str], str] | None = None
        self._held_groups: Mapping[By, Collection[str]] | None = None
        self._normalise = cache(normalise)

    def forget(self) -> None:
        """Ask the catalogue anew what was learned and drawn: a round may be at work meanwhile."""
        self._learned = self._held_groups = None

    def of(self, new: Utterance, known: Utterance | None) -> Utterance | None:
        """The clip as it is taken in; None when nothing is new about it. Raises AudioError.

        known: what the catalogue has of the same audio.
        """
        utterance = self._reconcile(known, new) if known else self._apart_from_sets(new)
        if utterance is not None:
            self._check_learned(utterance)
        return utterance

    def _apart_from_sets(self, new: Utterance) -> Utterance:
        """The clip, reserved where an evaluation set was drawn of its speaker or recording.

        Raises AudioError when a checkpoint would learn from it.
        """
        if new.split in HELD_OUT:
            return new
        if self._held_groups is None:
            self._held_groups = self.catalogue.held_groups()
        for by, groups in self._held_groups.items():
            own = {group_of(new.speaker, new.origin, new.id, by)}
            if "#" in new.origin:  # other parts of the recording may know no speaker
                own.add(group_of(None, new.origin, new.id, by))
            shared = own & set(groups)
            if not shared:
                continue
            if new.split != "pool":
                raise AudioError("in_evaluation_set", f"a set was drawn of its {min(shared)}")
            return replace(new, split=RESERVED)
        return new

    def _check_learned(self, utterance: Utterance) -> None:
        """Raises AudioError when a checkpoint may have learned a test's text from another clip.

        Of the very same clip, the catalogue itself says so.
        """
        if utterance.split != "test":
            return
        if self._learned is None:
            self._learned = {
                (language, self._normalise(text, language)): utterance_id
                for language, text, utterance_id in self.catalogue.learned_texts()
            }
        said = utterance.language, normalise(utterance.text or "", utterance.language)
        if self._learned.get(said, utterance.id) != utterance.id:
            raise AudioError("text_trained_on", "a checkpoint has learned the same text")

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
        self.moving.add(known.id)
        return replace(new, id=known.id, sample_hash=known.sample_hash, audio=known.audio)
