"""A workspace that is joined to a real Label Studio server, and to a real S3 server."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from al_loop.config import load_settings
from al_loop.records import Place
from al_loop.wiring import connect_label_studio, connect_oracle
from labeling.addresses import HOST
from labeling.server import EmbeddedServer
from storage.store import Store
from storage.workspace import Workspace
from tests.labeling.fake_server import batch
from tests.s3_server import KEYS, s3_client, s3_server

pytestmark = pytest.mark.e2e


@pytest.fixture
def clips(
    workspace: Workspace, label_studio: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of the workspace's clips, of which it has two."""
    label_studio.up()
    monkeypatch.setenv("AL_LOOP_DATA_DIR", str(label_studio.home.parent))
    for number in range(2):
        (workspace.audio / f"{number}.wav").write_bytes(b"sound %d" % number)
    return workspace.audio


def push(workspace: Workspace, store: Store) -> tuple[Place, list[str]]:
    """Two tasks about the clips; the addresses that the labelling page gets."""
    settings = load_settings(workspace.config)
    oracle = connect_oracle(workspace, settings, store)
    place = oracle.place("all")
    assert connect_oracle(workspace, settings, store).place("all") == place
    tasks = [replace(task, audio=f"audio/{task.audio}") for task in batch(2)]
    ids = [task_id for part in oracle.push(place, tasks) for task_id in part.values()]
    session = connect_label_studio(settings)
    return place, [session.get(f"/api/tasks/{task_id}/")["data"]["audio"] for task_id in ids]


def heard(server: EmbeddedServer, address: str) -> bytes:
    url, login = server.up().url, {"Authorization": f"Token {server.token}"}
    return httpx.get(httpx.URL(url).join(address), headers=login, follow_redirects=True).content


def test_clips_of_this_machine_are_heard(
    workspace: Workspace, store: Store, label_studio: EmbeddedServer, clips: Path
) -> None:
    place, addresses = push(workspace, store)
    assert [heard(label_studio, address) for address in addresses] == [b"sound 0", b"sound 1"]
    assert place.server.startswith("20")


def test_clips_of_a_bucket_are_brought_there_and_heard(
    workspace: Workspace,
    store: Store,
    label_studio: EmbeddedServer,
    clips: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with s3_server(HOST) as endpoint:
        client = s3_client(endpoint)
        client.create_bucket(Bucket="clips")
        rule = {"audio_url": "s3://clips/ky", "s3_endpoint": endpoint}
        lines = [f"{key} = {json.dumps(value)}" for key, value in rule.items()]
        workspace.config.write_text("\n".join(["[label_studio]", *lines]))
        _, addresses = push(workspace, store)
        stored = client.list_objects_v2(Bucket="clips")["Contents"]
        assert {"ky/0.wav", "ky/1.wav"} <= {row["Key"] for row in stored}
        assert all("/resolve/" in address for address in addresses)
        for number, address in enumerate(addresses):
            assert heard(label_studio, address) == b"sound %d" % number
