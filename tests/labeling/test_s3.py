"""Clips in a bucket, at a real S3 server, and the project's storage of it, at a small fake one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from al_loop.errors import ConfigError, OracleRefused, OracleUnavailable, WorkspaceError
from labeling.s3 import Bucket, cors_rules, is_s3, look, put_note, read_bucket, upload
from labeling.s3_storage import SIGNED_MINUTES, TITLE, ensure_storage, in_step
from labeling.session import Session

from ..s3_server import KEYS, s3_client, s3_server

CLIP = "audio/ab/abc.flac"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> Bucket:
    """An empty bucket, one for each test."""
    name = f"clips-{abs(hash(request.node.name))}"
    found = read_bucket(f"s3://{name}/kyrgyz/", endpoint, KEYS)
    s3_client(endpoint).create_bucket(Bucket=name)
    return found


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], str]]:
    """Starts a server that answers everything with one status; returns its address."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    started: list[HTTPServer] = []

    def start(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        started.append(server)
        Thread(target=lambda: server.serve_forever(0.01), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def client(bucket: Bucket) -> Any:
    assert bucket.endpoint is not None
    return s3_client(bucket.endpoint)


def keys(bucket: Bucket) -> set[str]:
    listed = client(bucket).list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return {row["Key"] for row in listed}


def write(root: Path, audio: str, content: bytes) -> str:
    path = root / audio
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return audio


# -- what the settings say ------------------------------------------------------------------------


def test_a_bucket_is_read_from_the_settings_and_the_environment() -> None:
    found = read_bucket("s3://clips/a/b/", "https://s3.test", KEYS | {"AWS_REGION": "eu-north-1"})
    assert found == Bucket("clips", "a/b", "https://s3.test", "eu-north-1", "key", "hush")
    assert found.address(CLIP) == "s3://clips/a/b/ab/abc.flac"
    assert read_bucket("s3://clips", None, KEYS).address(CLIP) == "s3://clips/ab/abc.flac"
    assert read_bucket("s3://clips", None, KEYS).region == "us-east-1"
    assert read_bucket("s3://clips", None, KEYS | {"AWS_DEFAULT_REGION": "x"}).region == "x"
    assert is_s3("s3://clips")
    assert not is_s3("https://s3.test")
    assert not is_s3(None)


def test_secrets_show_in_no_repr() -> None:
    found = read_bucket("s3://clips", None, KEYS | {"AWS_SESSION_TOKEN": "session"})
    assert found.session_token == "session"
    assert "hush" not in repr(found)
    assert "session'" not in repr(found)


@pytest.mark.parametrize(
    ("address", "environment", "message"),
    [
        ("s3:///prefix", KEYS, "expected s3://bucket"),
        ("s3://clips", {"AWS_ACCESS_KEY_ID": "key"}, "set AWS_ACCESS_KEY_ID and"),
        ("s3://clips", {"AWS_SECRET_ACCESS_KEY": "hush"}, "set AWS_ACCESS_KEY_ID and"),
    ],
)
def test_what_is_missing_is_named(address: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_bucket(address, None, environment)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without credentials; the file where boto3 would look for some."""
    for name in (*KEYS, "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path / "credentials"


def test_boto3_finds_credentials_of_its_own(bucket: Bucket, bare: Path, tmp_path: Path) -> None:
    found = read_bucket(str(bucket), bucket.endpoint, {"AWS_SESSION_TOKEN": "of others"})
    assert (found.key_id, found.secret, found.session_token) == ("", "", None)
    with pytest.raises(ConfigError, match=r"no credentials for s3://.*or give this machine a role"):
        look(found)
    bare.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = hush\n")
    assert upload(found, tmp_path, [write(tmp_path, CLIP, b"x")]) == 1
    server = LabelStudio()
    ensure_storage(server.session(), 7, found)
    assert server.secrets == {1: ("", "")}  # a role's would run out there: it finds its own
    assert in_step(server.rows[0], found)


# -- uploads --------------------------------------------------------------------------------------


def test_only_clips_that_are_missing_are_sent(bucket: Bucket, tmp_path: Path) -> None:
    clips = [write(tmp_path, f"audio/ab/{n}.flac", b"x" * n) for n in range(1, 21)]
    assert upload(bucket, tmp_path, clips) == 20
    assert upload(bucket, tmp_path, clips) == 0
    assert keys(bucket) == {f"kyrgyz/ab/{n}.flac" for n in range(1, 21)}

    more = write(tmp_path, "audio/cd/new.wav", b"new")
    assert upload(bucket, tmp_path, [*clips, more]) == 1
    found = client(bucket).get_object(Bucket=bucket.name, Key="kyrgyz/cd/new.wav")
    assert found["Body"].read() == b"new"
    assert found["ContentType"] in ("audio/wav", "audio/x-wav")
    clip = client(bucket).head_object(Bucket=bucket.name, Key="kyrgyz/ab/7.flac")
    assert (clip["ContentType"], clip["ContentLength"]) == ("audio/flac", 7)


def test_a_clip_of_another_length_is_sent_again(bucket: Bucket, tmp_path: Path) -> None:
    write(tmp_path, CLIP, b"half")
    upload(bucket, tmp_path, [CLIP])
    write(tmp_path, CLIP, b"all of it")
    assert upload(bucket, tmp_path, [CLIP]) == 1


def test_a_file_that_is_gone_is_named(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"abc\.flac cannot be read .*No such file"):
        upload(bucket, tmp_path, [CLIP])


def test_a_folder_in_the_place_of_a_clip_is_named(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / CLIP).mkdir(parents=True)
    with pytest.raises(WorkspaceError, match=r"abc\.flac cannot be read .*directory"):
        upload(bucket, tmp_path, [CLIP])


def test_a_bucket_that_is_not_there(bucket: Bucket, tmp_path: Path) -> None:
    write(tmp_path, CLIP, b"x")
    gone = replace(bucket, name="nobody-made-this")
    for attempt in (lambda: upload(gone, tmp_path, [CLIP]), lambda: look(gone)):
        with pytest.raises(OracleRefused, match=r"404 \(NoSuchBucket\).*there is no such bucket"):
            attempt()


def test_a_server_that_is_down(bucket: Bucket) -> None:
    with pytest.raises(OracleUnavailable, match=r"no answer from s3://.*check that it runs"):
        look(replace(bucket, endpoint="http://127.0.0.1:9"))


def test_a_name_that_no_bucket_can_have(bucket: Bucket) -> None:
    with pytest.raises(ConfigError, match=r"'C!' is no name of a bucket"):
        look(replace(bucket, name="C!"))


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (403, OracleRefused, r"403 \(AccessDenied\).*s3:PutObject"),
        (400, OracleRefused, r"400 .*AWS_REGION"),
        (503, OracleUnavailable, r"503 .*try again later"),
    ],
)
def test_what_the_server_answers_is_translated(
    bucket: Bucket,
    status: int,
    kind: type[Exception],
    message: str,
    answering: Callable[[int], str],
) -> None:
    with pytest.raises(kind, match=message):
        look(replace(bucket, endpoint=answering(status)))


def test_boto3_is_asked_for_where_it_is_needed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigError, match=r"needs boto3.*pip install 'al-loop\[s3\]'"):
        look(bucket)


def test_the_rules_name_the_page() -> None:
    (rule,) = json.loads(cors_rules("https://labels.test"))["CORSRules"]
    assert rule["AllowedOrigins"] == ["https://labels.test"]
    assert "GET" in rule["AllowedMethods"]


# -- the project's storage ------------------------------------------------------------------------


class LabelStudio:
    """The S3 storages of its projects. refuses: what it says of a storage with an endpoint."""

    def __init__(self, refuses: str | None = None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.secrets: dict[int, tuple[str, str]] = {}
        self.changes = 0
        self._refuses = refuses

    def session(self) -> Session:
        transport = httpx.MockTransport(self._answer)
        return Session("http://ls.test", "token", transport=transport, sleep=lambda _: None)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "GET":
            assert path == "/api/storages/s3/"
            project = int(request.url.params["project"])
            return httpx.Response(200, json=[r for r in self.rows if r["project"] == project])
        row = json.loads(request.content)
        if self._refuses and row["s3_endpoint"]:
            return httpx.Response(403, json={"detail": self._refuses})
        self.changes += 1
        secret = row.pop("aws_access_key_id"), row.pop("aws_secret_access_key")
        row.pop("aws_session_token")
        if request.method == "POST":
            row["id"] = len(self.rows) + 1
            self.rows.append(row)
        else:
            row["id"] = int(path.removeprefix("/api/storages/s3/"))
            self.rows[row["id"] - 1] = row
        self.secrets[row["id"]] = secret
        return httpx.Response(200, json=row)


def test_a_storage_is_made_once(bucket: Bucket) -> None:
    server = LabelStudio()
    server.rows.append({"id": 1, "project": 7, "title": "theirs", "bucket": bucket.name})
    for _ in range(2):
        ensure_storage(server.session(), 7, bucket)
    theirs, ours = server.rows
    assert theirs["title"] == "theirs"
    assert server.changes == 1
    assert (ours["title"], ours["bucket"], ours["prefix"]) == (TITLE, bucket.name, "kyrgyz")
    assert ours["s3_endpoint"] == bucket.endpoint
    assert (ours["presign"], ours["presign_ttl"]) == (True, SIGNED_MINUTES)
    assert ours["synchronizable"] is False
    assert server.secrets == {2: ("key", "hush")}
    assert in_step(ours, bucket)
    assert keys(bucket) == {"kyrgyz/al_loop.txt"}  # or Label Studio finds nothing there

    ensure_storage(server.session(), 8, bucket)
    assert [row["project"] for row in server.rows] == [7, 7, 8]


@pytest.mark.parametrize(
    "storages",
    [
        None,
        {},
        "x",
        [None],
        [{}],
        [{"title": TITLE}],
        [{"id": None, "title": TITLE, "bucket": "b"}],
    ],
)
def test_storages_that_make_no_sense(bucket: Bucket, storages: object) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=storages))
    session = Session("http://ls.test", "token", transport=transport)
    with pytest.raises(OracleUnavailable, match="else than a list of storages"):
        ensure_storage(session, 7, bucket)


@pytest.mark.parametrize("field", ["secret", "key_id", "region", "prefix", "session_token"])
def test_a_storage_follows_the_settings(bucket: Bucket, field: str) -> None:
    server = LabelStudio()
    ensure_storage(server.session(), 7, bucket)
    changed = replace(bucket, **{field: "another"})
    assert not in_step(server.rows[0], changed)
    ensure_storage(server.session(), 7, changed)
    assert server.changes == 2
    assert len(server.rows) == 1
    assert in_step(server.rows[0], changed)


def test_what_somebody_changed_by_hand_is_put_right(bucket: Bucket) -> None:
    server = LabelStudio()
    ensure_storage(server.session(), 7, bucket)
    server.rows[0]["presign"] = False
    ensure_storage(server.session(), 7, bucket)
    assert server.rows[0]["presign"] is True


def test_a_former_bucket_keeps_its_storage(bucket: Bucket) -> None:
    server = LabelStudio()
    ensure_storage(server.session(), 7, bucket)
    newer = replace(bucket, name=f"{bucket.name}-2")
    client(bucket).create_bucket(Bucket=newer.name)
    ensure_storage(server.session(), 7, newer)
    assert [row["bucket"] for row in server.rows] == [bucket.name, newer.name]


@pytest.mark.parametrize(
    "said",
    [
        "The provided URL was not allowed. URLs must use http:// or https://",
        "URL resolves to a reserved network address (block: 10.0.0.0/8)",
    ],
)
def test_an_address_of_a_private_network(bucket: Bucket, said: str) -> None:
    server = LabelStudio(refuses=said)
    with pytest.raises(OracleRefused, match=f"with LABEL_STUDIO_S3_ENDPOINT={bucket.endpoint} in"):
        ensure_storage(server.session(), 7, bucket)

    trusted = KEYS | {"LABEL_STUDIO_S3_ENDPOINT": bucket.endpoint or ""}
    told = read_bucket(f"s3://{bucket.name}/kyrgyz", bucket.endpoint, trusted)
    for _ in range(2):
        ensure_storage(server.session(), 7, told)
    assert server.changes == 1
    assert server.rows[0]["s3_endpoint"] is None  # its own environment names it
    assert in_step(server.rows[0], told)
    assert not in_step(server.rows[0], bucket)


def test_another_address_is_not_trusted() -> None:
    environment = KEYS | {"LABEL_STUDIO_S3_ENDPOINT": "http://10.0.0.1"}
    assert not read_bucket("s3://clips", "http://10.0.0.2", environment).is_trusted
    assert not read_bucket("s3://clips", None, environment).is_trusted


def test_a_refusal_says_what_it_was_about(bucket: Bucket) -> None:
    server = LabelStudio(refuses="no storages today")
    with pytest.raises(OracleRefused, match=rf"no storages today.*storage of s3://{bucket.name}"):
        ensure_storage(server.session(), 7, bucket)


def test_nothing_is_told_to_label_studio_before_the_bucket_is_there(bucket: Bucket) -> None:
    server = LabelStudio()
    with pytest.raises(OracleRefused, match="no such bucket"):
        ensure_storage(server.session(), 7, replace(bucket, name="nobody-made-this"))
    assert server.changes == 0


def test_a_note_lies_at_the_top_of_a_bucket_without_prefix(bucket: Bucket) -> None:
    put_note(replace(bucket, prefix=""))
    assert keys(bucket) == {"al_loop.txt"}
