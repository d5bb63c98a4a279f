"""Labels out of a real Label Studio and into it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from al_loop.commands.transfer import export_labels, import_project
from al_loop.records import Checkpoint, Manifest
from labeling.page import interface
from labeling.server import EmbeddedServer
from labeling.session import Session
from storage.store import Store
from storage.workspace import Workspace

pytestmark = pytest.mark.e2e

TEMPLATE = """<View>
  <Audio name="audio" value="$audio" zoom="true" hotkey="ctrl+enter"/>
  <TextArea name="transcription" toName="audio" rows="4" editable="true" maxSubmissions="1"/>
  <Choices name="noise" toName="audio"><Choice value="Шум"/></Choices>
</View>"""


@pytest.fixture(scope="module")
def session(label_studio: EmbeddedServer) -> Session:
    return Session(label_studio.up().url, label_studio.token)


@pytest.fixture(autouse=True)
def this_server(label_studio: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AL_LOOP_DATA_DIR", str(label_studio.home.parent))


def project(session: Session, config: str) -> int:
    found: int = session.post("/api/projects/", {"title": "hands", "label_config": config})["id"]
    return found


def upload(session: Session, project_id: int, path: Path) -> int:
    """A file as people upload it; the task's id."""
    with path.open("rb") as file:
        session._http.post(
            f"{session.base_url}/api/projects/{project_id}/import",
            files={"file": (path.name, file, "audio/wav")},
        ).raise_for_status()
    tasks = session.get("/api/tasks", project=project_id, page_size=100)["tasks"]
    return max(row["id"] for row in tasks)


def text(said: str) -> dict[str, Any]:
    part = {"from_name": "transcription", "to_name": "audio", "type": "textarea"}
    return part | {"value": {"text": [said]}}


def done(command: Any, store: Store, *arguments: str) -> list[str]:
    result = CliRunner().invoke(command, arguments, obj=store.workspace.root)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def contents(store: Store) -> dict[str, str]:
    hashes = store.sample_hashes()
    rows = store.training_examples("in_house")
    return {hashes[row.utterance_id]: row.text for row in rows}


def test_what_people_labelled_goes_around(
    session: Session, store: Store, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    """Uploaded and labelled there, imported here, exported, imported there, and here again."""
    first = project(session, TEMPLATE)
    tasks = [
        upload(session, first, make_clip(f"үн {seed}.wav", 0.5, seed=seed)) for seed in range(4)
    ]

    def answer(task: int, *parts: Any, **body: Any) -> None:
        session.post(f"/api/tasks/{task}/annotations/", {"result": list(parts), **body})

    session.post("/api/predictions/", {"task": tasks[3], "result": [text("болжол")]})
    answer(tasks[0], text("эски"), ground_truth=True)
    answer(tasks[0], text("жаңы"))
    noise = {"from_name": "noise", "to_name": "audio", "type": "choices"}
    answer(tasks[1], text("эки"), noise | {"value": {"choices": ["Шум"]}})
    answer(tasks[2], text("үч"), was_cancelled=True)
    arguments = [str(first), "--source", "hands"]
    lines = done(import_project, store, *arguments)
    assert lines == [
        f"refused {session.base_url}/projects/{first}/data?task={tasks[2]}: "
        "bad_row (it was skipped)",
        "1 tasks have no answer yet",
        "ticked beside a text that was taken: noise=Шум (1); see --leave-out",
        "2 added, 0 moved to an evaluation set, 0 known already, 1 refused",
    ]
    assert sorted(contents(store).values()) == ["эки", "эски"]
    assert " 2 known already" in done(import_project, store, *arguments)[-1]

    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    store.start_round(0, 1, "train", "base")
    store.put_manifest(0, Manifest("m", store.training_examples("in_house"), []))
    done(export_labels, store, "--format", "label-studio", "--to", str(tmp_path / "out"))
    second = project(session, interface())
    written = json.loads((tmp_path / "out/tasks.json").read_text("utf-8"))
    for row in written:  # nobody has put the folder below the server's document root
        name = f"{row['data']['utterance']}.flac"
        row["data"]["audio"] = f"/data/upload/{second}/0a1b2c3d-{name}"
    session.post(f"/api/projects/{second}/import", written)

    (tmp_path / "third").mkdir()
    (tmp_path / "third/al_loop.toml").write_text("", encoding="utf-8")
    third = Store(Workspace.open(tmp_path / "third"))
    folder = ["--audio", str(tmp_path / "out")]
    lines = done(import_project, third, str(second), "--source", "back", *folder)
    assert lines[-1] == "2 added, 0 moved to an evaluation set, 0 known already, 0 refused"
    assert contents(third) == contents(store)

    page = session.get("/api/tasks", project=second, fields="all", page_size=10)["tasks"]
    assert [row["annotations"][0]["ground_truth"] for row in page] == [False, False]
    export = session._http.get(
        f"{session.base_url}/api/projects/{second}/export", params={"exportType": "JSON"}
    )
    (tmp_path / "export.json").write_bytes(export.content)
    lines = done(import_project, third, str(tmp_path / "export.json"), "--source", "back", *folder)
    assert lines[-1] == "0 added, 0 moved to an evaluation set, 2 known already, 0 refused"
