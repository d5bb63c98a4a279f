"""Audio at addresses, as files: fetched when somebody hears it, and known again without that.

Knows no rows, and no clips. What an address held is remembered by what its server says of it (its
length and time of change, or its tag), so that a second import need not fetch it again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from urllib.parse import urlsplit

from al_loop.addresses import is_http, shown
from al_loop.errors import AudioError, StorageError
from al_loop.objects import Objects, Unwritable
from al_loop.sources.parts import Parts, Place
from al_loop.sources.scratch import Scratch

KEPT_BYTES = 4 * 10**9
"""Of fetched files: lists name recordings' parts in any order. Ours: 35 hours of WAV at 16 kHz."""
SILENT_IN_A_ROW = 5
"""Addresses of a server without an answer, one after the other, after which it is not asked."""
WHOLE: Place = (0, None)


class Fetched:
    """parts: remembers what addresses held. scratch: where files are until they are `close`d.

    kept_bytes: of files, apart from the last one, that are not fetched again.
    """

    def __init__(
        self, objects: Objects, parts: Parts, scratch: Path, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._objects = objects
        self._parts = parts
        self._scratch = Scratch(scratch)
        self._kept_bytes = kept_bytes
        self._files: OrderedDict[str, tuple[Path, int]] = OrderedDict()
        self._held = 0  # bytes
        self._sums: dict[str, str] = {}
        self._answers = 0
        self._silent: dict[str, tuple[int, int]] = {}
        """Of a server: rows without an answer, and the answers of all servers before them."""

    def file(self, address: str) -> Path:
        """Raises AudioError: not_a_file, no_access, unreachable, too_large; StorageError where
        several addresses, one after the other, gave no answer, or the disk takes no file."""
        if address in self._files:
            self._files.move_to_end(address)
            return self._files[address][0]
        self._check(address)
        name = f"{hashlib.sha256(address.encode()).hexdigest()}.audio"
        try:
            path = self._scratch.path(name)
        except OSError as exc:
            raise StorageError(f"no folder can be made for what is fetched: {exc}") from exc
        try:
            size = self._objects.fetch(address, path)
        except FileNotFoundError as exc:
            self._answered(address)
            raise AudioError("not_a_file", str(exc)) from exc
        except PermissionError as exc:
            self._answered(address)
            raise AudioError("no_access", str(exc)) from exc
        except Unwritable:
            raise
        except StorageError as exc:
            raise self._unreachable(address, exc) from exc
        else:
            self._answered(address)
            self._files[address] = path, size
            self._held += size
        finally:
            if address not in self._files:
                path.unlink(missing_ok=True)
        while len(self._files) > 1 and self._held > self._kept_bytes:
            _, (oldest, freed) = self._files.popitem(last=False)
            oldest.unlink(missing_ok=True)
            self._held -= freed
        return path

    def sum(self, address: str) -> str:
        """SHA-256 of what the address holds; fetched where it is not remembered. Raises as `file`
        does."""
        if address not in self._sums:
            if len(self._sums) >= 1000:
                self._sums.clear()
            self._sums[address] = self._sum(address)
        return self._sums[address]

    def told(self, why: AudioError, address: str) -> AudioError:
        """The error with the address in the place of the file that was fetched from it."""
        path, _ = self._files.get(address, (None, 0))
        return (
            why
            if path is None
            else AudioError(why.reason, why.detail.replace(str(path), shown(address)))
        )

    def close(self) -> None:
        """Delete the files."""
        self._files.clear()
        self._held = 0
        self._scratch.close()

    def _sum(self, address: str) -> str:
        self._check(address)
        try:
            stamp = self._objects.stamp(address)
        except (FileNotFoundError, PermissionError):  # whoever fetches it says so
            stamp = None
        except StorageError as exc:
            raise self._unreachable(address, exc) from exc
        key = hashlib.sha256(f"{shown(address)}\n{stamp}".encode()).hexdigest()
        known = self._parts.utterance_id(key, WHOLE) if stamp is not None else None
        if known is not None:
            self._answered(address)
            return known
        with self.file(address).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if stamp is not None:
            self._parts.put(key, WHOLE, found)
        return found

    # -- servers that do not answer ---------------------------------------------------------------

    def _answered(self, address: str) -> None:
        self._answers += 1
        self._silent.pop(_server(address), None)

    def _unreachable(self, address: str, why: StorageError) -> AudioError:
        server = _server(address)
        count, before = self._silent.get(server, (0, self._answers))
        self._silent[server] = count + 1, before
        if count + 1 >= SILENT_IN_A_ROW and self._answers == before:
            raise why  # nobody else has answered meanwhile: it may well be our own network
        return AudioError("unreachable", str(why))

    def _check(self, address: str) -> None:
        """Raises AudioError where the server is not asked any more."""
        if self._silent.get(_server(address), (0, 0))[0] >= SILENT_IN_A_ROW:
            raise AudioError(
                "unreachable",
                f"not asked for {shown(address)}: {SILENT_IN_A_ROW} times in a row its server gave "
                "no answer, while others did; call again when it is back",
            )


def _server(address: str) -> str:
    """All buckets of a kind are at one endpoint."""
    return urlsplit(address).netloc if is_http(address) else address.partition("://")[0]
