"""A dashboard as `al-loop ui` serves it, and a Chromium that looks at it, for benchmark and tests.

Needs Debian's packages chromium and chromium-driver, and the package selenium. Knows no view.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

import httpx
from selenium.common import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from benchmarks.corpus import ROOT

T = TypeVar("T")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync "
    "--disable-component-update --no-first-run --disable-dev-shm-usage --hide-scrollbars "
    "--autoplay-policy=user-gesture-required"
)
WIDTH, HEIGHT = 1400, 1000
START_S, WAIT_S, STOP_S = 60.0, 30.0, 5.0
DRAWN = """
const app = document.querySelector('[data-testid=stApp]');
if (!app || app.dataset.testScriptState !== 'notRunning') return false;
if (!document.querySelector('[data-testid=stMain] h1')) return false;
if (document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')) return false;
if (document.querySelector('[data-stale=true]')) return false;
const charts = [...document.querySelectorAll('[data-testid=stVegaLiteChart]')];
return charts.every(chart => chart.querySelector('canvas, svg'));
"""
"""Whether a view is whole: its script has run, and every chart is drawn."""


@contextmanager
def served(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
    base_path: str = "",
) -> Iterator[str]:
    """The address of a dashboard of the workspace in `folder`. options: of `al-loop ui`.

    Raises RuntimeError with what the server printed where it does not come up.
    """
    port = port or free_port()
    arguments = [sys.executable, "-m", "al_loop", "-w", str(folder), "ui", "--port", str(port)]
    with TemporaryFile("w+") as printed:
        server = subprocess.Popen(
            [*arguments, "--base-path", base_path, *options],
            cwd=ROOT,
            env=os.environ | (environment or {}),
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        try:
            address = f"http://127.0.0.1:{port}{base_path and f'/{base_path}'}"
            _wait_for(server, f"{address}/_stcore/health", printed)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:  # a browser still holds a connection
                server.kill()
                server.wait()


def _wait_for(server: subprocess.Popen[bytes], health: str, printed: Any) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(health).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    printed.seek(0)
    raise RuntimeError(f"the dashboard did not come up: {printed.read()[-2000:]}")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def chromium(script: str = "") -> Iterator[Chrome]:
    """A browser that has seen nothing yet. script: JavaScript that runs before that of any page."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS.split(), f"--window-size={WIDTH},{HEIGHT}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options, Service(DRIVER))
    try:
        if script:
            chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        yield chrome
    finally:
        chrome.quit()


def until(condition: Callable[[], T], what: str, wait_s: float = WAIT_S) -> T:
    """The first true value of `condition`. Raises AssertionError when it stays away."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
        except WebDriverException:
            pass  # the page is being replaced
        time.sleep(0.05)
    raise AssertionError(f"waited {wait_s:.0f} s for {what}")


def wait_until_drawn(chrome: Chrome) -> None:
    """Until the view is whole, and stays so for two looks: a script may be about to run again."""
    for _ in range(2):
        until(lambda: chrome.execute_script(DRAWN), f"{chrome.current_url} to be drawn")
        time.sleep(0.15)
