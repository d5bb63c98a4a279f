"""Where a workspace's clips are: in its folder, or in object storage with a cache here.

With `audio.url` every clip is an object there before its row is committed, and `audio/`, or the
folder that `audio.cache_folder` names, holds those that were read last. Names follow from content,
so that what is in the cache is never out of date. Any number of processes and machines may fetch
and evict at once: a file appears whole, and one that is gone when it is opened is fetched again.
Knows no database, no rounds and no models.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.audio import decode_whole, is_whole
from al_loop.cache import UNFINISHED, Cache, together, use
from al_loop.config import AudioSettings
from al_loop.errors import AudioError, StorageError, WorkspaceError
from al_loop.objects import Objects

FOLDER = "audio/"
"""What clips' names begin with. Their addresses leave it out: the url stands in its place, as with
the annotators' (`labeling.s3`), so that both may be one place."""
GB = 10**9
TRIES = 4
"""At reading a clip that others evict, or that is damaged."""
EVICTED = "evicted faster than it is read: raise audio.cache_gb"
NOTE, NOTE_TEXT = "al_loop-doctor.txt", b"`al-loop doctor` writes this to see whether it may.\n"


@dataclass(frozen=True, slots=True)
class Place:
    """root: the workspace. url: s3://bucket/prefix or gs://bucket/prefix; None: its folder alone.

    cache: a folder on each machine's own disk; None: the workspace's audio/.
    """

    root: Path
    url: str | None = None
    endpoint: str | None = None
    cache: Path | None = None
    cache_bytes: float = 50 * GB

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Place:
        """From what `asdict` made of it, in JSON."""
        cache = values["cache"]
        paths = {"root": Path(values["root"]), "cache": None if cache is None else Path(cache)}
        return cls(**{**values, **paths})

    @property
    def folder(self) -> Path:
        return self.cache or self.root / FOLDER.rstrip("/")


def place_of(root: Path, settings: AudioSettings) -> Place:
    return Place(
        root, settings.url, settings.endpoint, settings.cache_folder, settings.cache_gb * GB
    )


