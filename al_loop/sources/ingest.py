"""Rows become utterances, or refusals with a reason. Knows no SQL: it writes to a `Catalogue`.

Refused are files that cannot be decoded or labelled, rows of a labelled split without a text, rows
of the silence split with one, duplicates, and what `al_loop.sources.admission` keeps out. What the
catalogue holds is told by its bytes, and not decoded again. A recording too long for Whisper is cut
at its pauses where it is for the pool; with a text it is refused, for nobody knows which words are
in which piece.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from al_loop.clips import Clips, Place
from al_loop.errors import AudioError, ManifestError, StorageError
from al_loop.languages import WHISPER_LANGUAGES
from al_loop.records import HELD_OUT, IN_HOUSE, PSEUDO_LABEL, Refusal, Split, Utterance
from al_loop.sources.admission import Admission, Catalogue, Intake
from al_loop.sources.hearing import TOO_LONG, Clip, Ear, Hear, hear_clip
from al_loop.sources.named import Named
from al_loop.sources.rows import Row, recording_of
from al_loop.text import normalise

BLOCK = 500
"""Rows committed at once: what a killed ingest loses and does again."""
PARTS = "parts"
"""The workspace's folder that remembers what was cut from which recording."""
SHORT_NAME = 8
"""Letters: a shorter name of a speaker may be of many. Ours."""
UNLABELLED = {"pool", "silence"}
"""Splits whose clips have no text: nobody has written it yet, or nobody speaks."""
TIMED = "with its text it cannot be cut: align the two first (the command `align`)"


