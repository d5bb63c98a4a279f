"""The labelling room against a real Label Studio server."""

import shutil
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from al_loop.errors import OracleRefused, OracleUnavailable
from al_loop.records import Annotation, Place, PulledTask, Task, TaskKey
from benchmarks.labelstudio_people import make_account
from labeling.oracle import PULL_PAGE, PUSH_CHUNK, LabelStudioOracle
from labeling.page import interface
from labeling.project import Rules, add_local_audio_storage, find_or_make
from labeling.server import EmbeddedServer
from labeling.session import Session
from labeling.tasks import local_audio_url
from tests.labeling.fake_server import batch

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def session(label_studio: EmbeddedServer) -> Session:
    return Session(label_studio.up().url, label_studio.token)


@pytest.fixture(scope="module")
def personal_session(session: Session) -> Session:
    return Session(session.base_url, session.post("/api/token/")["token"])


@pytest.fixture(scope="module")
def colleague(label_studio: EmbeddedServer, session: Session) -> Session:
    """A second annotator's."""
    account = make_account(session.base_url, label_studio.token, 900)
    return Session(session.base_url, account.token)


@pytest.fixture
def workspace_id() -> str:
    return uuid4().hex


@pytest.fixture
def oracle(session: Session, workspace_id: str) -> LabelStudioOracle:
    return new_oracle(session, workspace_id)


@pytest.fixture
def place(oracle: LabelStudioOracle) -> Place:
    return oracle.place("all")


def new_oracle(
    session: Session,
    workspace_id: str,
    overlap_share: float = 0.0,
    bring: Callable[[Sequence[str]], object] = lambda audio: None,
) -> LabelStudioOracle:
    rules = Rules(workspace_id, "Кыргызча", overlap_share)
    return LabelStudioOracle(session, rules, local_audio_url, 0.5, bring=bring)


def pushed(oracle: LabelStudioOracle, place: Place, tasks: Sequence[Task]) -> list[str]:
    """Task ids, in the order of the tasks."""
    known: dict[TaskKey, str] = {}
    for chunk in oracle.push(place, tasks):
        known |= chunk
    return [known[task.key] for task in tasks]


def pulled(
    oracle: LabelStudioOracle, place: Place, since: str | None = None
) -> tuple[dict[str, PulledTask], str]:
    """Tasks by id, and the high water."""
    pages = list(oracle.pull(place, since))
    assert pages[-1].high_water is not None
    return {task.task_id: task for page in pages for task in page.tasks}, pages[-1].high_water


def only(task: PulledTask) -> Annotation:
    (annotation,) = task.annotations
    return annotation


def result(text: str | None = None, verdict: str | None = None, **fields: str) -> list[Any]:
    """What the labelling page sends."""
    parts: list[dict[str, Any]] = []
    if verdict is not None:
        parts.append({"from_name": "verdict", "type": "choices", "value": {"choices": [verdict]}})
    texts = fields if text is None else {"transcription": text, **fields}
    for name, content in texts.items():
        parts.append({"from_name": name, "type": "textarea", "value": {"text": [content]}})
    return [part | {"to_name": "audio"} for part in parts]


def answer(session: Session, task_id: str, **body: Any) -> str:
    """Answers a task as its page would; returns the annotation's id."""
    return str(session.post(f"/api/tasks/{task_id}/annotations/", body)["id"])


def draft(session: Session, task_id: str) -> None:
    """As the page keeps one while somebody types."""
    body = {"result": result("салам д"), "lead_time": 1.0}
    session.post(f"/api/tasks/{task_id}/drafts", body)


def rows(session: Session, place: Place) -> list[dict[str, Any]]:
    listed = session.get("/api/tasks", project=place.project_id, page_size=1000)
    return sorted(listed["tasks"], key=lambda row: row["id"])


# -- the server ------------------------------------------------------------------------------------


def test_up_again_finds_the_running_server(label_studio: EmbeddedServer) -> None:
    pid = (label_studio.home / "server.pid").read_text()
    assert EmbeddedServer(label_studio.home).up() == label_studio.status()
    assert (label_studio.home / "server.pid").read_text() == pid


