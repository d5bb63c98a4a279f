"""What was cut from which recording: so that a second import need not read the recording again.

A folder of JSON files, one a recording, named by the SHA-256 of its bytes. It only saves time: what
is missing or broken in it is found again by listening. Knows no audio and no database.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = 1
"""Of what decides where pieces begin and end: another one forgets the pieces of before."""
OPEN_FILES = 64
"""Recordings whose parts are held in memory; lists name a recording's parts one after another."""

Place = tuple[int, int | None]
"""From one sample up to another, at 16 kHz; None: to the end of the recording."""


@dataclass(slots=True)
class _Known:
    """ids: of utterances, by their place. pieces: what a place was cut into."""

    ids: dict[str, str] = field(default_factory=dict)
    pieces: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    changed: bool = False


class Parts:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def utterance_id(self, recording: str, place: Place) -> str | None:
        """The id that the part at this place has, once it was `put`."""
        return self._of(recording).ids.get(_key(place))

    def put(self, recording: str, place: Place, utterance_id: str) -> None:
        known = self._of(recording)
        known.ids[_key(place)] = utterance_id
        known.changed = True

    def pieces(self, recording: str, place: Place) -> list[tuple[int, int]] | None:
        """What the place was cut into; None: nobody has listened yet."""
        return self._of(recording).pieces.get(_key(place))

    def put_pieces(self, recording: str, place: Place, pieces: list[tuple[int, int]]) -> None:
        known = self._of(recording)
        known.pieces[_key(place)] = pieces
        known.changed = True

    def save(self) -> None:
        for recording, known in self._known.items():
            self._write(recording, known)

    def _of(self, recording: str) -> _Known:
        if recording in self._known:
            self._known.move_to_end(recording)
            return self._known[recording]
        if len(self._known) >= OPEN_FILES:
            self._write(*self._known.popitem(last=False))
        self._known[recording] = _read(self._path(recording))
        return self._known[recording]

    def _path(self, recording: str) -> Path:
        return self._folder / recording[:2] / f"{recording}.json"

    def _write(self, recording: str, known: _Known) -> None:
        if not known.changed:
            return
        path = self._path(recording)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        found = {"version": VERSION, "ids": known.ids, "pieces": known.pieces}
        unfinished.write_text(json.dumps(found), encoding="utf-8")
        os.replace(unfinished, path)
        known.changed = False


def _key(place: Place) -> str:
    start, end = place
    return f"{start}-{'' if end is None else end}"


def _read(path: Path) -> _Known:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        ids = {str(key): str(value) for key, value in found["ids"].items()}
        pieces = {
            str(key): [(int(first), int(end)) for first, end in rows]
            for key, rows in found["pieces"].items()
            if found["version"] == VERSION
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return _Known()
    return _Known(ids, pieces)
