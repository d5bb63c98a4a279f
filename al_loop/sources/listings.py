"""What the importers share: their folders, the lines of their lists, and where audio may lie.

Reads lists only; opens no audio and knows no format.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from al_loop.addresses import is_address, problem_of, shown
from al_loop.errors import ManifestError
from al_loop.sources.rows import Row, address_of, printable

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip", ".7z", ".rar")
GZIP = b"\x1f\x8b"
BEGINNINGS = {
    GZIP: "is compressed: unpack it",
    b"\xff\xfe": "is UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text: save it as UTF-8",
    b"<!DOCTYPE": "is a web page, so the download went wrong: fetch the file again",
    b"<html": "is a web page, so the download went wrong: fetch the file again",
    b"version https://git-lfs": "is a pointer of Git LFS: fetch the file with `git lfs pull`",
}
"""Of files that are no list, and what to do about them."""


@dataclass(slots=True)
class Rows:
    """The rows of a data set, made when they are asked for, once.

    count: how many there will be; None where nobody knows. notices: what the user should be told
    when all are read.
    """

    make: Callable[[], Iterator[Row]]
    count: int | None = None
    notices: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Row]:
        return self.make()


@dataclass(frozen=True, slots=True)
class Places:
    """Where audio may lie: the list's folder, and what the user names besides.

    A list comes from somebody else. What it names is taken from these folders and addresses alone,
    whatever `..` or full path it writes; links inside folders are followed.
    """

    folders: tuple[Path, ...]
    addresses: tuple[str, ...] = ()

    @classmethod
    def beside(cls, folder: Path, roots: Sequence[Path | str] = ()) -> Places:
        """Of a list in `folder`, and in `roots`. Raises ManifestError where one is no folder, and
        no address that can be read."""
        addresses = [str(root).rstrip("/") + "/" for root in roots if is_address(str(root))]
        folders = [Path(root) for root in roots if not is_address(str(root))]
        for address in addresses:
            if problem := problem_of(f"{address}x"):
                raise ManifestError(f"--audio-root: {problem}")
        for root in folders:
            if not root.is_dir():
                raise ManifestError(f"--audio-root {root}: there is no such folder")
        return cls(tuple(absolute(path) for path in (folder, *folders)), tuple(addresses))

    def find(self, name: str) -> Path | str:
        """The file of that name; in the first folder that has it, where the name is relative, or
        else at the first address.

        Raises ManifestError where the name leads out of all folders and addresses.
        """
        if is_address(name):
            if not name.startswith(self.addresses) or ".." in re.split(r"[/\\]|%2f", unquote(name)):
                raise ManifestError(
                    f"{shown(name)}: an address; if it is meant, say what it begins with by "
                    "--audio-root, as s3://bucket/folder"
                )
            return address_of(name)
        within = [
            path
            for path, folder in ((absolute(folder / name), folder) for folder in self.folders)
            if path.is_relative_to(folder) or any(map(path.is_relative_to, self.folders))
        ]
        if not within:
            raise ManifestError(
                f"{name}: outside {' and '.join(map(str, self.folders))}; "
                "if it is meant, name the folder that it lies in with --audio-root"
            )
        found = next((path for path in within if _exists(path)), within[0])
        if self.addresses and not Path(name).is_absolute() and not _exists(found):
            return address_of(self.addresses[0] + name)
        return found


def absolute(path: Path) -> Path:
    """The full path without `..`; links stay as they are."""
    return Path(os.path.abspath(path))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte: whoever reads it says so
        return False


def data_folder(place: Path) -> Path:
    """The folder of a data set. Raises ManifestError where it is none, and says what to do."""
    if place.is_dir():
        return absolute(place)
    if place.name.lower().endswith(ARCHIVES):
        raise ManifestError(
            f"{place}: an archive; unpack it first, and name the folder that it holds"
        )
    if place.exists():
        raise ManifestError(f"{place}: a file, where the data set's folder is expected")
    raise ManifestError(f"{place}: there is no such folder")


def numbered_lines(path: Path) -> Iterator[tuple[int, str | None]]:
    """The lines of a text, numbered from 1, without their ends; None: the line is no UTF-8.

    A name that ends in .gz is unpacked. Raises ManifestError where the file is no text at all, or
    is damaged or breaks off inside its archive.
    """
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    _refuse_other_files(path, line)
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    yield number, None
                else:
                    yield number, text.removesuffix("\n").removesuffix("\r")
    except EOFError as exc:
        raise ManifestError(f"{path}: breaks off; fetch it again") from exc
    except (gzip.BadGzipFile, zlib.error) as exc:
        raise ManifestError(f"{path}: is damaged ({exc}); fetch it again") from exc
    except OSError as exc:
        raise ManifestError(f"{path}: cannot be read: {exc}") from exc


def _refuse_other_files(path: Path, line: bytes) -> None:
    for beginning, what in BEGINNINGS.items():
        if line.startswith(beginning):
            raise ManifestError(f"{path}: {what}")


def bad_row(path: Path, number: int, problem: str) -> Row:
    """A line that gives nothing to take in, and why."""
    return Row(f"{printable(path)}:{number}", None, problem=problem)


NOT_UTF8 = "not UTF-8 text: save the file as UTF-8, or mend the line"


def speaker_of(client_id: str | None) -> str | None:
    """A short name of a speaker whose id is long, or could say who it is: a hash of it."""
    if not client_id:
        return None
    return hashlib.sha256(client_id.encode()).hexdigest()[:16]
