"""Finding a workspace's projects again, whatever happened in between, and setting them."""

import re
from pathlib import PurePosixPath
from typing import Any

import httpx
import pytest

from al_loop.errors import OracleError, OracleRefused, OracleUnavailable
from al_loop.records import EVALUATION_PROJECT, MAIN_PROJECT
from labeling.page import interface
from labeling.project import (
    Project,
    Rules,
    add_local_audio_storage,
    find,
    find_or_make,
)
from labeling.session import Session
from tests.labeling.fake_server import LabelStudio

MARKER = "al_loop workspace w1, all"


def with_projects(*descriptions: str | None) -> LabelStudio:
    server = LabelStudio()
    for number, description in enumerate(descriptions, start=1):
        server.projects.append(
            {
                "id": number,
                "description": description,
                "created_at": f"2025-01-0{number}T00:00:00Z",
                "label_config": interface(),
                "maximum_annotations": 1,
                "overlap_cohort_percentage": 100,
            }
        )
    return server


def found(server: LabelStudio, name: str = MAIN_PROJECT, **rules: Any) -> Project:
    return find_or_make(server.session(), Rules(**{**RULES, **rules}), name)


RULES: dict[str, Any] = {"workspace_id": "w1", "title": "Kyrgyz", "overlap_share": 0.0}


def changes(server: LabelStudio) -> list[str]:
    return [request.method for request in server.requests if request.method != "GET"]


def test_a_project_is_made_once() -> None:
    server = with_projects(None, "al_loop workspace w10, all", "somebody's")
    made = found(server)
    assert made.id == 4
    assert found(server, title="renamed") == made
    assert len(server.projects) == 4
    assert made.made_at == "2026-01-01T00:00:01.000000Z"


def test_a_time_is_written_in_one_way() -> None:
    server = with_projects(MARKER)
    before = found(server)
    server.projects[0]["created_at"] = "2025-01-01T06:00:00+06:00"
    assert found(server) == before


def test_finding_makes_and_changes_nothing() -> None:
    server = LabelStudio()
    assert find(server.session(), "w1", MAIN_PROJECT) is None
    made = found(server)
    server.requests.clear()
    server.projects[0]["maximum_annotations"] = 7
    assert find(server.session(), "w1", MAIN_PROJECT) == made
    assert find(server.session(), "w1", "round 1") is None
    assert changes(server) == []


def test_every_name_has_a_project() -> None:
    server = LabelStudio()
    names = [MAIN_PROJECT, "round 1", "round 10", EVALUATION_PROJECT]
    assert [found(server, name).id for name in names * 2] == [1, 2, 3, 4] * 2
    assert [project["title"] for project in server.projects] == [
        "Kyrgyz",
        "Kyrgyz round 1",
        "Kyrgyz round 10",
        "Kyrgyz evaluation",
    ]


def test_a_project_is_found_when_its_description_grew() -> None:
    assert found(with_projects(f"Our first project\n{MARKER}\nask Monday")).id == 1


def test_the_oldest_of_two_projects_counts() -> None:
    assert found(with_projects(MARKER, MARKER)).id == 1


def test_a_new_project_shows_the_interface_and_the_instructions() -> None:
    server = LabelStudio()
    found(server, "round 12", title="x" * 80)
    (project,) = server.projects
    assert project["title"] == "x" * 41 + " round 12"
    assert project["label_config"] == interface()
    assert "оңдоңуз" in project["expert_instruction"]
    assert project["show_instruction"] is True
    assert project["show_collab_predictions"] is False
    assert project["sampling"] == "Sequential sampling"


