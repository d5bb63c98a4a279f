"""Whether a browser on the labelling page can play a task's audio, asked as the page asks.

The page of Label Studio 1.23 fetches a clip twice: its player asks for ranges, and a script fetches
the whole file, with `lsref=1` added to the address unless that is signed. Both obey CORS. An
address is the server's own (its local files; or `/tasks/7/resolve/…`, which sends the browser on to
a signed address of an S3 server), or a foreign one. Knows nothing of tasks, projects or settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

HEARD_AS = ("audio/", "video/", "application/ogg", "application/octet-stream", "binary/")
"""Content types of what browsers play; they look into what has none of its own."""

RANGE = "bytes=0-9"
RANGE_LENGTH = 10
LOGIN_REQUIRED = (401, 403)

OWN_ADVICE = {
    401: "the login is not accepted; is the token right?",
    403: "Label Studio serves local files only when it is started with "
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true",
    404: "no storage of the project leads there, or the file is not where it points: add the "
    "folder as a local storage, below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT",
}
FOREIGN_ADVICE = {
    401: "pages fetch it without a login: let its server ask for none",
    403: "its server refuses to read it, or refuses the signature: check the rights of the "
    "credentials, and the clocks of both servers",
    404: "the clip is not there: check the address, and bring the clip there",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an address, and what to do about it."""

    found: str
    advice: str


@dataclass(frozen=True, slots=True)
class Served:
    """How an address answered. route: from the server's own address to what was heard."""

    route: str
    faults: tuple[Fault, ...]


def ask(
    http: httpx.Client, login: httpx.Auth, server: str, address: str, size: int | None
) -> Served:
    """Ask for the audio at `address`, as it stands in a task of the server, in all ways.

    http: without a login or cookies of its own. login: of somebody who may see the task. server:
    the address that annotators open. size: of the file in bytes, where it is known.
    Never raises for what the network does: that is a fault as well.
    """
    base = httpx.URL(server.rstrip("/") + "/")
    try:
        url = base.join(address)
        if origin(url) != origin(base):
            return Served(f"from {url.host}", tuple(_foreign(http, base, url, size)))
        return _own(http, login, base, url, size)
    except (httpx.RequestError, httpx.InvalidURL) as exc:
        fault = Fault(
            f"no answer ({type(exc).__name__}: {exc})",
            "check that the address is right and its server runs",
        )
        return Served(f"at {address}", (fault,))


def origin(url: httpx.URL | str) -> str:
    """What a browser calls the place that a page is of: `https://labels.example.org`."""
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"


def _own(
    http: httpx.Client, login: httpx.Auth, base: httpx.URL, url: httpx.URL, size: int | None
) -> Served:
    """The server's own addresses: for those who are logged in, whatever they lead to."""
    faults = list(_for_strangers(http.get(url)))
    answer = http.get(_as_script(url), auth=login)
    if not answer.is_redirect:
        broken = list(_sound(answer, size, OWN_ADVICE))
        faults += broken or _ranges(http.get(url, auth=login, headers={"Range": RANGE}))
        return Served("with a login, and not without", tuple(faults))
    target = url.join(answer.headers["Location"])
    if origin(target) == origin(base):
        fault = Fault(
            f"{answer.status_code}: even with a login it sends us to {target.path}",
            "check that label_studio.url is the server's own address",
        )
        return Served("", (fault,))
    faults += _foreign(http, base, target, size)
    return Served(
        f"with a login, and not without, from {target.host} by a signed address", tuple(faults)
    )


def _foreign(
    http: httpx.Client, base: httpx.URL, url: httpx.URL, size: int | None
) -> Iterator[Fault]:
    """Addresses on another server than Label Studio's, fetched by its pages without a login."""
    if base.scheme == "https" and url.scheme == "http":
        yield Fault(
            f"{url.scheme}://{url.host} on a page of https://",
            "browsers refuse that: serve the audio by https",
        )
    page = origin(base)
    answer = http.get(_as_script(url), headers={"Origin": page})
    broken = list(_sound(answer, size, FOREIGN_ADVICE))
    yield from broken
    if broken:
        return  # what a refusal says of origins and ranges tells nothing
    allowed = answer.headers.get("Access-Control-Allow-Origin")
    if allowed not in ("*", page):
        yield Fault(
            f"it allows pages of {allowed or 'no other server'}, not of {page}",
            f"let it answer with Access-Control-Allow-Origin: {page} (CORS), or pages show "
            "`HTTP error status: 0`",
        )
    yield from _ranges(http.get(url, headers={"Origin": page, "Range": RANGE}))


def _for_strangers(answer: httpx.Response) -> Iterator[Fault]:
    if answer.is_success:
        yield Fault(
            f"{answer.status_code} without a login: everybody hears it",
            "put nothing before Label Studio that serves its files by itself",
        )
    elif answer.status_code not in LOGIN_REQUIRED and not answer.is_redirect:
        yield Fault(
            f"{answer.status_code} without a login, expected 401",
            "see Label Studio's log for what went wrong",
        )


def _sound(answer: httpx.Response, size: int | None, advice: Mapping[int, str]) -> Iterator[Fault]:
    if answer.status_code != 200:
        yield Fault(
            f"{answer.status_code}, expected 200 and the clip",
            advice.get(answer.status_code, "see its server's log for what went wrong"),
        )
        return
    kind = answer.headers.get("Content-Type", "")
    if kind and not kind.startswith(HEARD_AS):
        yield Fault(
            f"{kind} instead of audio",
            "something answers in the audio's place, such as a proxy's login page",
        )
    elif size is not None and len(answer.content) != size:
        yield Fault(
            f"{len(answer.content)} bytes, the clip has {size}",
            "it is another file, or cut off on the way: bring the clip there again",
        )


def _ranges(answer: httpx.Response) -> Iterator[Fault]:
    if answer.status_code != 206 or len(answer.content) != RANGE_LENGTH:
        yield Fault(
            f"{answer.status_code} and {len(answer.content)} bytes for the range {RANGE}, "
            f"expected 206 and {RANGE_LENGTH}",
            "without ranges nobody can jump within a clip: turn them on, or remove the proxy that "
            "swallows them",
        )


def _as_script(url: httpx.URL) -> httpx.URL:
    return url if "X-Amz-Signature" in url.params else url.copy_add_param("lsref", "1")