def test_both_kinds_of_token(
    session: Session, personal_session: Session, workspace_id: str
) -> None:
    session.ready()
    personal_session.ready()
    oracle, personal = new_oracle(session, workspace_id), new_oracle(personal_session, workspace_id)
    place = personal.place("all")
    assert oracle.place("all") == place
    assert pushed(personal, place, batch(2)) == pushed(oracle, place, batch(2))


def test_an_access_token_that_runs_out_in_mid_pull(
    personal_session: Session, workspace_id: str
) -> None:
    oracle = new_oracle(personal_session, workspace_id)
    place = oracle.place("all")
    pushed(oracle, place, batch(PULL_PAGE + 10))
    pages = oracle.pull(place, None)
    first = next(pages)
    personal_session._http.auth._access = "ran out"  # type: ignore[union-attr]
    tasks = [*first.tasks, *(task for page in pages for task in page.tasks)]
    assert len({task.key for task in tasks}) == len(tasks) == PULL_PAGE + 10


@pytest.mark.parametrize("token", ["0" * 40, "a.b.c"])
def test_a_wrong_token_is_refused(session: Session, token: str) -> None:
    with pytest.raises(OracleRefused, match="401"):
        Session(session.base_url, token).ready()


# -- projects --------------------------------------------------------------------------------------


def test_a_project_is_found_again(session: Session, workspace_id: str) -> None:
    rules = Rules(workspace_id, "ky", 0.0)
    made = find_or_make(session, rules, "all")
    assert find_or_make(session, replace(rules, title="another"), "all") == made
    others = [
        find_or_make(session, rules, "round 1"),
        find_or_make(session, rules, "round 10"),
        find_or_make(session, rules, "evaluation"),
        find_or_make(session, replace(rules, workspace_id=f"{workspace_id}0"), "all"),
    ]
    assert len({project.id for project in [made, *others]}) == 5
    project = session.get(f"/api/projects/{made.id}")
    assert "оңдоңуз" in project["expert_instruction"]
    assert project["label_config"].split() == interface().split()


def test_the_share_of_two_annotators_follows_the_setting(
    session: Session, workspace_id: str
) -> None:
    oracle = new_oracle(session, workspace_id, 0.25)
    place = oracle.place("all")
    pushed(oracle, place, batch(40))
    assert [row["overlap"] for row in rows(session, place)].count(2) == 10
    new_oracle(session, workspace_id, 0.5).place("all")
    assert [row["overlap"] for row in rows(session, place)].count(2) == 20
    new_oracle(session, workspace_id, 0.0).place("all")
    assert {row["overlap"] for row in rows(session, place)} == {1}
    evaluation = oracle.place("evaluation")
    pushed(oracle, evaluation, batch(5, round_number=0))
    assert {row["overlap"] for row in rows(session, evaluation)} == {2}


def test_two_annotators_answer_the_share_however_the_project_grows(
    session: Session, colleague: Session, workspace_id: str
) -> None:
    """The second answers go to tasks with a first one, of whatever import."""
    oracle = new_oracle(session, workspace_id, 0.25)
    place = oracle.place("all")
    for number in (1, 2, 3):
        pushed(oracle, place, batch(12, number))
        for annotator in (session, colleague):
            answer_all(annotator, place)
    tasks, _ = pulled(oracle, place)
    answers = [len(task.annotations) for task in tasks.values()]
    assert (answers.count(2), answers.count(1)) == (0.25 * len(answers), 0.75 * len(answers))
    for task in tasks.values():
        people = {annotation.annotator for annotation in task.annotations}
        assert len(people) == len(task.annotations)


def answer_all(session: Session, place: Place) -> None:
    """Every task that the server hands out, as the page does."""
    while True:
        try:
            shown = session.get(f"/api/projects/{place.project_id}/next")
        except OracleRefused:
            return
        answer(session, shown["id"], result=result("салам"))


