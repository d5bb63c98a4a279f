"""One tar file with a SHA-256 sum of everything in it: written whole or not at all, and believed
only when every sum is right. Knows not what it holds.

The last member, `manifest.jsonl`, has the facts about the archive on its first line, and then a
line for every file: of those that are held, and of those that are only listed, so that what lies
elsewhere can be checked too. An archive that was cut short has none.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from al_loop.errors import WorkspaceError

MANIFEST = "manifest.jsonl"
CHUNK = 1 << 20
FORMAT = "al_loop backup"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its name in the archive, its bytes, and whether the archive holds them."""

    name: str
    size: int
    sha256: str
    held: bool


class Writer:
    """What `writing` gives: adds one file after the other.

    scratch: a folder for copies that are made to be added; it goes when the archive is written.
    """

    def __init__(self, tar: tarfile.TarFile, lines: IO[str], scratch: Path) -> None:
        self._tar, self._lines, self.scratch = tar, lines, scratch

    def add(self, name: str, path: Path, *, held: bool = True) -> Entry:
        """Add the file at `path`, or, not `held`, only its size and sum, as `name`.

        One that grows meanwhile is taken as long as it was. Raises OSError when it is not there.
        """
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            source = _Summed(file)
            if held:
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = stat.st_size, int(stat.st_mtime), stat.st_mode
                self._tar.addfile(info, source)
            else:
                while source.read(CHUNK):
                    pass
        entry = Entry(name, source.size, source.sum.hexdigest(), held)
        self._lines.write(json.dumps(asdict(entry)) + "\n")
        return entry


@contextmanager
def writing(target: Path, facts: Mapping[str, Any]) -> Iterator[Writer]:
    """An archive that appears as `target` when the block ends well, and vanishes if not.

    Only its owner may read it. What a killed process left beside it is taken away. Raises
    WorkspaceError when `target` exists, or somebody else is writing it.
    """
    unfinished = target.with_name(f".{target.name}.unfinished")
    scratch = target.with_name(f".{target.name}.scratch")
    try:
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise WorkspaceError(f"cannot write {target}: {exc.strerror}; name another file") from exc
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise WorkspaceError(f"another process is writing {target}; wait for it") from exc
        try:
            # under the lock: what was opened here may be whole by now, under its final name
            if target.exists():
                raise WorkspaceError(f"{target} exists already, and stays; name another file")
            file.truncate()
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=0o700)
            with (
                tempfile.TemporaryFile("w+", encoding="utf-8") as lines,
                tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
            ):
                yield Writer(tar, lines, scratch)
                _add_manifest(tar, lines, facts)
            file.flush()
            os.fsync(file.fileno())
            os.replace(unfinished, target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def unpack(archive: Path, places: Mapping[str, Path]) -> tuple[dict[str, Any], list[Entry]]:
    """Put what the archive holds into empty folders; returns its facts and all entries.

    places: a folder for each top-level name of the archive that is wanted; the others are checked
    and not written. When this raises, what the folders hold is of no use. Raises WorkspaceError
    for a file that is no archive of ours, was cut short, holds something else than its manifest
    says, or would write outside its folders; and when there is no room for it.
    """
    for folder in places.values():
        free = shutil.disk_usage(folder).free
        if free < archive.stat().st_size:
            raise WorkspaceError(
                f"{archive} has {archive.stat().st_size:,} bytes, but there are {free:,} free at "
                f"{folder}; make room, or restore elsewhere"
            )
    found: dict[str, Entry] = {}
    manifest: tuple[dict[str, Any], list[Entry]] | None = None
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                plain = member.type == tarfile.REGTYPE and member.sparse is None
                source = tar.extractfile(member) if plain else None
                if source is None or manifest is not None or member.name in found:
                    raise WorkspaceError(
                        _refused(archive, f"it holds {member.name!r} unexpectedly")
                    )
                if member.name == MANIFEST:
                    manifest = _read_manifest(archive, source)
                else:
                    target = _target(archive, member.name, places)
                    found[member.name] = _copy(member, source, target)
    except (tarfile.TarError, OSError) as exc:
        raise WorkspaceError(_refused(archive, f"{type(exc).__name__}: {exc}")) from exc
    if manifest is None:
        raise WorkspaceError(_refused(archive, "its end is missing"))
    facts, entries = manifest
    promised = {entry.name: entry for entry in entries if entry.held}
    for name in promised.keys() | found.keys():
        if promised.get(name) != found.get(name):
            is_, was = _said(found.get(name)), _said(promised.get(name))
            raise WorkspaceError(_refused(archive, f"{name} is {is_}, and was written as {was}"))
    return facts, entries


def _add_manifest(tar: tarfile.TarFile, lines: IO[str], facts: Mapping[str, Any]) -> None:
    head = {"format": FORMAT, "version": VERSION} | dict(facts)
    lines.seek(0)
    with tempfile.TemporaryFile() as whole:
        whole.write(json.dumps(head).encode() + b"\n")
        for line in lines:
            whole.write(line.encode())
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = whole.tell(), 0o600
        whole.seek(0)
        tar.addfile(info, whole)


def _read_manifest(archive: Path, source: IO[bytes]) -> tuple[dict[str, Any], list[Entry]]:
    try:
        lines = io.TextIOWrapper(source, encoding="utf-8")
        facts = json.loads(lines.readline())
        if (facts["format"], facts["version"]) != (FORMAT, VERSION):
            raise WorkspaceError(
                _refused(archive, f"it is {facts['format']} {facts['version']}, expected {VERSION}")
            )
        return facts, [Entry(**json.loads(line)) for line in lines]
    except (ValueError, KeyError, TypeError) as exc:
        raise WorkspaceError(_refused(archive, "its manifest cannot be read")) from exc


def _target(archive: Path, name: str, places: Mapping[str, Path]) -> Path | None:
    """Where a member belongs; None where it is not wanted. Only plain names lead anywhere.

    tarfile's own filter for this is missing from Python 3.11.2, which Debian 12 has.
    """
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or name != "/".join(parts) or ".." in parts or name.startswith("/"):
        raise WorkspaceError(_refused(archive, f"{name!r} leads outside of it"))
    folder = places.get(parts[0])
    return None if folder is None else folder.joinpath(*parts[1:])


def _copy(member: tarfile.TarInfo, source: IO[bytes], target: Path | None) -> Entry:
    """Write a member anew, readable by others only if it was; or only add up its sum."""
    summed = _Summed(source)
    if target is None:
        while summed.read(CHUNK):
            pass
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb", opener=_private) as file:
            shutil.copyfileobj(summed, file, CHUNK)
            os.fchmod(file.fileno(), 0o600 | member.mode & 0o044)
    return Entry(member.name, summed.size, summed.sum.hexdigest(), True)


class _Summed(io.RawIOBase):
    """A file that is summed up while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sum = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sum.update(data)
        self.size += len(data)
        return data


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def _refused(archive: Path, why: str) -> str:
    return f"{archive} cannot be restored: {why}; nothing was put in place, take another backup"


def _said(entry: Entry | None) -> str:
    return f"{entry.size} bytes with the sum {entry.sha256[:12]}…" if entry else "not there"
