"""All checks of an installation, one after the other. Knows which ones make sense after which."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

from al_loop.clips import Clips, Place, place_of
from al_loop.config import (
    EMBEDDED,
    LabelStudioSettings,
    Settings,
    label_studio_token,
    load_settings,
)
from al_loop.doctor import project, server, workspace
from al_loop.doctor.check import Check, tried
from al_loop.errors import AlLoopError
from labeling.s3 import CLIPS, Bucket, is_s3, read_bucket
from labeling.server import EmbeddedServer
from storage.integrity import Integrity
from storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class _Installation:
    """What is looked at. transport, now: what tests replace."""

    root: Workspace
    data: Integrity
    settings: Settings
    environment: Mapping[str, str]
    transport: httpx.BaseTransport | None
    now: Callable[[], datetime]


def _utc() -> datetime:
    return datetime.now(UTC)


def diagnose(
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    transport: httpx.BaseTransport | None = None,
    now: Callable[[], datetime] = _utc,
) -> Iterator[Check]:
    """What is right and what is wrong with the workspace in `folder` and its Label Studio.

    Changes neither, but for a line of text where `audio.url` keeps the clips. environment: where
    credentials are. transport, now: what tests replace. Raises WorkspaceError where there is no
    workspace.
    """
    root = Workspace.open(folder)
    settings = None
    try:
        settings = load_settings(root.config)
        yield Check("configuration", "ok", f"{root.config} is valid")
    except AlLoopError as exc:
        yield Check("configuration", "failure", str(exc))
    yield tried("lock", lambda: workspace.lock(root))
    if settings is not None:
        yield tried("model", partial(workspace.model, settings.model))
    try:
        data = Integrity(root)
    except AlLoopError as exc:
        yield Check("database", "failure", str(exc))
        return
    with closing(data):
        whole = tried("database", lambda: workspace.database(data))
        yield whole
        if whole.state == "failure":
            return
        yield tried("schema", lambda: workspace.schema(data))
        yield tried("checkpoint", lambda: workspace.checkpoint(data.checkpoint_in_use()))
        yield tried("disk", lambda: workspace.disk(root, data.checkpoint_in_use()))
        place = Clips(place_of(root.root, settings.audio) if settings else Place(root.root))
        stored = None
        if place.place.url is not None:
            stored = tried("clips' storage", lambda: workspace.storage(place))
            yield stored
        if stored is None or stored.state == "ok":
            yield tried("clips", lambda: workspace.clips(place, data))
        if settings is not None:
            yield from _server(_Installation(root, data, settings, environment, transport, now))


def _server(here: _Installation) -> Iterator[Check]:
    try:
        studio = _connect(here.settings.label_studio, here.transport)
    except AlLoopError as exc:
        yield Check("server", "failure", str(exc))
        return
    if studio is None:
        yield Check(
            "server", "failure", "Label Studio is not running", "`al-loop labelstudio up` starts it"
        )
        return
    with closing(studio.http):
        answers = tried("server", lambda: server.address(studio))
        yield answers
        if answers.state == "failure":
            return
        yield tried("version", lambda: server.version(studio))
        yield tried("clock", lambda: server.clock(studio, here.now))
        known = tried("token", lambda: server.token(studio, here.now))
        yield known
        if known.state != "failure":
            yield from _project(here, studio)


def _project(here: _Installation, studio: server.Server) -> Iterator[Check]:
    rule = here.settings.label_studio
    found: list[project.Project] = []

    def look_for() -> Check:
        found.extend(project.find_projects(studio, here.data.workspace_id()))
        return project.project(found)

    yield tried("project", look_for)
    newest = found[-1] if found else None
    yield tried("rights", lambda: server.rights(studio, newest.id if newest else None))
    bucket = None
    if rule.audio_url is not None and is_s3(rule.audio_url):
        try:
            bucket = read_bucket(rule.audio_url, rule.s3_endpoint, here.environment)
            yield tried("storage", partial(project.s3_storage, studio, newest, bucket))
        except AlLoopError as exc:
            yield Check("storage", "failure", str(exc))
    if newest is not None:
        yield tried("interface", lambda: project.interface_of(newest))
        if rule.audio_url is None:
            yield tried("storage", lambda: _local_storage(here, studio, newest))
    yield tried("audio", lambda: _audio(here, studio, newest, bucket))


def _local_storage(here: _Installation, studio: server.Server, newest: project.Project) -> Check:
    embedded = here.settings.label_studio.url == EMBEDDED
    link = EmbeddedServer().files / here.data.workspace_id() if embedded else None
    return project.local_storage(studio, newest, link, here.root.audio)


def _audio(
    here: _Installation,
    studio: server.Server,
    newest: project.Project | None,
    bucket: Bucket | None,
) -> Check:
    asked = None if newest is None else project.asked_clip(studio, newest)
    prefix = here.settings.label_studio.audio_url
    clips = here.data.some_clips(1)
    if asked is None and clips and prefix is not None and bucket is None:
        (clip,) = clips
        address = f"{prefix.rstrip('/')}/{clip.audio.removeprefix(CLIPS)}"
        asked = project.Asked(f"utterance {clip.utterance_id[:12]}", address, clip.utterance_id)
    if asked is None:
        return Check("audio", "ok", "there is no task yet, so no clip was asked for")
    known = here.data.clip(asked.utterance_id)
    path = here.root.root / known.audio if known else None
    size = path.stat().st_size if path and path.is_file() else None
    return project.audio(studio, asked, size, bucket)


def _connect(
    rule: LabelStudioSettings, transport: httpx.BaseTransport | None
) -> server.Server | None:
    """The server that the configuration names; None when it is ours and does not run."""
    if rule.url != EMBEDDED:
        return server.Server(rule.url, label_studio_token(rule), rule.ca_file, transport)
    embedded = EmbeddedServer()
    running = embedded.status()
    return server.Server(running.url, embedded.token, None, transport) if running else None
