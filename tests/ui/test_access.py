"""Who may look: the guard before Streamlit's server, the page's own check, and `al-loop ui`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.testing.v1 import AppTest

import ui
from al_loop.commands.ui import OPTIONS, THEME
from al_loop.commands.ui import ui as command
from al_loop.config import DASHBOARD_PASSWORD_VARIABLE, DashboardSettings
from al_loop.errors import ConfigError
from storage.store import Store
from storage.workspace import Workspace
from ui import access
from ui.guard import Guard
from ui.language import LANGUAGES

PASSWORD = "тоодогу кар эрийт"
SECRET = "what only readers may see"
HERE, STREAM = "http://localhost:8501", "ws://localhost:8501/_stcore/stream"


async def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse(SECRET)


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(SECRET)
    await socket.close()


BEHIND = Starlette(
    routes=[
        WebSocketRoute("/_stcore/stream", talk),
        Route("/{path:path}", answer, methods=["GET", "PUT", "POST", "DELETE"]),
    ]
)
"""What the guard stands before."""


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DASHBOARD_PASSWORD_VARIABLE, PASSWORD)


def guarded(how: str, **settings: object) -> TestClient:
    guard = Guard(BEHIND, DashboardSettings.model_validate({"access": how, **settings}))
    return TestClient(guard, HERE, follow_redirects=False)


@pytest.fixture
def locked() -> Iterator[TestClient]:
    with guarded("password") as client:
        yield client


def log_in(client: TestClient, password: str = PASSWORD, path: str = "/round?round=3") -> int:
    return client.post(path, data={"password": password}).status_code


# -- the form --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/round?round=3", "/media/ab.flac", "/_stcore/host-config"])
def test_nothing_is_had_without_the_password(locked: TestClient, path: str) -> None:
    answer = locked.get(path)
    assert answer.status_code == 401
    assert SECRET not in answer.text
    assert '<input id="password"' in answer.text
    assert "script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_no_connection_is_had_without_the_password(locked: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        locked.websocket_connect(STREAM, headers={"origin": HERE}) as socket,
    ):
        socket.receive_text()


def test_the_password_opens_what_was_asked_for(locked: TestClient) -> None:
    answer = locked.post("/round?round=3&language=ru", data={"password": PASSWORD})
    assert answer.status_code == 303
    assert answer.headers["location"] == "?round=3&language=ru"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert locked.get("/round?round=3").text == SECRET
    with locked.websocket_connect(STREAM, headers={"origin": HERE}) as socket:
        assert socket.receive_text() == SECRET


def test_over_https_the_ticket_never_goes_in_the_clear() -> None:
    guard = Guard(BEHIND, DashboardSettings(access="password"))
    with TestClient(guard, "https://dashboard.example.org", follow_redirects=False) as client:
        answer = client.post("/", data={"password": PASSWORD})
        assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("given", ["", "wrong", PASSWORD[:-1], f"{PASSWORD} ", "x" * 10_000])
def test_nothing_else_opens(locked: TestClient, given: str) -> None:
    assert log_in(locked, given) == 401
    assert locked.get("/").status_code == 401


@pytest.mark.parametrize("ticket", ["", "x", "9999999999.", "9999999999.ab", "nan.", "1e400.ü"])
def test_no_ticket_is_made_up(locked: TestClient, ticket: str) -> None:
    locked.cookies.set(access.COOKIE, ticket.encode("latin-1").decode("latin-1"))
    assert not access.is_ticket(ticket, 0)


def test_a_ticket_ends() -> None:
    made = access.ticket(1000.0)
    assert access.is_ticket(made, 1000.0 + access.KEPT_S - 1)
    assert not access.is_ticket(made, 1000.0 + access.KEPT_S + 1)
    longer = f"9{made}"
    assert not access.is_ticket(longer, 1000.0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_form_speaks_the_language_of_the_address(locked: TestClient, language: str) -> None:
    answer = locked.get(f"/?language={language}")
    assert f'<html lang="{language}">' in answer.text
    assert "{" not in answer.text.partition("</style>")[2]


def test_an_address_puts_nothing_into_the_form(locked: TestClient) -> None:
    answer = locked.get("/<script>alert(1)</script>?language=%22><script>alert(1)</script>")
    assert "alert" not in answer.text


# -- guessing --------------------------------------------------------------------------------------


def test_guessing_gets_slower(locked: TestClient) -> None:
    for _ in range(access.FREE_ATTEMPTS):
        assert log_in(locked, "wrong") == 401
    answer = locked.post("/", data={"password": PASSWORD})
    assert answer.status_code == 429  # the right one, too: else waiting would tell nothing
    assert int(answer.headers["retry-after"]) >= 1
    assert "set-cookie" not in answer.headers


def test_waits_double_up_to_a_minute_and_end() -> None:
    now = 0.0
    attempts = access.Attempts(lambda: now)
    waits = []
    for _ in range(12):
        waits.append(attempts.wait_s("192.0.2.1"))
        attempts.note("192.0.2.1", False)
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert attempts.wait_s("192.0.2.2") == 0
    now += 60
    assert attempts.wait_s("192.0.2.1") == 0
    attempts.note("192.0.2.1", True)
    attempts.note("192.0.2.1", False)
    assert attempts.wait_s("192.0.2.1") == 0


def test_all_addresses_of_one_ipv6_network_wait_together() -> None:
    attempts = access.Attempts(lambda: 0.0)
    for last in range(access.FREE_ATTEMPTS):
        attempts.note(f"2001:db8::{last}", False)
    assert attempts.wait_s("2001:db8::ffff") > 0
    assert attempts.wait_s("2001:db8:1::") == 0


def test_many_addresses_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "ADDRESSES", 10)
    attempts = access.Attempts()
    for number in range(100):
        attempts.note(f"192.0.2.{number}", False)
    assert len(attempts._wrong) == 10


# -- other sites -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["open", "password", "proxy"])
def test_a_page_of_another_site_may_not_connect(how: str) -> None:
    with (
        guarded(how) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(STREAM, headers={"origin": "http://localhost:8080"}),
    ):
        pass


@pytest.mark.parametrize("origin", [HERE, None])
def test_its_own_pages_and_programs_may_connect(origin: str | None) -> None:
    headers = {"origin": origin} if origin else {}
    with guarded("open") as client, client.websocket_connect(STREAM, headers=headers) as socket:
        assert socket.receive_text() == SECRET


def test_an_open_dashboard_answers_to_no_other_name() -> None:
    with guarded("open") as client:
        assert client.get("/").text == SECRET
        assert client.get("/", headers={"host": "[::1]:8501"}).text == SECRET
        answer = client.get("/", headers={"host": "rebound.example.org:8501"})
        assert answer.status_code == 403
        assert SECRET not in answer.text
    with guarded("proxy") as client:
        assert client.get("/", headers={"host": "dashboard.example.org"}).text == SECRET


@pytest.mark.parametrize("path", ["/_stcore/upload_file/a/b", "/base/_stcore/metrics"])
def test_what_is_not_needed_is_closed(path: str) -> None:
    with guarded("proxy") as client:
        for method in ("GET", "PUT", "POST", "DELETE"):
            assert client.request(method, path).status_code == 404


def test_pages_load_nothing_from_elsewhere_and_are_in_no_frame_of_others() -> None:
    with guarded("proxy") as client:
        headers = client.get("/").headers
    policy = dict(
        row.strip().split(" ", 1) for row in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == "'self'"
    assert "http" not in policy["img-src"]
    assert "'unsafe-inline'" not in policy["script-src"]
    assert "'sha256-" in policy["script-src"]
    assert headers["x-content-type-options"] == "nosniff"


def test_the_health_check_needs_no_password(locked: TestClient) -> None:
    assert locked.get("/_stcore/health").status_code == 200


# -- OIDC ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "may"),
    [
        ({"email": "lead@example.org", "email_verified": True}, True),
        ({"email": "Lead@Example.ORG", "email_verified": True}, True),
        ({"email": "one@team.example", "email_verified": True}, True),
        ({"email": "lead@example.org", "email_verified": False}, False),
        ({"email": "lead@example.org", "email_verified": "true"}, False),
        ({"email": "lead@example.org"}, False),
        ({"email": "other@example.org", "email_verified": True}, False),
        ({"email": "one@other.team.example", "email_verified": True}, False),
        ({"email": "one@team.example.evil.test", "email_verified": True}, False),
        ({"email": "@team.example@evil.test", "email_verified": True}, False),
        ({"email": ["lead@example.org"], "email_verified": True}, False),
        ({"email_verified": True}, False),
        ({}, False),
    ],
)
def test_who_is_allowed(claims: dict[str, object], may: bool) -> None:
    assert access.may_look(claims, ["lead@example.org", "@Team.example"]) is may


# -- the page --------------------------------------------------------------------------------------

DASHBOARD = Path(ui.__file__).with_name("dashboard.py")


@pytest.mark.parametrize("how", ['"password"', '"oidc"\nallowed = ["@example.org"]'])
@pytest.mark.parametrize("view", ["", "round"])
def test_the_page_itself_shows_nothing_to_strangers(
    workspace: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch, how: str, view: str
) -> None:
    workspace.config.write_text(f"[dashboard]\naccess = {how}\n", encoding="utf-8")
    monkeypatch.setenv("AL_LOOP_WORKSPACE", str(workspace.root))
    monkeypatch.setattr("ui.view.database_version", forbidden)
    page = AppTest.from_file(DASHBOARD, default_timeout=30)
    if view:
        page.query_params["round"] = "1"
    page.run()
    assert not page.exception
    assert not page.title
    assert [*page.warning, *page.info]


def forbidden(_: object) -> object:
    raise AssertionError("the workspace was read")


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "dashboard.example.org"])
def test_an_open_dashboard_is_for_this_machine(address: str) -> None:
    with pytest.raises(ConfigError, match=r'set it to "password"'):
        access.check_served(DashboardSettings(), address)
    access.check_served(DashboardSettings(access="proxy"), address)
    access.check_served(DashboardSettings(access="password"), address)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_on_loopback_it_may_be_open(address: str) -> None:
    access.check_served(DashboardSettings(), address)


@pytest.mark.parametrize("value", [None, "", "short"])
def test_without_a_password_nobody_gets_in(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(DASHBOARD_PASSWORD_VARIABLE)
    else:
        monkeypatch.setenv(DASHBOARD_PASSWORD_VARIABLE, value)
    with pytest.raises(ConfigError, match=DASHBOARD_PASSWORD_VARIABLE):
        access.check_served(DashboardSettings(access="password"), "127.0.0.1")
    with guarded("password") as client, pytest.raises(ConfigError):
        client.post("/", data={"password": value or ""})


def test_the_command_refuses_before_anything_is_started(workspace: Workspace) -> None:
    answer = CliRunner().invoke(command, ["--address", "0.0.0.0"], obj=workspace.root)
    assert isinstance(answer.exception, ConfigError)
    assert "0.0.0.0" in str(answer.exception)


def test_streamlit_knows_every_option_that_it_is_given() -> None:
    from streamlit import config

    config.get_config_options()
    for name in (*OPTIONS, *THEME):
        assert config.get_option(name) is not None or name.startswith("theme.")


# -- the theme -------------------------------------------------------------------------------------

BACKGROUNDS = {
    "light": ("#ffffff", "#f8f8f7", "#f1f0ee"),
    "dark": ("#171614", "#21201d", "#2d2b27"),
}
"""Streamlit's own, of page, sidebar and inputs."""
CAPTION = 0.6
"""How opaque Streamlit writes captions."""


def luminance(colour: tuple[float, ...]) -> float:
    """WCAG 2.2, relative luminance."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def rgb(text: str) -> tuple[float, ...]:
    return tuple(int(text[place : place + 2], 16) / 255 for place in (1, 3, 5))


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_captions_can_be_read(theme: str) -> None:
    text = rgb(THEME[f"theme.{theme}.textColor"])
    for background in map(rgb, BACKGROUNDS[theme]):
        faded = tuple(
            CAPTION * a + (1 - CAPTION) * b for a, b in zip(text, background, strict=True)
        )
        assert contrast(faded, background) >= 4.5
        assert contrast(rgb(THEME[f"theme.{theme}.primaryColor"]), background) >= 4.5


def test_tickets_are_not_for_ever() -> None:
    assert access.is_ticket(access.ticket(time.time()), time.time())
    assert access.KEPT_S <= 24 * 3600
