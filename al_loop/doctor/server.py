"""The checks of Label Studio: who answers, and whether it lets us work. Changes nothing there.

What is in its projects is looked at in `al_loop.doctor.project`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from al_loop.doctor.check import Check
from al_loop.errors import OracleRefused
from labeling.install import VERSION
from labeling.replies import parse, unreachable
from labeling.session import LOOPBACK, TokenAuth, authorities

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
CLOCKS_MAY_DIFFER = timedelta(minutes=1)
EXPIRES_SOON = timedelta(days=14)


class Server:
    """A Label Studio server, asked directly: once each time, its answers as they come.

    url: as annotators open it. ca_file: certificates of a private authority. transport: what tests
    replace. Raises ConfigError when `ca_file` cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.login = TokenAuth(self.url, token)
        self.is_personal = token.count(".") == 2
        self._token = token
        trust_env = httpx.URL(url).host not in LOOPBACK
        self.http = httpx.Client(
            verify=authorities(ca_file, trust_env),
            timeout=TIMEOUT,
            transport=transport,
            trust_env=trust_env,
        )

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a page, with a login. Raises OracleRefused and OracleUnavailable."""
        return parse(self.ask("GET", path, auth=self.login, params=params))

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """An answer, whatever it is; without a login unless `auth` is given."""
        try:
            return self.http.request(method, self.url + path, **kwargs)
        except httpx.RequestError as exc:
            raise unreachable(self.url, exc) from exc

    def expires_at(self) -> datetime | None:
        """When a personal access token ends, as it says itself; None for any other."""
        if not self.is_personal:
            return None
        try:
            payload = self._token.split(".")[1]
            stated = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return datetime.fromtimestamp(stated["exp"], UTC)
        except (ValueError, KeyError, TypeError, OverflowError, OSError):
            return None


def address(server: Server) -> Check:
    """Whether Label Studio answers, and nobody else in its place. Asks without a login."""
    answer = server.ask("GET", "/health")
    try:
        healthy = answer.is_success and answer.json()["status"] == "UP"
    except (ValueError, KeyError, TypeError):
        healthy = False
    if not healthy:
        return Check(
            "server",
            "failure",
            f"{answer.status_code} from {server.url}/health, without the word UP",
            "check that label_studio.url is Label Studio's own address, not a proxy's login page, "
            "and that its database runs",
        )
    host = httpx.URL(server.url)
    if host.scheme == "http" and host.host not in LOOPBACK:
        return Check(
            "server",
            "warning",
            f"{server.url} answers, unencrypted",
            "the token, the voices and the annotators' passwords can be read on the way: put it "
            "behind https://",
        )
    return Check("server", "ok", f"{server.url} answers")


def version(server: Server) -> Check:
    """Whether it is the version that al_loop is tested with."""
    found = parse(server.ask("GET", "/api/version/"))
    release = found.get("release") if isinstance(found, dict) else None
    if not isinstance(release, str):
        return Check("version", "warning", f"it does not say: {str(found)[:100]}", _tested())
    if release.split(".")[:2] != VERSION.split(".")[:2]:
        return Check("version", "warning", release, _tested())
    return Check("version", "ok", release if release == VERSION else f"{release}; {_tested()}")


def clock(server: Server, now: Callable[[], datetime]) -> Check:
    """Whether both clocks agree: what is new is known by the server's."""
    stated = server.ask("GET", "/health").headers.get("Date")
    try:
        ahead = parsedate_to_datetime(stated) - now()
    except (TypeError, ValueError):
        return Check("clock", "ok", "the server does not tell its time")
    seconds = ahead.total_seconds()
    if abs(ahead) > CLOCKS_MAY_DIFFER:
        return Check(
            "clock",
            "warning",
            f"the server's is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}",
            "set both by NTP: signed addresses, tokens and certificates go by the time, and so "
            "does what is new",
        )
    return Check("clock", "ok", f"the server's differs by {abs(seconds):.0f} s")


def token(server: Server, now: Callable[[], datetime]) -> Check:
    """Whether the token is known, whose it is, and how long it lasts."""
    kind = "personal access token" if server.is_personal else "legacy token"
    try:
        user = server.get("/api/current-user/whoami")
    except OracleRefused as exc:
        legacy_off = "legacy token" in str(exc)
        advice = (
            "make a personal access token (Account & Settings), or allow legacy tokens "
            "(Organization, API Tokens Settings)"
            if legacy_off
            else f"this is a {kind}; copy one anew from Account & Settings of the server"
        )
        return Check("token", "failure", str(exc), advice)
    whose = f"{kind} of {user.get('email', 'somebody')}" if isinstance(user, dict) else kind
    ends = server.expires_at()
    if ends is not None and ends - now() < EXPIRES_SOON:
        return Check(
            "token",
            "warning",
            f"{whose}, ends on {ends:%Y-%m-%d}",
            "make another one in time, or the loop stops that day",
        )
    return Check("token", "ok", whose)


def rights(server: Server, project_id: int | None) -> Check:
    """Whether the token's user may make projects, and change ours. Asks what is allowed (OPTIONS):
    the server then names the changes that it would take from this user."""
    wanted = [("make projects", "/api/projects/", "POST")]
    if project_id is not None:
        # who may replace a project (PUT) may change it
        wanted.append((f"change project {project_id}", f"/api/projects/{project_id}/", "PUT"))
    refused = [
        f"{what} ({status})"
        for what, path, method in wanted
        if (status := _refused(server, path, method))
    ]
    if refused:
        return Check(
            "rights",
            "failure",
            f"the token's user may not {' or '.join(refused)}",
            "use the token of an account that may",
        )
    may = " and ".join(what for what, _, _ in wanted)
    return Check("rights", "ok", f"the token's user may {may}")


def _refused(server: Server, path: str, method: str) -> int | None:
    """The status with which a change is refused; None where it would be taken."""
    answer = server.ask("OPTIONS", path, auth=server.login)
    allowed = answer.is_success and method in (parse(answer) or {}).get("actions", {})
    return None if allowed else answer.status_code


def _tested() -> str:
    return f"al_loop is tested with {VERSION}"