@pytest.mark.parametrize(
    ("name", "overlap_share", "annotators", "percentage"),
    [
        (MAIN_PROJECT, 0.0, 1, 100),
        (MAIN_PROJECT, 0.1, 2, 10),
        ("round 2", 0.255, 2, 26),
        (MAIN_PROJECT, 0.001, 2, 1),
        (MAIN_PROJECT, 1.0, 2, 100),
        (EVALUATION_PROJECT, 0.0, 2, 100),
        (EVALUATION_PROJECT, 0.1, 2, 100),
    ],
)
def test_how_many_annotators_a_task_gets(
    name: str, overlap_share: float, annotators: int, percentage: int
) -> None:
    server = LabelStudio()
    found(server, name, overlap_share=overlap_share)
    (project,) = server.projects
    assert project["maximum_annotations"] == annotators
    assert project["overlap_cohort_percentage"] == percentage


def test_settings_are_followed_with_one_change() -> None:
    server = LabelStudio()
    found(server, overlap_share=0.1)
    assert changes(server) == ["POST", "PATCH"]
    server.requests.clear()
    found(server, overlap_share=0.1)
    assert changes(server) == []
    found(server, overlap_share=0.2)
    assert changes(server) == ["PATCH"]
    assert server.projects[0]["overlap_cohort_percentage"] == 20


def test_what_a_project_needs_besides_is_made_every_time() -> None:
    server = LabelStudio()
    prepared: list[int] = []
    for name in (MAIN_PROJECT, "round 1", MAIN_PROJECT):
        found(server, name, prepare=prepared.append)
    assert prepared == [1, 2, 1]


def test_an_interface_that_was_adapted_is_left_alone() -> None:
    server = with_projects(MARKER)
    adapted = interface().replace('rows="3"', 'rows="9"').replace("</View>", "<!-- ours --></View>")
    server.projects[0]["label_config"] = adapted
    found(server)
    assert server.projects[0]["label_config"] == adapted
    assert changes(server) == []


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('name="transcription"', 'name="text"', '<TextArea name="transcription">'),
        ('name="verdict"', 'name="why"', '<Choices name="verdict">'),
        ('value="$audio"', 'value="$sound"', "shows sound, which tasks do not have"),
        ('name="audio"', 'name="clip"', '<Audio name="audio" value="$audio">'),
        ("</Choices>", "", "is no XML"),
    ],
)
def test_a_project_that_we_cannot_read_is_refused(before: str, after: str, complaint: str) -> None:
    server = with_projects(MARKER)
    server.projects[0]["label_config"] = interface().replace(before, after)
    with pytest.raises(OracleRefused, match=f"project 1 .*{re.escape(complaint)}"):
        found(server, overlap_share=0.5)
    assert changes(server) == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"results": None, "next": None},
        {"results": [None], "next": None},
        {"results": [{"id": "x", "description": ""}], "next": None},
        {"results": [{"id": 1, "description": 5}], "next": None},
        {"results": [], "next": "more"},
        {"results": [{"id": 1, "description": ""}], "next": "the same again"},
    ],
)
def test_a_list_of_projects_that_makes_no_sense(answer: Any) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
    session = Session("http://ls.test", "token", transport=transport)
    with pytest.raises(OracleUnavailable):
        find_or_make(session, Rules(**RULES), MAIN_PROJECT)


@pytest.mark.parametrize(
    "project",
    [
        None,
        [],
        {},
        {"label_config": "<View/>"},
        "x",
        {"created_at": 3, "label_config": ""},
        {"created_at": "then", "label_config": interface()},
        {"created_at": "2026-01-01"},
    ],
)
def test_a_project_that_makes_no_sense(project: Any) -> None:
    server = with_projects(MARKER)
    server._show_project = lambda *_: httpx.Response(200, json=project)  # type: ignore[method-assign]
    with pytest.raises(OracleError):
        found(server)
    assert changes(server) == []


def test_a_storage_is_added_once() -> None:
    storages: list[dict[str, Any]] = []

    def receive(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            storages.append({"id": 1, "path": "/files/w1"})
            return httpx.Response(201, json=storages[-1])
        return httpx.Response(200, json=storages)

    session = Session("http://ls.test", "token", transport=httpx.MockTransport(receive))
    for _ in range(2):
        add_local_audio_storage(session, 1, PurePosixPath("/files/w1"))
    assert len(storages) == 1
