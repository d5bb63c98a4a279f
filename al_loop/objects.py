"""Objects at addresses: fetched, brought, looked for. Knows no clips, no rows and no workspace.

`s3://` and `gs://` through fsspec on PyArrow's file systems, which every installation has: s3fs
wants a botocore of its own, beside boto3's. `http(s)://` through httpx, for fsspec's reader would
bring aiohttp; `memory://` is fsspec's, for tests. Credentials come from the environment alone, or
from the machine's role, and are in no setting, message or address.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from al_loop.addresses import is_http, shown
from al_loop.errors import AudioError, StorageError
from al_loop.web import ANSWER_S, CONNECT_S, PAUSES_S, parts_of, stamp_of

DEFAULT_REGION = "us-east-1"
PART = 2**20
"""Bytes of a bucket's object that are read at once."""
MOST_BYTES, MOST_S = 10**10, 3600.0
"""Of an object, and of fetching it. Ours: a day of speech as WAV is a third of that, and a body
without an end would fill the disk."""
ATTEMPTS = 1 + len(PAUSES_S)
REFUSED = re.compile(
    r"ACCESS_DENIED|ACCESS_KEY|SIGNATURE|TOKEN|EXPIRED|UNRECOGNIZED_CLIENT|PERMISSION_DENIED"
    r"|UNAUTHENTICATED|HTTP status 40[13]"
)
"""In what Arrow tells of S3's and Google's refusals."""
CODE = re.compile(r"AWS Error ([A-Z_]+(?: \(HTTP status \d+\))?)|Status\(([A-Z_]+)")


class Unwritable(StorageError):
    """What was fetched cannot be written to this machine's disk."""


class Objects:
    """endpoint: of an S3-compatible or Google-compatible server; None: Amazon's, Google's, or the
    one in AWS_ENDPOINT_URL. most_bytes, most_s: of one object, and of fetching it.

    Holds no connection, so it can be sent to other processes. Every method may raise
    FileNotFoundError, PermissionError, and StorageError where nobody answers, in words for users.
    What fetches raises AudioError, too_large, where an object or its fetching is beyond bounds.
    """

    def __init__(
        self, endpoint: str | None = None, most_bytes: int = MOST_BYTES, most_s: float = MOST_S
    ) -> None:
        self.endpoint = endpoint
        self._most = most_bytes, most_s

    def fetch(self, address: str, target: Path) -> int:
        """Write the object into a file; how many bytes it has. A kill leaves part of the file.

        Raises Unwritable, too.
        """
        written = 0
        with _written(target):
            file = target.open("wb")
        try:
            for part in self._parts(address):
                with _written(target):
                    written += file.write(part)
            with _written(target):
                file.flush()
        finally:
            with suppress(OSError):  # which writing has raised before
                file.close()
        return written

    def read(self, address: str) -> bytes:
        return b"".join(self._parts(address))

    def size(self, address: str) -> int | None:
        """How many bytes an object of a bucket has; None where there is none."""
        with self._told(address):
            try:
                size: int = self._bucket(address).info(_key(address))["size"]
            except FileNotFoundError:
                return None
        return size

    def stamp(self, address: str) -> str | None:
        """What changes when the object does, without fetching it; None: its server does not say.

        Of a bucket's object its length and time of change, which is known to the second.
        """
        if is_http(address):
            return stamp_of(address)
        with self._told(address):
            found = self._bucket(address).info(_key(address))
        changed = found.get("mtime") or found.get("created")
        return f"{found['size']} {changed}" if changed else None

    def put(self, address: str, data: bytes) -> None:
        """Bring an object to a bucket: it is there whole, or not at all."""
        with self._told(address):
            self._bucket(address).pipe_file(_key(address), data)

    def _parts(self, address: str) -> Iterator[bytes]:
        (most_bytes, most_s), read, began = self._most, 0, time.monotonic()
        for part in self._all_parts(address):
            read += len(part)
            if read > most_bytes or time.monotonic() - began > most_s:
                raise AudioError(
                    "too_large",
                    f"{shown(address)}: more than {most_bytes / 1e9:g} GB, or more than "
                    f"{most_s / 60:g} minutes of fetching; if it is audio, fetch it by hand, part "
                    "it and name the files",
                )
            yield part

    def _all_parts(self, address: str) -> Iterator[bytes]:
        if is_http(address):
            yield from parts_of(address)
            return
        read = 0
        with self._told(address):
            file = self._bucket(address).open(_key(address), "rb")
        try:
            while True:
                with self._told(address):
                    part = file.read(PART)
                    if not part and read < (file.size or 0):
                        raise OSError(f"breaks off after {read} of {file.size} bytes")
                if not part:
                    return
                read += len(part)
                yield part
        finally:
            file.close()

    def _bucket(self, address: str) -> Any:
        scheme, _, rest = address.partition("://")
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
        given = tuple(os.environ.get(name, "").strip() for name in (*names, "AWS_DEFAULT_REGION"))
        if scheme == "s3" and bool(given[0]) != bool(given[1]):
            there, missing = names[:2] if given[0] else names[1::-1]
            raise PermissionError(f"{there} is set, and {missing} is not")
        return _file_system(scheme, rest.partition("/")[0], self.endpoint, given, os.getpid())

    @contextmanager
    def _told(self, address: str) -> Iterator[None]:
        """The errors of fsspec and Arrow as ours."""
        try:
            yield
        except FileNotFoundError as exc:
            raise FileNotFoundError(f"there is no object {shown(address)}") from exc
        except PermissionError as exc:
            raise _refused(address, str(exc)) from exc
        except ValueError as exc:  # also Arrow's ArrowInvalid
            raise FileNotFoundError(f"{shown(address)} names no object: {exc}") from exc
        except OSError as exc:
            if "Not a regular file" in str(exc):
                raise FileNotFoundError(f"{shown(address)} is a folder, and no object") from exc
            code = CODE.search(str(exc))
            told = next(filter(None, code.groups())) if code else f"{type(exc).__name__}: {exc}"
            if told == "NO_SUCH_BUCKET":
                raise FileNotFoundError(f"there is no bucket for {shown(address)}") from exc
            if REFUSED.search(told):
                raise _refused(address, told) from exc
            server = self.endpoint or "its server"
            raise StorageError(
                f"no answer for {shown(address)} from {server} ({told}); check that it runs and "
                "is reached from this machine (audio.endpoint, AWS_ENDPOINT_URL), and call again: "
                "what is done is kept"
            ) from exc


@contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise Unwritable(
            f"{target.parent} cannot be written to ({exc.strerror or exc}); make room there, or "
            "see to its rights, and call again: what is done is kept"
        ) from exc


@lru_cache(maxsize=16)
def _file_system(
    scheme: str, bucket: str, endpoint: str | None, given: tuple[str, ...], process: int
) -> Any:
    """fsspec's file system of a bucket. given: of the environment; process: each has its own."""
    import fsspec

    if scheme == "memory":
        return fsspec.filesystem("memory")
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    where = _endpoint(endpoint)
    if scheme == "gs":
        patience = timedelta(seconds=ANSWER_S)
        return ArrowFSWrapper(fs.GcsFileSystem(retry_time_limit=patience, **where))
    key_id, secret, session_token, *regions = given
    region = next(filter(None, regions), None)
    if region is None:
        at_amazon = endpoint is None and not os.environ.get("AWS_ENDPOINT_URL")
        region = fs.resolve_s3_region(bucket) if at_amazon else DEFAULT_REGION
    return ArrowFSWrapper(
        fs.S3FileSystem(
            access_key=key_id or None,  # none: the machine's role
            secret_key=secret or None,
            session_token=session_token or None,
            region=region,
            connect_timeout=CONNECT_S,
            request_timeout=ANSWER_S,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
            default_metadata={"Content-Type": "audio/flac"},
            background_writes=False,
            allow_delayed_open=True,  # a clip is one request
            tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE") or None,
            **where,
        )
    )


def _endpoint(endpoint: str | None) -> dict[str, str]:
    if endpoint is None:
        return {}
    parts = urlsplit(endpoint)
    return {"endpoint_override": parts.netloc, "scheme": parts.scheme}


def _key(address: str) -> str:
    """As fsspec's file systems take it: the bucket and the key."""
    return address.partition("://")[2]


def _refused(address: str, told: str) -> PermissionError:
    return PermissionError(
        f"{shown(address)} is refused ({told}): credentials come from the environment "
        "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS), and must "
        "be allowed to read, write and list there"
    )
