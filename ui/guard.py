"""What every request to the dashboard's server passes before Streamlit sees it.

The guard closes what the dashboard does not use (uploads, metrics), sends headers that keep the
page out of frames, and with `access = "password"` answers with a form whatever is asked for without
a ticket: pages, the connection that draws them, audio. Knows neither the workspace nor a view.
"""

from __future__ import annotations

import html
import math
import re
import time
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import streamlit as st
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from al_loop.config import DashboardSettings
from ui.access import COOKIE, Attempts, is_loopback, is_password, is_ticket, ticket
from ui.language import LANGUAGES, Language, Say

HEALTH = "/_stcore/health"
"""Answered to everybody: it says that the server runs, and nothing else."""
CLOSED = ("/_stcore/upload_file", "/_stcore/metrics", "/_stcore/agent")
"""What the dashboard has no use for: uploads would fill the memory, the others tell of readers."""
HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' {inline}; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""What the dashboard's pages may load: nothing from elsewhere, and no script but Streamlit's own.
Vega compiles its expressions, which is why code may be evaluated."""
FORM_BYTES = 4096
"""A longer form is no password."""
PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif }}
main {{ display: grid; place-items: center; min-height: 90vh }}
form {{ display: grid; gap: .75rem; width: min(20rem, 90vw) }}
input, button {{ font: inherit; padding: .5rem }}
</style></head><body><main><form method="post">
<h1>{title}</h1>
<label for="password">{password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
autofocus{described}>
{problem}
<button>{enter}</button>
</form></main></body></html>
"""
FORM_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)


class Guard:
    """What every request passes, whatever serves it then."""

    def __init__(self, app: ASGIApp, settings: DashboardSettings) -> None:
        self.app = app
        self.settings = settings
        self.attempts = Attempts()
        policy = POLICY.format(inline=" ".join(map(_digest, _inline_scripts())))
        self.headers = HEADERS | {"Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if any(place in scope["path"] for place in CLOSED):
            await _refuse(scope, receive, send, PlainTextResponse("not found", 404))
        elif refused := self._is_of_another_site(connection):
            await _refuse(scope, receive, send, PlainTextResponse(refused, 403))
        elif self._may_pass(scope):
            await self.app(scope, receive, _with_headers(send, self.headers.items()))
        elif scope["type"] == "websocket":
            await _refuse(scope, receive, send, PlainTextResponse("log in first", 401))
        else:
            response = await self._ask(Request(scope, receive))
            await _refuse(scope, receive, send, response)

    def _is_of_another_site(self, connection: HTTPConnection) -> str | None:
        """Why not, where a page of another site asks: by a connection of its own, or by a name
        that leads here although it is not this machine's (DNS rebinding)."""
        host = connection.headers.get("host", "")
        origin = connection.headers.get("origin")
        if connection.scope["type"] == "websocket" and origin and urlsplit(origin).netloc != host:
            return f"a page of {origin} may not connect to {host}"
        if self.settings.access == "open" and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return (
                f'{host} is not this machine: with dashboard.access = "open" the dashboard answers '
                'to localhost alone; set it to "password", "oidc" or "proxy"'
            )
        return None

    def _may_pass(self, scope: Scope) -> bool:
        if self.settings.access != "password" or scope["path"].endswith(HEALTH):
            return True
        return is_ticket(HTTPConnection(scope).cookies.get(COOKIE, ""), time.time())

    async def _ask(self, request: Request) -> Response:
        """The form; or the way to what was asked for, where it brings the password."""
        if request.method != "POST":
            return self._form(request, 401)
        given = await _given(request)
        # from here on nothing is awaited, so that attempts made at once are counted one by one
        address = request.client.host if request.client else ""
        if wait_s := self.attempts.wait_s(address):
            return self._form(request, 429, "wait", math.ceil(wait_s))
        right = is_password(given)
        self.attempts.note(address, right)
        if not right:
            return self._form(request, 401, "wrong")
        # relative, so that it leads to no other site, whatever the path looks like
        response = RedirectResponse(f"?{request.url.query}", 303)
        response.set_cookie(
            COOKIE,
            ticket(time.time()),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    def _form(
        self, request: Request, status: int, problem: str | None = None, seconds: int = 0
    ) -> Response:
        say = Say(_language(request, self.settings.language))
        problems = {"wrong": say("access.wrong"), "wait": say("access.wait", seconds=seconds)}
        shown = (
            f'<p id="problem" role="alert">{html.escape(problems[problem])}</p>' if problem else ""
        )
        page = PAGE.format(
            language=say.language,
            title=html.escape(say("access.title")),
            password=html.escape(say("access.password")),
            enter=html.escape(say("access.enter")),
            described=' aria-describedby="problem"' if problem else "",
            problem=shown,
        )
        headers = {"Content-Security-Policy": FORM_POLICY, "Cache-Control": "no-store"}
        if seconds:
            headers["Retry-After"] = str(seconds)
        return HTMLResponse(page, status, headers)


def _language(request: Request, at_first: Language) -> Language:
    wanted = request.query_params.get("language")
    return next((language for language in LANGUAGES if language == wanted), at_first)


def _inline_scripts() -> list[str]:
    """Those in the one page that Streamlit serves."""
    page = Path(st.__file__).with_name("static") / "index.html"
    return re.findall(r"<script>(.*?)</script>", page.read_text(encoding="utf-8"), re.DOTALL)


def _digest(script: str) -> str:
    """What allows this very script, as browsers compute it."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


async def _given(request: Request) -> str:
    """The password of a form; empty where there is none, or the form is too long to be one."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]


async def _refuse(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    if scope["type"] == "websocket":
        await receive()  # its opening
        await send({"type": "websocket.close", "code": 1008})
        return
    await response(scope, receive, _with_headers(send, HEADERS.items()))


def _with_headers(send: Send, headers: Iterable[tuple[str, str]]) -> Send:
    added = [(name.lower().encode(), value.encode()) for name, value in headers]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return sending
