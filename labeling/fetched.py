"""The audio of tasks that others made: looked for in a folder, or fetched from where they say.

An address is one of Label Studio's own (an uploaded file, a local file), http(s), or a bucket's,
which the server resolves. Only the server that the session is logged in to ever gets its token.
Knows nothing of what is said in the audio.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from labeling.replies import failure, unreachable
from labeling.session import PAUSES_S, TIMEOUT, Session

UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""
AGAIN = {408, 429, 502, 503, 504}
"""Answers that may be another one soon. 500 is not: so the server says that a file is gone."""
REDIRECTS = 5
MOST_BYTES = 4 * 2**30
"""Of one file: a WAV file cannot hold more. Whoever sends for ever must not fill the disk."""


class Missing(Exception):
    """One file cannot be had; the argument says why."""


class Audio:
    """Where the audio of a project's tasks is found.

    folder: is searched first, by file name. session: of the server that has the project; None:
    nothing is fetched. kept: the folder that fetched files go to, where they appear whole, and are
    not fetched again. foreign: asks every other server, without a login. most_bytes: of one file.
    """

    def __init__(
        self,
        folder: Path | None,
        session: Session | None,
        kept: Path,
        *,
        foreign: httpx.Client | None = None,
        most_bytes: int = MOST_BYTES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._session = session
        self._kept = kept
        self._foreign = foreign or httpx.Client(timeout=TIMEOUT)
        self._most_bytes = most_bytes
        self._sleep = sleep
        self._silent: set[str] = set()
        """Other people's servers that gave no answer: each costs its time once, not for a row."""

    def find(self, address: str, task_id: str) -> Path:
        """The file behind an address. Raises Missing; OracleUnavailable when the session's server
        does not answer, OracleRefused when it does not know the token."""
        wanted = file_path(address)
        if self._folder and (found := self._in_folder(wanted)):
            return found
        if self._session:
            return self._fetched(self._session, address, task_id)
        if self._folder:
            raise Missing(f"no file {wanted.name!r} below {self._folder}")
        raise Missing("name the folder of its audio with --audio, or fetch it with --fetch")

    # -- in a folder -------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> dict[str, list[PurePosixPath]]:
        """Paths below the folder, by file name."""
        found: dict[str, list[PurePosixPath]] = {}
        for path in sorted(self._folder.rglob("*")) if self._folder else ():
            if path.is_file():
                inside = PurePosixPath(path.relative_to(self._folder or path).as_posix())
                found.setdefault(path.name, []).append(inside)
        return found

    def _in_folder(self, wanted: PurePosixPath) -> Path | None:
        """The file of that name; of several the one in the folders that fit best."""
        for name in (wanted.name, UPLOADED.sub("", wanted.name)):
            rows = self._files.get(name, [])
            fits = [alike(path.parts[:-1], wanted.parts[:-1]) for path in rows]
            best = [path for path, fit in zip(rows, fits, strict=True) if fit == max(fits)]
            if len(best) > 1:
                told = ", ".join(map(str, best[:3]))
                raise Missing(f"{len(best)} files could be {str(wanted)!r}: {told}")
            if best and self._folder:
                return self._folder / best[0]
        return None

    # -- from a server -----------------------------------------------------------------------------

    def _fetched(self, session: Session, address: str, task_id: str) -> Path:
        name = hashlib.sha256(f"{session.base_url} {address}".encode(errors="replace")).hexdigest()
        target = self._kept / name
        if target.exists():
            return target
        self._kept.mkdir(parents=True, exist_ok=True)
        unfinished = self._kept / f"{name}.{uuid.uuid4().hex}.unfinished"
        try:
            self._download(session, url_of(session.base_url, address, task_id), unfinished)
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
        return target

    def _download(self, session: Session, url: str, path: Path) -> None:
        for longest_s in PAUSES_S:
            try:
                return self._try(session, url, path)
            except _NotYet:
                self._sleep(random.uniform(0, longest_s))
        try:
            return self._try(session, url, path)
        except _NotYet as failed:
            lost = failed.__cause__
            if isinstance(lost, httpx.RequestError) and is_own(session, failed.url):
                raise unreachable(session.base_url, lost) from lost
            if lost:
                self._silent.add(httpx.URL(failed.url).host)
            told = f"no answer ({type(lost).__name__})" if lost else "nothing yet"
            raise Missing(f"{told} from {_shown(failed.url)}, asked several times") from lost

    def _try(self, session: Session, url: str, path: Path) -> None:
        for _ in range(REDIRECTS):
            try:
                if httpx.URL(url).host in self._silent:
                    raise Missing(f"no answer from {httpx.URL(url).host} before")
                with self._get(session, url) as answer:
                    if not answer.has_redirect_location:
                        return _write(session, answer, path, self._most_bytes)
                    url = answer.headers["Location"]
                    url = str(answer.url.join(url))
            except httpx.RequestError as exc:
                raise _NotYet(url) from exc
            except (httpx.InvalidURL, ValueError) as exc:
                raise Missing(f"{_shown(url)!r} is no address") from exc
        raise Missing(f"{_shown(url)} sends us elsewhere again and again")

    def _get(self, session: Session, url: str) -> AbstractContextManager[httpx.Response]:
        return session.stream(url) if is_own(session, url) else self._foreign.stream("GET", url)


