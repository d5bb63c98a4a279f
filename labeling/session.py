"""HTTP to one Label Studio server: who we are, when we try again, and what its errors mean.

Reads go through `Session.get`: raw JSON, tried again while the server is busy. Changes to projects
go through the vendor's SDK (`Session.sdk`), over the same connection and the same login. Importing
this module loads httpx only; the SDK takes up to 1.4 s and is imported where it is used, so that a
round that merely waits stays quick. Knows nothing of projects, tasks or annotations.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from al_loop.errors import ConfigError, OracleError, OracleRefused, OracleUnavailable

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

PAUSES_S = (0.5, 1.0, 2.0)
"""Pauses between the attempts of one read, each varied by half so that clients do not march."""

TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class TokenAuth(httpx.Auth):
    """Logs in with a legacy token, or with a personal access token.

    The latter is a JWT that buys access tokens of five minutes; a 401 tells that one has run out.
    """

    requires_response_body = True

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
        answer = parse((yield httpx.Request("POST", url, json={"refresh": self._token})))
        try:
            self._access = answer["access"]
        except (KeyError, TypeError) as exc:
            raise unreadable(self._base_url, "an answer without an access token") from exc


class Session:
    """A logged-in connection to the server at `base_url` (http:// or https://, a path allowed).

    token: a legacy token or a personal access token; it appears in no message and no repr.
    transport, sleep: what tests replace.
    Raises ConfigError when `base_url` is no web address.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"label_studio.url is {base_url!r}; expected an address, http://… or https://…"
            )
        self.base_url = base_url.rstrip("/")
        self._sleep = sleep
        self._http = httpx.Client(
            auth=TokenAuth(self.base_url, token),
            timeout=TIMEOUT,
            transport=transport,
            # A proxy named in the environment cannot reach a server on this machine.
            trust_env=httpx.URL(base_url).host not in {"127.0.0.1", "localhost", "::1"},
        )

    def ready(self) -> None:
        """Return if the server answers and knows the token; raise OracleError otherwise."""
        self.get("/api/current-user/whoami")

    def get(self, path: str, **params: Any) -> Any:
        """Parsed JSON of a read, tried `len(PAUSES_S) + 1` times while the server is unavailable.

        Raises OracleUnavailable when the last attempt failed, OracleRefused at once.
        """
        for pause_s in PAUSES_S:
            try:
                return self._request("GET", path, params=params)
            except OracleUnavailable:
                self._sleep(pause_s * random.uniform(0.5, 1.5))
        return self._request("GET", path, params=params)

    def post(self, path: str, body: Any = None) -> Any:
        """Parsed JSON of one attempt: a lost answer may hide a success, so no second one."""
        return self._request("POST", path, json=body)

    def patch(self, path: str, body: Any) -> Any:
        """Parsed JSON of one attempt."""
        return self._request("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """Parsed JSON of one attempt; None, as a rule."""
        return self._request("DELETE", path)

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
                max_retries=0,  # the SDK would repeat an import whose answer was lost
            )
        except ApiError as exc:
            raise failure(self.base_url, exc.status_code or 0, exc.body) from exc
        except ParsingError as exc:
            raise unreadable(self.base_url, "JSON of an unexpected shape") from exc
        except httpx.RequestError as exc:
            raise unreachable(self.base_url, exc) from exc

    def _request(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            return parse(self._http.request(method, self.base_url + path, **kwargs))
        except httpx.RequestError as exc:
            raise unreachable(self.base_url, exc) from exc


def parse(response: httpx.Response) -> Any:
    """The JSON of a successful response (None where it has no body); OracleError otherwise."""
    server = f"{response.url.scheme}://{response.url.netloc.decode()}"
    try:
        body = response.json() if response.content else None
    except ValueError as exc:
        if response.is_success:
            raise unreadable(server, "a page that is not JSON, or half of one") from exc
        body = None
    if not response.is_success:
        raise failure(server, response.status_code, body)
    return body


def failure(server: str, status: int, body: Any) -> OracleError:
    """The error that stands for an unsuccessful status; `body` is the server's JSON, if any."""
    said = f"{status} from Label Studio at {server}{_detail(body)}"
    if status in {408, 429} or status >= 500:
        return OracleUnavailable(f"{said}; it is overloaded or broken: try again later")
    if status < 300:
        return unreadable(server, "a page that is not JSON, or half of one")
    advice = {
        401: "it does not know the token; expected a legacy or a personal access token of that "
        "server, see AL_LOOP_LABEL_STUDIO_TOKEN and label_studio.token_file",
        403: "the token's user lacks the rights; use an account that may change the project",
        404: "it has no such page or project; check label_studio.url, and whether it was deleted",
    }
    if status < 400:
        return OracleRefused(
            f"{said}; it sends us elsewhere: set label_studio.url to its final address"
        )
    return OracleRefused(f"{said}; {advice.get(status, 'it does not accept the request')}")


def unreachable(server: str, exc: httpx.RequestError) -> OracleUnavailable:
    """The error that stands for a connection that was refused, cut, too slow or garbled."""
    return OracleUnavailable(
        f"no answer from Label Studio at {server} ({type(exc).__name__}: {exc}); "
        "check that it runs and that label_studio.url is right"
    )


def unreadable(server: str, what: str) -> OracleUnavailable:
    """The error that stands for an answer that is no JSON, or JSON of the wrong shape."""
    return OracleUnavailable(
        f"Label Studio at {server} answered with {what}, not with the JSON that was asked for; "
        "check that label_studio.url is its own address, not that of a proxy's login page"
    )


def _detail(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    said = [str(body[key]) for key in ("detail", "validation_errors") if body.get(key)]
    return f" ({'; '.join(said)[:500]})" if said else ""