class Clips:
    """The clips of one place, by their names in the workspace: `audio/5f/5feb….flac`.

    Holds a place and no connection, so that workers on other machines get it with their work.
    Methods raise StorageError where the place cannot be reached or does not let us in.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.objects = Objects(place.endpoint)
        self._cache = Cache(place.folder, place.cache_bytes, self._is_there)

    def __reduce__(self) -> tuple[type[Clips], tuple[Place]]:
        return Clips, (self.place,)

    def file(self, audio: str) -> Path:
        """Where the clip's file is when it is here; `path` and `samples` take this too."""
        name = self._name(audio)
        return self.place.root / audio if name is None else self.place.folder / name

    def path(self, audio: str | Path) -> Path:
        """The clip's file, fetched where it is not here.

        Others may evict it before it is opened: `samples` and `read` see to that. Without a url the
        file may not be there. Raises AudioError where the clip is at neither place.
        """
        name = self._name(audio)
        if name is None:
            return self.place.root / audio
        for path in self._files(name):
            if path.is_file():
                use(path)
                return path
        return self._fetch(name)

    def samples(self, audio: str | Path) -> np.ndarray:
        """The clip's samples (N,) float32 at 16 kHz.

        One that is damaged in the cache is fetched again, once. Raises AudioError with the clip's
        name where that is of no use.
        """
        name = self._name(audio)
        mended = name is None
        for last in range(TRIES):
            path = self.path(audio)
            try:
                return decode_whole(path, with_sum=name is not None)
            except AudioError as exc:
                if name is not None and exc.reason == "not_a_file" and last < TRIES - 1:
                    continue  # evicted meanwhile
                if mended or name is None:
                    both = f" (and at {self.place.url})" if name else ""
                    raise _useless(path, both, exc) from exc
                why = exc
            try:
                self._fetch(name)
            except AudioError:
                raise _useless(path, f" (and not at {self.place.url})", why) from why
            mended = True
        raise AudioError("not_a_file", f"{audio} is {EVICTED}")

    def read(self, audio: str) -> bytes:
        """The clip's bytes; with a url those of a clip that `samples` takes.

        Raises AudioError, or OSError where the file cannot be read.
        """
        if self._name(audio) is None:
            return self.path(audio).read_bytes()
        for _ in range(TRIES):
            self.samples(audio)
            with suppress(FileNotFoundError):  # evicted meanwhile
                return self.path(audio).read_bytes()
        raise AudioError("not_a_file", f"{audio} is {EVICTED}")

    def address(self, audio: str) -> str | None:
        """Where the clip is in object storage; None where its place is the workspace's folder."""
        name = self._name(audio)
        return None if name is None else self._address(name)

    def keep(self, audio: str, write: Callable[[Path], None], known: bool = False) -> bool:
        """Have `write` write the clip's file, unless it is here; or, where it is known, there.

        Whether it is here: then `bring` must follow, before its row is committed. A damaged file is
        written anew, but a known clip's is not looked at, which would take decoding.
        """
        name = self._name(audio)
        target = self.file(audio)
        files = self._files(name) if name is not None else [target]
        here = next((path for path in files if path.exists()), None)
        if here is not None and (known or is_whole(here)):
            return True
        try:
            if known and name is not None and self.objects.size(self._address(name)) is not None:
                return False
        except (FileNotFoundError, PermissionError) as exc:
            raise StorageError(str(exc)) from exc
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target)
        except OSError as exc:
            raise _unwritten(target.parent, exc) from exc
        return True

    def bring(self, audio: Iterable[str], bad: dict[str, str] | None = None) -> int:
        """Bring those clips to the url that are not there; how many those were. Without one, none.

        bad: takes, by its name, why a clip cannot be brought: it is at neither place, or the one
        here is damaged. Without `bad` the first of them raises WorkspaceError.
        """
        names = {name: row for row in audio if (name := self._name(row)) is not None}

        def sent(name: str) -> int:
            try:
                return self._bring(name)
            except WorkspaceError as exc:
                if bad is None:
                    raise
                bad[names[name]] = str(exc)
                return 0

        if not names:
            return 0
        sizes = list(together(sent, names))
        self._cache.grown(sum(sizes))
        return sum(size > 0 for size in sizes)

    def probe(self) -> None:
        """Write a line of text at the url, and read it again. Raises StorageError."""
        address = self._address(NOTE)
        try:
            self.objects.put(address, NOTE_TEXT)
            found = self.objects.read(address)
        except (FileNotFoundError, PermissionError) as exc:
            raise StorageError(f"{exc} (audio.url is {self.place.url})") from exc
        if found != NOTE_TEXT:
            raise StorageError(f"{address} holds other bytes than were written there")

    # -- names ------------------------------------------------------------------------------------

    def _name(self, audio: str | Path) -> str | None:
        """The clip's name at the url; None where there is none, or the file is another's.

        A full path may lead into the cache: so a simulation names the clips of its workspace.
        """
        if self.place.url is None:
            return None
        path = Path(audio)
        if path.is_absolute():
            here = path.is_relative_to(self.place.folder)
            return path.relative_to(self.place.folder).as_posix() if here else None
        return str(audio).removeprefix(FOLDER)

    def _address(self, name: str) -> str:
        assert self.place.url is not None
        return f"{self.place.url.rstrip('/')}/{name}"

    def _files(self, name: str) -> list[Path]:
        """Where the file may be: in the cache, or where it was before there was one."""
        return list(dict.fromkeys((self.place.folder / name, self.place.root / FOLDER / name)))

    # -- fetching and bringing --------------------------------------------------------------------

    def _fetch(self, name: str) -> Path:
        target = self.place.folder / name
        unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}{UNFINISHED}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            size = self.objects.fetch(self._address(name), unfinished)
            os.replace(unfinished, target)
        except FileNotFoundError as exc:
            raise AudioError(
                "not_a_file",
                f"{name} is neither in {self.place.folder} nor at {self.place.url} ({exc}); bring "
                "it back from a backup, or ingest it anew",
            ) from exc
        except PermissionError as exc:
            raise StorageError(str(exc)) from exc
        except OSError as exc:
            raise _unwritten(target.parent, exc) from exc
        finally:
            with suppress(OSError):
                unfinished.unlink()
        self._cache.grown(size, target)
        return target

    def _bring(self, name: str) -> int:
        """How many bytes were sent."""
        address = self._address(name)
        try:
            there = self.objects.size(address)
            path = next((row for row in self._files(name) if row.is_file()), None)
            if path is None or there == path.stat().st_size:
                if there is None:
                    raise WorkspaceError(
                        f"{FOLDER}{name} is neither in {self.place.folder} nor at "
                        f"{self.place.url}; bring it back from a backup, or ingest it anew"
                    )
                return 0
            decode_whole(path)
            content = path.read_bytes()
            self.objects.put(address, content)
        except AudioError as exc:
            raise WorkspaceError(
                f"{path} is damaged and not brought to {self.place.url} ({exc}); bring it back "
                "from a backup, or delete it and ingest it anew"
            ) from exc
        except (FileNotFoundError, PermissionError) as exc:
            raise StorageError(str(exc)) from exc
        return len(content)

    def _is_there(self, path: Path) -> bool:
        """Whether an object of the file's name and length is at the url: so nothing is lost where
        clips were not brought there yet, or where audio.url was changed."""
        name = path.relative_to(self.place.folder).as_posix()
        with suppress(FileNotFoundError):
            return self.objects.size(self._address(name)) == path.stat().st_size
        return True  # another process has evicted it


def _useless(path: Path, elsewhere: str, why: AudioError) -> AudioError:
    first = "" if why.reason == "not_a_file" else "delete it and "
    told = f"{path}{elsewhere}: {why.detail}; restore it from a backup, or {first}ingest it anew"
    return AudioError(why.reason, told)


def _unwritten(folder: Path, why: OSError) -> StorageError:
    return StorageError(
        f"{folder} cannot be written ({why.strerror or why}); make room there, or name another "
        "audio.cache_folder, and call again: what is done is kept"
    )
