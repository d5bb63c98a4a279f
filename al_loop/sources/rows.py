"""What can be ingested: folders, manifests, hub data sets, all as rows of one kind.

Reads listings and metadata; decodes no audio and knows no database. Data sets that come in a form
of their own have modules beside this one.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from al_loop.addresses import is_address, problem_of, shown
from al_loop.errors import ManifestError
from al_loop.records import SPLITS, Split

LABELS_OF_TEXT = ("transcription", "text", "sentence")
"""Column names for the transcript: ours and the seed's, NeMo's, Common Voice's."""
LABELS_OF_PATH = ("path", "audio_filepath", "audio")
USED = (*LABELS_OF_PATH, *LABELS_OF_TEXT, "language", "split", "speaker")
"""Columns that are read; a record may have others, of any kind."""
METADATA = {".csv", ".json", ".jsonl", ".md", ".tsv", ".txt"}
"""Files that lie beside audio in a folder and are passed over without a word."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to ingest. `audio` is a file, its address (s3, gs, http), or its bytes; None fields
    follow the command's.

    start_s, end_s: the part of the recording that is meant; None: from its beginning, to its end.
    Bytes are the part itself, and these say where it was taken from.
    stated_s: how long its listing says it is; what is much shorter is half a download.
    text_origin, made_by: as an utterance has them. local_speaker: the speaker's name was given
    within a data set, and a short one, such as 3 or spk1, is somebody else in another.
    """

    origin: str
    audio: Path | str | bytes | None
    text: str | None = None
    language: str | None = None
    split: Split | None = None
    speaker: str | None = None
    problem: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    stated_s: float | None = None
    text_origin: str | None = None
    made_by: str | None = None
    local_speaker: bool = False

    @property
    def is_part(self) -> bool:
        return self.start_s is not None or self.end_s is not None


class Listing(Collection[Row]):
    """The rows of a manifest, read from the file whenever they are asked for: it may have millions.

    Raises ManifestError where it cannot be read to its end, or changes meanwhile.
    """

    def __init__(self, path: Path, read: Callable[[Path], Iterator[Row]]) -> None:
        self._path = path
        self._read = read
        self._version = _version(path)
        self._count = sum(1 for _ in read(path))

    def __iter__(self) -> Iterator[Row]:
        yield from self._read(self._path)
        if _version(self._path) != self._version:
            raise ManifestError(
                f"{self._path} changed while it was read; run the command again, what is ingested "
                "already is skipped"
            )

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row: object) -> bool:
        return any(row == other for other in self)


def _version(path: Path) -> tuple[int, int] | None:
    """What changes when the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:  # whoever reads it says so
        return None
    return found.st_size, found.st_mtime_ns


def read_rows(
    place: str, hub_split: str = "train", text_column: str | None = None
) -> Iterable[Row]:
    """Rows of a folder, of a manifest (TSV, CSV, JSONL), or of a hub data set.

    Those of the first two have a length, and can be read again; they are known by full paths,
    however `place` is written. Raises ManifestError when `place`
    is none of them or its columns do not fit.
    """
    if is_address(place):
        raise ManifestError(
            f"{shown(place)}: an address; fetch it and name the file, which may list addresses"
        )
    path = Path(place).expanduser()
    if path.is_dir():
        return list(_folder(path.resolve()))
    listed = Path(os.path.abspath(path))  # a link stays one: audio lies beside it
    if path.suffix in {".tsv", ".csv"}:
        return Listing(listed, partial(_table, "\t" if path.suffix == ".tsv" else ","))
    if path.suffix in {".jsonl", ".json"}:
        return Listing(listed, _json_lines)
    if path.exists() or place.count("/") > 1 or place.startswith((".", "/", "~")):
        raise ManifestError(
            f"{place}: expected a folder, a .tsv, .csv or .jsonl manifest, or a hub data set's id"
        )
    from al_loop.sources.hub import Columns, read_hub

    return read_hub(place, {hub_split: None}, Columns(text=text_column))


def _folder(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.is_dir() or path.suffix.lower() in METADATA:
            continue
        yield Row(printable(path), path)


class _PlainTabs(csv.excel_tab):
    quoting = csv.QUOTE_NONE


def _table(delimiter: str, path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # a quotation mark in a TSV is part of the text, as in the seed's and Common Voice's
            dialect = csv.excel if delimiter == "," else _PlainTabs
            reader = csv.DictReader(file, dialect=dialect)
            _need_path_column(path, reader.fieldnames or [])
            for record in reader:
                yield _manifest_row(path, reader.line_num, record)
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ManifestError(f"{path}: cannot be read as UTF-8 text: {exc}") from exc


def _json_lines(path: Path) -> Iterator[Row]:
    try:
        # JSON may hold U+2028, and no other line end than this one
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _json_line(path, number, line)
    except (OSError, UnicodeDecodeError) as exc:
        raise ManifestError(f"{path}: cannot be read as UTF-8 text: {exc}") from exc


def _json_line(path: Path, number: int, line: str) -> Row:
    record = json_record(line)
    if isinstance(record, str):
        return Row(f"{printable(path)}:{number}", None, problem=record)
    return json_row(path, number, record)


def json_record(line: str) -> dict[str, Any] | str:
    """The object on a line of a JSONL file, or what is wrong with the line."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as exc:
        return f"not JSON: {exc}"
    return record if isinstance(record, dict) else "not a JSON object"


