"""What keeps a browser from playing a task's audio, each provoked once."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import pytest

from labeling.served import Served, ask, origin
from labeling.session import TokenAuth

STUDIO = "https://labels.test"
LOCAL = "/data/local-files/?d=w1/ab.flac"
RESOLVE = "/tasks/7/resolve/?fileuri=czM6Ly9jbGlwcy9hYi5mbGFj"
SIGNED = "https://s3.test/clips/ab.flac?X-Amz-Signature=1234"
FOREIGN = "https://audio.test/ab.flac"
CLIP = b"fLaC" + bytes(996)


@dataclass
class Web:
    """Label Studio, an S3 server and a server of audio, as they should be; a test breaks one."""

    clip: bytes = CLIP
    kind: str = "audio/flac"
    stranger: int = 401
    friend: int = 200
    foreign: int = 200
    signed: str = SIGNED
    allows: str | None = STUDIO
    ranges: bool = True
    asked: list[httpx.Request] = field(default_factory=list)

    def ask(self, address: str, size: int | None = len(CLIP), server: str = STUDIO) -> Served:
        login = TokenAuth(server, "token")
        with httpx.Client(transport=httpx.MockTransport(self._answer)) as http:
            return ask(http, login, server, address, size)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.host != "labels.test":
            assert "Authorization" not in request.headers
            if self.foreign != 200:
                return httpx.Response(self.foreign)
            return self._clip(request, {"Access-Control-Allow-Origin": self.allows})
        if request.headers.get("Authorization") != "Token token":
            return httpx.Response(self.stranger)
        if self.friend != 200:
            return httpx.Response(self.friend)
        if request.url.path.endswith("/resolve/"):
            return httpx.Response(303, headers={"Location": self.signed})
        return self._clip(request, {})

    def _clip(self, request: httpx.Request, extra: dict[str, str | None]) -> httpx.Response:
        headers = {"Content-Type": self.kind}
        headers |= {name: value for name, value in extra.items() if value is not None}
        if self.ranges and "Range" in request.headers:
            first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
            return httpx.Response(206, content=self.clip[first : last + 1], headers=headers)
        return httpx.Response(200, content=self.clip, headers=headers)


@pytest.mark.parametrize(
    ("address", "route"),
    [
        (LOCAL, "with a login, and not without"),
        (f"{STUDIO}{LOCAL}", "with a login, and not without"),
        (RESOLVE, "with a login, and not without, from s3.test by a signed address"),
        (FOREIGN, "from audio.test"),
    ],
)
def test_what_can_be_heard(address: str, route: str) -> None:
    web = Web()
    assert web.ask(address) == Served(route, ())
    assert sum("Range" in request.headers for request in web.asked) == 1


def test_it_asks_as_the_page_does() -> None:
    web = Web()
    web.ask(RESOLVE)
    stranger, resolved, whole, part = web.asked
    assert "Authorization" not in stranger.headers
    assert resolved.url.params["lsref"] == "1"
    assert "lsref" not in whole.url.params  # the signature would not cover it
    assert whole.headers["Origin"] == part.headers["Origin"] == STUDIO

    web = Web()
    web.ask(FOREIGN)
    assert web.asked[0].url.params["lsref"] == "1"


def test_a_length_that_is_not_known_is_not_compared() -> None:
    assert Web().ask(LOCAL, size=None).faults == ()


def test_everybody_may_ask_a_server_that_allows_all_pages() -> None:
    assert Web(allows="*").ask(FOREIGN).faults == ()


@pytest.mark.parametrize(
    ("web", "address", "found", "advice"),
    [
        (Web(stranger=200), LOCAL, "200 without a login", "by itself"),
        (Web(stranger=500), LOCAL, "500 without a login, expected 401", "log"),
        (Web(friend=401), LOCAL, "401, expected 200", "token"),
        (Web(friend=403), LOCAL, "403, expected 200", "LOCAL_FILES_SERVING_ENABLED"),
        (Web(friend=404), LOCAL, "404, expected 200", "local storage"),
        (Web(friend=500), LOCAL, "500, expected 200", "log"),
        (Web(friend=404), RESOLVE, "404, expected 200", "storage of the project"),
        (Web(kind="text/html"), LOCAL, "text/html instead of audio", "login page"),
        (Web(clip=CLIP[:-1]), LOCAL, "999 bytes, the clip has 1000", "cut off"),
        (Web(ranges=False), LOCAL, "200 and 1000 bytes for the range", "jump"),
        (Web(ranges=False), RESOLVE, "200 and 1000 bytes for the range", "jump"),
        (Web(signed="/user/login/"), RESOLVE, "sends us to /user/login/", "label_studio.url"),
        (Web(foreign=403), RESOLVE, "403, expected 200", "signature"),
        (Web(foreign=401), FOREIGN, "401, expected 200", "ask for none"),
        (Web(foreign=404), FOREIGN, "404, expected 200", "bring the clip there"),
        (Web(allows=None), RESOLVE, "pages of no other server, not of https://labels", "CORS"),
        (Web(allows="https://x.test"), FOREIGN, "pages of https://x.test, not of", "CORS"),
        (Web(), FOREIGN.replace("https", "http"), "on a page of https://", "by https"),
    ],
)
def test_what_is_wrong_is_named(web: Web, address: str, found: str, advice: str) -> None:
    (fault,) = web.ask(address).faults
    assert found in fault.found
    assert advice in fault.advice


def test_two_faults_are_both_named() -> None:
    first, second = Web(stranger=200, allows=None).ask(RESOLVE).faults
    assert "without a login" in first.found
    assert "not of https://labels.test" in second.found


def test_a_redirect_to_a_login_keeps_strangers_out() -> None:
    assert Web(stranger=302).ask(LOCAL).faults == ()


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
def test_no_answer_is_a_fault(error: httpx.RequestError) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    with httpx.Client(transport=httpx.MockTransport(fail)) as http:
        (fault,) = ask(http, TokenAuth(STUDIO, "token"), STUDIO, FOREIGN, None).faults
    assert f"no answer ({type(error).__name__}: {error})" in fault.found


def test_the_place_that_a_page_is_of() -> None:
    assert origin("https://labels.test/a/b?c") == "https://labels.test"
    assert origin("http://127.0.0.1:8080/") == "http://127.0.0.1:8080"
