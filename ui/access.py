"""Who may look: everybody on this machine, whoever knows the password, or whom OIDC names.

With `access = "password"` the server in `ui.server` lets nobody further than a form without a
ticket, a signed cookie, so that no answer of Streamlit's own is had without it either; the page
asks for it once more. With `oidc` Streamlit's `st.login` says who the reader is. With `proxy`
another server has checked. Knows neither the workspace nor the views.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAuthError

from al_loop.config import DASHBOARD_PASSWORD_VARIABLE, DashboardSettings
from al_loop.errors import ConfigError
from ui.language import Say

COOKIE = "al_loop_dashboard"
KEPT_S = 12 * 3600.0
"""So long a ticket is good; a browser drops it sooner, when it is closed."""
FEWEST_CHARACTERS = 12
"""Of a password: what can be guessed over the network must not be short. Ours."""
FREE_ATTEMPTS, LONGEST_WAIT_S = 3, 60.0
"""Wrong passwords from one address before it has to wait: 1 s, 2 s, 4 s, and so on. Ours."""
ADDRESSES = 10_000
"""That are remembered; the one that was wrong longest ago is forgotten first."""
_KEY = secrets.token_bytes(32)
"""Signs tickets. Another one after every start of the server, which ends all of them."""


# -- the password --------------------------------------------------------------------------------


def password() -> str:
    """The one that opens the dashboard. Raises ConfigError where there is none, or a short one."""
    found = os.environ.get(DASHBOARD_PASSWORD_VARIABLE, "")
    if len(found) < FEWEST_CHARACTERS:
        got = f"one of {len(found)} characters" if found else "none"
        raise ConfigError(
            'dashboard.access = "password" lets nobody in without a password of '
            f"{FEWEST_CHARACTERS} characters or more, got {got}: set {DASHBOARD_PASSWORD_VARIABLE}"
        )
    return found


def is_password(given: str) -> bool:
    """Takes as long whatever is wrong with `given`, its length included."""
    return hmac.compare_digest(_signed(given), _signed(password()))


def ticket(now: float) -> str:
    """What a browser shows from now on in the password's place. now: seconds since 1970."""
    until = f"{now + KEPT_S:.0f}"
    return f"{until}.{_signed(f'ticket {until}').hex()}"


def is_ticket(text: str, now: float) -> bool:
    """Whether this server signed it, and not too long ago."""
    until, _, signature = text.partition(".")
    expected = _signed(f"ticket {until}").hex()
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return False
    return float(until) > now


def _signed(text: str) -> bytes:
    return hmac.digest(_KEY, text.encode("utf-8", "surrogatepass"), "sha256")


class Attempts:
    """Slows down whoever guesses. clock: seconds. For several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """So long this address must wait before its next attempt counts."""
        with self._lock:
            times, last = self._wrong.get(_network(address), (0, 0.0))
        if times < FREE_ATTEMPTS:
            return 0.0
        pause_s = min(2.0 ** min(times - FREE_ATTEMPTS, 10), LONGEST_WAIT_S)
        return max(last + pause_s - self._clock(), 0.0)

    def note(self, address: str, right: bool) -> None:
        """Remember how an attempt ended."""
        name = _network(address)
        with self._lock:
            times, _ = self._wrong.pop(name, (0, 0.0))
            if not right:
                self._wrong[name] = (times + 1, self._clock())
            while len(self._wrong) > ADDRESSES:
                self._wrong.popitem(last=False)


def _network(address: str) -> str:
    """Whoever has an IPv6 address has 2^64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


# -- addresses -----------------------------------------------------------------------------------


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def check_served(settings: DashboardSettings, address: str) -> None:
    """Raises ConfigError where the dashboard would be open to strangers, or to nobody."""
    if settings.access == "open" and not is_loopback(address):
        raise ConfigError(
            f'dashboard.access = "open" would show all transcripts to whoever reaches {address}: '
            'set it to "password" or "oidc", or to "proxy" where a server in front of it checks '
            "who asks, or leave --address at 127.0.0.1"
        )
    if settings.access == "password":
        password()


# -- people --------------------------------------------------------------------------------------


def may_look(claims: Mapping[str, Any], allowed: Sequence[str]) -> bool:
    """Whether an OIDC provider names somebody who is allowed, by an address that it has verified.

    claims: of the identity token. allowed: addresses, or domains as `@example.org`.
    """
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") is not True:
        return False
    email = email.casefold()
    domain = f"@{email.rpartition('@')[2]}"
    return any(row.casefold() in (email, domain) for row in allowed)


def is_admitted(settings: DashboardSettings) -> bool:
    """Whether the reader may see the workspace. For fragments too, which run without the page."""
    if settings.access == "password":
        shown = st.context.cookies.get(COOKIE)
        return isinstance(shown, str) and is_ticket(shown, time.time())
    if settings.access == "oidc":
        claims = st.user.to_dict()
        return claims.get("is_logged_in") is True and may_look(claims, settings.allowed)
    return True


def admitted(settings: DashboardSettings, say: Say) -> bool:
    """Whether the reader may see the workspace; if not, the page says how to get in.

    Called on every run, before anything of the workspace is read.
    """
    found = is_admitted(settings)
    if settings.access == "password" and not found:
        st.warning(say("access.not_by_the_form"))
    if settings.access == "oidc":
        _show_login(found, say)
    return found


def _show_login(is_in: bool, say: Say) -> None:
    """What a reader can do: log in, or log out again."""
    if st.user.to_dict().get("is_logged_in") is not True:
        st.info(say("access.log_in_first"))
        if st.button(say("access.log_in"), type="primary"):
            try:
                st.login()
            except StreamlitAuthError as exc:
                raise ConfigError(
                    'dashboard.access = "oidc" needs a provider in .streamlit/secrets.toml and the '
                    f"package Authlib (pip install 'al-loop[oidc]'): {exc}"
                ) from exc
        return
    if not is_in:
        st.error(say("access.not_allowed"))
    with st.sidebar:
        if st.button(say("access.log_out")):
            st.logout()
