"""The embedded server's bookkeeping, with a small HTTP server in Label Studio's place.

The stand-in is a program in a finished environment's folder, so installation is not needed; the
real thing runs in tests/e2e/test_label_studio.py.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.errors import AlLoopError, OracleRefused, OracleUnavailable
from labeling.addresses import HOST, forbidden_subnets
from labeling.install import VERSION, ensure_label_studio
from labeling.server import EmbeddedServer

STAND_IN = f"""#!{sys.executable}
import http.server, json, os, pathlib, sys
pathlib.Path("seen.json").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        token = f"Token {{os.environ['LABEL_STUDIO_USER_TOKEN']}}"
        known = self.path == "/health" or self.headers.get("Authorization") == token
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b'{{"status": "UP"}}')
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Answer).serve_forever()
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return install(tmp_path / "cache", STAND_IN)


def install(cache: Path, program: str) -> Path:
    path = cache / f"label-studio-{VERSION}" / "bin" / "label-studio"
    path.parent.mkdir(parents=True)
    path.write_text(program)
    path.chmod(0o755)
    (path.parent.parent / ".complete").touch()
    return cache


@pytest.fixture
def server(tmp_path: Path, cache: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path / "home", cache, sleep=lambda pause_s: time.sleep(0.02))
    yield server
    server.down()


def test_up_twice_is_one_server(server: EmbeddedServer) -> None:
    assert server.status() is None
    running = server.up()
    pid = (server.home / "server.pid").read_text()
    assert server.up() == server.status() == running
    assert (server.home / "server.pid").read_text() == pid
    assert server.down()
    assert server.status() is None
    assert not server.down()


def test_two_at_once_are_one_server(server: EmbeddedServer) -> None:
    found = []
    threads = [threading.Thread(target=lambda: found.append(server.up())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]


def test_the_port_is_kept(server: EmbeddedServer) -> None:
    url = server.up().url
    server.down()
    assert server.up().url == url


def test_a_taken_port_is_left_to_its_owner(server: EmbeddedServer) -> None:
    url = server.up().url
    server.down()
    with socket.create_server(("127.0.0.1", int(url.rsplit(":")[-1]))):
        assert server.up().url != url


def test_secrets_are_in_a_private_file_and_in_no_argument(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUG", "true")
    running = server.up()
    assert running.password_file.stat().st_mode & 0o777 == 0o600
    assert server.home.stat().st_mode & 0o777 == 0o700
    login = json.loads(running.password_file.read_text())
    assert len(login["token"]) == 40
    assert server.token == login["token"]
    arguments, environment = json.loads((server.home / "seen.json").read_text())
    assert arguments[:4] == ["start", "--no-browser", "--internal-host", "127.0.0.1"]
    assert environment["LABEL_STUDIO_PASSWORD"] == login["password"]
    assert "DEBUG" not in environment
    for secret in (login["token"], login["password"]):
        assert secret not in str(arguments)


def test_of_private_addresses_the_server_may_call_one(server: EmbeddedServer) -> None:
    server.up()
    _, environment = json.loads((server.home / "seen.json").read_text())
    assert environment["LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS"] == "false"
    subnets = environment["LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS"].split(",")
    assert subnets == forbidden_subnets(HOST)


def test_while_it_is_stopped_nobody_starts_it(server: EmbeddedServer) -> None:
    with server.stopped():
        starting = threading.Thread(target=server.up)
        starting.start()
        starting.join(0.3)
        assert server.status() is None
    starting.join()
    assert server.status() is not None
    with pytest.raises(OracleRefused, match="labelstudio down"), server.stopped():
        pass


def test_a_stale_process_id_never_kills_a_stranger(server: EmbeddedServer) -> None:
    server.home.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        (server.home / "server.pid").write_text(f"{stranger.pid}\n")
        assert server.status() is None
        assert not server.down()
        assert stranger.poll() is None
        stranger.kill()


def test_a_killed_server_is_started_again(server: EmbeddedServer) -> None:
    server.up()
    os.kill(int((server.home / "server.pid").read_text()), signal.SIGKILL)
    while server.status() is not None:
        time.sleep(0.01)
    assert server.up() == server.status()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    cache = install(tmp_path / "cache", "#!/bin/sh\necho the disk is full; exit 3\n")
    server = EmbeddedServer(tmp_path / "home", cache, sleep=lambda pause_s: time.sleep(0.02))
    with pytest.raises(OracleUnavailable, match="the disk is full"):
        server.up()
    assert server.status() is None


def test_a_database_of_other_credentials_is_named(server: EmbeddedServer) -> None:
    server.up()
    login = server.home / "credentials.json"
    login.write_text(json.dumps(json.loads(login.read_text()) | {"token": "0" * 40}))
    with pytest.raises(OracleRefused, match="other credentials"):
        server.up()


def test_no_token_before_the_first_start(server: EmbeddedServer) -> None:
    with pytest.raises(OracleRefused, match="labelstudio up"):
        _ = server.token


def test_audio_is_linked_and_linked_anew(server: EmbeddedServer, tmp_path: Path) -> None:
    for name in ("old", "new", "new"):
        (tmp_path / name).mkdir(exist_ok=True)
        link = server.link_audio("w-1", tmp_path / name)
        assert link == server.files / "w-1"
        assert link.resolve() == tmp_path / name
    assert list(server.files.iterdir()) == [link]
    with pytest.raises(AlLoopError, match="cannot name a folder"):
        server.link_audio("../w", tmp_path)


def test_homes_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    monkeypatch.setenv("AL_LOOP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AL_LOOP_CACHE_DIR", str(cache))
    server = EmbeddedServer(sleep=lambda pause_s: time.sleep(0.02))
    assert server.home == tmp_path / "data" / "label-studio"
    server.up()
    assert server.down()


def test_an_installation_that_was_cut_short_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # pip ends at once, as without a network
    leftover = tmp_path / f"label-studio-{VERSION}" / "bin" / "label-studio"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    said: list[str] = []
    with pytest.raises(AlLoopError, match="Check the network") as caught:
        ensure_label_studio(tmp_path, said.append)
    assert "label-studio" in str(caught.value).rpartition("The end of")[2]
    assert not leftover.exists()
    assert "installing Label Studio" in said[0]
    assert not (leftover.parent.parent / ".complete").exists()


def test_a_finished_installation_without_a_marker_is_kept(tmp_path: Path) -> None:
    bin_dir = tmp_path / f"label-studio-{VERSION}" / "bin"
    bin_dir.mkdir(parents=True)
    (bin_dir / "python").symlink_to("/bin/true")  # agrees to every check
    said: list[str] = []
    assert ensure_label_studio(tmp_path, said.append) == bin_dir / "label-studio"
    assert said == []
    assert (bin_dir.parent / ".complete").exists()
