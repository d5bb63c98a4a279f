"""What the server's replies mean: JSON that can be used, or the error that names what to do.

The one place where the vendor's and httpx's errors become ours. Pure but for the clock that a
Retry-After date is compared with. Knows nothing of connections, projects or tasks.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from al_loop.errors import OracleError, OracleRefused, OracleUnavailable


class Busy(OracleUnavailable):
    """The server cannot answer at the moment; it asks to be left alone for `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TurnedAway(Busy):
    """429: it has not even begun, so that a change may be tried again."""


class NotThere(OracleRefused):
    """404: what was asked for was deleted, or never was."""


def parse(response: httpx.Response) -> Any:
    """The JSON of a successful response (None where it has no body); OracleError otherwise."""
    server = f"{response.url.scheme}://{response.url.netloc.decode()}"
    try:
        body = response.json() if response.content else None
    except (ValueError, RecursionError) as exc:
        if response.is_success:
            raise unreadable(server, "a page that is not JSON, or half of one") from exc
        body = None
    if not response.is_success:
        asked = _retry_after_s(response.headers.get("Retry-After"))
        raise failure(server, response.status_code, body, asked)
    return body


def server_time(response: httpx.Response) -> datetime | None:
    """By the clock of whoever answered, in UTC to the second; None where it does not say."""
    return _date(response.headers.get("Date", ""))


def failure(server: str, status: int, body: Any, retry_after_s: float = 0.0) -> OracleError:
    """The error that stands for an unsuccessful status; `body` is the server's JSON, if any."""
    said = f"{status} from Label Studio at {server}{_detail(body)}"
    if status in {408, 429} or status >= 500:
        message = f"{said}; it is overloaded or broken: try again later"
        if retry_after_s:
            message += f", in {retry_after_s:.0f} s as it asks"
        return (TurnedAway if status == 429 else Busy)(message, retry_after_s)
    if status < 300:
        return unreadable(server, "a page that is not JSON, or half of one")
    if status < 400:
        return OracleRefused(
            f"{said}; it sends us elsewhere: set label_studio.url to its final address"
        )
    advice = {
        401: "it does not know the token; expected a legacy or a personal access token of that "
        "server, see AL_LOOP_LABEL_STUDIO_TOKEN and label_studio.token_file",
        403: "the token's user lacks the rights; use an account that may change the project",
        404: "it has no such page or project; check label_studio.url, and whether it was deleted",
        413: "something in front of it takes no bodies of that size; let it take 1 MB",
    }
    kind = NotThere if status == 404 else OracleRefused
    return kind(f"{said}; {advice.get(status, 'it does not accept the request')}")


def unreachable(server: str, exc: httpx.RequestError) -> OracleError:
    """The error that stands for a connection that was refused, cut, too slow or garbled."""
    if untrusted := _certificate_error(exc):
        return OracleRefused(
            f"the certificate of Label Studio at {server} is not to be trusted "
            f"({untrusted.verify_message}); if a private authority issued it, name that "
            "authority's certificate in label_studio.ca_file"
        )
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


def _certificate_error(exc: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while exc is not None and not isinstance(exc, ssl.SSLCertVerificationError):
        exc = exc.__cause__ or exc.__context__
    return exc


def _retry_after_s(header: str | None) -> float:
    """Seconds to wait, which the header names, or a date; 0 where it says nothing of use."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(int(header)))
    except OverflowError:
        return 0.0
    except ValueError:
        until = _date(header)
    return 0.0 if until is None else max(0.0, (until - datetime.now(UTC)).total_seconds())


def _date(header: str) -> datetime | None:
    """In UTC; None for what is no date of HTTP."""
    try:
        date = parsedate_to_datetime(header)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _detail(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    said = [str(body[key]) for key in ("detail", "validation_errors") if body.get(key)]
    return f" ({'; '.join(said)[:500]})" if said else ""
