"""What a workspace's backup holds: its settings, its database, its embeddings, its files of
hypotheses; on demand the weights of its checkpoints, and its audio, which is listed with its sums
where it is not held.

Nothing has to stand still for it. The database is copied first, as it is at one instant, and every
file that it names was on the disk before its row was. Left out, for they can be had again or are
secrets: exports, simulations, logs, saves of a training, tokens.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from al_loop.errors import AudioError, WorkspaceError
from storage.archive import Entry, Writer
from storage.workspace import CONFIG_NAME, Workspace

TOP = "workspace"
"""The top-level name of a workspace's files in an archive."""

AUDIO_SUMS = "audio.sha256"
LOCKED_S = 60.0


@dataclass(frozen=True, slots=True)
class BackedUp:
    """Files and bytes that are held, and those that the database names but nobody has."""

    files: int
    size: int
    missing: list[str]


def snapshot(database: Path, target: Path) -> None:
    """Copy an SQLite database as it is at one instant, whoever writes to it meanwhile.

    Readers and, of a database with a write-ahead log, writers are not held up. Raises
    WorkspaceError when it cannot be read or is damaged.
    """
    try:
        with (
            closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", LOCKED_S, uri=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, which needs no log
            (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as exc:
        raise WorkspaceError(
            f"cannot copy {database}: {exc}; check its owner and the disk"
        ) from exc
    if verdict != "ok":
        raise WorkspaceError(
            f"{database} is damaged ({verdict}): keep older backups, and mend it with sqlite3's "
            ".recover"
        )


def back_up(
    workspace: Workspace,
    archive: Writer,
    *,
    audio: bool,
    checkpoints: bool,
    read_clip: Callable[[str], bytes] | None = None,
) -> BackedUp:
    """Put a workspace into an archive.

    read_clip: reads a clip, where object storage is the clips' place: then they are not listed, and
    held where `audio` asks for it. Raises WorkspaceError when a round deletes a
    checkpoint while it is read: then call it again.
    """
    copy = archive.scratch / workspace.database.name
    snapshot(workspace.database, copy)
    with closing(sqlite3.connect(copy)) as db:
        embeddings = _column(db, "SELECT file FROM encoders ORDER BY name")
        parts = _column(db, "SELECT file FROM hypothesis_parts ORDER BY number")
        clips = _column(db, "SELECT audio FROM utterances ORDER BY id")
        weights = _column(db, "SELECT path FROM checkpoints WHERE pruned_at IS NULL ORDER BY path")
    added = [
        archive.add(f"{TOP}/{CONFIG_NAME}", workspace.config),
        archive.add(f"{TOP}/{workspace.database.name}", copy),
    ]
    missing: list[str] = []
    for path in [
        *(workspace.embeddings / name for name in embeddings),
        *(workspace.hypotheses / name for name in parts),
    ]:
        if path.is_file():
            added.append(archive.add(f"{TOP}/{workspace.relative(path)}", path))
        else:
            missing.append(workspace.relative(path))
    for clip in clips if audio or read_clip is None else []:
        try:
            path = workspace.root / clip
            if read_clip is not None:  # others may evict the file
                path = archive.scratch / "clip"
                path.write_bytes(read_clip(clip))
            added.append(archive.add(f"{TOP}/{clip}", path, held=audio))
        except (FileNotFoundError, AudioError):
            missing.append(clip)
    for folder in weights if checkpoints else []:
        try:
            for path in _files(workspace.root / folder):
                added.append(archive.add(f"{TOP}/{workspace.relative(path)}", path))
        except FileNotFoundError as exc:
            raise WorkspaceError(
                f"{folder} was deleted while it was being copied, as rounds do with old "
                "checkpoints; call `al-loop backup` again"
            ) from exc
    held = [entry for entry in added if entry.held]
    return BackedUp(len(held), sum(entry.size for entry in held), missing)


def write_audio_sums(folder: Path, entries: Iterable[Entry]) -> int:
    """Write the sums of the audio that was only listed for `sha256sum --check`; how many."""
    lines = [
        f"{entry.sha256}  {entry.name.removeprefix(f'{TOP}/')}\n"
        for entry in entries
        if not entry.held
    ]
    if lines:
        (folder / AUDIO_SUMS).write_text("".join(lines), encoding="utf-8")
    return len(lines)


def missing_weights(workspace: Workspace) -> list[str]:
    """The checkpoints that should have weights, and whose folders are not there."""
    with closing(sqlite3.connect(workspace.database)) as db:
        paths = _column(db, "SELECT path FROM checkpoints WHERE pruned_at IS NULL ORDER BY path")
    return [path for path in paths if not (workspace.root / path).is_dir()]


def _files(folder: Path) -> list[Path]:
    """Every file of a folder and of its folders. Raises FileNotFoundError when it is not there."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        found += _files(path) if path.is_dir() else [path]
    return found


def _column(db: sqlite3.Connection, sql: str) -> list[str]:
    return [row[0] for row in db.execute(sql)]
