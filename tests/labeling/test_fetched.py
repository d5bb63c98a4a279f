"""Where the audio of other people's tasks is found, and what the server's token is shown to."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from al_loop.errors import OracleRefused, OracleUnavailable
from labeling.fetched import Audio, Missing, alike, file_path, url_of
from labeling.session import LONGEST_ANSWER_S, PAUSES_S, Session

TOKEN = "0123456789abcdef" * 2 + "01234567"
SERVER = "http://ls.test:8080"
Answer = httpx.Response | Exception


class Web:
    """Answers by address, and keeps who asked for what with which login."""

    def __init__(self, **pages: Answer | list[Answer]) -> None:
        self.pages = {url.replace("_", "/"): page for url, page in pages.items()}
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        self.asked.append((url, request.headers.get("Authorization")))
        found = self.pages.get(url, httpx.Response(404))
        page = found.pop(0) if isinstance(found, list) else found
        if isinstance(page, Exception):
            raise page
        return page


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def audio(web: Web, tmp_path: Path) -> Audio:
    """Fetched from the server, or from wherever it says."""
    return place(web, tmp_path)


def place(web: Web, tmp_path: Path, folder: Path | None = None, base: str = SERVER) -> Audio:
    transport = httpx.MockTransport(web)
    session = Session(base, TOKEN, transport=transport)
    foreign = httpx.Client(transport=transport)
    return Audio(folder, session, tmp_path / "kept", foreign=foreign, sleep=lambda _: None)


def sound(content: bytes = b"RIFF") -> httpx.Response:
    return httpx.Response(200, content=content, headers={"Content-Type": "audio/wav"})


# -- in a folder -------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "audio" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        return tmp_path / "audio"

    return make


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/3/0a1b2c3d-a%20b.wav",
        "/data/upload/3/a b.wav",
        "/data/local-files/?d=calls%2F7%2Fa%20b.wav",
        "/data/local-files/?d=calls\\a b.wav",
        "s3://bucket/calls/a b.wav",
        "https://cdn.test/x/a%20b.wav?Expires=3",
        "a b.wav",
    ],
)
def test_a_file_is_found_by_its_name(files: Callable[..., Path], address: str) -> None:
    folder = files("2026/a b.wav", "2026/b.wav")
    found = Audio(folder, None, folder).find(address, "1")
    assert found == folder / "2026/a b.wav"


def test_of_several_files_the_folders_decide(files: Callable[..., Path]) -> None:
    folder = files("a.wav", "x/day1/a.wav", "x/day2/a.wav")
    audio = Audio(folder, None, folder)
    assert audio.find("/data/local-files/?d=x/day2/a.wav", "1") == folder / "x/day2/a.wav"
    assert audio.find("s3://b/day1/a.wav", "1") == folder / "x/day1/a.wav"
    with pytest.raises(Missing, match=r"3 files could be '/a\.wav': a\.wav, x/day1/a\.wav"):
        audio.find("s3://b/a.wav", "1")


def test_what_is_not_there_says_where_it_was_looked_for(files: Callable[..., Path]) -> None:
    folder = files("a.wav")
    with pytest.raises(Missing, match=rf"no file 'b\.wav' below {folder}"):
        Audio(folder, None, folder).find("/data/upload/3/b.wav", "1")
    with pytest.raises(Missing, match="--audio, or fetch it with --fetch"):
        Audio(None, None, folder).find("/data/upload/3/b.wav", "1")


@pytest.mark.parametrize("address", ["", "/", "https://cdn.test/", "http://[x/a.wav"])
def test_an_address_without_a_file_is_none(files: Callable[..., Path], address: str) -> None:
    with pytest.raises(Missing):
        Audio(files("a.wav"), None, files()).find(address, "1")


def test_nothing_outside_the_folder_is_found(files: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_text("mine")
    with pytest.raises(Missing):
        Audio(files("a.wav"), None, tmp_path).find("/data/local-files/?d=../secret.wav", "1")


def test_folders_are_compared_from_their_ends() -> None:
    assert alike(("a", "b", "c"), ("x", "b", "c")) == 2
    assert alike((), ("x",)) == 0
    assert str(file_path("/data/local-files/?d=a/b%231.wav")) == "a/b#1.wav"


# -- from a server -----------------------------------------------------------------------------


def test_an_upload_is_fetched_with_the_login_and_once(
    web: Web, audio: Audio, tmp_path: Path
) -> None:
    web.pages[f"{SERVER}/data/upload/3/a.wav"] = sound(b"RIFF1")
    first = audio.find("/data/upload/3/a.wav", "1")
    assert first.read_bytes() == b"RIFF1"
    assert audio.find("/data/upload/3/a.wav", "1") == first
    assert place(web, tmp_path).find("/data/upload/3/a.wav", "1") == first
    assert web.asked == [(f"{SERVER}/data/upload/3/a.wav", f"Token {TOKEN}")]
    assert list((tmp_path / "kept").iterdir()) == [first]


def test_a_folder_comes_before_the_server(web: Web, tmp_path: Path, files: Callable) -> None:
    audio = place(web, tmp_path, files("a.wav"))
    assert audio.find("/data/upload/3/a.wav", "1") == tmp_path / "audio/a.wav"
    web.pages[f"{SERVER}/data/upload/3/b.wav"] = sound()
    assert audio.find("/data/upload/3/b.wav", "1").parent == tmp_path / "kept"


def test_no_other_server_sees_the_token(web: Web, audio: Audio) -> None:
    """Nor one on another port of the same machine, nor where the server sends us on to."""
    bucket = "https://bucket.test/a.wav?X-Amz-Signature=s"
    resolve = url_of(SERVER, "s3://bucket/a.wav", "12")
    assert resolve.startswith(f"{SERVER}/tasks/12/resolve/?fileuri=")
    assert urlsafe_b64decode(resolve.partition("=")[2]) == b"s3://bucket/a.wav"
    web.pages |= {
        resolve: httpx.Response(303, headers={"Location": bucket}),
        bucket: sound(b"from the bucket"),
        "http://ls.test/b.wav": sound(),
        "https://cdn.test/c.wav": httpx.Response(302, headers={"Location": "/d.wav"}),
        "https://cdn.test/d.wav": sound(b"d"),
        f"{SERVER}/e.wav": sound(),
    }
    assert audio.find("s3://bucket/a.wav", "12").read_bytes() == b"from the bucket"
    audio.find("http://ls.test/b.wav", "1")
    assert audio.find("https://cdn.test/c.wav", "1").read_bytes() == b"d"
    audio.find(f"{SERVER}/e.wav", "1")
    logins = dict(web.asked)
    assert {url for url, login in logins.items() if login} == {resolve, f"{SERVER}/e.wav"}
    assert len(logins) == 6


def test_a_server_below_a_path(web: Web, tmp_path: Path) -> None:
    base = "https://ls.test/studio"
    web.pages[f"{base}/data/upload/3/a.wav"] = sound()
    audio = place(web, tmp_path, base=base)
    audio.find("/data/upload/3/a.wav", "1")
    assert url_of(base, "/studio/data/upload/3/a.wav", "1") == web.asked[0][0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(403), "403 from"),
        (httpx.Response(404), "404 from"),
        (httpx.Response(500), "500 from"),
        (httpx.Response(206), "206 from"),
        (httpx.Response(200, html="<form>log in</form>"), "a web page from"),
        (httpx.Response(302, headers={"Location": "/data/upload/3/a.wav"}), "again and again"),
        (
            httpx.Response(302, headers={"Location": "ftp://x/a.wav"}),
            r"no answer \(UnsupportedProtocol\) from ftp://x/a\.wav",
        ),
        (httpx.Response(429), "nothing yet from"),
    ],
)
def test_a_file_that_the_server_does_not_give_is_missing(
    web: Web, audio: Audio, tmp_path: Path, answer: httpx.Response, reason: str
) -> None:
    web.pages[f"{SERVER}/data/upload/3/a.wav?secret=s"] = answer
    web.pages[f"{SERVER}/data/upload/3/a.wav"] = answer
    web.pages["ftp://x/a.wav"] = httpx.UnsupportedProtocol("ftp")
    with pytest.raises(Missing, match=reason) as failed:
        audio.find("/data/upload/3/a.wav?secret=s", "1")
    assert "secret" not in str(failed.value)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_busy_server_is_asked_again(web: Web, audio: Audio) -> None:
    busy: list[Answer] = [httpx.Response(503), httpx.ReadTimeout("slow"), sound(b"at last")]
    web.pages[f"{SERVER}/data/upload/3/a.wav"] = busy
    assert audio.find("/data/upload/3/a.wav", "1").read_bytes() == b"at last"


def test_a_server_that_is_gone_ends_the_import(web: Web, audio: Audio) -> None:
    web.pages[f"{SERVER}/data/upload/3/a.wav"] = httpx.ConnectError("refused")
    with pytest.raises(OracleUnavailable, match="ConnectError"):
        audio.find("/data/upload/3/a.wav", "1")
    assert len(web.asked) == len(PAUSES_S) + 1
    web.pages[f"{SERVER}/data/upload/3/a.wav"] = httpx.Response(401)
    with pytest.raises(OracleRefused, match="does not know the token"):
        audio.find("/data/upload/3/a.wav", "1")


def test_somebody_elses_server_that_is_gone_costs_one_row(web: Web, audio: Audio) -> None:
    web.pages["https://cdn.test/a.wav?key=s"] = httpx.ConnectError("refused")
    with pytest.raises(Missing, match=r"no answer \(ConnectError\) from https://cdn\.test/a\.wav,"):
        audio.find("https://cdn.test/a.wav?key=s", "1")
    asked = len(web.asked)
    with pytest.raises(Missing, match=r"no answer from cdn\.test before"):
        audio.find("https://cdn.test/b.wav", "2")
    assert len(web.asked) == asked
    web.pages["https://other.test/b.wav"] = httpx.Response(401)
    with pytest.raises(Missing, match="401"):
        audio.find("https://other.test/b.wav", "1")


@pytest.mark.parametrize("address", ["a.wav", "http://[x/a.wav", "http://a b/c.wav", "C:\\a.wav"])
def test_what_is_no_address_is_missing(audio: Audio, address: str) -> None:
    with pytest.raises(Missing):
        audio.find(address, "1")


@pytest.mark.parametrize("place", ["[bad", "[::bad", "cdn.test:99999999"])
def test_what_is_no_address_keeps_its_secrets(web: Web, audio: Audio, place: str) -> None:
    """Neither one that a task names nor one that we are sent on to."""
    bad = f"https://me:password@{place}/a.wav?Signature=hidden"
    web.pages["https://x.test/a.wav?key=hidden"] = httpx.Response(302, headers={"Location": bad})
    for address in (bad, "https://x.test/a.wav?key=hidden"):
        with pytest.raises(Missing, match=r"a\.wav") as found:
            audio.find(address, "1")
        assert "hidden" not in str(found.value)
        assert "password" not in str(found.value)


class Slow(httpx.SyncByteStream):
    """A body in many parts, each of which takes a minute of the session's clock."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.time_s = 0.0

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.time_s += 60
            yield part


