"""The labelling room against a real Label Studio server."""

import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from al_loop.errors import OracleRefused
from al_loop.records import Annotation, Task
from labeling.oracle import PUSH_CHUNK, LabelStudioOracle
from labeling.project import add_local_audio_storage, find_or_create_project
from labeling.server import EmbeddedServer
from labeling.session import Session
from labeling.tasks import local_audio_url

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def session(label_studio: EmbeddedServer) -> Session:
    return Session(label_studio.up().url, label_studio.token)


@pytest.fixture(scope="module")
def personal_session(session: Session) -> Session:
    return Session(session.base_url, session.post("/api/token/")["token"])


@pytest.fixture
def workspace_id() -> str:
    return uuid4().hex


@pytest.fixture
def oracle(session: Session, workspace_id: str) -> LabelStudioOracle:
    return new_oracle(session, find_or_create_project(session, workspace_id, "Кыргызча"))


def new_oracle(session: Session, project_id: int) -> LabelStudioOracle:
    return LabelStudioOracle(session, project_id, local_audio_url)


def batch(count: int) -> list[Task]:
    return [Task(f"{n:064x}", 1, n, f"{n}.wav", 2.0, "салам дос", 1.5) for n in range(count)]


def pushed(oracle: LabelStudioOracle, tasks: list[Task]) -> list[str]:
    """Task ids, in the order of the tasks."""
    known: dict[str, str] = {}
    for chunk in oracle.push(tasks):
        known |= chunk
    return [known[task.utterance_id] for task in tasks]


def result(text: str | None = None, verdict: str | None = None) -> list[dict[str, Any]]:
    """What the labelling page sends."""
    parts: list[dict[str, Any]] = []
    if verdict is not None:
        parts.append({"from_name": "verdict", "type": "choices", "value": {"choices": [verdict]}})
    if text is not None:
        value = {"text": [text]}
        parts.append({"from_name": "transcription", "type": "textarea", "value": value})
    return [part | {"to_name": "audio"} for part in parts]


@pytest.fixture
def answer(session: Session) -> Callable[..., str]:
    """Answers a task as its page would; returns the annotation's id."""

    def post(task_id: str, /, **body: Any) -> str:
        return str(session.post(f"/api/tasks/{task_id}/annotations/", body)["id"])

    return post


def by_task(annotations: list[Annotation] | Any) -> dict[str, Annotation]:
    return {annotation.task_id: annotation for annotation in annotations}


def test_up_again_finds_the_running_server(label_studio: EmbeddedServer) -> None:
    pid = (label_studio.home / "server.pid").read_text()
    assert EmbeddedServer(label_studio.home).up() == label_studio.status()
    assert (label_studio.home / "server.pid").read_text() == pid


def test_a_project_is_found_again(session: Session, workspace_id: str) -> None:
    made = find_or_create_project(session, workspace_id, "ky")
    assert find_or_create_project(session, workspace_id, "another title") == made
    assert find_or_create_project(session, f"{workspace_id}0", "ky") != made
    project = session.get(f"/api/projects/{made}")
    assert "оңдоңуз" in project["expert_instruction"]
    assert project["maximum_annotations"] == 1


def test_both_kinds_of_token(
    session: Session, personal_session: Session, workspace_id: str
) -> None:
    session.ready()
    personal_session.ready()
    made = find_or_create_project(personal_session, workspace_id, "ky")
    assert find_or_create_project(session, workspace_id, "ky") == made
    oracle = new_oracle(personal_session, made)
    assert pushed(oracle, batch(2)) == pushed(new_oracle(session, made), batch(2))


@pytest.mark.parametrize("token", ["0" * 40, "a.b.c"])
def test_a_wrong_token_is_refused(session: Session, token: str) -> None:
    with pytest.raises(OracleRefused, match="401"):
        Session(session.base_url, token).ready()


def test_a_missing_project_is_refused(session: Session) -> None:
    oracle = new_oracle(session, 10**6)
    with pytest.raises(OracleRefused, match="404"):
        oracle.pull(None)
    with pytest.raises(OracleRefused, match="404"):
        next(oracle.push(batch(1)))


def test_push_twice_makes_no_duplicate(oracle: LabelStudioOracle, session: Session) -> None:
    tasks = batch(2 * PUSH_CHUNK + 5)
    next(oracle.push(tasks))  # killed after the first chunk
    ids = pushed(oracle, tasks)
    assert pushed(oracle, tasks) == ids
    assert ids == sorted(ids, key=int)
    project = session.get(f"/api/tasks/{ids[0]}")["project"]
    assert session.get(f"/api/projects/{project}")["task_number"] == len(tasks)


