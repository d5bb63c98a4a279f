"""Audio of rows as clips: whole files, bytes, or parts of recordings. Knows no catalogue.

Also cuts what is too long for Whisper into pieces, and tells what it has heard before by the bytes
alone, without decoding them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import numpy as np

from al_loop.audio import MAX_DURATION_S, SAMPLE_RATE, check, decode, sample_hash, write_flac
from al_loop.errors import AudioError
from al_loop.groups import cut_from
from al_loop.objects import Objects
from al_loop.sources.fetching import Fetched
from al_loop.sources.parts import Parts, Place
from al_loop.sources.recording import Recording, length_of
from al_loop.sources.rows import Row, part_of, recording_name

TOO_LONG = "too_long"
FETCHED = "fetched"
"""The folder of what is fetched, beside what is remembered of parts."""
SUMS = 1000
"""Of recordings, kept in memory: lists name a recording's parts one behind the other."""
WHOLE_S = 0.05
"""A part that leaves out no more of a file is the whole of it."""
HALF = 0.95
"""Of the length that a listing states, less 50 ms: as of the one that a file's header states."""


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


def hear_clip(audio: Path | bytes, may_be_silent: bool) -> Clip:
    """Decode and check a file, or its bytes. Raises AudioError."""
    if isinstance(audio, bytes):
        with NamedTemporaryFile(suffix=".audio") as file:
            file.write(audio)
            file.flush()
            return hear_clip(Path(file.name), may_be_silent)
    samples = decode(audio, MAX_DURATION_S)
    id_ = _sha256(audio)
    check(samples, may_be_silent)
    return Clip(id_, sample_hash(samples), len(samples) / SAMPLE_RATE, partial(write_flac, samples))


