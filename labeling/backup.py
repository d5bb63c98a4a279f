"""What must be kept of the embedded Label Studio server, and how it is put back.

Its database, what was uploaded to it and exported from it, the key that signs its logins, its
credentials and its port. Not the links to workspaces' audio: each workspace makes its own again.
Knows no SQL and no archive: the caller copies the database and packs the files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from al_loop.errors import OracleRefused
from labeling.install import VERSION
from labeling.server import EmbeddedServer

TOP = "label-studio"
"""The top-level name of the server's files in an archive."""

DATABASE = "data/label_studio.sqlite3"
KEPT = ("credentials.json", "port", "data")
"""What a server is made of; the order in which it is put in place: without its database, new
credentials would belong to nothing."""

LEFT_OUT = (DATABASE, f"{DATABASE}-journal", f"{DATABASE}-wal", f"{DATABASE}-shm")


def kept_files(server: EmbeddedServer) -> Iterator[tuple[str, Path]]:
    """(name in the archive, path) of all files to keep but the database, which changes meanwhile.

    Raises OracleRefused when the server was never started.
    """
    database(server)
    for name in KEPT:
        top = server.home / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(server.home).as_posix()
            if path.is_file() and not path.is_symlink() and relative not in LEFT_OUT:
                yield f"{TOP}/{relative}", path


def database(server: EmbeddedServer) -> Path:
    """The server's database. Raises OracleRefused when the server was never started."""
    path = server.home / DATABASE
    if not path.is_file():
        raise OracleRefused(
            f"there is no {path}: `al-loop labelstudio up` was never called here, so the embedded "
            "server has nothing to keep; leave out --label-studio"
        )
    return path


def check_version(version: str | None) -> None:
    """Raises OracleRefused when a backup holds no server, or one of a newer Label Studio."""
    if version is None:
        raise OracleRefused(
            "this backup holds no Label Studio server; leave out --label-studio, or take one that "
            "was written with it"
        )
    if _numbers(version) > _numbers(VERSION):
        raise OracleRefused(
            f"this backup is of Label Studio {version}, here is {VERSION}, which cannot read a "
            "newer one's database; install a newer al_loop"
        )


def put_back(server: EmbeddedServer, restored: Path) -> Path | None:
    """Give a server that is `stopped()` the files in `restored`, on the same file system.

    What it had is moved aside; returns where to, or None when it had nothing. Nothing is deleted.
    Killed in the middle, it is to be called again with the same files unpacked anew.
    """
    aside: Path | None = None
    if any((server.home / name).exists() for name in KEPT):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = server.home / f"replaced-{stamp}"
        aside.mkdir(mode=0o700)
        for name in reversed(KEPT):
            if (server.home / name).exists():
                os.replace(server.home / name, aside / name)
    for name in KEPT:
        if (restored / name).exists():
            os.replace(restored / name, server.home / name)
    return aside


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
