"""HTTP to one Label Studio server: who we are, when we try again, and what we make of its answers.

Reads are tried again while the server is unavailable, with pauses that grow and vary; a change is
tried once, for a lost answer may hide a success, unless the server says that it did nothing (429).
Whatever it does, a call ends: see PATIENCE_S and LONGEST_ANSWER_S; a file may take longer.
Certificates are always verified. Importing this module loads httpx only; the vendor's SDK takes up
to 1.4 s and is imported by who asks for it. Knows nothing of projects, tasks or annotations.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from al_loop.errors import ConfigError, OracleUnavailable
from labeling.replies import (
    Busy,
    TurnedAway,
    failure,
    parse,
    server_time,
    unreachable,
    unreadable,
)

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

PAUSES_S = (1.0, 2.0, 4.0, 8.0)
"""Pauses between the attempts, each drawn from 0 to this: clients that failed together should not
come back together ("full jitter", Exponential Backoff And Jitter, AWS Architecture Blog, 2015)."""
LONGEST_PAUSE_S = 30.0
"""A server that asks for a longer pause (Retry-After) is left alone until the next call."""
PATIENCE_S = 120.0
"""So long after the first attempt, none begins."""
LONGEST_ANSWER_S = 120.0
"""A body that is not there by then is given up, though it trickles on."""
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
"""Of silence: each part of an answer may take so long. An import of a chunk takes seconds."""


LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class TokenAuth(httpx.Auth):
    """Logs in with a legacy token, or with a personal access token.

    The latter is a JWT that buys access tokens of five minutes; a 401 tells that one has run out.
    Reads no bodies but those of its own requests: others may be long (`Session.stream`).
    """

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._token = token
        self._is_personal = token.count(".") == 2
        self._access: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._is_personal:
            request.headers["Authorization"] = f"Token {self._token}"
            yield request
            return
        is_fresh = self._access is None
        if is_fresh:
            yield from self._refresh()
        request.headers["Authorization"] = f"Bearer {self._access}"
        response = yield request
        if response.status_code == 401 and not is_fresh:
            yield from self._refresh()
            request.headers["Authorization"] = f"Bearer {self._access}"
            yield request

    def _refresh(self) -> Generator[httpx.Request, httpx.Response, None]:
        url = f"{self._base_url}/api/token/refresh/"
        response = yield httpx.Request("POST", url, json={"refresh": self._token})
        response.read()
        answer = parse(response)
        access = answer.get("access") if isinstance(answer, dict) else None
        if not isinstance(access, str) or not access.isascii() or not access.isprintable():
            raise unreadable(self._base_url, "an answer without an access token")
        self._access = access


class Session:
    """A logged-in connection to the server at `base_url` (http:// or https://, a path allowed).

    token: a legacy token or a personal access token; it appears in no message and no repr.
    ca_file: certificates of a private authority, which is believed besides the public ones.
    transport, sleep, clock: what tests replace.
    server_time: in UTC, as its last answer says; None as long as none does.
    Raises ConfigError when `base_url` is no web address, or `ca_file` holds no certificates.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        ca_file: Path | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.server_time: datetime | None = None
        self._sleep = sleep
        self._clock = clock
        # A proxy named in the environment cannot reach a server on this machine.
        trust_env = _host(base_url) not in LOOPBACK
        self._http = httpx.Client(
            auth=TokenAuth(self.base_url, token),
            timeout=TIMEOUT,
            transport=transport,
            trust_env=trust_env,
            verify=authorities(ca_file, trust_env),
            event_hooks={"response": [self._bound]},
        )

    def ready(self) -> None:
        """Return if the server answers and knows the token; raise OracleError otherwise."""
        self.get("/api/current-user/whoami")

    def get(self, path: str, **params: Any) -> Any:
        """Parsed JSON of a read, tried again while the server is unavailable.

        Raises OracleUnavailable when the last attempt failed, OracleRefused at once.
        """
        return self._insist(OracleUnavailable, "GET", path, params=params)

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """Parsed JSON of one attempt that was not turned away."""
        return self._insist(TurnedAway, "POST", path, json=body, params=params)

    def patch(self, path: str, body: Any) -> Any:
        """Parsed JSON of one attempt that was not turned away."""
        return self._insist(TurnedAway, "PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """Parsed JSON of one attempt that was not turned away; None, as a rule."""
        return self._insist(TurnedAway, "DELETE", path)

    @contextmanager
    def stream(self, url: str) -> Iterator[httpx.Response]:
        """One attempt to read an address of the server, with the login, whose body is not read yet.

        It may go on for as long as it takes: only silence ends it (TIMEOUT). How many bytes of it
        are taken is for the caller to limit. Raises httpx.RequestError, and OracleError where a
        personal access token buys nothing.
        """
        with self._http.stream("GET", url) as response:
            if isinstance(response.stream, _Bounded):
                response.stream = response.stream.unbounded
            yield response

    @contextmanager
    def sdk(self) -> Iterator[LabelStudio]:
        """The vendor's SDK on this session's connection; its errors leave as OracleError."""
        from label_studio_sdk import LabelStudio
        from label_studio_sdk.core.api_error import ApiError
        from label_studio_sdk.core.parse_error import ParsingError

        try:
            yield LabelStudio(
                base_url=self.base_url,
                api_key="see TokenAuth",  # a placeholder: our auth writes the header after the SDK
                httpx_client=self._http,
                max_retries=0,  # the SDK would repeat a change whose answer was lost
            )
        except ApiError as exc:
            raise failure(self.base_url, exc.status_code or 0, exc.body) from exc
        except ParsingError as exc:
            raise unreadable(self.base_url, "JSON of an unexpected shape") from exc
        except httpx.RequestError as exc:
            raise unreachable(self.base_url, exc) from exc

    def _insist(self, on: type[OracleUnavailable], method: str, path: str, **kwargs: Any) -> Any:
        """Parsed JSON of the first attempt that ends otherwise than with an error of kind `on`."""
        began = self._clock()
        for longest_s in PAUSES_S:
            try:
                return self._request(method, path, **kwargs)
            except on as exc:
                asked_s = exc.retry_after_s if isinstance(exc, Busy) else 0.0
                pause_s = asked_s + random.uniform(0, longest_s)
                if asked_s > LONGEST_PAUSE_S or self._clock() + pause_s > began + PATIENCE_S:
                    raise
            self._sleep(pause_s)
        return self._request(method, path, **kwargs)

    def _request(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            return parse(self._http.request(method, self.base_url + path, **kwargs))
        except httpx.RequestError as exc:
            raise unreachable(self.base_url, exc) from exc

    def _bound(self, response: httpx.Response) -> None:
        if not isinstance(response.stream, httpx.SyncByteStream):
            raise TypeError(f"the transport gives a {type(response.stream).__name__}")
        self.server_time = server_time(response) or self.server_time
        response.stream = _Bounded(response.stream, self._clock)


class _Bounded(httpx.SyncByteStream):
    """A body that ends in time: httpx itself waits for ever for one that trickles."""

    def __init__(self, stream: httpx.SyncByteStream, clock: Callable[[], float]) -> None:
        self.unbounded = stream
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        until = self._clock() + LONGEST_ANSWER_S
        for part in self.unbounded:
            yield part
            if self._clock() > until:
                raise httpx.ReadTimeout(f"its answer went on for {LONGEST_ANSWER_S:.0f} s")

    def close(self) -> None:
        self.unbounded.close()


def _host(base_url: str) -> str:
    try:
        address = httpx.URL(base_url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host:
        raise ConfigError(
            f"label_studio.url is {base_url!r}; expected an address, http://… or https://…"
        )
    return address.host


def authorities(ca_file: Path | None, trust_env: bool) -> ssl.SSLContext:
    """Whose certificates are believed: the public authorities', and those in `ca_file`.

    Raises ConfigError for a file without any.
    """
    context = httpx.create_ssl_context(trust_env=trust_env)
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            reason = getattr(exc, "reason", None) or getattr(exc, "strerror", None) or exc
            raise ConfigError(
                f"label_studio.ca_file: cannot read certificates from {ca_file} ({reason}); "
                "expected a file in PEM form, which begins with -----BEGIN CERTIFICATE-----"
            ) from exc
    return context
