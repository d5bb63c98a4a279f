"""What every view of the dashboard is given: a workspace, its settings, answers, and words.

Answers come from the read-only queries and are kept until the database changes: SQLite tells by a
counter of its own whether another process has written since. Knows no query and no view.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import streamlit as st

from al_loop.config import Settings
from storage.queries import Reader
from storage.workspace import Workspace
from ui.language import Say

P = ParamSpec("P")
T = TypeVar("T")
KEPT = 300
"""Answers in memory, the least recently used leave."""


@dataclass(frozen=True)
class View:
    """One look at a workspace. `version`: of its database when the look began."""

    workspace: Workspace
    settings: Settings
    say: Say
    version: tuple[int, ...]

    def ask(
        self,
        question: Callable[Concatenate[Reader, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """`question(reader, …)`, once for each state of the database: `view.ask(Reader.rounds)`.

        Any module-level function whose first parameter is a Reader may be asked. Its arguments are
        told apart by their `repr`. The answer is a copy, which the view may change.
        """
        name = f"{question.__module__}.{question.__qualname__}"
        key = (str(self.workspace.root), self.version, name, repr(arguments), repr(named))
        found: T = _answer(key, self.workspace, question, arguments, named)
        return found

    @property
    def command(self) -> str:
        """`al-loop` for this workspace, as a shell takes it."""
        return f"al-loop -w {shlex.quote(str(self.workspace.root))}"


def database_version(workspace: Workspace) -> tuple[int, ...]:
    """Another one whenever the database has changed, or is another file.

    Raises WorkspaceError where there is none yet, or it cannot be read.
    """
    return _watched(str(workspace.root), workspace).version()


class _Watch:
    """A connection that stays open, for SQLite's counter compares only within one connection.

    opened: how often it was made; numbers of files and the counter itself come again.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.lock = threading.Lock()
        self.file: tuple[int, ...] | None = None
        self.reader: Reader | None = None
        self.opened = 0
        self.seen: tuple[int, ...] = ()

    def version(self) -> tuple[int, ...]:
        with self.lock:
            if self.reader is None or self._file() != self.file:  # not there yet, or restored
                self._open()
            assert self.reader is not None
            found = (self.opened, self.reader.data_version())
            if found != self.seen:
                _answer.clear()  # nobody asks for what was true before
                self.seen = found
            return found

    def _open(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.reader, self.file = None, self._file()
        self.reader = Reader(self.workspace, any_thread=True)
        self.opened += 1

    def _file(self) -> tuple[int, ...] | None:
        try:
            found = self.workspace.database.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


@st.cache_resource(show_spinner=False)
def _watched(root: str, _workspace: Workspace) -> _Watch:
    return _Watch(_workspace)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _answer(
    key: tuple[Any, ...],
    _workspace: Workspace,
    _question: Callable[..., Any],
    _arguments: tuple[Any, ...],
    _named: dict[str, Any],
) -> Any:
    with Reader(_workspace) as reader:
        return _question(reader, *_arguments, **_named)