class Ear:
    """Hears the rows of one import, one after the other. `save` remembers what parts it heard.

    folder: where it remembers them. hear: in the place of `hear_clip`, for whole files. tell: is
    told how far a long recording is heard. objects: where addresses lead.
    """

    def __init__(
        self,
        folder: Path,
        hear: Hear = hear_clip,
        tell: Callable[[str], None] = lambda message: None,
        objects: Objects | None = None,
    ) -> None:
        self._parts = Parts(folder)
        self._fetched = Fetched(objects or Objects(), self._parts, folder / FETCHED)
        self._hear = hear
        self._tell = tell
        self._recording: Recording | None = None
        self._sums: dict[Path, str] = {}
        self._scratch: TemporaryDirectory[str] | None = None

    def whole(self, row: Row) -> Row:
        """The row as it is, or as that of a whole file: many lists state the part of whole files.

        So it has the file's own name and id, and nothing need be remembered of it. Raises
        AudioError where its address gives nothing.
        """
        if row.start_s != 0 or row.end_s is None or not isinstance(row.audio, Path | str):
            return row
        length_s = length_of(self._local(row.audio))
        if length_s is None or length_s > row.end_s + WHOLE_S:
            return row
        origin = cut_from(row.origin) or row.origin
        return replace(row, origin=origin, start_s=None, end_s=None, stated_s=row.end_s)

    def recognise(self, row: Row) -> str | None:
        """The id of the row's audio, if that can be told without decoding; it may be new.

        Raises AudioError where its address gives nothing.
        """
        try:
            if isinstance(row.audio, bytes):
                return hashlib.sha256(row.audio).hexdigest()
            if row.audio is None:
                return None
            if isinstance(row.audio, Path) and not row.audio.is_file():
                return None  # a pipe would wait for ever
            if row.is_part:
                return self._parts.utterance_id(self._sum(row.audio), _place(row))
            return self._sum(row.audio) if isinstance(row.audio, str) else _sha256(row.audio)
        except (OSError, ValueError):  # whoever decodes it says why
            return None

    def recording_id(self, row: Row) -> str | None:
        """The id that all of the recording would have; None where the row is no part of a file."""
        if not row.is_part or not isinstance(row.audio, Path | str):
            return None
        return self._sum(row.audio)

    def hear(self, row: Row, may_be_silent: bool) -> Clip:
        """The row's audio, decoded. Raises AudioError."""
        assert row.audio is not None
        audio = row.audio if isinstance(row.audio, bytes) else self._local(row.audio)
        with self._told(row):
            if row.is_part and isinstance(audio, Path):
                return self._hear_part(audio, row, may_be_silent)
            clip = self._hear(audio, may_be_silent)
        stated_s = row.stated_s
        if stated_s is not None and clip.duration_s < HALF * stated_s - 0.05:
            raise AudioError(
                "truncated", f"{clip.duration_s:.2f} s where its listing says {stated_s:.2f} s"
            )
        return clip

    def pieces(self, row: Row) -> Iterator[Row]:
        """The pieces that a row too long is cut into at its pauses, as rows; none: no speech.

        The whole recording is heard before the first is given. Raises AudioError.
        """
        from al_loop.sources.pauses import DETECTOR, cut_at_pauses

        path, name = self._file(row)
        if isinstance(row.audio, bytes):
            row = replace(row, start_s=None, end_s=None)  # they are the part already
        key, place = self._sum(path), _place(row)
        found = self._parts.pieces(key, place)
        if found is None:

            def tell(heard_s: float) -> None:
                self._tell(f"{Path(name).name}: {heard_s / 60:.0f} min heard")

            with self._told(row), self._reading(path) as recording:
                found = cut_at_pauses(recording.part, place[0], place[1], tell)
            self._parts.put_pieces(key, place, found)
            self._parts.save()
        for first, end in found:
            piece = replace(row, stated_s=None, made_by=DETECTOR)
            if isinstance(row.audio, bytes):
                piece = replace(piece, audio=path)
            yield part_of(piece, name, first / SAMPLE_RATE, end / SAMPLE_RATE)

    def note(self, row: Row, utterance_id: str) -> None:
        """Remember which utterance a part is."""
        if row.is_part and isinstance(row.audio, Path | str):
            self._parts.put(self._sum(row.audio), _place(row), utterance_id)

    def save(self) -> None:
        self._parts.save()

    def close(self) -> None:
        self._shut()
        self._fetched.close()

    def _hear_part(self, path: Path, row: Row, may_be_silent: bool) -> Clip:
        start, end = _place(row)
        longest = start + round((MAX_DURATION_S + 1) * SAMPLE_RATE)
        with self._reading(path) as recording:
            samples = recording.part(start, longest if end is None else min(end, longest))
        if not len(samples):
            raise AudioError(
                "no_samples", f"the recording ends before, ahead of {start / SAMPLE_RATE:.2f} s"
            )
        check(samples, may_be_silent)
        duration_s = len(samples) / SAMPLE_RATE
        if end is not None and duration_s < HALF * (end - start) / SAMPLE_RATE - 0.05:
            raise AudioError(
                "truncated", f"the recording ends {duration_s:.2f} s after the part begins"
            )
        data = _flac(samples)
        return Clip(
            hashlib.sha256(data).hexdigest(), sample_hash(samples), duration_s, partial(_keep, data)
        )

    @contextmanager
    def _reading(self, path: Path) -> Iterator[Recording]:
        """The recording; the last one stays open, for parts come one behind the other."""
        if self._recording is None or self._recording.path != path:
            self._shut()
            self._recording = Recording(path)
        try:
            yield self._recording
        except AudioError:
            self._shut()
            raise

    def _shut(self) -> None:
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    @contextmanager
    def _told(self, row: Row) -> Iterator[None]:
        """Errors name the row's address, and not the file that was fetched from it."""
        try:
            yield
        except AudioError as exc:
            if not isinstance(row.audio, str):
                raise
            raise self._fetched.told(exc, row.audio) from exc

    def _local(self, audio: Path | str) -> Path:
        """The file; that of an address is fetched. Raises AudioError."""
        return self._fetched.file(audio) if isinstance(audio, str) else audio

    def _sum(self, path: Path | str) -> str:
        if isinstance(path, str):
            return self._fetched.sum(path)
        if path not in self._sums:
            if len(self._sums) >= SUMS:
                self._sums.clear()
            self._sums[path] = _sha256(path)
        return self._sums[path]

    def _file(self, row: Row) -> tuple[Path, str]:
        """Where the row's recording lies, and what its parts are named after."""
        if isinstance(row.audio, Path | str):
            return self._local(row.audio), recording_name(row.audio)
        assert row.audio is not None
        if self._scratch is None:
            self._scratch = TemporaryDirectory()
        path = Path(self._scratch.name, f"{hashlib.sha256(row.audio).hexdigest()}.audio")
        for old in path.parent.iterdir():
            self._shut()
            old.unlink()
        path.write_bytes(row.audio)
        return path, row.origin


def _place(row: Row) -> Place:
    end = None if row.end_s is None else round(row.end_s * SAMPLE_RATE)
    return round((row.start_s or 0) * SAMPLE_RATE), end


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flac(samples: np.ndarray) -> bytes:
    """Samples (T,) as FLAC; the same ones give the same bytes."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "part.flac")
        write_flac(samples, path)
        return path.read_bytes()


def _keep(data: bytes, path: Path) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(data)
    os.replace(unfinished, path)
