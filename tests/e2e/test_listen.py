"""`al-loop labelstudio listen` against a real server: an answer is here within seconds."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from al_loop.errors import OracleRefused
from labeling.addresses import HOST
from labeling.listener import secret_of
from labeling.server import EmbeddedServer

from .asked import Asked, asked, result

pytestmark = pytest.mark.e2e

SECONDS = 30.0
"""The most that any step may take: a busy machine needs a few."""


@pytest.fixture
def workspace(
    tmp_path: Path, label_studio: EmbeddedServer, make_clip: Callable[..., Path]
) -> Asked:
    found = asked(tmp_path / "w", label_studio)
    found.ask([f"clip{number}" for number in range(4)], make_clip)
    assert "4 tasks were pushed" in found.command("labelstudio", "sync")
    return found


class Listener:
    """The command at work. `lines` are read when it has ended."""

    def __init__(self, workspace: Asked) -> None:
        with socket.create_server((HOST, 0)) as probe:
            self.port = probe.getsockname()[1]
        self.log = workspace.folder / "listen.out"
        arguments = ["--port", str(self.port), "--quiet-s", "0.5", "--latest-s", "3"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                workspace.line("labelstudio", "listen", *arguments),
                env=workspace.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Seconds until it has ended."""
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(SECONDS)
        return time.monotonic() - begun

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def listening(workspace: Asked) -> Iterator[Listener]:
    listener = Listener(workspace)
    try:
        until(lambda: len(hooks(workspace)) == 1 and "answers came" in listener.said())
        yield listener
    finally:
        listener.process.kill()
        listener.process.wait()


def until(condition: Callable[[], bool]) -> float:
    """Seconds until it holds."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < SECONDS
        time.sleep(0.05)
    return time.monotonic() - begun


def hooks(workspace: Asked) -> list[dict[str, Any]]:
    rows = workspace.query("SELECT project_id FROM projects")
    found = [workspace.session().get("/api/webhooks/", project=number) for (number,) in rows]
    return [row for rows in found for row in rows]


def test_answers_are_here_within_seconds_and_nobody_waits_for_it(workspace: Asked) -> None:
    with listening(workspace) as listener:
        (hook,) = hooks(workspace)
        assert hook["url"].startswith(f"http://{HOST}:{listener.port}/")
        assert not hook["send_payload"]
        begun = time.monotonic()
        number = workspace.answer("clip0", "салам, дос")
        posted_s = time.monotonic() - begun
        pulled_s = until(lambda: workspace.answers() == [("clip0", "салам, дос")])
        print(f"answered in {posted_s:.2f} s, pulled {pulled_s:.2f} s later")
        assert pulled_s < 20

        session = workspace.session()
        session.patch(f"/api/annotations/{number}/", {"result": result("саламчы")})
        until(lambda: workspace.answers() == [("clip0", "саламчы")])
        session.delete(f"/api/annotations/{number}/")
        until(lambda: workspace.answers() == [])

        for clip in ("clip1", "clip2", "clip3"):
            workspace.answer(clip, "салам")
        until(lambda: len(workspace.answers()) == 3)
        assert listener.end() < 15
        assert listener.process.returncode == 0
    assert hooks(workspace) == []
    secret = workspace.folder / "listen.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret_of(secret) not in listener.said()
    assert "Traceback" not in listener.said()


def test_strangers_start_no_sync_and_a_second_listener_is_turned_away(workspace: Asked) -> None:
    with listening(workspace) as listener:
        syncs = listener.said().count("answers came")
        answer = httpx.post(f"http://{HOST}:{listener.port}/{'x' * 43}", json={})
        assert answer.status_code == 404
        assert "listens for this workspace already" in workspace_error(workspace)
        time.sleep(3)
        assert listener.said().count("answers came") == syncs


def workspace_error(workspace: Asked) -> str:
    done = subprocess.run(
        workspace.line("labelstudio", "listen"),
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 1
    return done.stderr


def test_killed_it_leaves_a_webhook_that_hurts_nobody_and_the_next_one_takes_over(
    workspace: Asked,
) -> None:
    with listening(workspace) as listener:
        listener.end(signal.SIGKILL)
    (left,) = hooks(workspace)
    begun = time.monotonic()
    workspace.answer("clip0", "бир")
    assert time.monotonic() - begun < 5
    workspace.session().patch(
        f"/api/webhooks/{left['id']}/", {"is_active": False, "actions": ["ANNOTATION_CREATED"]}
    )
    with listening(workspace) as listener:
        until(lambda: hooks(workspace)[0]["is_active"])
        (hook,) = hooks(workspace)
        assert hook["id"] == left["id"]
        assert f":{listener.port}/" in hook["url"]
        assert workspace.answers() == [("clip0", "бир")]  # what nobody heard of
        listener.end(signal.SIGINT)
        assert listener.process.returncode == 0
    assert hooks(workspace) == []


def test_a_server_that_is_down_is_waited_for(workspace: Asked) -> None:
    with listening(workspace) as listener:
        workspace.server.down()
        secret = secret_of(workspace.folder / "listen.secret")
        httpx.post(f"http://{HOST}:{listener.port}/{secret}", json={})
        until(lambda: "Label Studio is not running" in listener.said())
        workspace.server.up()
        workspace.answer("clip0", "бир")
        until(lambda: workspace.answers() == [("clip0", "бир")])
        assert listener.process.poll() is None
        listener.end()


def test_of_private_addresses_the_server_calls_ours_alone(workspace: Asked) -> None:
    session = workspace.session()
    ((project,),) = workspace.query("SELECT project_id FROM projects")
    for address in ("127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "127.76.83.2"):
        body = {"url": f"http://{address}:8502/x", "project": project}
        with pytest.raises(OracleRefused, match="network address"):
            session.post("/api/webhooks/", body)
    made = session.post("/api/webhooks/", {"url": f"http://{HOST}:1/x", "project": project})
    session.delete(f"/api/webhooks/{made['id']}/")
