"""The checks of a workspace's own folder and of this program. Changes nothing, loads no torch.

To see whether a round is at work, the workspace's lock is held for an instant.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from al_loop.clips import Clips
from al_loop.config import ModelSettings
from al_loop.doctor.check import Check
from al_loop.errors import AudioError, StorageError
from storage.integrity import Clip, Integrity
from storage.workspace import Workspace

WEIGHTS = "model.safetensors"
"""As `al_loop.whisper.checkpoints` has it, which would load torch."""

WRITTEN_BY_TRAINING = 7
"""How many times a checkpoint's weights a training may have on the disk at once: its save (weights
and Adam's two moments) beside the one that takes its place, and the best weights so far."""

CLIPS = 20
SHOWN = 3
HANGS_H = 12.0
NEEDED = ("torch", "transformers", "safetensors", "tokenizers", "av", "soxr", "faster_whisper")
DRIVERS = ("/dev/nvidiactl", "/dev/dxg")
"""Of NVIDIA, on Linux and on Linux within Windows."""


def database(data: Integrity) -> Check:
    """Whether SQLite finds the file whole; reads all of it."""
    if damage := data.damage():
        return Check(
            "database",
            "failure",
            f"{data.path} is damaged: {'; '.join(damage)}",
            "stop the cron job, and restore the newest backup beside it",
        )
    return Check("database", "ok", f"{data.path.name} is whole")


def schema(data: Integrity) -> Check:
    """Whether the tables are those that this version expects."""
    pending, unknown = data.migrations()
    if unknown:
        return Check(
            "schema",
            "failure",
            f"the database was changed by a newer al_loop ({', '.join(unknown)})",
            "install that version again: this one may not understand what it reads",
        )
    if pending:
        return Check(
            "schema",
            "warning",
            f"steps that wait: {', '.join(pending)}",
            "the next `al-loop round` takes them; make a backup first",
        )
    return Check("schema", "ok", "up to date")


def lock(root: Workspace) -> Check:
    """Whether a round is at work. A lock ends with its process, so that none is left behind."""
    if not root.lock.exists():
        return Check("lock", "ok", "no round has been at work here")
    with root.lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _at_work(root.logs / "al_loop.log")
    return Check("lock", "ok", "no round is at work")


def _at_work(log: Path) -> Check:
    if not log.exists():
        return Check("lock", "ok", "a round is at work")
    silent_h = (time.time() - log.stat().st_mtime) / 3600
    found = f"a round is at work; it wrote to its log {silent_h:.1f} h ago"
    if silent_h < HANGS_H:
        return Check("lock", "ok", found)
    return Check(
        "lock",
        "warning",
        found,
        f"it may hang: `fuser {log.parent.parent / 'al_loop.lock'}` names its process, and ending "
        "that loses nothing",
    )


def disk(root: Workspace, checkpoint: Path | None) -> Check:
    """Whether a training fits on the disk, with its saves."""
    free = shutil.disk_usage(root.root).free
    weights = _size(checkpoint) if checkpoint else 0
    needed = WRITTEN_BY_TRAINING * weights
    found = f"{_gib(free)} free"
    if not weights:
        return Check("disk", "ok", f"{found}; what a training needs shows after the first round")
    found += f", a training may write {_gib(needed)}"
    if free < needed:
        return Check(
            "disk",
            "failure",
            found,
            "make room, or lower promote.keep_checkpoints and promote.keep_promoted",
        )
    return Check("disk", "ok", found)


def checkpoint(folder: Path | None) -> Check:
    """Whether the weights of the checkpoint in use are there, in full length."""
    if folder is None:
        return Check("checkpoint", "ok", "none is in use yet; the first `al-loop round` makes it")
    if problem := _broken(folder / WEIGHTS):
        return Check(
            "checkpoint",
            "failure",
            f"{folder.name} is in use, but {problem}",
            f"put {folder} back from a backup, or `al-loop promote` another one",
        )
    return Check("checkpoint", "ok", f"{folder.name} is in use, {_gib(_size(folder))}")


def storage(place: Clips) -> Check:
    """Whether the clips' place in object storage can be read and written."""
    url = place.place.url
    try:
        place.probe()
    except StorageError as exc:
        return Check(
            "clips' storage",
            "failure",
            str(exc),
            "rounds and imports cannot go on without it; nothing is lost meanwhile",
        )
    return Check("clips' storage", "ok", f"{url} can be read and written")


def clips(place: Clips, data: Integrity) -> Check:
    """Whether some clips, drawn at random, are there and hold the samples that were ingested."""
    drawn = data.some_clips(CLIPS)
    if not drawn:
        return Check("clips", "ok", "none yet; `al-loop ingest` brings them in")
    wrong = [f"{clip.audio} {problem}" for clip in drawn if (problem := _differs(place, clip))]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        return Check(
            "clips",
            "failure",
            f"{len(wrong)} of {len(drawn)} drawn at random are not as ingested: "
            f"{', '.join(wrong[:SHOWN])}{more}",
            f"put {place.place.url or place.place.folder} back from a backup, or ingest the same "
            "audio again",
        )
    return Check("clips", "ok", f"{len(drawn)} drawn at random are as ingested")


def model(settings: ModelSettings) -> Check:
    """Whether what hears and trains is installed, and fits the settings."""
    from al_loop.whisper.backend import choose_backend

    if missing := list(_missing(settings)):
        return Check(
            "model",
            "failure",
            f"not installed: {', '.join(missing)}",
            "pip install al-loop, with its constraints file",
        )
    where = settings.device
    if where == "cuda" and not any(Path(driver).exists() for driver in DRIVERS):
        return Check(
            "model",
            "failure",
            "model.device is 'cuda', and this machine shows no NVIDIA driver",
            "install the driver, or set model.device to 'auto'",
        )
    if where == "mps" and sys.platform != "darwin":
        return Check(
            "model", "failure", "model.device is 'mps', on a machine without it", "set it to 'auto'"
        )
    chosen = "auto" if where == "auto" else choose_backend(settings, where, 1).name
    return Check("model", "ok", f"installed; device {where}, backend {chosen}")


def _missing(settings: ModelSettings) -> Iterator[str]:
    needed = NEEDED if settings.backend == "torch" else (*NEEDED, "ctranslate2")
    yield from (name for name in needed if find_spec(name) is None)


def _differs(place: Clips, clip: Clip) -> str | None:
    """How the file of a clip differs from what was ingested."""
    from al_loop.audio import sample_hash

    try:
        samples = place.samples(clip.audio)
    except AudioError as exc:
        return f"({exc})"
    return None if sample_hash(samples) == clip.sample_hash else "(other samples)"


def _broken(weights: Path) -> str | None:
    """What is wrong with a safetensors file: its header says where its last tensor ends."""
    try:
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 100_000_000)))
            ends = [row["data_offsets"][1] for name, row in header.items() if name[0] != "_"]
            stated = 8 + length + max(ends, default=0)
    except FileNotFoundError:
        return f"there is no {weights}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
        return f"{weights} cannot be read: {exc!r}"
    found = weights.stat().st_size
    return None if found == stated else f"{weights} has {found} bytes, its header says {stated}"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
