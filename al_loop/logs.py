"""The log of a workspace, `logs/al_loop.log`: one JSON object a line.

    {"time": "2026-01-31T08:00:00.125+00:00", "level": "INFO", "message": "a block is done",
     "process": 4711, "worker": "lane 1", "clips": 16, "seconds": 0.84, "round": 3,
     "stage": "score", "what": "heard"}

What a line is about is said around the work (`about`), so that an engine's line tells the round
and the stage though the engine knows neither. Does not know what is logged, nor who reads it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

LOG = logging.getLogger("al_loop")
LARGEST_BYTES, OLD_FILES = 16 * 2**20, 4
"""Ours: at about 250 bytes a block, the log reaches back over some 300,000 blocks."""

Row = TypeVar("Row")
_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """What is logged inside has these fields, beside those of the blocks around it."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


def each_about(rows: Iterable[Row], **fields: object) -> Iterator[Row]:
    """The rows. What is logged while one of them is made has these fields, what is logged while
    the caller has it does not."""
    iterator = iter(rows)
    while True:
        with about(**fields):
            try:
                row = next(iterator)
            except StopIteration:
                return
        yield row


def fields() -> Mapping[str, object]:
    """Those that a line would have if it was logged here."""
    return _about.get()


def open_log(path: Path, largest_bytes: int = LARGEST_BYTES) -> None:
    """Write what is logged to that file from here on, from INFO up, and to no other."""
    handler = Shared(path, largest_bytes)
    handler.addFilter(_add_fields)
    handler.setFormatter(_formatter())
    for earlier in LOG.handlers:
        earlier.close()
    LOG.handlers = [handler]
    LOG.setLevel(logging.INFO)


class Shared(WatchedFileHandler):
    """A file that several processes write to, and whichever finds it full puts aside.

    A line is one write to the end of the file, so that lines stay whole. The standard library's
    RotatingFileHandler would go on writing to what another process has put aside.
    """

    def __init__(self, path: Path, largest_bytes: int) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self.path = path
        self.largest_bytes = largest_bytes

    def emit(self, record: logging.LogRecord) -> None:
        # a full disk, or a folder that is gone, is no reason to end the work
        with suppress(OSError):
            self._put_aside()
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """The library reports every line that a full disk does not take, with a traceback."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # a line that a full disk did not take is tried once more
            super().close()

    def _put_aside(self) -> None:
        """Move the file to `.1` if it is full, that to `.2`, and so on; the last one goes."""
        if not self._is_full():
            return
        from filelock import FileLock

        with FileLock(self.path.with_suffix(".lock")):
            if not self._is_full():  # another process was faster
                return
            names = [self.path, *(Path(f"{self.path}.{n}") for n in range(1, OLD_FILES + 1))]
            for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
                with suppress(FileNotFoundError):
                    os.replace(newer, older)

    def _is_full(self) -> bool:
        try:
            return self.path.stat().st_size >= self.largest_bytes
        except FileNotFoundError:
            return False


def _add_fields(record: logging.LogRecord) -> bool:
    """What the line itself says comes before what is said around it."""
    for name, value in _about.get().items():
        record.__dict__.setdefault(name, value)
    return True


def _formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    class Line(JsonFormatter):
        def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
            time = datetime.fromtimestamp(record.created, UTC)
            return time.isoformat(timespec="milliseconds")

        def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
            # the margin of a line is for a terminal
            return {**log_data, "message": log_data["message"].strip()}

    return Line(
        ["asctime", "levelname", "message", "process"],
        rename_fields={"asctime": "time", "levelname": "level", "exc_info": "traceback"},
        json_ensure_ascii=False,
    )
