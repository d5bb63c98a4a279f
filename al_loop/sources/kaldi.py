"""A Kaldi data folder as rows: wav.scp, text, utt2spk and segments. Decodes no audio.

An entry of wav.scp may be a command whose output is the audio. It is refused, and never run: a
data folder comes from somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from al_loop.errors import ManifestError
from al_loop.records import Split
from al_loop.sources.listings import (
    NOT_UTF8,
    Places,
    Rows,
    bad_row,
    data_folder,
    numbered_lines,
)
from al_loop.sources.rows import Row, part_of, printable, recording_name

RECORDINGS, TEXT, SPEAKERS, SEGMENTS = "wav.scp", "text", "utt2spk", "segments"


@dataclass(frozen=True, slots=True)
class _Entry:
    line: int
    value: str


@dataclass(frozen=True, slots=True)
class _Segment:
    """A part of a recording; its end is None at the recording's end, which Kaldi writes as -1."""

    line: int
    utterance: str
    recording: str
    start_s: float
    end_s: float | None


def read_kaldi(place: Path, roots: Sequence[Path | str] = ()) -> Rows:
    """The utterances of a data folder: for training where there is a text, else for the pool.

    Paths in wav.scp are read from the folder and from `roots`, which may be addresses, and may not
    lead out of them.
    Raises ManifestError where the folder has no wav.scp.
    """
    folder = data_folder(place)
    if not (folder / RECORDINGS).is_file():
        raise ManifestError(f"{folder}: no {RECORDINGS} here, so this is no Kaldi data folder")
    listed = folder / (SEGMENTS if (folder / SEGMENTS).is_file() else RECORDINGS)
    count = sum(1 for _ in numbered_lines(listed))
    places = Places.beside(folder, roots)
    return Rows(lambda: _rows(folder, places), count)


def _rows(folder: Path, places: Places) -> Iterator[Row]:
    refused: list[Row] = []
    recordings = _entries(folder / RECORDINGS, refused)
    labelled = (folder / TEXT).is_file()
    texts = _entries(folder / TEXT, refused) if labelled else {}
    speakers = _entries(folder / SPEAKERS, refused) if (folder / SPEAKERS).is_file() else {}
    split: Split = "train" if labelled else "pool"
    if (folder / SEGMENTS).is_file():
        segments = _segments(folder / SEGMENTS, refused)
        order = {name: place for place, name in enumerate(recordings)}
        # a recording is read once, from its beginning to its end
        segments.sort(key=lambda row: (order.get(row.recording, -1), row.start_s))
        listed = folder / SEGMENTS
    else:
        listed = folder / RECORDINGS
        segments = [_Segment(row.line, name, name, 0.0, None) for name, row in recordings.items()]
    yield from refused
    for segment in segments:
        problem, audio = None, None
        if segment.recording not in recordings:
            problem = f"recording {segment.recording!r} is not in {RECORDINGS}"
        else:
            problem, audio = _audio(recordings[segment.recording].value, places)
        if audio is None:
            yield bad_row(listed, segment.line, f"{segment.utterance}: {problem}")
            continue
        text = texts.pop(segment.utterance, None)
        speaker = speakers.get(segment.utterance)
        row = Row(
            printable(audio),
            audio,
            text=text.value if text else None,
            split=split,
            speaker=speaker.value if speaker else None,
            local_speaker=True,
            text_origin=f"{printable(folder / TEXT)}:{text.line}" if text else None,
        )
        if listed.name == SEGMENTS:
            row = part_of(row, recording_name(audio), segment.start_s, segment.end_s)
        yield row
    for name, text in texts.items():
        yield bad_row(folder / TEXT, text.line, f"{name}: no audio of that name in {listed.name}")


def _entries(path: Path, refused: list[Row]) -> dict[str, _Entry]:
    """The lines `name rest` of a list, by name; what is none of it joins `refused`."""
    found: dict[str, _Entry] = {}
    for number, line in numbered_lines(path):
        if line is None:
            refused.append(bad_row(path, number, NOT_UTF8))
            continue
        name, _, rest = line.strip().replace("\t", " ").partition(" ")
        if not name:
            continue
        if name in found:
            first = found[name].line
            refused.append(bad_row(path, number, f"{name} is a second time here: line {first}"))
        else:
            found[name] = _Entry(number, rest.strip())
    return found


def _segments(path: Path, refused: list[Row]) -> list[_Segment]:
    found = []
    for utterance, entry in _entries(path, refused).items():
        fields = entry.value.split()
        try:
            recording, (start_s, end_s) = fields[0], map(float, fields[1:])
            if not 0 <= start_s < end_s < float("inf") and end_s != -1:
                raise ValueError
        except (ValueError, IndexError):
            refused.append(
                bad_row(
                    path,
                    entry.line,
                    f"{utterance} {entry.value!r}: expected a recording, and where in it the part "
                    "begins and ends, in seconds",
                )
            )
            continue
        found.append(
            _Segment(entry.line, utterance, recording, start_s, None if end_s == -1 else end_s)
        )
    return found


def _audio(value: str, places: Places) -> tuple[str | None, Path | str | None]:
    """What is wrong with an entry of wav.scp, or its file."""
    if value.endswith("|") or value.startswith("|"):
        return "a command, which is not run: make it a file, and name that", None
    if not value or value == "-":
        return f"no file: {value!r}", None
    head, _, offset = value.rpartition(":")
    if head.endswith(".ark") and offset.isdecimal():
        return "a place in a Kaldi archive: copy it out with wav-copy", None
    try:
        return None, places.find(value)
    except ManifestError as exc:
        return str(exc), None
