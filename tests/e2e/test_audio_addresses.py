"""Audio on its way to the browser: a real Label Studio server, and a real S3 server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pytest

from al_loop.audio import decode, sample_hash, write_flac
from al_loop.config import load_settings
from al_loop.doctor.run import diagnose
from al_loop.errors import OracleRefused
from al_loop.records import MAIN_PROJECT, Source, Task, TaskKey, Utterance
from al_loop.wiring import connect_oracle
from labeling.addresses import HOST
from labeling.project import Rules, add_local_audio_storage, find_or_make
from labeling.s3 import Bucket, read_bucket, upload
from labeling.s3_storage import STORAGES, ensure_storage, find_storage, in_step
from labeling.served import ask
from labeling.server import EmbeddedServer
from labeling.session import Session, TokenAuth
from labeling.tasks import local_audio_url, to_task_data
from storage.store import Store
from storage.workspace import Workspace

from ..s3_server import KEYS, s3_client, s3_server

pytestmark = pytest.mark.e2e

CLIP = "audio/ab/abc.flac"


@pytest.fixture(scope="module")
def session(label_studio: EmbeddedServer) -> Session:
    return Session(label_studio.up().url, label_studio.token)


@pytest.fixture(scope="module")
def login(label_studio: EmbeddedServer) -> TokenAuth:
    return TokenAuth(label_studio.up().url, label_studio.token)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """At an address that Label Studio may go to."""
    with s3_server(HOST) as address:
        yield address


@pytest.fixture
def project_id(session: Session) -> int:
    return find_or_make(session, Rules(uuid4().hex, "ky", 0.0), MAIN_PROJECT).id


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    """The bytes of CLIP in the workspace `tmp_path`."""
    path = tmp_path / CLIP
    path.parent.mkdir(parents=True)
    write_flac(np.sin(np.arange(32_000) / 20).astype(np.float32) / 2, path)
    return path.read_bytes()


@pytest.fixture
def bucket(s3: str) -> Bucket:
    name = f"clips-{uuid4().hex}"
    s3_client(s3).create_bucket(Bucket=name)
    return read_bucket(f"s3://{name}/kyrgyz", s3, KEYS)


def push(session: Session, project_id: int, audio: str) -> int:
    """A task whose clip is at that address; its number."""
    task = Task(TaskKey("abc", 1, 0), "query", 0, CLIP, 2.0, "салам", None, (), 0.0)
    rows = [{"data": to_task_data(task, audio, 0.5)}]
    answer = session.post(
        f"/api/projects/{project_id}/import", rows, return_task_ids="true", commit_to_project="true"
    )
    number: int = answer["task_ids"][0]
    return number


def shown_audio(session: Session, task_id: int) -> str:
    """The address that the labelling page gets."""
    address: str = session.get(f"/api/tasks/{task_id}/")["data"]["audio"]
    return address


def browser(label_studio: EmbeddedServer) -> httpx.Client:
    """Somebody who logged in on the page, as annotators do."""
    running, url = label_studio.up(), label_studio.up().url
    http = httpx.Client(base_url=url, headers={"Referer": f"{url}/user/login/"})
    page = http.get("/user/login/").text
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[:1]
    password = re.findall(r'"password": "([^"]+)"', running.password_file.read_text())[0]
    form = {"csrfmiddlewaretoken": token, "email": running.username, "password": password}
    assert http.post("/user/login/", data=form).is_redirect
    return http


# -- a bucket -------------------------------------------------------------------------------------


def test_a_clip_in_a_bucket_is_heard_by_those_who_are_logged_in(
    label_studio: EmbeddedServer,
    session: Session,
    login: TokenAuth,
    project_id: int,
    bucket: Bucket,
    clip: bytes,
    tmp_path: Path,
) -> None:
    for _ in range(2):
        ensure_storage(session, project_id, bucket)
    assert upload(bucket, tmp_path, [CLIP]) == 1
    task_id = push(session, project_id, bucket.address(CLIP))
    address = shown_audio(session, task_id)
    assert address.startswith(f"/tasks/{task_id}/resolve/")  # nothing in it that could run out
    assert "X-Amz" not in address

    with httpx.Client() as stranger:
        served = ask(stranger, login, session.base_url, address, len(clip))
    assert served.faults == ()
    assert served.route == f"with a login, and not without, from {HOST} by a signed address"

    url = httpx.URL(session.base_url).join(address)
    assert httpx.get(url).status_code == 401
    annotator = browser(label_studio)
    sent_on = annotator.get(url)
    annotator.close()
    assert sent_on.status_code == 303
    signed = httpx.URL(sent_on.headers["Location"])
    assert signed.params["X-Amz-Expires"] == "3600"
    whole = httpx.get(signed)
    assert (whole.status_code, whole.content) == (200, clip)
    assert whole.headers["Content-Type"] == "audio/flac"
    part = httpx.get(signed, headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, clip[4:10])
    assert httpx.get(signed.copy_with(query=None)).status_code == 403


def test_a_storage_is_made_once_and_kept_in_step(
    session: Session, project_id: int, bucket: Bucket
) -> None:
    ensure_storage(session, project_id, bucket)
    ensure_storage(session, project_id, bucket)
    rows = session.get(STORAGES, project=project_id)
    assert len(rows) == 1
    ours = find_storage(rows, bucket)
    assert ours is not None
    assert in_step(ours, bucket)
    assert not {"aws_access_key_id", "aws_secret_access_key"} & ours.keys()

    session.patch(f"{STORAGES}{ours['id']}", {"presign_ttl": 1, "bucket": bucket.name})
    other = read_bucket(str(bucket), bucket.endpoint, KEYS | {"AWS_SECRET_ACCESS_KEY": "new"})
    ensure_storage(session, project_id, other)
    (row,) = session.get(STORAGES, project=project_id)
    assert in_step(row, other)


def test_nobody_makes_tasks_of_a_bucket(
    session: Session, project_id: int, bucket: Bucket, clip: bytes, tmp_path: Path
) -> None:
    upload(bucket, tmp_path, [CLIP])
    ensure_storage(session, project_id, bucket)
    (row,) = session.get(STORAGES, project=project_id)
    with pytest.raises(OracleRefused, match="400"):
        session.post(f"{STORAGES}{row['id']}/sync")
    assert session.get(f"/api/projects/{project_id}/")["task_number"] == 0


def test_a_whole_bucket_may_be_ours(session: Session, project_id: int, s3: str) -> None:
    name = f"clips-{uuid4().hex}"
    s3_client(s3).create_bucket(Bucket=name)
    whole = read_bucket(f"s3://{name}", s3, KEYS)
    ensure_storage(session, project_id, whole)
    (row,) = session.get(STORAGES, project=project_id)
    assert in_step(row, whole)


def test_label_studio_does_not_go_to_private_addresses(session: Session, project_id: int) -> None:
    with s3_server() as private:
        s3_client(private).create_bucket(Bucket="clips")
        with pytest.raises(OracleRefused, match=f"with LABEL_STUDIO_S3_ENDPOINT={private} in its"):
            ensure_storage(session, project_id, read_bucket("s3://clips/ky", private, KEYS))
    assert session.get(STORAGES, project=project_id) == []


# -- the other two ways ---------------------------------------------------------------------------


def test_a_clip_on_another_web_server(
    session: Session, login: TokenAuth, project_id: int, s3: str, clip: bytes
) -> None:
    name = f"public-{uuid4().hex}"
    client = s3_client(s3)
    client.create_bucket(Bucket=name)
    client.put_object(
        Bucket=name, Key="ab/abc.flac", Body=clip, ACL="public-read", ContentType="audio/flac"
    )
    address = shown_audio(session, push(session, project_id, f"{s3}/{name}/ab/abc.flac"))
    assert address == f"{s3}/{name}/ab/abc.flac"
    with httpx.Client() as stranger:
        served = ask(stranger, login, session.base_url, address, len(clip))
        gone = ask(stranger, login, session.base_url, f"{address}.gone", len(clip))
    assert (served.route, served.faults) == (f"from {HOST}", ())
    assert len(gone.faults) == 1


def test_a_clip_among_label_studios_own_files(
    label_studio: EmbeddedServer,
    session: Session,
    login: TokenAuth,
    project_id: int,
    clip: bytes,
    tmp_path: Path,
) -> None:
    workspace_id = uuid4().hex
    path = local_audio_url(f"{workspace_id}/ab/abc.flac")
    address = shown_audio(session, push(session, project_id, path))
    with httpx.Client() as stranger:
        (fault,) = ask(stranger, login, session.base_url, address, len(clip)).faults
        assert "404" in fault.found
        folder = label_studio.link_audio(workspace_id, tmp_path / "audio")
        add_local_audio_storage(session, project_id, folder)
        served = ask(stranger, login, session.base_url, address, len(clip))
    assert (served.route, served.faults) == ("with a login, and not without", ())


# -- doctor ---------------------------------------------------------------------------------------


def test_doctor_finds_a_sound_installation_and_what_is_broken_in_it(
    label_studio: EmbeddedServer,
    session: Session,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AL_LOOP_DATA_DIR", str(label_studio.home.parent))
    store = Store(workspace)
    path = workspace.root / CLIP
    path.parent.mkdir(parents=True)
    write_flac(np.sin(np.arange(32_000) / 20).astype(np.float32) / 2, path)
    store.put_source(Source("radio", "in_house", "ky"))
    store.add([Utterance("abc", sample_hash(decode(path)), CLIP, 2.0, "radio", "ky", "pool")], [])
    assert [check for check in diagnose(workspace.root) if check.state != "ok"] == []

    oracle = connect_oracle(workspace, load_settings(workspace.config), store)
    place = oracle.place(MAIN_PROJECT)
    task = Task(TaskKey("abc", 1, 0), "query", 0, CLIP, 2.0, "салам", None, (), 0.0)
    list(oracle.push(place, [task]))
    found = {check.name: check for check in diagnose(workspace.root)}
    assert [check for check in found.values() if check.state != "ok"] == []
    assert "with a login, and not without, with ranges" in found["audio"].found
    assert f"make projects and change project {place.project_id}" in found["rights"].found
    assert found["storage"].found.endswith(store.workspace_id)

    (label_studio.files / store.workspace_id).unlink()
    config = session.get(f"/api/projects/{place.project_id}/")["label_config"]
    changed = config.replace('alias="bad_audio"', 'alias="awful"')
    session.patch(f"/api/projects/{place.project_id}/", {"label_config": changed})
    broken = {check.name: check.state for check in diagnose(workspace.root) if check.state != "ok"}
    assert broken == {"storage": "failure", "interface": "warning", "audio": "failure"}