def test_annotators_are_shown_the_smallest_rank_first(
    oracle: LabelStudioOracle, session: Session, answer: Callable[..., str]
) -> None:
    ids = pushed(oracle, batch(3)[::-1])[::-1]
    project = session.get(f"/api/tasks/{ids[0]}")["project"]
    for task_id in ids:
        shown = session.get(f"/api/projects/{project}/next")
        assert str(shown["id"]) == task_id
        (prediction,) = session.get(f"/api/tasks/{task_id}")["predictions"]
        assert prediction["result"][0]["value"]["text"] == ["салам дос"]
        answer(task_id, result=result("салам"))


def test_every_kind_of_answer_is_pulled(
    oracle: LabelStudioOracle, answer: Callable[..., str]
) -> None:
    text, verdict, skip, full_skip, empty, cleared, untouched = pushed(oracle, batch(7))
    answer(text, result=result("салам, дос"), lead_time=4.5)
    answer(verdict, result=result("салам дос", "other_language"))
    answer(skip, result=[], was_cancelled=True)
    answer(full_skip, result=result("салам дос"), was_cancelled=True)
    answer(empty, result=[])
    answer(cleared, result=result(""))

    pulled = oracle.pull(None)
    found = by_task(pulled.annotations)
    assert found.keys() == {text, verdict, skip, full_skip}
    assert (found[text].text, found[text].lead_time_s) == ("салам, дос", 4.5)
    assert found[text].utterance_id == batch(1)[0].utterance_id
    assert (found[verdict].text, found[verdict].verdict) == (None, "other_language")
    assert found[skip].verdict == found[full_skip].verdict == "skipped"
    assert sorted(refusal.reason for refusal in pulled.refusals) == ["empty_text", "empty_text"]
    assert untouched not in found


def test_edits_and_deletions(
    oracle: LabelStudioOracle, session: Session, answer: Callable[..., str]
) -> None:
    kept, edited, undone, deleted = pushed(oracle, batch(4))
    first = oracle.pull(None)
    assert list(first.annotations) == []

    answer(kept, result=result("бир"))
    edited_id = answer(edited, result=result("эки"))
    undone_id = answer(undone, result=result("үч"))
    answer(deleted, result=result("төрт"))
    second = oracle.pull(first.high_water)
    assert by_task(second.annotations).keys() == {kept, edited, undone, deleted}

    session.patch(f"/api/annotations/{edited_id}", {"result": result("эки, үч")})
    session.delete(f"/api/annotations/{undone_id}")
    session.delete(f"/api/tasks/{deleted}")
    third = by_task(oracle.pull(second.high_water).annotations)
    assert third[edited].text == "эки, үч"
    assert third[edited].id == edited_id
    assert third[edited].updated_at > third[edited].created_at
    assert not {undone, deleted} & third.keys()

    assert pushed(oracle, batch(4))[:3] == [kept, edited, undone]


def test_pull_takes_a_moment_and_no_sdk(oracle: LabelStudioOracle) -> None:
    pushed(oracle, batch(200))
    high_water = oracle.pull(None).high_water
    start = time.perf_counter()
    assert list(oracle.pull(high_water).annotations) == []
    assert time.perf_counter() - start < 1.0


def test_audio_is_for_those_who_are_logged_in(
    label_studio: EmbeddedServer, session: Session, workspace_id: str, tmp_path: Path
) -> None:
    audio = tmp_path / "audio"
    audio.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"secret")
    with wave.open(str(audio / "а b.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    folder = label_studio.link_audio(workspace_id, audio)
    project_id = find_or_create_project(session, workspace_id, "ky")
    for _ in range(2):
        add_local_audio_storage(session, project_id, folder)
    assert len(session.get("/api/storages/localfiles/", project=project_id)) == 1

    url = session.base_url + local_audio_url(f"{workspace_id}/а b.wav")
    login = {"Authorization": f"Token {label_studio.token}"}
    answer = httpx.get(url, headers=login)
    assert (answer.status_code, len(answer.content)) == (200, 32_044)
    assert httpx.get(url, headers=login | {"Range": "bytes=0-9"}).status_code == 206
    assert httpx.get(url).status_code == 401
    for path in (f"{workspace_id}/../../secret.wav", f"{workspace_id}/../secret.wav", "/etc/hosts"):
        answer = httpx.get(session.base_url + local_audio_url(path), headers=login)
        assert answer.status_code >= 400
        assert b"secret" not in answer.content.replace(b"secret.wav", b"")


def test_down_and_up_again_keeps_everything(
    label_studio: EmbeddedServer, session: Session, workspace_id: str
) -> None:
    made = find_or_create_project(session, workspace_id, "ky")
    url = session.base_url
    assert label_studio.down()
    assert label_studio.status() is None
    assert label_studio.up().url == url
    assert find_or_create_project(session, workspace_id, "ky") == made
