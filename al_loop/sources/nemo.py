"""NeMo's manifests, JSONL with audio_filepath, offset, duration and text, as rows.

The fields are read as those of any JSONL manifest are. Besides, a line that cannot be read costs
that line alone, and audio is taken from known folders only: a downloaded manifest names what it
likes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from al_loop.errors import ManifestError
from al_loop.sources.listings import NOT_UTF8, Places, absolute, bad_row, numbered_lines
from al_loop.sources.rows import LABELS_OF_TEXT, Listing, Row, json_record, json_row, printable

TARRED = "shard_id"
"""A field of manifests whose audio lies in tar files."""


def read_nemo(manifest: Path, roots: Sequence[Path | str] = ()) -> Listing:
    """The rows of a manifest: for training where they have a field for the text, else the pool.

    Paths are read from the manifest's folder and from `roots`, which may be addresses, and may not
    lead out of them.
    Raises ManifestError where it cannot be read, or no line of it names audio.
    """
    path = absolute(manifest)
    if path.is_dir():
        raise ManifestError(f"{path}: a folder, where a manifest is expected: a .jsonl or .json")
    places = Places.beside(path.parent, roots)
    listing = Listing(path, partial(_rows, places))
    if len(listing) and all(row.audio is None for row in listing):
        problem = next(iter(listing)).problem
        raise ManifestError(f"{path}: no line of it names audio to take; its first: {problem}")
    return listing


def _rows(places: Places, path: Path) -> Iterator[Row]:
    for number, line in numbered_lines(path):
        if line is None:
            yield bad_row(path, number, NOT_UTF8)
        elif line.strip():
            yield _row(places, path, number, line)


def _row(places: Places, path: Path, number: int, line: str) -> Row:
    record = json_record(line)
    if isinstance(record, str):
        return bad_row(path, number, record)
    if TARRED in record:
        return bad_row(
            path, number, f"its audio lies in a tar file ({TARRED}): unpack it, and name the file"
        )
    is_labelled = any(name in record for name in LABELS_OF_TEXT)
    row = json_row(
        path, number, {"split": "train" if is_labelled else "pool"} | record, places.find
    )
    if row.is_part or not isinstance(row.audio, Path | str):
        return row
    return replace(row, origin=printable(row.audio), text_origin=row.origin)
