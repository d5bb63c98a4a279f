"""How the session logs in, tries again, and names what the server does wrong."""

import http.server
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import trustme

from al_loop.errors import ConfigError, OracleError, OracleRefused, OracleUnavailable
from labeling.session import (
    LONGEST_ANSWER_S,
    LONGEST_PAUSE_S,
    PATIENCE_S,
    PAUSES_S,
    Session,
    authorities,
)

SERVER = "http://label.studio.test"
LEGACY = "0123456789abcdef" * 2 + "01234567"
PERSONAL = "header.payload.signature"


class Server:
    """A fake Label Studio: answers in turn with what it was given, and keeps the requests.

    slowness_s: how long each answer takes, by its clock.
    """

    def __init__(self, *answers: httpx.Response | Exception, slowness_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses_s: list[float] = []
        self.time_s = 0.0
        self.slowness_s = slowness_s

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.time_s += self.slowness_s
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def session(self, token: str = LEGACY) -> Session:
        transport = httpx.MockTransport(self)
        return Session(
            SERVER, token, transport=transport, sleep=self._sleep, clock=lambda: self.time_s
        )

    def _sleep(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)
        self.time_s += pause_s

    @property
    def logins(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.requests]


def ok(**body: object) -> httpx.Response:
    return httpx.Response(200, json=body)


def test_legacy_token_goes_into_the_header() -> None:
    server = Server(ok(id=1))
    assert server.session().get("/api/tasks", page=2) == {"id": 1}
    assert server.logins == [f"Token {LEGACY}"]
    assert str(server.requests[0].url) == f"{SERVER}/api/tasks?page=2"


def test_personal_token_is_exchanged_once() -> None:
    server = Server(ok(access="a1"), ok())
    session = server.session(PERSONAL)
    session.get("/one")
    session.get("/two")
    assert [request.url.path for request in server.requests] == [
        "/api/token/refresh/",
        "/one",
        "/two",
    ]
    assert server.logins[1:] == ["Bearer a1", "Bearer a1"]


def test_personal_token_is_exchanged_again_when_the_access_ran_out() -> None:
    server = Server(ok(access="a1"), ok(), httpx.Response(401, json={}), ok(access="a2"), ok(n=3))
    session = server.session(PERSONAL)
    session.get("/one")
    assert session.post("/two", {"b": 1}) == {"n": 3}
    assert server.logins[-1] == "Bearer a2"
    assert server.requests[-1].content == server.requests[2].content


def test_refused_personal_token_is_not_tried_again() -> None:
    server = Server(httpx.Response(401, json={"detail": "Token is invalid"}))
    with pytest.raises(OracleRefused, match="Token is invalid"):
        server.session(PERSONAL).ready()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 405, 413])
def test_refusals_are_final(status: int) -> None:
    server = Server(httpx.Response(status, json={"detail": "no such thing"}))
    with pytest.raises(OracleRefused, match=rf"{status}.*{SERVER}.*no such thing"):
        server.session().get("/x")
    assert len(server.requests) == 1


