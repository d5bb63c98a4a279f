"""Addresses of objects: which ones can be read, and how they are told. Pure."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote_plus, urlsplit, urlunsplit

SCHEMES = ("s3", "gs", "http", "https", "memory")
"""The last is fsspec's, for tests."""
SIGNED = {
    "x-amz-signature": re.compile(r"x-amz-.*"),
    "x-goog-signature": re.compile(r"x-goog-.*"),
    "signature": re.compile(r"signature|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid"),
    "sig": re.compile(r"s(ig|v|s|rt|r|p|e|t|pr|ip|dd)|sk(oid|tid|t|e|s|v)"),
}
"""Schemes of signing (Amazon's and Google's, their older one and CloudFront's, Azure's) by the part
of a query that each has, and all parts that are its own: another signature is no other object."""
STATED = re.compile(r"(?:[=;]|%3[bd])[^/]+", re.I)
"""In the path, as `/hdnts=…/` or `;jsessionid=…`: it may let others in."""
UNREADABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
SHORT = 12
"""Hexadecimal digits of the hash that stands for what is not shown."""


def is_address(name: str) -> bool:
    return "://" in name


def problem_of(address: str) -> str | None:
    """Why an address cannot be read by us; None where it can. Does not show what may be secret."""
    scheme, _, rest = address.partition("://")
    if scheme not in SCHEMES:
        return f"an address of kind {scheme}, where one of {', '.join(SCHEMES[:-1])} is expected"
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return f"{scheme}://… is no address that can be read"
    if UNREADABLE.search(address):
        return f"{scheme}://… holds characters that no address has"
    if "@" in parts.netloc:
        return "an address with a name or password in it: credentials come from the environment"
    if not parts.netloc or parts.path in ("", "/"):
        return f"{shown(address)}: an address of no object"
    empty = not is_http(address) and "" in rest.split("/")
    return f"{shown(address)}: an empty part, between two / or at its end" if empty else None


def shown(address: str) -> str:
    """The address as it may be told and kept, and what its object is known by.

    A hash stands for the query of a web address, and for what its path states, since any of it may
    let others in. What merely signs the address is left out: it is another each time.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.partition("://")[0] + "://…"
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme not in ("http", "https"):  # a `?` or `#` is part of a key
        return address.replace(parts.netloc, host, 1)
    path = STATED.sub(lambda found: f"={_hash(found[0])}", parts.path)
    query = _unsigned(parts.query)
    return urlunsplit((parts.scheme, host, path, query and _hash(query), ""))


def _unsigned(query: str) -> str:
    """The query without the parts that sign it."""
    parts = [part for part in query.split("&") if part]
    names = [unquote_plus(part.partition("=")[0]).lower() for part in parts]
    own = [theirs for sign, theirs in SIGNED.items() if sign in names]
    return "&".join(
        part
        for part, name in zip(parts, names, strict=True)
        if not any(theirs.fullmatch(name) for theirs in own)
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:SHORT]


def is_http(address: str) -> bool:
    return address.startswith(("http://", "https://"))
