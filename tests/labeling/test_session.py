"""How the session logs in, tries again, and names what the server does wrong."""

import subprocess
import sys

import httpx
import pytest

from al_loop.errors import ConfigError, OracleError, OracleRefused, OracleUnavailable
from labeling.session import PAUSES_S, Session

SERVER = "http://label.studio.test"
LEGACY = "0123456789abcdef" * 2 + "01234567"
PERSONAL = "header.payload.signature"


class Server:
    """A fake Label Studio: answers in turn with what it was given, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses_s: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def session(self, token: str = LEGACY) -> Session:
        transport = httpx.MockTransport(self)
        return Session(SERVER, token, transport=transport, sleep=self.pauses_s.append)

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
def test_reads_are_tried_again_with_growing_pauses(name: str) -> None:
    server = Server(FAILURES[name])
    with pytest.raises(OracleUnavailable):
        server.session().get("/x")
    assert len(server.requests) == len(PAUSES_S) + 1
    for pause_s, nominal_s in zip(server.pauses_s, PAUSES_S, strict=True):
        assert 0.5 * nominal_s <= pause_s <= 1.5 * nominal_s


def test_a_read_succeeds_after_a_hiccup() -> None:
    server = Server(FAILURES["502 page"], FAILURES["cut"], ok(id=1))
    assert server.session().get("/x") == {"id": 1}


@pytest.mark.parametrize("name", FAILURES)
def test_changes_are_tried_once(name: str) -> None:
    server = Server(FAILURES[name])
    with pytest.raises(OracleUnavailable):
        server.session().post("/x", {"a": 1})
    assert len(server.requests) == 1


def test_every_request_error_of_httpx_is_translated() -> None:
    kinds: list[type[httpx.RequestError]] = [httpx.RequestError]
    for kind in kinds:  # the list grows while we walk it
        kinds += kind.__subclasses__()
        with pytest.raises(OracleUnavailable) as caught:
            Server(kind("x")).session().delete("/x")
        assert isinstance(caught.value.__cause__, kind)


def test_an_empty_answer_is_none() -> None:
    assert Server(httpx.Response(204)).session().delete("/x") is None


def test_refresh_without_a_token_is_unavailable() -> None:
    with pytest.raises(OracleUnavailable, match="without an access token"):
        Server(ok(detail="hm")).session(PERSONAL).post("/x")


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
@pytest.mark.parametrize("answer", [httpx.Response(401), httpx.ConnectError("no")])
def test_no_message_holds_the_token(token: str, answer: httpx.Response | Exception) -> None:
    session = Server(answer).session(token)
    with pytest.raises(OracleError) as caught:
        session.ready()
    assert token not in f"{caught.value}{caught.value.__cause__}{session!r}"


def test_the_address_must_be_one() -> None:
    with pytest.raises(ConfigError, match=r"'localhost:8080'.*http://"):
        Session("localhost:8080", LEGACY)


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
