"""`al-loop backup` and `al-loop restore`: a workspace, and the server it brings along, as one file.

Joins `storage.backup`, `storage.archive` and `labeling.backup`; knows not what any of them holds.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from al_loop.config import EMBEDDED, load_settings
from al_loop.errors import WorkspaceError
from al_loop.wiring import clips_of
from storage.workspace import Workspace, whole_folder

if TYPE_CHECKING:
    from labeling.server import EmbeddedServer
    from storage.archive import Entry, Writer


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--audio", is_flag=True, help="Hold the audio too, not only a list of it with sums.")
@click.option("--checkpoints", is_flag=True, help="Hold the weights of the checkpoints too.")
@click.option(
    "--label-studio",
    is_flag=True,
    help="Hold the server of `labelstudio up` too, of all workspaces, with its password.",
)
@click.pass_obj
def backup(workspace: Path, file: Path, audio: bool, checkpoints: bool, label_studio: bool) -> None:
    """Write the workspace into one tar file, while the loop and the annotators go on.

    The settings, the database and the embeddings, with a SHA-256 sum of each file. The file
    appears under its name when it is whole; only you can read it. Exports, simulations, logs and a
    token file of yours are left out.
    """
    from labeling.install import VERSION
    from labeling.server import EmbeddedServer
    from storage.archive import writing
    from storage.backup import back_up

    root = Workspace.open(workspace)
    settings = load_settings(root.config)
    url = settings.label_studio.url
    if label_studio and url != EMBEDDED:
        raise WorkspaceError(
            f"--label-studio is for the server of `labelstudio up`, but this workspace uses {url}; "
            "back that one up by its database's own means, and leave the option out"
        )
    if not root.database.is_file():
        raise WorkspaceError(f"{root.root} holds no data yet: `al-loop ingest` brings audio in")
    facts = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "audio": audio,
        "audio_url": settings.audio.url,
        "checkpoints": checkpoints,
        "label_studio": VERSION if label_studio else None,
    }
    target = file.absolute()
    try:
        with writing(target, facts) as archive:
            read = clips_of(root, settings).read if settings.audio.url else None
            held = back_up(root, archive, audio=audio, checkpoints=checkpoints, read_clip=read)
            if label_studio:  # later: what was pulled from it is in it
                _add_server(EmbeddedServer(), archive)
    except OSError as exc:
        raise WorkspaceError(f"{target} was not written: {exc}") from exc
    click.echo(f"{file} is written: {target.stat().st_size / 1e6:,.1f} MB, made {facts['made_at']}")
    if held.missing:
        click.echo(
            f"{len(held.missing)} files that the database names are not there, such as "
            f"{held.missing[0]}"
        )


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option(
    "--label-studio",
    is_flag=True,
    help="Put the server of `labelstudio up` back too; what it has is moved aside.",
)
def restore(file: Path, folder: Path | None, label_studio: bool) -> None:
    """Put a backup's workspace into FOLDER, which must be new or empty.

    Every sum is checked before anything is put in place. With --label-studio the server must be
    stopped, and without FOLDER it alone is put back.
    """
    from labeling.backup import TOP as SERVER
    from labeling.backup import check_version, put_back
    from labeling.server import EmbeddedServer
    from storage.archive import unpack
    from storage.backup import TOP

    if folder is None and not label_studio:
        raise click.UsageError("name the FOLDER of the workspace, or --label-studio")
    if not file.is_file():
        raise WorkspaceError(f"there is no file {file}; name one that `al-loop backup` wrote")
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise WorkspaceError(f"{folder} is not empty, and stays as it is; name another folder")
    server = EmbeddedServer()
    places: dict[str, Path] = {}
    lines: list[str] = []
    try:
        with ExitStack() as stack:
            if label_studio:
                stack.enter_context(server.stopped())
                places[SERVER] = stack.enter_context(_scratch(server.home / "restored"))
            if folder is not None:
                places[TOP] = stack.enter_context(whole_folder(folder.resolve()))
            facts, entries = unpack(file, places)
            if label_studio:
                check_version(facts.get("label_studio"))
            if folder is not None:
                lines += _complete(places[TOP], folder, entries)
            if label_studio:
                aside = put_back(server, places[SERVER])
                lines.append("Label Studio is put back; `al-loop labelstudio up` starts it")
                lines += [f"what it had lies in {aside}"] if aside else []
    except OSError as exc:
        raise WorkspaceError(
            f"{file} was not restored: {exc}; name a folder that is not there yet, on a disk that "
            "has room"
        ) from exc
    click.echo(f"{file}, made {facts.get('made_at')}, is restored")
    for line in lines:
        click.echo(line)
    if folder is not None and facts.get("audio_url"):
        click.echo(f"its clips are at {facts['audio_url']}, and read from there")


def _add_server(server: EmbeddedServer, archive: Writer) -> None:
    from labeling.backup import DATABASE, TOP, database, kept_files
    from storage.backup import snapshot

    copy = archive.scratch / "label_studio.sqlite3"
    snapshot(database(server), copy)
    archive.add(f"{TOP}/{DATABASE}", copy)
    for name, path in kept_files(server):
        archive.add(name, path)


def _complete(unpacked: Path, folder: Path, entries: list[Entry]) -> list[str]:
    """Make a workspace of what was unpacked; returns what has to be brought from elsewhere."""
    from storage.backup import AUDIO_SUMS, missing_weights, write_audio_sums

    root = Workspace.open(unpacked)
    lines = [
        f"the workspace is {folder}; it is the same as the old one, so let only one of them run"
    ]
    if listed := write_audio_sums(unpacked, entries):
        lines.append(
            f"{listed} files of audio are not in the backup: copy them to {folder}/audio, then "
            f"`cd {folder} && sha256sum --quiet --check {AUDIO_SUMS}` says whether they are right"
        )
    if weights := missing_weights(root):
        lines.append(
            f"the weights of {len(weights)} checkpoints are not in the backup: copy their folders "
            f"to {folder}/checkpoints"
        )
    return lines


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
