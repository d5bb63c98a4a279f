"""The text of a book: txt, epub or pdf, in paragraphs, each with its place. Knows no audio.

An epub is a zip of XHTML pages; both are read with the standard library, which forgives what
XML parsers do not (the maintained package for epubs is under the AGPL). A pdf is read by pypdf, the
extra `books`.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from al_loop.errors import ManifestError
from al_loop.sources.rows import printable

KINDS = (".txt", ".epub", ".pdf")
MOST_BYTES = 50 * 2**20
"""Of an epub's text, unpacked: a small file may hold a huge page, or name one a thousand times. The
longest novels have 10 MiB."""
BLOCKS = {
    "p",
    "div",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "br",
    "td",
    "blockquote",
    "dd",
    "dt",
}
"""Elements that begin and end a paragraph."""
HIDDEN = {"head", "script", "style", "rt"}
"""What is not read aloud."""
_SOFT_HYPHEN = "\u00ad"
_DIVIDED = re.compile(r"(?<=[^\W\d_])[-\u2010]\n(?=[^\W\d_])")
"""A word that goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph as it is printed, on one line; `place`: where in the file, such as `page 3`."""

    text: str
    place: str


def read_book(path: Path) -> list[Paragraph]:
    """The paragraphs of a .txt, .epub or .pdf, in order.

    Raises ManifestError where the file cannot be read as what its name says, or holds no words.
    """
    readers = {".txt": _plain, ".epub": _epub, ".pdf": _pdf}
    if path.suffix.lower() not in readers:
        raise ManifestError(f"{path}: expected the book as {', '.join(KINDS)}")
    try:
        found = [
            Paragraph(text, place)
            for raw, place in readers[path.suffix.lower()](path)
            if (text := _on_one_line(raw))
        ]
    except OSError as exc:
        raise ManifestError(f"{path}: cannot be read: {exc}") from exc
    if not any(letter.isalpha() for row in found for letter in row.text):
        raise ManifestError(
            f"{path}: it holds no words; a scanned book must go through text recognition first"
        )
    return found


def origin(path: Path, place: str) -> str:
    """File and place as one text."""
    return f"{printable(path)}#{place}"


def _on_one_line(text: str) -> str:
    text = _DIVIDED.sub("", text.replace(_SOFT_HYPHEN, ""))
    return " ".join(text.split())


def _plain(path: Path) -> Iterator[tuple[str, str]]:
    """Paragraphs are parted by blank lines; without any, each line is one."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise ManifestError(
            f"{path}: byte {exc.start} is no UTF-8; write it anew as UTF-8, such as with "
            f"`iconv -f windows-1251 -t utf-8`"
        ) from exc
    filled = [bool(line.strip()) for line in lines]
    by_lines = all(filled[: len(filled) - filled[::-1].index(True)] if any(filled) else [])
    waiting: list[str] = []
    first = 0
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip() and not by_lines:
            first = first if waiting else number
            waiting.append(line)
            continue
        if by_lines:
            yield line, f"line {number}"
        elif waiting:
            yield "\n".join(waiting), f"line {first}"
            waiting = []


def _pdf(path: Path) -> Iterator[tuple[str, str]]:
    """A page is a paragraph: what a pdf says of its lines is not to be relied on."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, PyPdfError
    except ModuleNotFoundError as exc:
        raise ManifestError(
            f"{path}: the package {exc.name} is not installed; run `pip install 'al-loop[books]'`, "
            "or give the text as .txt"
        ) from exc
    try:
        for number, page in enumerate(PdfReader(path).pages, start=1):
            yield page.extract_text(), f"page {number}"
    except (
        *(PyPdfError, DependencyError),
        # pypdf lets what it trips over in a broken file through
        *(zlib.error, RecursionError, NotImplementedError, AssertionError, ArithmeticError),
        *(ValueError, LookupError, TypeError, AttributeError),
    ) as exc:
        raise ManifestError(f"{path}: cannot be read as a pdf: {exc}; is it whole?") from exc


# -- epub ------------------------------------------------------------------------------------------


def _epub(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            pages = _Pages(archive)
            for name in pages.names():
                parser = _Page()
                parser.feed(pages.unpack(name))
                parser.close()
                for number, text in enumerate(parser.paragraphs(), start=1):
                    yield text, f"{name}, paragraph {number}"
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError),  # damaged, or half of it
        *(KeyError, ValueError, NotImplementedError, RuntimeError, AssertionError),
    ) as exc:
        raise ManifestError(
            f"{path}: cannot be read as an epub ({exc}); is it whole, and without copy protection?"
        ) from exc


class _Pages:
    """The pages of an archive; all that is unpacked counts towards MOST_BYTES."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._left = MOST_BYTES

    def names(self) -> Iterator[str]:
        """In reading order: container.xml names the package, that the spine."""
        container = _Tags("rootfile")
        container.feed(self.unpack("META-INF/container.xml"))
        package = container.found[0][1]["full-path"] if container.found else ""
        tags = _Tags("item", "itemref")
        tags.feed(self.unpack(package))
        names = {row.get("id"): row.get("href") for tag, row in tags.found if tag == "item"}
        folder = posixpath.dirname(package)
        for tag, row in tags.found:
            target = names.get(row.get("idref")) if tag == "itemref" else None
            if target is not None:
                yield posixpath.normpath(posixpath.join(folder, unquote(target)))

    def unpack(self, name: str) -> str:
        with self._archive.open(name) as file:
            data = file.read(self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise zipfile.BadZipFile(f"its text has more than {MOST_BYTES >> 20} MiB")
        return data.decode("utf-8-sig", "replace")


class _Tags(HTMLParser):
    """The attributes of some elements of an XML file, whatever their namespace is called."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = tag.rpartition(":")[2]
        if name in self.names:
            self.found.append((name, {key: value or "" for key, value in attrs}))


class _Page(HTMLParser):
    """The paragraphs of an XHTML page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._done: list[str] = []
        self._text: list[str] = []
        self._hidden: list[str] = []

    def paragraphs(self) -> list[str]:
        self._end()
        return self._done

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in HIDDEN:
            self._hidden.append(tag)
        if tag in BLOCKS:
            self._end()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:  # an empty <script/> hides nothing
            self._end()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            self._hidden.remove(tag)
        if tag in BLOCKS:
            self._end()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._text.append(data.replace("\n", " "))

    def _end(self) -> None:
        text = "".join(self._text).strip()
        if text:
            self._done.append(text)
        self._text = []
