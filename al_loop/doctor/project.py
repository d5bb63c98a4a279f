"""The checks of our projects in Label Studio: interface, storage, and whether audio can be heard.

Changes nothing there. Where a workspace has several projects, the newest one is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from al_loop.doctor.check import Check
from al_loop.doctor.server import Server
from labeling.answers import TICKED, UNSURE
from labeling.page import SHOWN
from labeling.project import faults, list_projects, names_of
from labeling.s3 import Bucket, cors_rules, look
from labeling.s3_storage import STORAGES, find_storage, in_step
from labeling.served import ask, origin
from labeling.tasks import AUDIO, VERDICT

LOCAL_STORAGES = "/api/storages/localfiles/"


@dataclass(frozen=True, slots=True)
class Project:
    """One of our projects, as the server describes it. name: `all`, `round 3`, `evaluation`."""

    id: int
    name: str
    title: str
    label_config: str
    tasks: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A clip that annotators hear. address: as it stands in a task."""

    what: str
    address: str
    utterance_id: str


def find_projects(server: Server, workspace_id: str) -> list[Project]:
    """The projects that bear the workspace's mark in their descriptions, the oldest first."""
    fields = "id,title,description,label_config,task_number"
    return [
        Project(
            row["id"],
            name,
            row["title"],
            row["label_config"] or "",
            row["task_number"] or 0,
        )
        for row in list_projects(server.get, server.url, fields)
        for name in names_of(row, workspace_id)
    ]


def project(found: Sequence[Project]) -> Check:
    """Whether there is a project, and which one."""
    if not found:
        return Check("project", "ok", "none yet; the first `al-loop round` that asks makes it")
    newest = found[-1]
    told = f"{newest.title!r} (number {newest.id}, {newest.tasks} tasks) is there"
    if len(found) > 1:
        others = ", ".join(row.name for row in found[:-1])
        told += f", the newest of {len(found)} (besides: {others})"
    return Check("project", "ok", told)


def interface_of(found: Project) -> Check:
    """Whether the project's page plays clips, shows what tasks have, and gives readable answers."""
    failures, warnings = list(faults(found.label_config)), list(_poor(found.label_config))
    return Check(
        "interface",
        "failure" if failures else "warning" if warnings else "ok",
        "; ".join([*failures, *warnings]) or "it plays clips, and answers can be read",
        "put back what `python -c 'from labeling.page import interface; print(interface())'` "
        "prints, in the project's settings (Labeling Interface, Code)",
    )


def _poor(config: str) -> Iterator[str]:
    """What costs answers, or their worth. Says nothing of what is no XML."""
    try:
        page = list(ElementTree.fromstring(config).iter())
    except ElementTree.ParseError:
        return
    offered = {
        str(choice.get("alias") or choice.get("value"))
        for tag in page
        if tag.get("name") == VERDICT
        for choice in tag.iter("Choice")
    }
    if strange := offered - {*TICKED, UNSURE}:
        yield f"it offers {', '.join(sorted(strange))} as a verdict, and such answers are refused"
    if all(tag.get("name") != SHOWN for tag in page):
        yield f"it has no hidden tag {SHOWN}, so that what was shown at first has to be guessed"


def local_storage(server: Server, found: Project, folder: Path | None, audio: Path) -> Check:
    """Whether the project may serve the workspace's clips as local files of the server.

    folder: what we linked for the server that runs here; None for a server of the user's own.
    """
    paths = [row["path"] for row in server.get(LOCAL_STORAGES, project=found.id)]
    if folder is not None and not (folder.is_dir() and folder.resolve() == audio.resolve()):
        return Check(
            "storage",
            "failure",
            f"{folder} does not lead to {audio}",
            "the next `al-loop round` links it anew",
        )
    if not paths or (folder is not None and str(folder) not in paths):
        return Check(
            "storage",
            "failure",
            f"the project has no local storage {folder or 'at all'}",
            "the next `al-loop round` adds it"
            if folder is not None
            else "mount the workspace's audio/ below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT as "
            "`<workspace id>`, and add it in the project's settings (Cloud Storage, Local files); "
            "or set label_studio.audio_url",
        )
    return Check("storage", "ok", f"local files, {', '.join(paths)}")


def s3_storage(server: Server, found: Project | None, bucket: Bucket) -> Check:
    """Whether the bucket can be reached from here, and the project has our storage of it."""
    look(bucket)
    if bucket.session_token is not None:
        return Check(
            "storage",
            "warning",
            f"{bucket} is reached with temporary credentials",
            "Label Studio signs addresses with them too, and cannot when they have run out: use "
            "credentials without AWS_SESSION_TOKEN",
        )
    if found is None:
        return Check("storage", "ok", f"{bucket} at {bucket.server} can be reached")
    row = find_storage(server.get(STORAGES, project=found.id), bucket)
    if row is None or not in_step(row, bucket):
        state = "has no storage of it" if row is None else "has a storage of it that differs"
        return Check(
            "storage",
            "warning",
            f"{bucket} can be reached, but the project {state}",
            "the next push puts that right",
        )
    return Check(
        "storage", "ok", f"{bucket} at {bucket.server}, signed for {row['presign_ttl']} min"
    )


def asked_clip(server: Server, found: Project) -> Asked | None:
    """The newest task's clip, as the labelling page gets it: its address is resolved."""
    query = '{"ordering":["-tasks:id"]}'
    listed = server.get("/api/tasks", project=found.id, page_size=1, include="id", query=query)
    if not listed["tasks"]:
        return None
    task = server.get(f"/api/tasks/{listed['tasks'][0]['id']}/")
    data = task["data"]
    return Asked(f"task {task['id']}", str(data.get(AUDIO, "")), str(data.get("utterance")))


def audio(server: Server, asked: Asked, size: int | None, bucket: Bucket | None) -> Check:
    """Whether a clip can be heard, in full and in parts, by those who may hear it.

    size: of the clip in bytes, where it is known.
    """
    served = ask(server.http, server.login, server.url, asked.address, size)
    if not served.faults:
        return Check(
            "audio", "ok", f"the clip of {asked.what} is heard {served.route}, with ranges"
        )
    advice = [fault.advice for fault in served.faults]
    if bucket is not None and any("CORS" in row for row in advice):
        advice.append(
            f"aws s3api put-bucket-cors --bucket {bucket.name} --cors-configuration "
            f"'{cors_rules(origin(server.url))}'"
        )
    told = "; ".join(fault.found for fault in served.faults)
    return Check("audio", "failure", f"the clip of {asked.what}: {told}", "; ".join(advice))
