"""Label Studio's webhooks: each call is a hint that a pull would find something.

A webhook keeps the annotator's page waiting for its answer, a second at most. It is sent once, and
signed by nobody. So a call is answered at once, nothing that it says is believed, and calls that
come together are one hint; what a call that was lost would have brought, the next poll brings.

    Bell       when the hints that came are to be acted upon
    Receiver   answers the calls that name the secret path, and rings the bell
    attend     acts upon hints, one at a time, for ever

Knows neither what is done upon a hint nor who has it called; see `labeling.webhooks`.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from al_loop.errors import AlLoopError, ConfigError, OracleError, OracleUnavailable

LONGEST_BODY = 1 << 20
"""Bytes that are read and thrown away; without its payload a call has fewer than a hundred."""

CALLS_AT_ONCE = 32
CALL_TIMEOUT_S = 5.0
CHECK_S = 600.0
"""Between two looks at the webhooks: somebody may have changed or disabled them."""

RETRY_S = 60.0
LONGEST_RETRY_S = 900.0


def secret_of(path: Path) -> str:
    """The secret in the file at `path`, which is made when it is not there yet.

    Raises ConfigError when others may read it, or when it holds no secret of ours.
    """
    try:
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(f"{path} has mode {mode:04o}, others may read it; run `chmod 600 {path}`")
    secret = path.read_text(encoding="ascii", errors="replace").strip()
    if len(secret) < 32 or not secret.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(
            f"{path} holds {len(secret)} characters that are no secret of ours; delete it, and a "
            "new one of 43 letters and digits is made"
        )
    return secret


class Bell:
    """Rings that come in bursts count as one.

    Due `quiet_s` after the last of them, and at the latest `latest_s` after the first.
    """

    def __init__(
        self, quiet_s: float, latest_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._quiet_s, self._latest_s, self._clock = quiet_s, latest_s, clock
        self._changed = threading.Condition()
        self._first: float | None = None
        self._last = 0.0

    def ring(self) -> None:
        with self._changed:
            self._last = self._clock()
            if self._first is None:
                self._first = self._last
            self._changed.notify()

    def due_in(self) -> float | None:
        """Seconds until something is to be done: 0 when it is late; None when nobody rang."""
        if self._first is None:
            return None
        due = min(self._last + self._quiet_s, self._first + self._latest_s)
        return max(0.0, due - self._clock())

    def wait(self, limit_s: float) -> bool:
        """Return when what rang is due, and forget it; False when `limit_s` have passed first."""
        end = self._clock() + limit_s
        with self._changed:
            while (pause_s := self.due_in()) != 0.0:
                left_s = end - self._clock()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s if pause_s is None else min(left_s, pause_s))
            self._first = None
            return True


class Receiver(ThreadingHTTPServer):
    """Answers 204 to a POST to `/<secret>`, and calls `ring`; 404 to any other path.

    A body is thrown away unread by anybody, an endless one is cut off. Nothing is logged: what
    there is to log holds the secret. Raises AlLoopError when the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = 4 * CALLS_AT_ONCE  # with a full queue callers would wait for seconds

    def __init__(self, host: str, port: int, secret: str, ring: Callable[[], None]) -> None:
        self.expected = f"/{secret}".encode()
        self.ring = ring
        self._free = threading.BoundedSemaphore(CALLS_AT_ONCE)
        try:
            super().__init__((host, port), _Call)
        except (OSError, OverflowError) as exc:
            raise AlLoopError(
                f"cannot listen on {host}:{port} ({exc}); name another address with --host, or "
                "another port with --port"
            ) from exc

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answers calls while the block runs."""
        thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a caller that hung up


class _Call(BaseHTTPRequestHandler):
    server: Receiver
    timeout = CALL_TIMEOUT_S
    server_version, sys_version = "al_loop", ""

    def do_POST(self) -> None:
        if not hmac.compare_digest(self.path.encode("utf-8", "replace"), self.server.expected):
            self._answer(HTTPStatus.NOT_FOUND)
            return
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self._answer(HTTPStatus.LENGTH_REQUIRED)
        elif len(length) > 9 or int(length) > LONGEST_BODY:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self.rfile.read(int(length))  # or the answer might be lost with the connection
            self.server.ring()
            self._answer(HTTPStatus.NO_CONTENT)

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def attend(
    bell: Bell, act: Callable[[], bool], check: Callable[[], None], say: Callable[[str], None]
) -> None:
    """Call `act` whenever the bell is due, and `check` afterwards and now and then; for ever.

    What nobody heard before this was called is acted upon first. `act` says whether it could do
    its work; if not, it is called again after a minute, then two, and so on, and after the next
    ring in any case. Raises OracleRefused when `check` does before it ever succeeded; its later
    errors are said.
    """
    bell.ring()
    failures, checked = 0, False
    while True:
        pause_s = min(RETRY_S * 2 ** (failures - 1), LONGEST_RETRY_S) if failures else CHECK_S
        if bell.wait(pause_s) or failures:
            failures = 0 if act() else failures + 1
        try:
            check()
            checked = True
        except OracleError as exc:
            if not checked and not isinstance(exc, OracleUnavailable):
                raise
            say(str(exc))
