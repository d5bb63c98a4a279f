"""What may be wrong with clips in a bucket, at a real S3 server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from al_loop.doctor.check import Check
from labeling.s3 import read_bucket
from labeling.s3_storage import ensure_storage
from labeling.session import Session

from ..s3_server import KEYS, s3_client, s3_server
from .installation import TOKEN, URL, Installation


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as address:
        s3_client(address).create_bucket(Bucket="clips")
        yield address


@pytest.fixture
def with_bucket(here: Installation, s3: str) -> Callable[..., Check]:
    """Checks the storage of a workspace whose clips are in the bucket `clips`."""
    here.environment = KEYS

    def check(bucket: str = "clips") -> Check:
        here.configure(
            f'[label_studio]\nurl = "{URL}"\naudio_url = "s3://{bucket}/ky"\ns3_endpoint = "{s3}"\n'
        )
        return here.check("storage")

    return check


def stored(here: Installation, s3: str) -> dict[str, Any]:
    """The storage that we make of the bucket, as the server shows it."""
    rows: list[dict[str, Any]] = []

    def take(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            rows.append(json.loads(request.content) | {"id": 1})
        return httpx.Response(200, json=rows)

    session = Session(URL, TOKEN, transport=httpx.MockTransport(take))
    ensure_storage(session, 4, read_bucket("s3://clips/ky", s3, KEYS))
    return rows[0]


def test_a_bucket_and_its_storage(
    here: Installation, with_bucket: Callable[..., Check], s3: str
) -> None:
    assert "has no storage of it" in with_bucket().found
    row = stored(here, s3)
    here.studio.storages["/api/storages/s3/"] = [row]
    assert with_bucket() == Check("storage", "ok", f"s3://clips/ky at {s3}, signed for 60 min")
    row["presign"] = False
    found = with_bucket()
    assert found.state == "warning"
    assert "differs" in found.found


@pytest.mark.parametrize(
    ("environment", "bucket", "state", "said"),
    [
        ({}, "clips", "failure", "set AWS_ACCESS_KEY_ID"),
        (KEYS, "nobody-made-this", "failure", "there is no such bucket"),
        (KEYS | {"AWS_SESSION_TOKEN": "x"}, "clips", "warning", "temporary credentials"),
    ],
)
def test_a_bucket_out_of_reach(
    here: Installation,
    with_bucket: Callable[..., Check],
    environment: Mapping[str, str],
    bucket: str,
    state: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here.environment = environment
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    found = with_bucket(bucket)
    assert found.state == state
    assert said in found.found


def test_a_bucket_that_does_not_know_the_page(
    here: Installation, with_bucket: Callable[..., Check]
) -> None:
    here.studio.address = "/tasks/7/resolve/?fileuri=abc"
    here.studio.replies["/tasks/7/resolve/"] = httpx.Response(
        303, headers={"Location": "https://s3.test/clips/abc?X-Amz-Signature=1"}
    )
    here.studio.replies["/clips/abc"] = httpx.Response(200, content=here.studio.clip)
    with_bucket()
    found = here.check("audio")
    assert "303 without a login" not in found.found
    assert "put-bucket-cors --bucket clips" in found.advice
    assert f'"AllowedOrigins": ["{URL}"]' in found.advice


def test_a_name_that_no_bucket_can_have(with_bucket: Callable[..., Check]) -> None:
    found = with_bucket("C!")
    assert found.state == "failure"
    assert "no name of a bucket" in found.found
