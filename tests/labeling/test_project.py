"""Finding a workspace's project again, whatever happened in between."""

import json
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

import httpx

from al_loop.records import VERDICTS, Task
from labeling.project import add_local_audio_storage, find_or_create_project
from labeling.session import Session
from labeling.tasks import AUDIO, TEXT, VERDICT, to_task_data


class LabelStudio:
    """Projects and local storages; one project to a page."""

    def __init__(self, *descriptions: str | None) -> None:
        self.projects: list[dict[str, Any]] = []
        self.storages: list[dict[str, Any]] = []
        for description in descriptions:
            self._add(self.projects, {"title": "abc", "description": description})

    def session(self) -> Session:
        return Session("http://ls.test", "token", transport=httpx.MockTransport(self._answer))

    @staticmethod
    def _add(rows: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
        rows.append({"id": len(rows) + 1} | row)
        return rows[-1]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        is_project = request.url.path.rstrip("/") == "/api/projects"
        rows = self.projects if is_project else self.storages
        if request.method == "POST":
            return httpx.Response(201, json=self._add(rows, json.loads(request.content)))
        if not is_project:
            return httpx.Response(200, json=rows)
        page = int(request.url.params["page"])
        more = "http://ls.test/next" if page < len(rows) else None
        return httpx.Response(200, json={"results": rows[page - 1 : page], "next": more})


def test_a_project_is_made_once() -> None:
    server = LabelStudio(None, "al_loop workspace w10", "somebody's")
    made = find_or_create_project(server.session(), "w1", "Kyrgyz")
    assert made == 4
    assert find_or_create_project(server.session(), "w1", "renamed") == made
    assert len(server.projects) == 4


def test_a_project_is_found_when_its_description_grew() -> None:
    server = LabelStudio("Our first project\nal_loop workspace w1\nask Monday")
    assert find_or_create_project(server.session(), "w1", "Kyrgyz") == 1


def test_a_new_project_shows_the_hypothesis_and_the_instructions() -> None:
    server = LabelStudio()
    find_or_create_project(server.session(), "w1", "x" * 80)
    (project,) = server.projects
    assert len(project["title"]) == 50
    assert project["show_instruction"] is True
    assert project["show_collab_predictions"] is False
    assert project["sampling"] == "Sequential sampling"
    assert project["maximum_annotations"] == 1


def test_a_storage_is_added_once() -> None:
    server = LabelStudio()
    for _ in range(2):
        add_local_audio_storage(server.session(), 1, PurePosixPath("/files/w1"))
    assert [storage["path"] for storage in server.storages] == ["/files/w1"]


def test_the_interface_fits_the_tasks() -> None:
    view = ET.fromstring(files("labeling").joinpath("interface.xml").read_text("utf-8"))
    names = {tag.get("name") for tag in view.iter() if tag.get("name")}
    assert names == {AUDIO, TEXT, VERDICT}
    data = to_task_data(Task("u", 1, 0, "a", 1.0, "h", 0.0), "url")["data"]
    for tag in view.iter():
        value = tag.get("value", "")
        assert not value.startswith("$") or value[1:] in data
    ticked = {choice.get("alias") for choice in view.iter("Choice")}
    assert ticked == set(VERDICTS) - {"skipped"}
