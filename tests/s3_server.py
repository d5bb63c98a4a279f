"""A real S3 server in this process, on loopback, for tests; it keeps its buckets in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush"}


@contextmanager
def s3_server(host: str = "127.0.0.1") -> Iterator[str]:
    """Its address, while it runs."""
    server = ThreadedMotoServer(ip_address=host, port=0, verbose=False)
    server.start()
    try:
        yield f"http://{host}:{server.get_host_and_port()[1]}"
    finally:
        server.stop()


def s3_client(endpoint: str) -> Any:
    """What the owner of the server's buckets uses."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )
