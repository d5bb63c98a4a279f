"""The Label Studio projects of a workspace: found again or made, and set as configured.

A project is recognised by a marker line in its description, never by its title or a number that
the caller remembers: a crash right after its creation leaves no second one behind. Its labelling
interface is left alone once it is made, for its annotators may have adapted it; one from which we
could read no answers is refused. Knows nothing of tasks but what their data holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from xml.etree import ElementTree

from al_loop.errors import OracleRefused, OracleUnavailable
from al_loop.records import EVALUATION_PROJECT, MAIN_PROJECT, Task, TaskKey
from labeling.page import instructions, interface
from labeling.replies import unreadable
from labeling.session import Session
from labeling.tasks import AUDIO, TEXT, VERDICT, to_task_data, utc

SHORTEST_TITLE, LONGEST_TITLE = 3, 50
"""Label Studio's own limits, in characters."""

FIELDS = "id,created_at,label_config,maximum_annotations,overlap_cohort_percentage"
DATA_KEYS = frozenset(
    to_task_data(Task(TaskKey("", 0, 0), "query", 0, "", 0.0, "", None, (), 0.0), "", 0.0)
)
"""What an interface can show."""


@dataclass(frozen=True, slots=True)
class Project:
    """made_at: in UTC with microseconds; with the number it tells the project from all others."""

    id: int
    made_at: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What the projects of a workspace are like.

    title: of the main project; others add their names. overlap_share: of the tasks that two
    annotators answer, 0 to 1. prepare: what else a project needs, by its number; safe to repeat.
    """

    workspace_id: str
    title: str
    overlap_share: float
    prepare: Callable[[int], None] = lambda project_id: None


def find_or_make(session: Session, rules: Rules, name: str) -> Project:
    """The workspace's project called `name`; the oldest one, should there be several.

    Raises OracleUnavailable, or OracleRefused: also for a project that cannot be read.
    """
    number = _number(session, rules.workspace_id, name)
    if number is None:
        _create(session, rules, name)
        number = _number(session, rules.workspace_id, name)
    if number is None:
        raise OracleUnavailable(
            f"Label Studio made a project {_title(rules, name)!r} but does not list it; "
            "try again later"
        )
    found, as_it_is = _read(session, number)
    wanted = _overlap(rules, name)
    if any(as_it_is.get(key) != value for key, value in wanted.items()):
        session.patch(f"/api/projects/{number}/", wanted)
    rules.prepare(number)
    return found


def find(session: Session, workspace_id: str, name: str) -> Project | None:
    """As `find_or_make`, but None where it is not there; changes nothing."""
    number = _number(session, workspace_id, name)
    return None if number is None else _read(session, number)[0]


def marker(workspace_id: str, name: str) -> str:
    """The line by which a project is known."""
    return f"al_loop workspace {workspace_id}, {name}"


def names_of(project: Mapping[str, Any], workspace_id: str) -> list[str]:
    """What a listed project is called in the workspace; nothing for a project of others."""
    beginning = marker(workspace_id, "")
    lines = (project["description"] or "").splitlines()
    return [line.removeprefix(beginning) for line in lines if line.startswith(beginning)]


def list_projects(
    get: Callable[..., Any], server: str, fields: str = "id,description"
) -> Iterator[Mapping[str, Any]]:
    """The token's projects, the oldest first, each with an id and a description.

    get: reads a page of `server`. Raises what that raises, and OracleUnavailable for a list that
    makes no sense.
    """
    page, last_id = 1, 0
    while True:
        answer = get("/api/projects", include=fields, ordering="id", page_size=100, page=page)
        match answer:
            case {"results": [*rows], "next": following} if all(map(_is_listed, rows)):
                yield from rows
            case _:
                raise unreadable(server, "something else than a list of projects")
        if not following:
            return
        newest = max((row["id"] for row in rows), default=0)
        if newest <= last_id:
            raise unreadable(server, "a list of projects that does not go on")
        page, last_id = page + 1, newest


def faults(config: str) -> Iterator[str]:
    """Why a labelling interface cannot be used: tasks would not show, or answers not be read."""
    try:
        page = list(ElementTree.fromstring(config).iter())
    except ElementTree.ParseError as exc:
        yield f"it is no XML: {exc}"
        return
    clips = [tag for tag in page if tag.tag == "Audio" and tag.get("value") == f"${AUDIO}"]
    if all(tag.get("name") != AUDIO for tag in clips):
        yield f'it has no <Audio name="{AUDIO}" value="${AUDIO}">, so nobody hears a clip'
    for kind, name in (("TextArea", TEXT), ("Choices", VERDICT)):
        if not any(tag.tag == kind and tag.get("name") == name for tag in page):
            yield f'it has no <{kind} name="{name}">, from which answers are read'
    values = [value for tag in page for value in tag.attrib.values()]
    wanted = {found[1] for value in values if (found := re.match(r"\$(\w+)", value))}
    if unknown := wanted - DATA_KEYS:
        yield (
            f"it shows {', '.join(sorted(unknown))}, which tasks do not have "
            f"(they have {', '.join(sorted(DATA_KEYS))})"
        )


def add_local_audio_storage(session: Session, project_id: int, path: PurePath) -> None:
    """Let the project's annotators hear the files below `path`, a folder on the server.

    `path` must lie strictly below the server's LOCAL_FILES_DOCUMENT_ROOT. Calling twice adds
    nothing. Raises OracleUnavailable or OracleRefused.
    """
    rows = session.get("/api/storages/localfiles/", project=project_id)
    if not isinstance(rows, list):
        raise unreadable(session.base_url, "something else than a list of storages")
    if any(isinstance(row, dict) and row.get("path") == str(path) for row in rows):
        return
    with session.sdk() as studio:
        studio.import_storage.local.create(
            project=project_id, path=str(path), title="al_loop audio", use_blob_urls=True
        )


def _create(session: Session, rules: Rules, name: str) -> None:
    with session.sdk() as studio:
        studio.projects.create(
            title=_title(rules, name),
            description=marker(rules.workspace_id, name),
            label_config=interface(),
            expert_instruction=instructions(),
            show_instruction=True,
            # The interface shows the hypothesis itself. A prediction that is copied into the page
            # as a region would be read-only until the annotator finds its pencil.
            show_collab_predictions=False,
            # By task id, so tasks pushed in rank order are answered in rank order.
            sampling="Sequential sampling",
        )


def _title(rules: Rules, name: str) -> str:
    added = "" if name == MAIN_PROJECT else f" {name}"
    title = rules.title[: LONGEST_TITLE - len(added)] + added
    return title[:LONGEST_TITLE].ljust(SHORTEST_TITLE, ".")


def _overlap(rules: Rules, name: str) -> dict[str, int]:
    """How many annotators a task gets, and which part of the tasks gets so many.

    Label Studio draws that part itself, at every import anew among the tasks with fewer answers,
    those first that have one; a task that has two counts as drawn. So the share holds for all tasks
    of the project, and in one that grows a second answer often goes to a task of an earlier import.
    """
    if name == EVALUATION_PROJECT:
        return {"maximum_annotations": 2, "overlap_cohort_percentage": 100}
    if not rules.overlap_share:
        return {"maximum_annotations": 1, "overlap_cohort_percentage": 100}
    percentage = max(1, round(100 * rules.overlap_share))
    return {"maximum_annotations": 2, "overlap_cohort_percentage": percentage}


def _number(session: Session, workspace_id: str, name: str) -> int | None:
    for project in list_projects(session.get, session.base_url):
        if name in names_of(project, workspace_id):
            number: int = project["id"]
            return number
    return None


def _read(session: Session, number: int) -> tuple[Project, Mapping[str, Any]]:
    """The project, and what the server says of it. Refuses one whose interface cannot be used."""
    answer = session.get(f"/api/projects/{number}/", include=FIELDS)
    try:
        found, config = Project(number, utc(answer["created_at"])), answer["label_config"]
        wrong = "; ".join(faults(config))
    except (KeyError, TypeError, ValueError) as exc:
        raise unreadable(session.base_url, "a project without the fields of one") from exc
    if wrong:
        raise OracleRefused(
            f"the labelling interface of project {number} at {session.base_url} cannot be used: "
            f"{wrong}; put it back, or change the project's description so that a new project is "
            "made"
        )
    return found, answer


def _is_listed(row: Any) -> bool:
    match row:
        case {"id": int(), "description": str() | None}:
            return True
    return False