@dataclass(slots=True)
class Report:
    """What became of the rows. `moved`: from the pool or a train split to an evaluation set.

    cut: recordings that were cut into pieces, which are counted as rows are.
    """

    added: int = 0
    known: int = 0
    moved: int = 0
    cut: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def ingest(
    rows: Iterable[Row],
    intake: Intake,
    catalogue: Catalogue,
    root: Path,
    tick: Callable[[], None] = lambda: None,
    hear: Hear = hear_clip,
    tell: Callable[[str], None] = lambda message: None,
    clips: Clips | None = None,
) -> Report:
    """Take `rows` into `catalogue`, their audio as 16 kHz FLAC into the workspace at `root`.

    hear: what decodes a row's audio; by default, from any format that FFmpeg knows. tell: is told
    how far a long recording is heard. clips: where the audio is kept; by default in `root`/audio.
    Every row is added, known already, or refused with its reason; one bad row stops no other.
    Raises ManifestError when the source's name is reserved, or the language no Whisper code;
    StorageError where rows' addresses, or the place of the clips, cannot be reached: what was taken
    until then is in, and the same call goes on.
    """
    if intake.source == IN_HOUSE:
        raise ManifestError(
            f"source {IN_HOUSE!r} is made by the annotators' labels; choose another --source"
        )
    if intake.source == PSEUDO_LABEL:
        raise ManifestError(
            f"source {PSEUDO_LABEL!r} is made by the loop's recognisers; choose another --source"
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
    clips = clips or Clips(Place(root))
    run = _Run(intake, catalogue, clips, Ear(root / PARTS, hear, tell, clips.objects))
    try:
        for row in _held_out_first(rows) if isinstance(rows, Collection) else rows:
            tick()
            run.take(row)
    except (ManifestError, StorageError):  # the list breaks off: what it gave is good
        run.commit()
        raise
    else:
        run.commit()
    finally:
        run.ear.close()
    return run.report


def _held_out_first(rows: Collection[Row]) -> Iterator[Row]:
    """Evaluation sets are stronger than their namesakes. Reads twice, and holds no row."""
    yield from (row for row in rows if row.split in HELD_OUT)
    yield from (row for row in rows if row.split not in HELD_OUT)


class _Run:
    """One ingest: what was named so far, and the report.

    here: origins of the block's known clips whose files are here, and maybe not yet at their place,
    by their names. waiting: origins of the block that is not committed yet, by both hashes; named:
    ids of the blocks before, which the catalogue holds.
    """

    def __init__(self, intake: Intake, catalogue: Catalogue, clips: Clips, ear: Ear) -> None:
        self.intake = intake
        self.catalogue = catalogue
        self.clips = clips
        self.ear = ear
        self.report = Report()
        self.utterances: list[Utterance] = []
        self.refusals: list[Refusal] = []
        self.known = 0
        self.here: dict[str, str] = {}
        self.waiting: dict[str, str] = {}
        self.named = Named()
        self.admission = Admission(intake, catalogue)

    def take(self, row: Row) -> None:
        """One row, or the pieces of one that is too long; commits when a block is full."""
        try:
            row = self.ear.whole(row)
            self._count(self._take(row))
        except AudioError as exc:
            if exc.reason != TOO_LONG or (row.split or self.intake.split) != "pool":
                self._refuse(row, exc)
            else:
                self._cut(row)

    def _cut(self, row: Row) -> None:
        try:
            pieces = list(self.ear.pieces(row))
            if not pieces:
                raise AudioError("no_speech", "in all its length nobody is heard to speak")
        except AudioError as exc:
            self._refuse(row, exc)
            return
        self.report.cut += 1
        for piece in pieces:
            try:
                self._count(self._take(piece))
            except AudioError as exc:
                self._refuse(piece, exc)

    def _refuse(self, row: Row, why: AudioError) -> None:
        detail = why.detail
        if why.reason == TOO_LONG and (row.split or self.intake.split) not in UNLABELLED:
            detail = f"{detail.partition(';')[0]}; {TIMED}"
        self.refusals.append(Refusal(row.origin, why.reason, detail))
        self._commit_block()

    def _count(self, utterance: Utterance | None) -> None:
        if utterance is None:
            self.known += 1
        else:
            self.utterances.append(utterance)
        self._commit_block()

    def _commit_block(self) -> None:
        if len(self.utterances) + len(self.refusals) + self.known >= BLOCK:
            self.commit()

    def commit(self) -> None:
        """Take in what waits. A killed ingest loses, and does again, what was not committed."""
        inside = self.admission.learned_inside(self.utterances)
        utterances = [row for row in self.utterances if row.id not in inside]
        refusals = [
            *self.refusals,
            *(
                Refusal(row.origin, "text_trained_on", "inside a longer text that was learned")
                for row in self.utterances
                if row.id in inside
            ),
        ]
        origins = self.here | {row.audio: row.origin for row in utterances}
        damaged: dict[str, str] = {}
        self.clips.bring(origins, damaged)
        utterances = [row for row in utterances if row.audio not in damaged]
        refusals += [Refusal(origins[name], "corrupt", why) for name, why in damaged.items()]
        self.known -= len(self.here.keys() & damaged.keys())
        learned = self.catalogue.add(utterances, refusals)
        late = [
            Refusal(row.origin, "trained_on", "a recogniser has learned from the same audio")
            for row in utterances
            if row.id in learned
        ]
        if late:
            self.catalogue.add([], late)
        self.ear.save()
        self.waiting.clear()
        taken = {row.id for row in utterances} - learned
        self.report.moved += len(taken & self.admission.moving)
        self.report.added += len(taken - self.admission.moving)
        self.report.known += self.known
        self.report.refusals += [*refusals, *late]
        self.utterances, self.refusals, self.known, self.here = [], [], 0, {}
        self.admission.forget()

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
        clip = self._clip(row, split == "silence")
        if twin := self.waiting.get(clip.id) or self.waiting.get(clip.sample_hash):
            raise AudioError("duplicate", f"the same audio as {twin}")
        new = Utterance(
            id=clip.id,
            sample_hash=clip.sample_hash,
            audio=f"audio/{clip.id[:2]}/{clip.id}.flac",
            duration_s=clip.duration_s,
            source=self.admission.source(row.language),
            language=language,
            split=split,
            text=text,
            speaker=self._speaker(row),
            origin=row.origin,
            start_s=row.start_s,
            text_origin=row.text_origin if text is not None else None,
            made_by=row.made_by,
        )
        known = self.catalogue.find(clip.id, clip.sample_hash)
        if known and known.id in self.named:
            raise AudioError("duplicate", f"the same audio as {known.origin}")
        utterance = self.admission.of(new, known, recording_of(row), self._whole(row))
        is_here = self.clips.keep((known or new).audio, clip.keep, known is not None)
        if is_here and utterance is None:
            self.here[(known or new).audio] = row.origin
        self.waiting[clip.id] = self.waiting[clip.sample_hash] = row.origin
        self.named.add((known or new).id)
        self.ear.note(row, (known or new).id)
        return utterance

    def _whole(self, row: Row) -> Utterance | None:
        """The clip that is all of the row's recording, where the row is a part of one."""
        id_ = self.ear.recording_id(row)
        if id_ is None:
            return None
        waiting = next((other for other in self.utterances if other.id == id_), None)
        return waiting or self.catalogue.find(id_, id_)

    def _speaker(self, row: Row) -> str | None:
        """The speaker's name; a short one of a data set's own is told apart by the source's."""
        name = (row.speaker or "").strip()
        if row.local_speaker and name == "-1":  # so sets write that they do not know
            return None
        if row.local_speaker and 0 < len(name) < SHORT_NAME:
            return f"{self.intake.source} {name}"
        return name or None

    def _clip(self, row: Row, may_be_silent: bool) -> Clip:
        """The row's audio; of what the catalogue holds, without decoding it. Raises AudioError."""
        id_ = self.ear.recognise(row)
        known = self.catalogue.find(id_, id_) if id_ else None
        if known is None:
            return self.ear.hear(row, may_be_silent)

        def keep(path: Path) -> None:
            self.ear.hear(row, may_be_silent).keep(path)

        return Clip(known.id, known.sample_hash, known.duration_s, keep)
