"""Lines of text that are to be spoken: of a .txt, or of a table's column. Knows no voice.

A line that cannot be used says why, and stops no other. A sentence counts once.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from al_loop.errors import ManifestError
from al_loop.records import content_hash
from al_loop.sources.book_text import Paragraph
from al_loop.sources.book_words import read_words
from al_loop.sources.listings import NOT_UTF8, numbered_lines
from al_loop.sources.rows import LABELS_OF_TEXT, printable
from al_loop.text import normalise

KINDS = (".txt", ".tsv", ".csv")
MOST_CHARACTERS = 2000
"""More than anybody says in 30 s; a whole book on one line would take hours to refuse."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. origin: its file and number. text_origin: the same, and who translated it."""

    origin: str
    text: str
    text_origin: str
    problem: str | None = None


def read_lines(path: Path, text_column: str | None = None) -> Iterator[Line]:
    """The lines of a .txt, or the rows of a .tsv or .csv; blank ones are skipped.

    Raises ManifestError where the file is none of them, or has no such column.
    """
    if path.suffix not in KINDS:
        raise ManifestError(f"{path}: expected lines of text in a {', '.join(KINDS)} file")
    if path.suffix == ".txt" and text_column is not None:
        raise ManifestError(f"{path}: a .txt has no columns, and --text-column {text_column} none")
    found = _plain(path) if path.suffix == ".txt" else _table(path, text_column)
    for number, text in found:
        origin = f"{printable(path)}:{number}"
        if isinstance(text, _Bad):
            yield Line(origin, "", origin, str(text))
        elif text.strip():
            yield Line(origin, text.strip(), origin)


class _Bad(str):
    """Why there is no text."""


def _plain(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in numbered_lines(path):
        yield number, _Bad(NOT_UTF8) if line is None else line


def _table(path: Path, text_column: str | None) -> Iterator[tuple[int, str]]:
    for _ in numbered_lines(path):  # raises where the file is no text at all
        break
    tabs = path.suffix == ".tsv"  # in which a quotation mark is part of the text
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = (
            csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(file)
        )
        header = next(reader, [])
        wanted = [text_column] if text_column else list(LABELS_OF_TEXT)
        named = [header.index(name) for name in wanted if name in header]
        if not named:
            raise ManifestError(
                f"{path}: its columns are {', '.join(header) or '(none)'}; expected "
                f"{' or '.join(wanted)}; name the one that holds the text with --text-column"
            )
        place = named[0]
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                yield reader.line_num, _Bad(f"no row of a table: {exc}")
                continue
            yield reader.line_num, _field(row, place, len(header))


def _field(row: list[str], place: int, columns: int) -> str:
    if not row:
        return ""
    if len(row) != columns:
        return _Bad(f"it has {len(row)} fields, and the header has {columns}")
    try:
        row[place].encode()
    except UnicodeEncodeError:
        return _Bad(NOT_UTF8)
    return row[place]


def as_spoken(lines: Iterable[Line], language: str) -> Iterator[Line]:
    """The lines as they are read aloud, with their numbers in words; a sentence once only."""
    first: dict[str, str] = {}
    for line in lines:
        yield line if line.problem else _spoken(line, language, first)


def _spoken(line: Line, language: str, first: dict[str, str]) -> Line:
    if len(line.text) > MOST_CHARACTERS:
        return replace(
            line,
            problem=f"{len(line.text)} characters, more than are said in 30 s: one sentence a line",
        )
    text = " ".join(read_words([Paragraph(line.text, "")], language).texts)
    said = normalise(text, language)
    if not said:
        return replace(line, problem="it has no word to speak")
    twin = first.setdefault(content_hash(said)[:16], line.origin)
    if twin != line.origin:
        return replace(line, problem=f"the same sentence as {twin}")
    return replace(line, text=text)
