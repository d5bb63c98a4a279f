"""Folders of the recognisers that spell: one of a name is whole, and in place, whatever is killed.

While a recogniser is trained anew, the one of before stays where it is. All that a training leaves
meanwhile lies in one folder of its own, whose name no recogniser can have. Knows no model.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.workspace import UNFINISHED, delete_folder

WORK = ".training"
NAME = re.compile(r"[\w-][\w.-]*")
ENDINGS = (UNFINISHED, ".deleted")
"""Of names that folders have for a moment, while they are written or deleted."""


def is_name(name: str) -> bool:
    """Whether a recogniser may be called so."""
    return bool(NAME.fullmatch(name)) and not name.endswith(ENDINGS)


@dataclass(frozen=True, slots=True)
class Speller:
    """The recogniser whose folder is `target`, and the folders of its trainings.

    fresh: one that is whole, and to be put in place. former: the one that was there before.
    """

    target: Path

    @property
    def work(self) -> Path:
        return self.target.parent / WORK / self.target.name

    @property
    def fresh(self) -> Path:
        return self.work / "fresh" / self.target.name

    @property
    def former(self) -> Path:
        return self.work / "former" / self.target.name

    def place(self) -> Path:
        """Where it can be read, also between the two steps of `put`; `target` where there is none.

        Changes nothing.
        """
        places = (self.target, self.fresh, self.former)
        return next((path for path in places if path.is_dir()), self.target)

    def begin(self, key: str) -> Path:
        """The folder of the training called `key`, with what it has saved; of others nothing is
        left. What a `put` that was killed has taken away is in place again."""
        if not self.target.is_dir() and self.place() != self.target:
            os.replace(self.place(), self.target)
        scratch = self.work / key
        scratch.mkdir(parents=True, exist_ok=True)
        for other in self.work.iterdir():
            if other != scratch:
                delete_folder(other)
        self.fresh.parent.mkdir()
        return scratch

    def put(self) -> None:
        """Put the fresh one in the place of the former one."""
        if self.target.is_dir():
            delete_folder(self.former)
            self.former.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.target, self.former)
        os.replace(self.fresh, self.target)

    def end(self) -> None:
        """Delete all that the training left."""
        delete_folder(self.work)
        with suppress(OSError):  # another recogniser is being trained, or was
            self.work.parent.rmdir()
