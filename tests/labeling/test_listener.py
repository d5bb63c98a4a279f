"""The receiver of webhooks on a real socket, and when hints are acted upon."""

import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from al_loop.errors import AlLoopError, ConfigError, OracleRefused, OracleUnavailable
from labeling.addresses import HOST
from labeling.listener import CALLS_AT_ONCE, LONGEST_BODY, Bell, Receiver, attend, secret_of

SECRET = "k" * 43


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rung:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def rung() -> Rung:
    return Rung()


@pytest.fixture
def address(rung: Rung) -> Iterator[tuple[str, int]]:
    receiver = Receiver(HOST, 0, SECRET, rung)
    with receiver.serving():
        yield HOST, receiver.server_address[1]


def url_of(address: tuple[str, int], path: str = SECRET) -> str:
    return f"http://{address[0]}:{address[1]}/{path}"


def talk(address: tuple[str, int], request: bytes) -> bytes:
    """What comes back upon raw bytes, until the receiver hangs up."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(4096):
            answer += data
        return answer


# -- when ----------------------------------------------------------------------------------------


def test_a_burst_is_due_some_seconds_after_its_last_ring() -> None:
    clock = Clock()
    bell = Bell(2.0, 15.0, clock)
    assert bell.due_in() is None
    bell.ring()
    assert bell.due_in() == 2.0
    clock.now += 1.5
    bell.ring()
    assert bell.due_in() == 2.0
    clock.now += 2.0
    assert bell.due_in() == 0.0
    assert bell.wait(0.0)
    assert bell.due_in() is None


def test_a_burst_without_an_end_is_due_at_the_latest() -> None:
    clock = Clock()
    bell = Bell(2.0, 15.0, clock)
    for _ in range(15):
        bell.ring()
        clock.now += 1.0
    assert bell.due_in() == 0.0
    assert bell.wait(0.0)
    bell.ring()  # the next burst begins anew
    assert bell.due_in() == 2.0


def test_waiting_ends_with_the_bell_or_with_the_limit() -> None:
    bell = Bell(0.05, 1.0)
    assert not bell.wait(0.02)
    begun = time.monotonic()
    threading.Timer(0.1, bell.ring).start()
    assert bell.wait(30.0)
    assert 0.1 <= time.monotonic() - begun < 10.0


# -- what is done --------------------------------------------------------------------------------


class Enough(Exception):
    pass


class Patience(Bell):
    """A bell that is rung as told, and remembers how long it was waited for."""

    def __init__(self, rings: list[bool]) -> None:
        super().__init__(0.0, 0.0)
        self.rings = rings
        self.limits: list[float] = []

    def wait(self, limit_s: float) -> bool:
        self.limits.append(limit_s)
        if not self.rings:
            raise Enough
        return self.rings.pop(0)


def test_what_nobody_heard_is_acted_upon_first() -> None:
    acted = Rung()

    def act() -> bool:
        acted()
        raise Enough

    with pytest.raises(Enough):
        attend(Bell(0.0, 0.0), act, Rung(), print)
    assert acted.times == 1


def test_a_failure_is_tried_again_later_and_later_until_it_works() -> None:
    bell = Patience([True, False, False, False, False, False, False, False])
    outcomes = [False, False, False, False, False, False, True]
    checks = Rung()
    with pytest.raises(Enough):
        attend(bell, lambda: outcomes.pop(0), checks, print)
    assert outcomes == []  # the eighth wait brought nothing, and nothing was done
    assert bell.limits == [600.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0, 600.0, 600.0]
    assert checks.times == 8


def test_webhooks_that_cannot_be_had_at_all_end_it() -> None:
    def refused() -> None:
        raise OracleRefused("no rights")

    with pytest.raises(OracleRefused, match="no rights"):
        attend(Patience([True]), lambda: True, refused, print)


def test_later_trouble_with_webhooks_is_said() -> None:
    troubles = [OracleUnavailable("down"), None, OracleRefused("gone"), None]
    said: list[str] = []

    def check() -> None:
        if trouble := troubles.pop(0):
            raise trouble

    with pytest.raises(Enough):
        attend(Patience([True, True, True, True]), lambda: True, check, said.append)
    assert said == ["down", "gone"]


# -- who is heard --------------------------------------------------------------------------------


def test_a_call_that_knows_the_secret_rings_and_is_answered_at_once(
    address: tuple[str, int], rung: Rung
) -> None:
    begun = time.monotonic()
    answer = httpx.post(url_of(address), json={"action": "ANNOTATION_CREATED"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert time.monotonic() - begun < 0.5
    assert "Python" not in answer.headers["server"]
    assert rung.times == 1


@pytest.mark.parametrize("body", [b"", b"\xff\xfe not JSON", b"[" * 100_000])
def test_what_a_call_says_is_not_read(address: tuple[str, int], rung: Rung, body: bytes) -> None:
    assert httpx.post(url_of(address), content=body).status_code == 204
    assert rung.times == 1


@pytest.mark.parametrize("path", ["", "k", SECRET + "k", SECRET[:-1], f"{SECRET}/", "кыргызча"])
def test_strangers_ring_nothing(address: tuple[str, int], rung: Rung, path: str) -> None:
    assert httpx.post(url_of(address, path), json={}).status_code == 404
    assert rung.times == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_only_a_post_rings(address: tuple[str, int], rung: Rung, method: str) -> None:
    assert httpx.request(method, url_of(address)).status_code >= 400
    assert rung.times == 0


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"Content-Length: %d" % (LONGEST_BODY + 1), 413),
        (b"Content-Length: 99999999999999999999", 413),
        (b"Content-Length: -1", 411),
        (b"Content-Length: many", 411),
        (b"Content-Length: \xc2\xb2", 411),
        (b"Transfer-Encoding: chunked", 411),
    ],
)
def test_a_body_of_no_stated_or_too_great_length_is_refused(
    address: tuple[str, int], rung: Rung, header: bytes, status: int
) -> None:
    answer = talk(address, b"POST /%s HTTP/1.1\r\n%s\r\n\r\n" % (SECRET.encode(), header))
    assert answer.split()[1] == str(status).encode()
    assert rung.times == 0


def test_callers_that_say_nothing_keep_nobody_out(address: tuple[str, int], rung: Rung) -> None:
    silent = [socket.create_connection(address) for _ in range(CALLS_AT_ONCE // 2)]
    assert httpx.post(url_of(address), json={}).status_code == 204
    for connection in silent:
        connection.close()
    assert rung.times == 1


def test_callers_beyond_the_limit_are_turned_away_for_a_while(
    address: tuple[str, int], rung: Rung
) -> None:
    silent = [socket.create_connection(address) for _ in range(CALLS_AT_ONCE)]
    assert eventually(address, answered=False)
    for connection in silent:
        connection.close()
    assert eventually(address, answered=True)


def eventually(address: tuple[str, int], *, answered: bool) -> bool:
    """Whether a call is answered, or is not, before many were tried."""
    for _ in range(100):
        try:
            if (httpx.post(url_of(address), json={}).status_code == 204) is answered:
                return True
        except httpx.TransportError:
            if not answered:
                return True
        time.sleep(0.02)
    return False


def test_nothing_is_printed(
    address: tuple[str, int], rung: Rung, capfd: pytest.CaptureFixture[str]
) -> None:
    httpx.post(url_of(address), json={})
    talk(address, b"nonsense\r\n\r\n")
    with socket.create_connection(address) as connection:
        connection.send(b"POST /")
    assert capfd.readouterr() == ("", "")


def test_an_address_that_is_taken_is_named(address: tuple[str, int], rung: Rung) -> None:
    with pytest.raises(AlLoopError, match="name another address") as caught:
        Receiver(*address, SECRET, rung)
    assert f"{address[0]}:{address[1]}" in str(caught.value)


# -- the secret ----------------------------------------------------------------------------------


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "listen.secret"
    secret = secret_of(path)
    assert len(secret) == 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret_of(path) == secret
    assert secret_of(tmp_path / "another") != secret


def test_a_secret_that_others_may_read_is_none(tmp_path: Path) -> None:
    path = tmp_path / "listen.secret"
    secret = secret_of(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        secret_of(path)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("text", ["", "short", "s" * 40 + "/../x", "ө" * 43])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "listen.secret"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="delete it"):
        secret_of(path)