def json_row(
    path: Path,
    number: int,
    record: Mapping[str, Any],
    find: Callable[[str], Path | str] | None = None,
) -> Row:
    """A line of a JSONL manifest as NeMo writes them: `offset` and `duration` are in seconds.

    With an offset the part of the recording is meant; without one the duration is the file's.
    find: what the name of a file means, by default a file beside the manifest, a full path, or an
    address.
    """
    row = _manifest_row(path, number, record, find)
    offset, duration = (_seconds(record.get(name)) for name in ("offset", "duration"))
    if row.problem is not None or not isinstance(row.audio, Path | str):
        return row
    if record.get("offset") is None:
        return replace(row, stated_s=duration or None)
    if offset is None or not duration:
        stated = f"offset {record.get('offset')!r}, duration {record.get('duration')!r}"
        return Row(row.origin, None, problem=f"{stated}: both in seconds say which part is meant")
    where = recording_name(row.audio)
    return part_of(replace(row, text_origin=row.origin), where, offset, offset + duration)


def part_of(row: Row, recording: str, start_s: float, end_s: float | None) -> Row:
    """The row, of a part of a recording only, as its origin says; end_s None: up to the end."""
    end = "" if end_s is None else f"{end_s:.2f}"
    origin = f"{recording}#{start_s:.2f}-{end}"
    return replace(row, origin=origin, start_s=start_s, end_s=end_s)


def _seconds(value: Any) -> float | None:
    """A time that is not negative; None where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _need_path_column(path: Path, columns: Any) -> None:
    if not set(LABELS_OF_PATH) & set(columns):
        raise ManifestError(
            f"{path}: its columns are {', '.join(map(str, columns)) or '(none)'}; one of "
            f"{', '.join(LABELS_OF_PATH)} is needed (is the delimiter right?)"
        )


def _manifest_row(
    manifest: Path,
    line: int,
    record: Mapping[str, Any],
    find: Callable[[str], Path | str] | None = None,
) -> Row:
    origin = f"{printable(manifest)}:{line}"
    values = {str(key): value for key, value in record.items() if value not in (None, "")}
    if "None" in values:
        return Row(origin, None, problem="it has more fields than the header")
    nested = [
        key for key in USED if key in values and not isinstance(values[key], str | int | float)
    ]
    if nested:
        return Row(origin, None, problem=f"{nested[0]} is nested, where one value is expected")
    named = next((str(values[key]) for key in LABELS_OF_PATH if key in values), None)
    if named is None:
        return Row(origin, None, problem="it names no audio file")
    split = str(values["split"]) if "split" in values else None
    if split is not None and split not in SPLITS:
        return Row(origin, None, problem=f"split {split!r} is none of {', '.join(SPLITS)}")
    try:
        audio = (find or partial(_beside, manifest.parent))(named)
    except ManifestError as exc:
        return Row(origin, None, problem=str(exc))
    return Row(
        origin,
        audio,
        text=next((str(values[key]) for key in LABELS_OF_TEXT if key in values), None),
        language=str(values["language"]) if "language" in values else None,
        split=split,
        speaker=str(values["speaker"]) if "speaker" in values else None,
    )


def _beside(folder: Path, name: str) -> Path | str:
    return address_of(name) if is_address(name) else folder / name


def address_of(name: str) -> str:
    """The address. Raises ManifestError where it cannot be read."""
    problem = problem_of(name)
    if problem is not None:
        raise ManifestError(problem)
    return name


def recording_name(audio: Path | str) -> str:
    """What the parts of a recording are named after: the same file by the same name, through
    whatever link or from whatever folder it was reached."""
    if isinstance(audio, str):
        return shown(audio)
    try:
        return printable(audio.resolve())
    except (OSError, RuntimeError, ValueError):  # whoever reads it says what is wrong
        return printable(audio)


def recording_of(row: Row) -> str:
    """What parts of the row's audio would be named after; of bytes alone, by the row."""
    return recording_name(row.audio) if isinstance(row.audio, Path | str) else row.origin


def printable(path: Path | str) -> str:
    """The path as text that a database takes, whatever encoding the file's name is in; an address
    without its secrets."""
    if isinstance(path, str):
        return shown(path)
    return os.fsencode(path).decode("utf-8", "backslashreplace")