def test_a_project_whose_interface_was_replaced_is_refused(
    session: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    other = '<View><Audio name="a" value="$audio"/><TextArea name="t" toName="a"/></View>'
    session.patch(f"/api/projects/{place.project_id}/", {"label_config": other})
    with pytest.raises(OracleRefused, match='no <TextArea name="transcription">'):
        oracle.place("all")


@pytest.mark.parametrize("call", ["push", "pull", "task_ids", "refresh"])
def test_a_project_that_is_gone_is_made_anew(
    session: Session, oracle: LabelStudioOracle, place: Place, call: str
) -> None:
    pushed(oracle, place, batch(1))
    session.delete(f"/api/projects/{place.project_id}/")
    calls: dict[str, Callable[[], object]] = {
        "push": lambda: pushed(oracle, place, batch(1)),
        "pull": lambda: pulled(oracle, place),
        "task_ids": lambda: oracle.task_ids(place),
        "refresh": lambda: list(oracle.refresh(place, {"1": batch(1)[0]})),
    }
    with pytest.raises(OracleRefused, match=r"is gone .*404.*makes it anew"):
        calls[call]()
    again = oracle.place("all")
    assert again != place
    assert len(pushed(oracle, again, batch(2))) == 2


# -- push ------------------------------------------------------------------------------------------


def test_push_twice_makes_no_duplicate(
    session: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    tasks = batch(PUSH_CHUNK + 5)
    pushed(oracle, place, tasks[:PUSH_CHUNK])  # what a kill after the first import leaves
    ids = pushed(oracle, place, tasks)
    assert pushed(oracle, place, tasks) == ids
    assert ids == sorted(ids, key=int)
    assert session.get(f"/api/projects/{place.project_id}")["task_number"] == len(tasks)


def test_annotators_are_shown_the_smallest_rank_first(
    session: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    ids = pushed(oracle, place, batch(3)[::-1])[::-1]
    for task_id in ids:
        shown = session.get(f"/api/projects/{place.project_id}/next")
        assert str(shown["id"]) == task_id
        assert shown["data"]["hypothesis"] == "салам"
        assert shown["predictions"] == []
        answer(session, task_id, result=result("салам"))


def test_twins_are_removed_unless_somebody_touched_them(
    session: Session, colleague: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    tasks = batch(6)
    ids = pushed(oracle, place, tasks)
    data = [{"data": row["data"]} for row in rows(session, place)]
    late = session.post(f"/api/projects/{place.project_id}/import", data, return_task_ids=True)
    twins = [str(number) for number in late["task_ids"]]
    answer(session, twins[0], result=result("бир"))
    answer(colleague, twins[1], result=[], was_cancelled=True)
    draft(colleague, twins[2])
    answer(session, ids[3], result=result("төрт"))
    answer(colleague, twins[3], result=result("төрт да"))
    kept = [twins[0], twins[1], twins[2], ids[3], ids[4], ids[5]]
    assert oracle.task_ids(place) == {
        task.key: task_id for task, task_id in zip(tasks, kept, strict=True)
    }
    left = {str(row["id"]) for row in rows(session, place)}
    assert left == {*kept, twins[3]}
    assert pushed(oracle, place, tasks) == kept


def test_a_server_that_is_restarted_in_mid_push(
    label_studio: EmbeddedServer, session: Session, workspace_id: str, place: Place
) -> None:
    tasks = batch(PUSH_CHUNK + 20)
    brought: list[int] = []

    def bring(audio: Sequence[str]) -> None:
        brought.append(len(audio))
        if len(brought) == 2:
            label_studio.down()

    oracle = new_oracle(session, workspace_id, bring=bring)
    with pytest.raises(OracleUnavailable, match="no answer from Label Studio"):
        pushed(oracle, place, tasks)
    assert brought == [PUSH_CHUNK, 20]
    assert label_studio.up().url == session.base_url
    assert oracle.place("all") == place
    ids = pushed(oracle, place, tasks)
    assert len(set(ids)) == len(tasks) == len(rows(session, place))


# -- pull ------------------------------------------------------------------------------------------


def test_every_kind_of_answer_is_pulled(
    session: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    ids = pushed(oracle, place, batch(10))
    text, verdict, doubt, skip, full_skip, empty, cleared, many, hidden, untouched = ids
    answer(session, text, result=result("салам, дос"), lead_time=4.5)
    answer(session, verdict, result=result("салам дос", "other_language"))
    answer(session, doubt, result=result("салам дос", "unsure"))
    answer(session, skip, result=[], was_cancelled=True)
    answer(session, full_skip, result=result("салам дос"), was_cancelled=True)
    answer(session, empty, result=[])
    answer(session, cleared, result=result(""))
    answer(session, many, result=result("жок", "several_speakers"))
    answer(session, hidden, result=result("салам", shown="=саламым"))

    (page,) = oracle.pull(place, None)
    tasks = {task.task_id: task for task in page.tasks}
    assert list(tasks) == ids
    assert (only(tasks[text]).text, only(tasks[text]).lead_time_s) == ("салам, дос", 4.5)
    assert only(tasks[text]).key == tasks[text].key == batch(1)[0].key
    assert only(tasks[text]).shown == "салам"
    assert (only(tasks[verdict]).text, only(tasks[verdict]).verdict) == (None, "other_language")
    assert (only(tasks[doubt]).text, only(tasks[doubt]).unsure) == ("салам дос", True)
    assert only(tasks[skip]).verdict == only(tasks[full_skip]).verdict == "skipped"
    assert only(tasks[many]).verdict == "several_speakers"
    assert only(tasks[hidden]).shown == "саламым"
    assert [refusal.reason for refusal in page.refusals] == ["empty_text", "empty_text"]
    assert not any(tasks[name].annotations for name in (empty, cleared, untouched))


def test_edits_and_deletions(session: Session, oracle: LabelStudioOracle, place: Place) -> None:
    kept, edited, undone, deleted = pushed(oracle, place, batch(4))
    first, mark = pulled(oracle, place)
    assert not any(task.annotations for task in first.values())

    answer(session, kept, result=result("бир"))
    edited_id = answer(session, edited, result=result("эки"))
    undone_id = answer(session, undone, result=result("үч"))
    answer(session, deleted, result=result("төрт"))
    second, mark = pulled(oracle, place, mark)
    assert all(only(task).text for task in second.values())

    session.patch(f"/api/annotations/{edited_id}", {"result": result("эки, үч")})
    session.delete(f"/api/annotations/{undone_id}")
    session.delete(f"/api/tasks/{deleted}")
    third, _ = pulled(oracle, place, mark)
    assert only(third[edited]).text == "эки, үч"
    assert only(third[edited]).id == edited_id
    assert only(third[edited]).updated_at > only(third[edited]).created_at
    assert third[undone].annotations == ()
    assert third[undone].updated_at > only(second[undone]).updated_at
    assert deleted not in third

    assert set(oracle.task_ids(place).values()) == {kept, edited, undone}
    assert pushed(oracle, place, batch(4))[:3] == [kept, edited, undone]


def test_the_tasks_of_others_are_ignored_until_they_are_answered(
    session: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    pushed(oracle, place, batch(1))
    data = {"audio": "/data/x.wav", "hypothesis": "", "marked": "", "round": "one"}
    made = session.post(
        f"/api/projects/{place.project_id}/import", [{"data": data}], return_task_ids=True
    )
    (page,) = oracle.pull(place, None)
    assert (len(page.tasks), list(page.refusals)) == (1, [])
    answer(session, made["task_ids"][0], result=result("салам"))
    (page,) = oracle.pull(place, None)
    assert [refusal.reason for refusal in page.refusals] == ["foreign_task"]
    assert len(oracle.task_ids(place)) == 1


def test_a_server_that_is_set_back_to_its_backup(
    label_studio: EmbeddedServer, session: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    early, lost, late = pushed(oracle, place, batch(3))
    answer(session, early, result=result("бир"))
    data, backup = label_studio.home / "data", label_studio.home / "backup"
    label_studio.down()
    shutil.copytree(data, backup)
    label_studio.up()
    answer(session, lost, result=result("эки"))
    before, mark = pulled(oracle, place)
    assert only(before[lost]).text == "эки"

    label_studio.down()
    shutil.rmtree(data)
    backup.rename(data)
    assert label_studio.up().url == session.base_url
    assert oracle.place("all") == place
    tasks, back = pulled(oracle, place, mark)
    assert back < mark
    assert (only(tasks[early]).text, tasks[lost].annotations) == ("бир", ())
    assert tasks[lost].updated_at < only(before[lost]).updated_at, "it was lost, not withdrawn"
    answer(session, late, result=result("үч"))
    for since in (mark, back):
        assert only(pulled(oracle, place, since)[0][late]).text == "үч"


def test_pull_takes_a_moment(oracle: LabelStudioOracle, place: Place) -> None:
    pushed(oracle, place, batch(200))
    _, mark = pulled(oracle, place)
    start = time.perf_counter()
    pulled(oracle, place, mark)
    assert time.perf_counter() - start < 2.0


# -- refresh ---------------------------------------------------------------------------------------


def test_refresh_leaves_what_somebody_has_begun(
    session: Session, colleague: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    ids = pushed(oracle, place, batch(6))
    free, answered, skipped, begun, begun_by_us, deleted = ids
    answer(colleague, answered, result=result("салам"))
    answer(colleague, skipped, result=[], was_cancelled=True)
    draft(colleague, begun)
    draft(session, begun_by_us)
    session.delete(f"/api/tasks/{deleted}")
    _, mark = pulled(oracle, place)

    fresh = [replace(task, word_probs=[0.9, 0.1]) for task in batch(6, hypothesis="салам <дос>")]
    tasks = dict(zip(ids, fresh, strict=True))
    assert [key for part in oracle.refresh(place, tasks) for key in part] == [fresh[0].key]
    shown = {str(row["id"]): row["data"] for row in rows(session, place)}
    assert shown[free]["hypothesis"] == "салам <дос>"
    assert "<mark><bdi>&lt;дос&gt;" in shown[free]["marked"]
    assert shown[free]["audio"] == local_audio_url("0.wav")
    assert {shown[name]["hypothesis"] for name in (answered, skipped, begun, begun_by_us)} == {
        "салам"
    }
    changed, _ = pulled(oracle, place, mark)
    assert changed[free].annotations == ()
    assert len(only(changed[answered]).text or "") == 5
    answer(colleague, free, result=result("салам дос"))
    assert only(pulled(oracle, place)[0][free]).shown == "салам <дос>"


# -- audio -----------------------------------------------------------------------------------------


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

    def prepare(project_id: int) -> None:
        add_local_audio_storage(session, project_id, folder)

    rules = Rules(workspace_id, "ky", 0.0, prepare)
    for name in ("all", "round 1", "all"):
        project_id = find_or_make(session, rules, name).id
        assert len(session.get("/api/storages/localfiles/", project=project_id)) == 1

    url = session.base_url + local_audio_url(f"{workspace_id}/а b.wav")
    login = {"Authorization": f"Token {label_studio.token}"}
    heard = httpx.get(url, headers=login)
    assert (heard.status_code, len(heard.content)) == (200, 32_044)
    assert httpx.get(url, headers=login | {"Range": "bytes=0-9"}).status_code == 206
    assert httpx.get(url).status_code == 401
    for path in (f"{workspace_id}/../../secret.wav", f"{workspace_id}/../secret.wav", "/etc/hosts"):
        heard = httpx.get(session.base_url + local_audio_url(path), headers=login)
        assert heard.status_code >= 400
        assert b"secret" not in heard.content.replace(b"secret.wav", b"")


def test_down_and_up_again_keeps_everything(
    label_studio: EmbeddedServer, session: Session, oracle: LabelStudioOracle, place: Place
) -> None:
    ids = pushed(oracle, place, batch(3))
    url = session.base_url
    assert label_studio.down()
    assert label_studio.status() is None
    assert label_studio.up().url == url
    assert oracle.place("all") == place
    assert pushed(oracle, place, batch(3)) == ids
