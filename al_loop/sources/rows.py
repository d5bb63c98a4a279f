"""What can be ingested: folders, manifests, hub data sets, all as rows of one kind.

Reads listings and metadata; decodes no audio and knows no database.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from al_loop.errors import ManifestError
from al_loop.records import SPLITS, Split

LABELS_OF_TEXT = ("transcription", "text", "sentence")
"""Column names for the transcript: ours and the seed's, NeMo's, Common Voice's."""
LABELS_OF_PATH = ("path", "audio_filepath", "audio")
HUB_TIMEOUT_S = 5.0
METADATA = {".csv", ".json", ".jsonl", ".md", ".tsv", ".txt"}
"""Files that lie beside audio in a folder and are passed over without a word."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to ingest. `audio` is a file or its bytes; None fields follow the command's."""

    origin: str
    audio: Path | bytes | None
    text: str | None = None
    language: str | None = None
    split: Split | None = None
    speaker: str | None = None
    problem: str | None = None


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

    Those of the first two have a length, and can be read again. Raises ManifestError when `place`
    is none of them or its columns do not fit.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        return list(_folder(path))
    if path.suffix in {".tsv", ".csv"}:
        return Listing(path, partial(_table, "\t" if path.suffix == ".tsv" else ","))
    if path.suffix in {".jsonl", ".json"}:
        return Listing(path, _json_lines)
    if path.exists() or place.count("/") > 1 or place.startswith((".", "/", "~")):
        raise ManifestError(
            f"{place}: expected a folder, a .tsv, .csv or .jsonl manifest, or a hub data set's id"
        )
    return _hub(place, hub_split, text_column)


def _folder(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.is_dir() or path.suffix.lower() in METADATA:
            continue
        yield Row(_printable(path), path)


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
    try:
        record = json.loads(line)
    except json.JSONDecodeError as exc:
        return Row(f"{_printable(path)}:{number}", None, problem=f"not JSON: {exc}")
    if not isinstance(record, dict):
        return Row(f"{_printable(path)}:{number}", None, problem="not a JSON object")
    return _manifest_row(path, number, record)


def _need_path_column(path: Path, columns: Any) -> None:
    if not set(LABELS_OF_PATH) & set(columns):
        raise ManifestError(
            f"{path}: its columns are {', '.join(map(str, columns)) or '(none)'}; one of "
            f"{', '.join(LABELS_OF_PATH)} is needed (is the delimiter right?)"
        )


def _manifest_row(manifest: Path, line: int, record: Mapping[str, Any]) -> Row:
    origin = f"{_printable(manifest)}:{line}"
    values = {str(key): value for key, value in record.items() if value not in (None, "")}
    if any(
        key == "None" or not isinstance(value, str | int | float) for key, value in values.items()
    ):
        return Row(origin, None, problem="it has more fields than the header, or nested ones")
    named = next((str(values[key]) for key in LABELS_OF_PATH if key in values), None)
    if named is None:
        return Row(origin, None, problem="it names no audio file")
    split = str(values["split"]) if "split" in values else None
    if split is not None and split not in SPLITS:
        return Row(origin, None, problem=f"split {split!r} is none of {', '.join(SPLITS)}")
    return Row(
        origin,
        manifest.parent / named,
        text=next((str(values[key]) for key in LABELS_OF_TEXT if key in values), None),
        language=str(values["language"]) if "language" in values else None,
        split=split,
        speaker=str(values["speaker"]) if "speaker" in values else None,
    )


def _printable(path: Path) -> str:
    """The path as text that a database takes, whatever encoding the file's name is in."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _hub(name: str, hub_split: str, text_column: str | None) -> Iterator[Row]:
    import datasets
    from huggingface_hub import HfApi

    repository, _, configuration = name.partition(":")
    try:
        HfApi().dataset_info(repository, timeout=HUB_TIMEOUT_S)  # datasets would retry for minutes
        data = datasets.load_dataset(repository, configuration or None, split=hub_split)
    except Exception as exc:  # datasets raises many unrelated types: offline, absent, gated, …
        raise ManifestError(
            f"{name}: neither a folder nor a manifest here, and the hub gives no data set of that "
            f"name ({type(exc).__name__}: {exc})"
        ) from exc
    audio = next(
        (key for key, kind in data.features.items() if isinstance(kind, datasets.Audio)), None
    )
    if audio is None:
        raise ManifestError(f"{name}: no audio column among {', '.join(data.features)}")
    text = text_column or next((key for key in LABELS_OF_TEXT if key in data.features), None)
    if text is not None and text not in data.features:
        raise ManifestError(f"{name}: no column {text!r} among {', '.join(data.features)}")
    # the Audio feature would decode with torchcodec: take the bytes instead
    for index, record in enumerate(data.cast_column(audio, datasets.Audio(decode=False))):
        held = record[audio]
        yield Row(
            f"{name}/{hub_split}/{index}",
            held["bytes"] if held["bytes"] is not None else Path(held["path"]),
            text=record[text] if text else None,
        )