@pytest.mark.parametrize("token", [TOKEN, "a.personal.token"])
def test_a_long_recording_may_take_long(web: Web, tmp_path: Path, token: str) -> None:
    slow = Slow(*[b"RIFF"] * 10)
    web.pages |= {
        f"{SERVER}/api/token/refresh/": httpx.Response(200, json={"access": "x"}),
        f"{SERVER}/data/upload/3/a.wav": httpx.Response(200, stream=slow),
    }
    transport = httpx.MockTransport(web)
    session = Session(SERVER, token, transport=transport, clock=lambda: slow.time_s)
    audio = Audio(None, session, tmp_path / "kept", sleep=lambda _: None)
    assert audio.find("/data/upload/3/a.wav", "1").read_bytes() == b"RIFF" * 10
    assert slow.time_s > LONGEST_ANSWER_S


@pytest.mark.parametrize("address", [f"{SERVER}/a.wav", "https://cdn.test/a.wav"])
def test_a_body_without_an_end_does_not_fill_the_disk(
    web: Web, tmp_path: Path, address: str
) -> None:
    endless = Slow(*[b"RIFF"] * 10)
    web.pages[address] = httpx.Response(200, stream=endless)
    transport = httpx.MockTransport(web)
    session, foreign = (
        Session(SERVER, TOKEN, transport=transport),
        httpx.Client(transport=transport),
    )
    audio = Audio(None, session, tmp_path / "kept", foreign=foreign, most_bytes=12)
    with pytest.raises(Missing, match=f"more than 12 bytes from {address}"):
        audio.find(address, "1")
    assert endless.time_s == 240.0  # no more than the first part too many was asked for
    assert list((tmp_path / "kept").iterdir()) == []
