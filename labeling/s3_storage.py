"""The S3 storage of a Label Studio project: what turns `s3://…` in a task into sound on its page.

Whenever somebody opens a task, the server shows an address of its own in place of `s3://…`
(`/tasks/7/resolve/…`). That one wants a login, and sends the browser on to an address that is
signed at that moment: so a task may wait for weeks. The server finds the storage by the bucket's
name, whatever the prefix. Knows nothing of uploads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from al_loop.errors import OracleError, OracleRefused, OracleUnavailable
from labeling.replies import unreadable
from labeling.s3 import TRUSTED, Bucket, put_note
from labeling.session import Session

TITLE = "al_loop clips"
STORAGES = "/api/storages/s3/"

SIGNED_MINUTES = 60
"""A page fetches its clip when it is opened, and may be left open for a while."""

PRIVATE = ("URL was not allowed", "reserved network address")
"""How the server says that it does not go to addresses of private networks."""


def ensure_storage(session: Session, project_id: int, bucket: Bucket) -> None:
    """Let the project's pages play clips of the bucket; calling twice changes nothing.

    A storage that we made for the bucket is kept in step with the settings and the credentials. One
    for a bucket that was in use before stays: tasks may still point there. Nobody makes tasks of
    the bucket by the storage's `Sync` button.

    Raises ConfigError without boto3, OracleRefused and OracleUnavailable.
    """
    storages = session.get(STORAGES, project=project_id)
    if not isinstance(storages, list) or not all(map(_is_storage, storages)):
        raise unreadable(session.base_url, "something else than a list of storages")
    found = find_storage(storages, bucket)
    if found and in_step(found, bucket):
        return
    put_note(bucket)
    row = _shown(bucket) | {
        "project": project_id,
        "s3_endpoint": None if bucket.is_trusted else bucket.endpoint,
        "aws_access_key_id": bucket.key_id,
        "aws_secret_access_key": bucket.secret,
        "aws_session_token": bucket.session_token,
    }
    try:
        if found is None:
            session.post(STORAGES, row)
        else:
            session.patch(f"{STORAGES}{found['id']}", row)
    except OracleError as exc:
        raise _failure(exc, bucket) from exc


def find_storage(storages: Sequence[dict[str, Any]], bucket: Bucket) -> dict[str, Any] | None:
    """Of a project's S3 storages, the one that we made for the bucket."""
    ours = [row for row in storages if row["title"] == TITLE and row["bucket"] == bucket.name]
    return min(ours, key=lambda row: row["id"], default=None)


def in_step(storage: Mapping[str, Any], bucket: Bucket) -> bool:
    """Whether a storage that we made is as `ensure_storage` leaves it."""
    return all(storage.get(name) == value for name, value in _shown(bucket).items())


def _is_storage(row: Any) -> bool:
    return (
        isinstance(row, dict) and type(row.get("id")) is int and {"title", "bucket"} <= row.keys()
    )


def _shown(bucket: Bucket) -> dict[str, Any]:
    """What the server shows of the storage, and what must stand there.

    It never shows credentials, so the description tells by a hash whether they changed. That gives
    nothing away: a signed address is a hash under the secret too, and annotators see those.
    """
    hidden = (
        bucket.endpoint,
        bucket.is_trusted,
        bucket.key_id,
        bucket.secret,
        bucket.session_token,
    )
    mark = hashlib.sha256(json.dumps(hidden).encode()).hexdigest()[:16]
    return {
        "title": TITLE,
        "description": f"al_loop keeps this storage as it is ({mark})",
        "bucket": bucket.name,
        "prefix": bucket.prefix,
        "region_name": bucket.region,
        "presign": True,
        "presign_ttl": SIGNED_MINUTES,
        "use_blob_urls": True,
        "synchronizable": False,
    }


def _failure(exc: OracleError, bucket: Bucket) -> OracleError:
    """What Label Studio's refusal of a storage means."""
    if any(words in str(exc) for words in PRIVATE):
        return OracleRefused(
            f"Label Studio lets no storage point at {bucket.endpoint}, an address of a private "
            f"network; start it with {TRUSTED}={bucket.endpoint} in its environment, which it "
            "trusts, and set the same for al_loop"
        )
    kind = OracleUnavailable if isinstance(exc, OracleUnavailable) else OracleRefused
    return kind(
        f"{exc}. It was to make a storage of {bucket}: check that its server reaches "
        f"{bucket.server}, and that the credentials may list the bucket and read it"
    )
