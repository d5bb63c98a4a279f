"""What may be wrong with Label Studio itself, each thing broken once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from al_loop.config import TOKEN_VARIABLE
from labeling.install import VERSION

from .installation import CONFIG, NOW, Installation, personal_token


def reply(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize(
    ("name", "path", "answer", "state", "said"),
    [
        ("server", "/health", httpx.ConnectError("refused"), "failure", "ConnectError: refused"),
        ("server", "/health", httpx.Response(200, html="<p>"), "failure", "a proxy's login page"),
        ("server", "/health", reply(502), "failure", "502 from"),
        ("version", "/api/version/", reply(200, {"release": "2.0.0"}), "warning", VERSION),
        ("version", "/api/version/", reply(200, {}), "warning", "does not say"),
        ("token", "/api/current-user/whoami", reply(401), "failure", "copy one anew"),
        (
            "token",
            "/api/current-user/whoami",
            reply(401, {"detail": "legacy token authentication has been disabled"}),
            "failure",
            "personal access token (Account",
        ),
        ("rights", "/api/projects/", reply(403), "failure", "may not make projects (403)"),
        ("rights", "/api/projects/4/", reply(200, {}), "failure", "may not change project 4"),
        ("project", "/api/projects", reply(200, []), "failure", "a list of projects"),
        ("project", "/api/projects", reply(500), "failure", "500 from"),
    ],
)
def test_what_label_studio_answers(
    here: Installation, name: str, path: str, answer: Any, state: str, said: str
) -> None:
    here.studio.replies[path] = answer
    found = here.check(name)
    assert found.state == state
    assert said in f"{found.found} {found.advice}"


@pytest.mark.parametrize(
    ("path", "last"), [("/health", "server"), ("/api/current-user/whoami", "token")]
)
def test_what_would_make_no_sense_is_left_out(here: Installation, path: str, last: str) -> None:
    here.studio.replies[path] = reply(401)
    assert [check.name for check in here.checks()][-1] == last


def test_a_server_that_does_not_encrypt(here: Installation) -> None:
    here.configure('[label_studio]\nurl = "http://labels.test"\n')
    found = here.check("server")
    assert found.state == "warning"
    assert "https://" in found.advice


@pytest.mark.parametrize(
    ("difference", "state", "said"),
    [
        (timedelta(seconds=59), "ok", "59 s"),
        (timedelta(minutes=2), "warning", "120 s ahead"),
        (timedelta(minutes=-3), "warning", "180 s behind"),
    ],
)
def test_a_clock_that_is_wrong(
    here: Installation, difference: timedelta, state: str, said: str
) -> None:
    here.studio.clock = NOW + difference
    found = here.check("clock")
    assert found.state == state
    assert said in found.found


@pytest.mark.parametrize(
    ("lasts", "state", "said"),
    [
        (timedelta(days=300), "ok", "personal access token of anna@labels.test"),
        (timedelta(days=3), "warning", "ends on 2026-11-26"),
    ],
)
def test_a_personal_access_token(
    here: Installation,
    monkeypatch: pytest.MonkeyPatch,
    lasts: timedelta,
    state: str,
    said: str,
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, personal_token(NOW + lasts))
    found = here.check("token")
    assert found.state == state
    assert said in found.found


def test_no_token(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE)
    found = here.check("server")
    assert found.state == "failure"
    assert TOKEN_VARIABLE in found.found


def test_certificates_that_cannot_be_read(here: Installation) -> None:
    here.configure(f'{CONFIG}ca_file = "{here.root.config}"\n')
    assert "cannot read certificates" in here.check("server").found


def test_our_own_server_is_not_running(
    here: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AL_LOOP_DATA_DIR", str(tmp_path / "data"))
    here.configure("")
    found = here.check("server")
    assert found.state == "failure"
    assert found.advice == "`al-loop labelstudio up` starts it"
    assert not (tmp_path / "data").exists()