FAILURES = {
    "408": httpx.Response(408),
    "429": httpx.Response(429, json={"detail": "slow down"}),
    "500 page": httpx.Response(500, html="<h1>Server Error</h1>"),
    "502 page": httpx.Response(502, html="<h1>Bad Gateway</h1>"),
    "login page": httpx.Response(200, html="<form>log in</form>"),
    "truncated": httpx.Response(200, text='{"tasks": [{"id": 1'),
    "refused": httpx.ConnectError("connection refused"),
    "slow": httpx.ReadTimeout("timed out"),
    "cut": httpx.RemoteProtocolError("peer closed connection"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_reads_are_tried_again(name: str) -> None:
    server = Server(FAILURES[name])
    with pytest.raises(OracleUnavailable):
        server.session().get("/x")
    assert len(server.requests) == len(PAUSES_S) + 1
    for pause_s, longest_s in zip(server.pauses_s, PAUSES_S, strict=True):
        assert 0 <= pause_s <= longest_s


def test_pauses_grow_and_vary() -> None:
    server = Server(httpx.Response(502))
    session = server.session()
    for _ in range(200):
        with pytest.raises(OracleUnavailable):
            session.get("/x")
    for place, longest_s in enumerate(PAUSES_S):
        pauses_s = sorted(server.pauses_s[place :: len(PAUSES_S)])
        assert pauses_s[0] < 0.1 * longest_s < 0.9 * longest_s < pauses_s[-1]


def test_a_read_succeeds_after_a_hiccup() -> None:
    server = Server(FAILURES["502 page"], FAILURES["cut"], ok(id=1))
    assert server.session().get("/x") == {"id": 1}


@pytest.mark.parametrize("name", FAILURES.keys() - {"429"})
def test_changes_are_tried_once(name: str) -> None:
    server = Server(FAILURES[name])
    with pytest.raises(OracleUnavailable):
        server.session().post("/x", {"a": 1})
    assert len(server.requests) == 1


def test_a_change_that_was_turned_away_is_tried_again() -> None:
    server = Server(FAILURES["429"], FAILURES["429"], ok(id=1))
    assert server.session().post("/x", {"a": 1}, wanted=True) == {"id": 1}
    assert [request.content for request in server.requests] == [b'{"a":1}'] * 3
    assert server.requests[-1].url.query == b"wanted=true"


def busy(status: int, retry_after: str) -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": retry_after})


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_gets_the_pause_that_it_asks_for(status: int) -> None:
    server = Server(busy(status, "7"), ok())
    server.session().get("/x")
    (pause_s,) = server.pauses_s
    assert 7 <= pause_s <= 7 + PAUSES_S[0]


def test_a_pause_may_be_asked_for_by_date() -> None:
    until = datetime.now(UTC) + timedelta(seconds=20)
    server = Server(busy(429, format_datetime(until, usegmt=True)), ok())
    server.session().get("/x")
    (pause_s,) = server.pauses_s
    assert 15 < pause_s <= 20 + PAUSES_S[0]


@pytest.mark.parametrize(
    "asked",
    [
        "soon",
        "",
        "-5",
        "Tue, 99 Foo 2026",
        "Mon, 01 Jan 2001",
        "9" * 400,
        f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
    ],
)
def test_a_pause_that_makes_no_sense_is_as_none(asked: str) -> None:
    server = Server(busy(503, asked), ok())
    server.session().get("/x")
    assert server.pauses_s[0] <= PAUSES_S[0]


def test_a_server_that_wants_to_be_left_alone_is() -> None:
    server = Server(busy(429, str(LONGEST_PAUSE_S + 1).removesuffix(".0")))
    with pytest.raises(OracleUnavailable, match="in 31 s as it asks"):
        server.session().get("/x")
    assert len(server.requests) == 1


def test_a_slow_server_is_not_asked_for_ever() -> None:
    server = Server(httpx.ReadTimeout("timed out"), slowness_s=60.0)
    with pytest.raises(OracleUnavailable):
        server.session().get("/x")
    assert len(server.requests) == 2
    assert server.time_s < PATIENCE_S + 60.0


def test_a_transport_that_cannot_be_bounded_is_refused() -> None:
    class Endless(httpx.AsyncByteStream):
        pass

    session = Server(ok()).session()  # httpx itself has an assertion for it
    with pytest.raises(TypeError, match="the transport gives a Endless"):
        session._bound(httpx.Response(200, stream=Endless()))


def test_the_time_of_the_server_is_kept() -> None:
    told = httpx.Response(200, json={}, headers={"Date": "Mon, 23 Nov 2026 05:00:00 GMT"})
    server = Server(told, ok(), httpx.Response(200, json={}, headers={"Date": "noon"}))
    session = server.session()
    assert session.server_time is None
    for _ in range(3):
        session.get("/x")
        assert session.server_time == datetime(2026, 11, 23, 5, tzinfo=UTC)


def test_an_answer_that_trickles_is_given_up() -> None:
    server = Server(ok())

    def trickle() -> Iterator[bytes]:
        while True:
            server.time_s += 1.0
            yield b" "

    server.answers = [httpx.Response(200, content=trickle())]
    with pytest.raises(OracleUnavailable, match="went on for"):
        server.session().post("/x")
    assert server.time_s <= LONGEST_ANSWER_S + 2


def test_every_request_error_of_httpx_is_translated() -> None:
    kinds: list[type[httpx.RequestError]] = [httpx.RequestError]
    for kind in kinds:  # the list grows while we walk it
        kinds += kind.__subclasses__()
        with pytest.raises(OracleUnavailable) as caught:
            Server(kind("x")).session().delete("/x")
        assert isinstance(caught.value.__cause__, kind)


def test_what_is_nested_too_deeply_is_unavailable() -> None:
    with pytest.raises(OracleUnavailable, match="not JSON"):
        Server(httpx.Response(200, content=b"[" * 100_000)).session().get("/x")


def test_an_empty_answer_is_none() -> None:
    assert Server(httpx.Response(204)).session().delete("/x") is None


@pytest.mark.parametrize(
    "answer", [ok(detail="hm"), ok(access=None), ok(access=5), ok(access="ү"), ok(access="a\nb")]
)
def test_refresh_without_a_token_is_unavailable(answer: httpx.Response) -> None:
    with pytest.raises(OracleUnavailable, match="without an access token"):
        Server(answer).session(PERSONAL).post("/x")


def test_a_token_that_is_withdrawn_between_two_reads() -> None:
    gone = httpx.Response(401, json={"detail": "Invalid token."})
    legacy = Server(ok(n=1), gone).session()
    assert legacy.get("/one") == {"n": 1}
    with pytest.raises(OracleRefused, match=r"401.*Invalid token.*AL_LOOP_LABEL_STUDIO_TOKEN"):
        legacy.get("/two")

    personal = Server(ok(access="a1"), ok(n=1), gone)
    session = personal.session(PERSONAL)
    assert session.get("/one") == {"n": 1}
    with pytest.raises(OracleRefused, match=r"401.*Invalid token"):
        session.get("/two")
    assert len(personal.requests) == 4  # one refresh, then no more


def test_a_server_that_is_restarted_while_the_access_runs_out() -> None:
    server = Server(
        ok(access="a1"), ok(), httpx.Response(401), httpx.Response(502), ok(access="a2"), ok(n=3)
    )
    session = server.session(PERSONAL)
    session.get("/one")
    server.answers[2:2] = [httpx.Response(401)]  # the second attempt still has the old access
    assert session.get("/two") == {"n": 3}


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
@pytest.mark.parametrize("answer", [httpx.Response(401), httpx.ConnectError("no")])
def test_no_message_holds_the_token(token: str, answer: httpx.Response | Exception) -> None:
    session = Server(answer).session(token)
    with pytest.raises(OracleError) as caught:
        session.ready()
    assert token not in f"{caught.value}{caught.value.__cause__}{session!r}"


@pytest.mark.parametrize("address", ["localhost:8080", "http://[::1", "https://a:port"])
def test_the_address_must_be_one(address: str) -> None:
    with pytest.raises(ConfigError, match=r"label_studio\.url is .*http://"):
        Session(address, LEGACY)


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
def test_sdk_uses_our_login_and_does_not_repeat_a_change(token: str) -> None:
    answers = [ok(access="a1")] if token == PERSONAL else []
    server = Server(*answers, httpx.Response(503, html="<h1>busy</h1>"))
    with pytest.raises(OracleUnavailable, match="503"), server.session(token).sdk() as studio:
        studio.projects.import_tasks(1, request=[])
    assert server.logins[-1] in {f"Token {LEGACY}", "Bearer a1"}
    assert len(server.requests) == len(answers) + 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json={"detail": "title too long"}), OracleRefused),
        (httpx.Response(401, json={"detail": "Invalid token."}), OracleRefused),
        (httpx.Response(404, html="<h1>not here</h1>"), OracleRefused),
        (httpx.Response(201, html="<h1>welcome</h1>"), OracleUnavailable),
        (httpx.ConnectError("no"), OracleUnavailable),
    ],
)
def test_errors_of_the_sdk_are_translated(
    answer: httpx.Response | Exception, error: type[OracleError]
) -> None:
    with pytest.raises(error) as caught, Server(answer).session().sdk() as studio:
        studio.projects.create(title="abc")
    assert caught.value.__cause__ is not None
    assert LEGACY not in str(caught.value)


