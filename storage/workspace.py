"""A workspace's folders. Knows where things lie, not what is in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from al_loop.errors import WorkspaceError

CONFIG_NAME = "al_loop.toml"
UNFINISHED = ".unfinished"


@dataclass(frozen=True, slots=True)
class Workspace:
    root: Path

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """The workspace at `root`. Raises WorkspaceError where there is none."""
        root = root.resolve()
        if not (root / CONFIG_NAME).is_file():
            raise WorkspaceError(
                f"{root}: no {CONFIG_NAME} here, so this is no workspace; "
                f"make one with `al-loop init {root}`, or name one with --workspace"
            )
        return cls(root)

    @property
    def config(self) -> Path:
        return self.root / CONFIG_NAME

    @property
    def database(self) -> Path:
        return self.root / "al_loop.db"

    @property
    def audio(self) -> Path:
        return self.root / "audio"

    @property
    def embeddings(self) -> Path:
        return self.root / "embeddings"

    @property
    def hypotheses(self) -> Path:
        return self.root / "hypotheses"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def simulations(self) -> Path:
        return self.root / "simulations"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        return self.root / "al_loop.lock"

    def create_folders(self) -> None:
        folders = (self.audio, self.embeddings, self.checkpoints, self.exports, self.logs)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)

    def relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` when the block ends well, and vanishes if not.

    What a killed process left under the temporary name is removed first.
    """
    unfinished = target.with_name(target.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    for path in unfinished.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    os.replace(unfinished, target)


def delete_folder(target: Path) -> None:
    """Delete a folder so that under its own name it is whole or not there, whenever this ends."""
    leftover = target.with_name(target.name + ".deleted")
    if leftover.is_dir():
        shutil.rmtree(leftover)
    if target.is_dir():
        os.replace(target, leftover)
        shutil.rmtree(leftover)
