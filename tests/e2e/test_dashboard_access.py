"""Getting into the dashboard in a real Chromium: by password, by OIDC, under a proxy's path.

The OIDC provider is a real one on loopback, of the package oidc-provider-mock.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

pytest.importorskip("selenium", reason="needs the package selenium")

from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from al_loop.config import DASHBOARD_PASSWORD_VARIABLE
from benchmarks.dashboard_browser import (
    CHROMIUM,
    DRIVER,
    chromium,
    free_port,
    served,
    until,
    wait_until_drawn,
)
from benchmarks.dashboard_clips import Size
from benchmarks.dashboard_workspace import make_workspace
from ui.language import Say

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs Debian's packages chromium and chromium-driver"
    ),
]

PASSWORD = "кыш келди, кар жаады"
SECRETS = """
[auth]
redirect_uri = "{url}/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef0123456789abcdef"
client_id = "dashboard"
client_secret = "secret"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("access") / "workspace"
    make_workspace(folder, Size(4000, 5, 200), datetime.now(UTC) - timedelta(hours=1))
    return folder


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "workspace"))


def configure(workspace: Path, access: str, rest: str = "") -> None:
    text = f'[dashboard]\naccess = "{access}"\n{rest}'
    (workspace / "al_loop.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def browser() -> Iterator[Chrome]:
    with chromium() as chrome:
        yield chrome


def title(chrome: Chrome) -> str:
    return chrome.find_element(By.CSS_SELECTOR, '[data-testid="stMain"] h1').text


def test_a_password_opens_the_view_that_was_asked_for(workspace: Path, browser: Chrome) -> None:
    configure(workspace, "password")
    with served(workspace, environment={DASHBOARD_PASSWORD_VARIABLE: PASSWORD}) as url:
        browser.get(f"{url}/round?round=3&language=ru")
        box = browser.switch_to.active_element
        assert box.accessible_name == Say("ru")("access.password")
        box.send_keys("wrong", Keys.ENTER)
        shown = until(lambda: browser.find_element(By.ID, "problem").text, "what is wrong")
        assert shown == Say("ru")("access.wrong")
        browser.switch_to.active_element.send_keys(PASSWORD, Keys.ENTER)
        until(lambda: title(browser) == Say("ru")("round.page"), "the view")
        assert browser.current_url == f"{url}/round?round=3&language=ru"
        browser.refresh()
        wait_until_drawn(browser)
        assert title(browser) == Say("ru")("round.page")
        with chromium() as stranger:
            stranger.get(f"{url}/round")
            assert stranger.find_element(By.ID, "password")
            assert not stranger.find_elements(By.CSS_SELECTOR, '[data-testid="stApp"]')


def test_a_dashboard_lies_under_a_path(workspace: Path, browser: Chrome) -> None:
    configure(workspace, "proxy")
    with served(workspace, base_path="loop/dashboard") as url:
        assert url.endswith("/loop/dashboard")
        browser.get(f"{url}/training?language=ky")
        wait_until_drawn(browser)
        assert title(browser) == Say("ky")("training.page")


@pytest.fixture
def provider() -> Iterator[str]:
    oidc = pytest.importorskip("oidc_provider_mock", reason="needs oidc-provider-mock")
    pytest.importorskip("authlib", reason="needs the extra oidc")
    with oidc.run_server_in_thread() as server:
        url = f"http://localhost:{server.server_port}"
        for name, verified in (("lead", True), ("doubtful", False), ("stranger", True)):
            email = f"{name}@{'elsewhere' if name == 'stranger' else 'team'}.example"
            claims = {"email": email, "email_verified": verified}
            assert httpx.put(f"{url}/users/{name}", json=claims).status_code == 204
        yield url


@pytest.mark.parametrize(("name", "admitted"), [("lead", 1), ("doubtful", 0), ("stranger", 0)])
def test_oidc_admits_whom_the_settings_name(
    workspace: Path, browser: Chrome, provider: str, tmp_path: Path, name: str, admitted: int
) -> None:
    configure(workspace, "oidc", 'allowed = ["@team.example"]\n')
    port = free_port()
    url = f"http://localhost:{port}"
    secrets = tmp_path / "home" / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir(parents=True)
    secrets.write_text(SECRETS.format(url=url, provider=provider), encoding="utf-8")
    with served(workspace, port=port, environment={"HOME": str(tmp_path / "home")}):
        say = Say("en")
        browser.get(f"{url}/round")
        button = until(lambda: main_button(browser, say("access.log_in")), "the login")
        assert not browser.find_elements(By.CSS_SELECTOR, '[data-testid="stSidebarNavLink"]')
        button.click()
        box = until(lambda: browser.find_element(By.NAME, "sub"), "the provider")
        box.send_keys(name)
        browser.find_element(By.XPATH, "//button[contains(., 'Authorize')]").click()
        if admitted:
            until(lambda: title(browser) == say("overview.page"), "the overview")
            browser.get(f"{url}/round")
            until(lambda: title(browser) == say("round.page"), "the view")
        else:
            shown = until(lambda: say("access.not_allowed")[:40] in text(browser), "a refusal")
            assert shown
            assert not browser.find_elements(By.CSS_SELECTOR, '[data-testid="stMain"] h1')


def main_button(chrome: Chrome, name: str) -> object:
    rows = chrome.find_elements(By.CSS_SELECTOR, '[data-testid="stMain"] button')
    return next((row for row in rows if row.text == name), None)


def text(chrome: Chrome) -> str:
    return chrome.find_element(By.CSS_SELECTOR, '[data-testid="stMain"]').text