def test_an_answer_that_the_sdk_cannot_read_is_translated() -> None:
    from label_studio_sdk.core.parse_error import ParsingError

    with pytest.raises(OracleUnavailable), Server(ok()).session().sdk():
        raise ParsingError(status_code=200, body={})


def test_polling_does_not_import_the_sdk() -> None:
    code = (
        "import sys, labeling.oracle, labeling.project, labeling.server; "
        "heavy = {'label_studio_sdk', 'torch', 'pandas', 'storage', 'al_loop.round'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


# -- certificates ----------------------------------------------------------------------------------


class Greeter(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"id": 1}')

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def https_port(authority: trustme.CA) -> Iterator[int]:
    """A real server on this machine, which shows a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeter)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def test_a_private_authority_is_believed(https_port: int, ca_file: Path) -> None:
    session = Session(f"https://localhost:{https_port}", LEGACY, ca_file=ca_file)
    session.ready()
    with session.sdk() as studio:
        assert studio.users.whoami().id == 1


def test_an_unknown_authority_is_not(https_port: int) -> None:
    pauses_s: list[float] = []
    session = Session(f"https://localhost:{https_port}", LEGACY, sleep=pauses_s.append)
    with pytest.raises(OracleRefused, match=r"not to be trusted \(.+label_studio\.ca_file"):
        session.ready()
    with pytest.raises(OracleRefused, match="not to be trusted"):
        session.post("/x")
    assert pauses_s == []


def test_a_certificate_of_another_name_is_not_believed(https_port: int, ca_file: Path) -> None:
    session = Session(f"https://127.0.0.1:{https_port}", LEGACY, ca_file=ca_file)
    with pytest.raises(OracleRefused, match="not to be trusted"):
        session.ready()


def test_public_authorities_are_believed_besides(ca_file: Path) -> None:
    both = authorities(ca_file, trust_env=False)
    alone = authorities(None, trust_env=False)
    assert both.cert_store_stats()["x509_ca"] == alone.cert_store_stats()["x509_ca"] + 1
    assert both.verify_mode is alone.verify_mode is ssl.CERT_REQUIRED
    assert both.check_hostname
    assert alone.check_hostname


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\x00\xff"])
def test_a_file_without_certificates_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"label_studio\.ca_file: .*ca\.pem.*PEM"):
        Session(SERVER, LEGACY, ca_file=path)
