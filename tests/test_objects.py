"""Objects at addresses: a real S3 server, a small HTTP one, and what is never told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from al_loop.addresses import problem_of, shown
from al_loop.errors import AudioError, StorageError
from al_loop.objects import Objects, Unwritable

from .s3_server import KEYS, s3_client, s3_server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        s3_client(address).create_bucket(Bucket="things")
        yield address


class Web(BaseHTTPRequestHandler):
    asked: dict[str, int]

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        if self.path in ("/endless", "/drips"):
            self._go_on(b"sound" * (1 if self.path == "/drips" else 10_000))
        else:
            self._answer(b"sound" * 1000)

    def _go_on(self, part: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):  # the other side has heard enough
            while True:
                self.wfile.write(part)
                time.sleep(0.001 if len(part) > 5 else 0.03)

    def _answer(self, body: bytes) -> None:
        path = "/" + self.path.partition("?")[0].split("/")[1]
        self.asked[path] = self.asked.get(path, 0) + 1
        status = {"/absent": 404, "/refused": 403, "/broken": 500, "/tired": 503}.get(path, 200)
        if path == "/tired" and self.asked[path] > 1:
            status = 200
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if self.path == "/page" else "audio/wav")
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/a.wav":
            self.send_header("ETag", '"one"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("al_loop.web.PAUSES_S", (0.01, 0.01))
    Web.asked = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    Thread(target=lambda: server.serve_forever(0.01), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


# -- buckets ---------------------------------------------------------------------------------------


def test_what_is_brought_is_fetched(endpoint: str, tmp_path: Path) -> None:
    objects = Objects(endpoint)
    address = "s3://things/a folder/сөз #1?.flac"
    data = bytes(range(256)) * 9000  # more than is read at once
    assert objects.size(address) is None
    objects.put(address, data)
    assert objects.size(address) == len(data)
    assert objects.fetch(address, tmp_path / "a") == len(data)
    assert (tmp_path / "a").read_bytes() == data
    keys = [row["Key"] for row in s3_client(endpoint).list_objects_v2(Bucket="things")["Contents"]]
    assert keys == ["a folder/сөз #1?.flac"]  # and no folder beside it
    head = s3_client(endpoint).head_object(Bucket="things", Key=keys[0])
    assert head["ContentType"] == "audio/flac"  # so that browsers play it


def test_what_is_not_there_is_said(endpoint: str, tmp_path: Path) -> None:
    objects = Objects(endpoint)
    with pytest.raises(FileNotFoundError, match="no object s3://things/none"):
        objects.fetch("s3://things/none", tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="no bucket for s3://absent/none"):
        objects.put("s3://absent/none", b"x")


def test_a_stamp_changes_with_the_object(endpoint: str) -> None:
    objects = Objects(endpoint)
    objects.put("s3://things/stamped", b"one")
    first = objects.stamp("s3://things/stamped")
    assert first == objects.stamp("s3://things/stamped")
    objects.put("s3://things/stamped", b"others")
    assert objects.stamp("s3://things/stamped") not in (None, first)


def test_a_server_that_is_gone_is_no_object_s_fault(tmp_path: Path) -> None:
    objects = Objects("http://127.0.0.1:1")
    with pytest.raises(StorageError, match="no answer for s3://clips/a from http://127") as caught:
        objects.fetch("s3://clips/a", tmp_path / "a")
    assert "hush" not in str(caught.value)


def test_credentials_that_are_refused_are_not_shown(web: str) -> None:
    with pytest.raises(PermissionError, match=r"refused \(.*\): credentials come from") as caught:
        Objects(web).read("s3://refused/a")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://things//stamped", "names no object: Empty path component"),
        ("s3://things/stamped/", "is a folder, and no object"),
        ("http://a..b/x", "no address that can be asked"),
    ],
)
def test_odd_addresses_are_no_objects(
    endpoint: str, tmp_path: Path, address: str, said: str
) -> None:
    Objects(endpoint).put("s3://things/stamped", b"one")
    with pytest.raises(FileNotFoundError, match=said):
        Objects(endpoint).fetch(address, tmp_path / "a")


def test_one_credential_of_two_is_refused(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(PermissionError, match="KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not"):
        Objects(endpoint).size("s3://things/a")


def test_a_disk_that_takes_nothing_is_named(endpoint: str, tmp_path: Path) -> None:
    Objects(endpoint).put("s3://things/b", b"one")
    with pytest.raises(Unwritable, match=f"{tmp_path}/none cannot be written to"):
        Objects(endpoint).fetch("s3://things/b", tmp_path / "none/a")
    with pytest.raises(Unwritable, match=r"/dev cannot be written to \(No space left"):
        Objects(endpoint).fetch("s3://things/b", Path("/dev/full"))


# -- http ------------------------------------------------------------------------------------------


def test_http_is_fetched_and_asked_again(web: str, tmp_path: Path) -> None:
    assert Objects().fetch(f"{web}/a.wav", tmp_path / "a") == 5000
    assert Objects().stamp(f"{web}/a.wav") == '0 "one"'
    assert Objects().stamp(f"{web}/plain.wav") is None
    assert Objects().read(f"{web}/tired")[:5] == b"sound"
    assert Web.asked["/tired"] == 2


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("/absent", FileNotFoundError, "no object .*/absent: 404"),
        ("/page", FileNotFoundError, "gives a web page"),
        ("/refused?X-Amz-Signature=hush", PermissionError, "refused by its server: 403"),
        ("/broken", StorageError, r"no answer for .*/broken \(500\)"),
    ],
)
def test_http_s_refusals(web: str, path: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        Objects().read(f"{web}{path}")
    assert "hush" not in str(caught.value)


def test_a_body_without_an_end_is_given_up(web: str, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"too_large: .*/endless: more than 0.001 GB"):
        Objects(most_bytes=10**6).fetch(f"{web}/endless", tmp_path / "a")
    assert (tmp_path / "a").stat().st_size <= 10**6
    with pytest.raises(AudioError, match=r"too_large: .*/drips"):
        Objects(most_s=0.1).read(f"{web}/drips")


def test_a_bucket_s_object_has_bounds_too(endpoint: str) -> None:
    Objects(endpoint).put("s3://things/c", b"three")
    with pytest.raises(AudioError, match="too_large: s3://things/c"):
        Objects(endpoint, most_bytes=4).read("s3://things/c")


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "https://u:hush@h.test/a.wav",
        "https://h.test/a.wav?X-Amz-Signature=hush&X-Amz-Credential=key",
        "https://h.test/a.wav?Signature=hush&Expires=9&Key-Pair-Id=k",
        "https://h.test/a.wav?sv=2024&se=9&sp=r&sr=b&sig=hush",
        *(
            f"https://h.test/a.wav?{name}=hush"
            for name in ("api-key", "X-Api-Key", "access_key", "pwd", "jwt", "sas", "code", "hdnts")
        ),
        "https://h.test/hdnts=exp=9~hmac=hush/a.wav",
        "https://h.test/a;jsessionid=hush",
        "https://h.test/a.wav#hush",
    ],
)
def test_what_lets_others_in_is_not_shown(address: str) -> None:
    assert shown(address).startswith("https://h.test/")
    assert "hush" not in shown(address)


def test_what_is_shown_tells_objects_apart() -> None:
    base = "https://h.test/get"
    assert shown(f"{base}?key=1") != shown(f"{base}?key=2")
    assert shown(f"{base}?id=7&t=1") == shown(f"{base}?id=7&t=1")
    assert shown(f"{base}?id=7&X-Amz-Date=1&X-Amz-Signature=a") == shown(
        f"{base}?X-Amz-Date=2&id=7&X-Amz-Signature=b"
    )
    assert shown(f"{base}?sr=1") != shown(f"{base}?sr=2")  # Azure's name, and no signature
    assert shown("https://h.test/id=1/a") != shown("https://h.test/id=2/a")
    assert shown("s3://clips/a?b#c") == "s3://clips/a?b#c"
    assert shown("s3://clips/year=1/a") == "s3://clips/year=1/a"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://clips/a.flac", None),
        ("gs://clips/a.flac", None),
        ("https://h.test/a.wav?id=7", None),
        ("file:///etc/passwd", "of kind file"),
        ("ftp://h.test/a", "of kind ftp"),
        ("https://u:hush@h.test/a", "credentials come from the environment"),
        ("s3://clips", "an address of no object"),
        ("http://[x/a", "no address that can be read"),
        ("s3://clips//a.flac", "an empty part"),
        ("s3://clips/a//b.flac", "an empty part"),
        ("gs://clips/a/", "an empty part"),
        ("https://h.test//a/", None),
        ("s3://clips/a\udcff", "characters that no address has"),
        ("http://h.test\n/a", "characters that no address has"),
    ],
)
def test_addresses_are_checked(address: str, said: str | None) -> None:
    found = problem_of(address)
    assert found is None if said is None else said in str(found)
    assert "hush" not in str(found)
