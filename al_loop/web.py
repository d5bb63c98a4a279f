"""Objects at http(s) addresses, read alone. Knows no buckets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from al_loop.addresses import shown
from al_loop.errors import StorageError

CONNECT_S, ANSWER_S = 5.0, 60.0
PAUSES_S = (0.5, 2.0)
"""Before an address that gave no answer is asked again."""
AGAIN = {408, 425, 429, 500, 502, 503, 504}
ABSENT = {404, 410}
REDIRECTS = 5


@lru_cache(maxsize=1)
def _client(process: int) -> Any:
    import httpx

    return httpx.Client(
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        follow_redirects=True,
        max_redirects=REDIRECTS,
    )


def stamp_of(address: str) -> str | None:
    """An address that is signed for fetching alone refuses this, and is fetched each time.

    Raises FileNotFoundError where it is no address that can be asked.
    """
    import httpx

    try:
        answer = _client(os.getpid()).head(address)
    except httpx.HTTPError:
        return None
    except (httpx.InvalidURL, ValueError) as exc:
        raise _odd(address) from exc
    return _stamp(answer.headers) if answer.is_success else None


def _stamp(headers: Mapping[str, str]) -> str | None:
    changed = headers.get("ETag") or headers.get("Last-Modified")
    return f"{headers.get('Content-Length', '')} {changed}" if changed else None


def parts_of(address: str) -> Iterator[bytes]:
    """The body; asked again where no answer came, unless part of it was given out already."""
    import httpx

    for pause in (*PAUSES_S, None):
        begun = False
        try:
            with _client(os.getpid()).stream("GET", address) as answer:
                _check(address, answer)
                for part in answer.iter_bytes():  # as it comes, so that a slow one is noticed
                    begun = True
                    yield part
            return
        except (httpx.InvalidURL, ValueError) as exc:
            raise _odd(address) from exc
        except httpx.HTTPError as exc:
            if pause is None or begun:
                # httpx's own words may hold the address with its signature
                status = getattr(getattr(exc, "response", None), "status_code", None)
                raise StorageError(
                    f"no answer for {shown(address)} ({status or type(exc).__name__}); check that "
                    "its server runs and is reached from this machine, and call again"
                ) from exc
        time.sleep(pause)


def _odd(address: str) -> FileNotFoundError:
    return FileNotFoundError(f"{shown(address)} is no address that can be asked")


def _check(address: str, answer: Any) -> None:
    status = answer.status_code
    if status in ABSENT:
        raise FileNotFoundError(f"there is no object {shown(address)}: {status}")
    if status in AGAIN:
        answer.raise_for_status()
    if not answer.is_success:
        raise PermissionError(f"{shown(address)} is refused by its server: {status}")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise FileNotFoundError(f"{shown(address)} gives a web page, and no audio")
