"""Clips in an S3-compatible bucket: where it is, how they get there, what a task holds of them.

A task holds `s3://bucket/key`, which never expires; how annotators hear that is in
`labeling.s3_storage`. boto3 is an optional part (`al-loop[s3]`), imported where it is used. Knows
nothing of tasks, rounds or the workspace's database.
"""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from al_loop.errors import (
    ConfigError,
    OracleError,
    OracleRefused,
    OracleUnavailable,
    WorkspaceError,
)

SCHEME = "s3://"
CLIPS = "audio/"
"""Where a workspace keeps its clips. Keys leave it out: the prefix stands in its place."""

CONNECTIONS = 8
DEFAULT_REGION = "us-east-1"
TRUSTED = "LABEL_STUDIO_S3_ENDPOINT"
"""Label Studio goes to no address of a private network, but to the one in this variable of its own
environment. Set for al_loop too, it says that Label Studio has it."""

NOTE, NOTE_TEXT = "al_loop.txt", b"al_loop puts the clips here that annotators hear."


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, the prefix of our clips' keys in it, and how to get there.

    prefix: without slashes at its ends; empty for all of the bucket.
    endpoint: the server's address; None for Amazon's. key_id, secret: empty where boto3 finds its
    own, such as the machine's role; then Label Studio has to, too, for they would run out there.
    is_trusted: Label Studio has the endpoint in its own environment, too.
    """

    name: str
    prefix: str
    endpoint: str | None
    region: str
    key_id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    is_trusted: bool = False

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}/{self.prefix}"

    @property
    def server(self) -> str:
        return self.endpoint or "Amazon S3"

    def key(self, name: str) -> str:
        return "/".join(filter(None, [self.prefix, name.removeprefix(CLIPS)]))

    def address(self, audio: str) -> str:
        """What a task holds of the clip `audio`, a path in the workspace."""
        return f"{SCHEME}{self.name}/{self.key(audio)}"


def is_s3(audio_url: str | None) -> bool:
    """Whether `label_studio.audio_url` names a bucket."""
    return (audio_url or "").startswith(SCHEME)


def read_bucket(audio_url: str, endpoint: str | None, environment: Mapping[str, str]) -> Bucket:
    """The bucket that `s3://name/prefix` names, with the credentials of the environment if any.

    Raises ConfigError when the address names no bucket, or half of the credentials is missing.
    """
    name, _, prefix = audio_url.removeprefix(SCHEME).partition("/")
    if not is_s3(audio_url) or not name:
        raise ConfigError(
            f"label_studio.audio_url is {audio_url!r}; expected s3://bucket or s3://bucket/prefix"
        )
    key_id, secret, session_token = (
        environment.get(f"AWS_{row}", "").strip()
        for row in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
    )
    if bool(key_id) != bool(secret):
        raise _without_credentials(audio_url)
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return Bucket(
        name,
        prefix.strip("/"),
        endpoint,
        region or DEFAULT_REGION,
        key_id,
        secret,
        (key_id and session_token) or None,
        is_trusted=endpoint is not None and environment.get(TRUSTED, "").strip() == endpoint,
    )


def _without_credentials(address: str) -> ConfigError:
    return ConfigError(
        f"no credentials for {address}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
        "environment, both of them, or give this machine a role"
    )


def upload(bucket: Bucket, workspace: Path, audio: Iterable[str]) -> int:
    """Bring the clips there that the bucket lacks; how many those were.

    audio: paths in the workspace. A clip's name follows from its content, so one that is there in
    full length need not be sent again. Raises ConfigError without boto3, WorkspaceError when a
    file is gone, OracleRefused and OracleUnavailable.
    """
    with _client(bucket) as s3:
        pool = ThreadPoolExecutor(CONNECTIONS)
        try:
            return sum(pool.map(lambda path: _bring(s3, bucket, workspace, path), audio))
        finally:
            pool.shutdown(cancel_futures=True)


def put_note(bucket: Bucket) -> None:
    """Leave a line of text under the prefix, for Label Studio refuses one that holds nothing."""
    with _client(bucket) as s3:
        s3.put_object(
            Bucket=bucket.name, Key=bucket.key(NOTE), Body=NOTE_TEXT, ContentType="text/plain"
        )


def look(bucket: Bucket) -> None:
    """Return when the bucket is there and lets us list it; raise as `upload` does otherwise."""
    with _client(bucket) as s3:
        s3.list_objects_v2(Bucket=bucket.name, Prefix=bucket.prefix, MaxKeys=1)


def cors_rules(origin: str) -> str:
    """The JSON that lets pages of `origin` play a bucket's clips.

    Pages fetch clips by scripts, which a browser allows only where the answers name the page's
    origin. We never set this: a bucket has one such document, and others may depend on it.
    """
    rule = {
        "AllowedOrigins": [origin],
        "AllowedMethods": ["GET", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["Accept-Ranges", "Content-Length", "Content-Range"],
    }
    return json.dumps({"CORSRules": [rule]})


def _bring(s3: Any, bucket: Bucket, workspace: Path, audio: str) -> bool:
    path, key = workspace / audio, bucket.key(audio)
    try:
        file = path.open("rb")
    except OSError as exc:
        raise WorkspaceError(
            f"{path} cannot be read ({exc.strerror}), but annotators are to hear it; put it back "
            "from a backup, or ingest it again"
        ) from exc
    with file:
        if _size(s3, bucket, key) == os.fstat(file.fileno()).st_size:
            return False
        s3.put_object(Bucket=bucket.name, Key=key, Body=file, ContentType=_content_type(audio))
    return True


def _size(s3: Any, bucket: Bucket, key: str) -> int | None:
    """The length of an object in bytes; None where there is none."""
    from botocore.exceptions import ClientError

    try:
        size: int = s3.head_object(Bucket=bucket.name, Key=key)["ContentLength"]
    except ClientError as exc:
        if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None  # or there is no such bucket, which the upload will say
        raise
    return size


def _content_type(name: str) -> str:
    # what the platform's tables know of FLAC differs
    guess = "audio/flac" if name.endswith(".flac") else mimetypes.guess_type(name)[0]
    return guess or "application/octet-stream"


@contextmanager
def _client(bucket: Bucket) -> Iterator[Any]:
    """A connection of boto3, safe to share among threads; its errors leave as ours."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            CredentialRetrievalError,
            NoCredentialsError,
            ParamValidationError,
            PartialCredentialsError,
        )
    except ImportError as exc:
        raise ConfigError(
            f"{bucket} needs boto3, which is not installed: pip install 'al-loop[s3]'"
        ) from exc
    config = Config(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard"},  # three attempts, or AWS_MAX_ATTEMPTS
        max_pool_connections=CONNECTIONS,
        # servers other than Amazon's may not know its newer checksums
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": True},  # what arrives is what was sent
    )
    try:
        yield boto3.Session().client(  # boto3's own would keep what credentials it found first
            "s3",
            endpoint_url=bucket.endpoint,
            region_name=bucket.region,
            aws_access_key_id=bucket.key_id or None,
            aws_secret_access_key=bucket.secret or None,
            aws_session_token=bucket.session_token,
            config=config,
        )
    except ClientError as exc:
        raise _refusal(bucket, exc.response) from exc
    except ParamValidationError as exc:
        raise ConfigError(
            f"label_studio.audio_url: {bucket.name!r} is no name of a bucket; expected 3 to 63 "
            "small letters, digits, dots and hyphens"
        ) from exc
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as exc:
        raise _without_credentials(str(bucket)) from exc
    except BotoCoreError as exc:
        raise OracleUnavailable(
            f"no answer from {bucket} at {bucket.server} ({type(exc).__name__}: {exc}); check that "
            "it runs, and label_studio.s3_endpoint (certificates of a private authority go into "
            "AWS_CA_BUNDLE)"
        ) from exc


def _refusal(bucket: Bucket, answer: Mapping[str, Any]) -> OracleError:
    """The error that stands for an unsuccessful answer, in boto3's form."""
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    said = f"{status} ({answer['Error'].get('Code', 'no code')}) from {bucket} at {bucket.server}"
    if status in {408, 429} or status >= 500:
        return OracleUnavailable(f"{said}; it is overloaded or broken: try again later")
    advice = {
        403: "the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's "
        "role, are unknown there, or lack one of the rights s3:ListBucket, s3:GetObject and "
        "s3:PutObject",
        404: "there is no such bucket; make it, or check label_studio.audio_url",
    }
    otherwise = "check label_studio.audio_url, label_studio.s3_endpoint and AWS_REGION"
    return OracleRefused(f"{said}; {advice.get(status, otherwise)}")