class _NotYet(Exception):
    """The file may be there in a moment, at `url`; the cause says what happened, if anything."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def _write(session: Session, answer: httpx.Response, path: Path, most_bytes: int) -> None:
    """The body of a successful answer. Raises Missing, _NotYet, OracleRefused."""
    url = str(answer.url)
    if answer.status_code == 401 and is_own(session, url):
        raise failure(session.base_url, 401, None)
    if answer.status_code in AGAIN:
        raise _NotYet(url)
    if answer.status_code != 200:
        raise Missing(f"{answer.status_code} from {_shown(url)}")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise Missing(f"a web page from {_shown(url)}, and no audio")
    with path.open("wb") as file:
        written = 0
        for part in answer.iter_bytes():
            written += len(part)
            if written > most_bytes:
                raise Missing(f"more than {most_bytes} bytes from {_shown(url)}")
            file.write(part)


def is_own(session: Session, url: str) -> bool:
    """Whether the address is one of the server that the session is logged in to."""
    ours, theirs = httpx.URL(session.base_url), httpx.URL(url)
    return (ours.scheme, ours.host, ours.port) == (theirs.scheme, theirs.host, theirs.port)


def file_path(address: str) -> PurePosixPath:
    """The path of the file that an address is about, without its server. Raises Missing.

    >>> file_path("/data/local-files/?d=calls/7.wav")
    PurePosixPath('calls/7.wav')
    """
    try:
        split = urlsplit(address, allow_fragments=False)
        inside = parse_qs(split.query).get("d") if split.path.endswith("/local-files/") else None
    except ValueError as exc:
        raise Missing(f"{_shown(address)!r} is no address") from exc
    path = PurePosixPath((inside[0] if inside else unquote(split.path)).replace("\\", "/"))
    if not path.name:
        raise Missing(f"{_shown(address)!r} names no file")
    return path


def alike(first: Sequence[str], second: Sequence[str]) -> int:
    """How many parts two paths have in common, from their ends."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count


def url_of(server: str, address: str, task_id: str) -> str:
    """From where the server gives the audio of a task. Raises Missing.

    A bucket's address is resolved by the server, which knows the bucket's credentials.
    """
    scheme, colon, _ = address.partition("://")
    if colon and scheme in {"http", "https"}:
        return address
    if colon:
        encoded = urlsafe_b64encode(address.encode(errors="replace")).decode()
        return f"{server}/tasks/{task_id}/resolve/?fileuri={encoded}"
    if not address.startswith("/"):
        raise Missing(f"{_shown(address)!r} is no address")
    below = urlsplit(server).path
    if below and address.startswith(f"{below}/"):  # a server below a path may say so itself
        server = server.removesuffix(below)
    return server + address


def _shown(url: str) -> str:
    """Without what may be a secret: the query of an address, and who asks; of no address, too."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"(?<=//)[^/]*@", "", bare)[:200]
