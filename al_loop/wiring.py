"""Joins the packages: a workspace's store, its loop, its Label Studio. Knows no Click.

With `al_loop.cli` the one place that imports adapters, and inside functions only, so that what a
command does not need is never loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_loop.config import EMBEDDED, Settings, label_studio_token, load_settings
from al_loop.errors import ModelError, OracleUnavailable, WorkspaceError
from storage.workspace import Workspace

if TYPE_CHECKING:
    from al_loop.records import Checkpoint
    from al_loop.round import Loop
    from labeling.oracle import LabelStudioOracle
    from labeling.session import Session
    from storage.store import Store

LOG = logging.getLogger("al_loop")


def open_workspace(workspace: Path) -> tuple[Workspace, Settings, Store]:
    from storage.store import Store

    root = Workspace.open(workspace)
    settings = load_settings(root.config)
    store = Store(root)
    handler = logging.FileHandler(root.logs / "al_loop.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.handlers = [handler]
    LOG.setLevel(logging.INFO)
    return root, settings, store


@contextmanager
def alone(root: Workspace) -> Iterator[None]:
    """While nobody else changes the workspace. Raises WorkspaceError when a round is at work."""
    from filelock import FileLock, Timeout

    try:
        held = FileLock(root.lock, blocking=False).acquire()
    except Timeout as exc:
        raise WorkspaceError(
            "a round is at work in this workspace; try again when it has ended"
        ) from exc
    with held:
        yield


def wire(
    root: Workspace, settings: Settings, store: Store, say: Callable[[str], None] = LOG.info
) -> Loop:
    """The loop of one workspace, its ports connected; nothing heavy is loaded before it is used.

    A workspace without a silence set gets the standard one.
    """
    from al_loop.engine.local import LocalEngine
    from al_loop.round import Loop
    from labeling.quality import settle

    @cache
    def recognizer() -> Any:
        from al_loop.whisper.recognizer import WhisperRecognizer

        return WhisperRecognizer(root.root, settings.model)

    @cache
    def oracle() -> LabelStudioOracle:
        return connect_oracle(root, settings, store)

    if not store.silence_utterances():
        from al_loop.sources.silence import ingest_standard_silence

        ingest_standard_silence(settings.model.language, store, root.root)
    return Loop(settings, store, LocalEngine(), recognizer, oracle, settle, say)


def connect_label_studio(settings: Settings) -> Session:
    """A session with the server that the configuration names."""
    from labeling.server import EmbeddedServer
    from labeling.session import Session

    rule = settings.label_studio
    if rule.url != EMBEDDED:
        return Session(rule.url, label_studio_token(rule))
    server = EmbeddedServer()
    running = server.status()
    if running is None:
        raise OracleUnavailable(
            "Label Studio is not running: start it with `al-loop labelstudio up`"
        )
    return Session(running.url, server.token)


def connect_oracle(root: Workspace, settings: Settings, store: Store) -> LabelStudioOracle:
    """The annotators of this workspace's project, which is made when it is not there yet."""
    from labeling.oracle import LabelStudioOracle
    from labeling.project import add_local_audio_storage, find_or_create_project, made_at
    from labeling.server import EmbeddedServer
    from labeling.tasks import local_audio_url

    session = connect_label_studio(settings)
    rule = settings.label_studio
    project_id = find_or_create_project(session, store.workspace_id, rule.project)
    if rule.url == EMBEDDED:
        folder = EmbeddedServer().link_audio(store.workspace_id, root.audio)
        add_local_audio_storage(session, project_id, folder)
    address = EMBEDDED if rule.url == EMBEDDED else session.base_url
    store.set_project(f"{address}, project made {made_at(session, project_id)}", project_id)

    def audio_url(audio: str) -> str:
        path = audio.removeprefix("audio/")
        if rule.audio_url is not None:
            return f"{rule.audio_url.rstrip('/')}/{path}"
        return local_audio_url(f"{store.workspace_id}/{path}")

    return LabelStudioOracle(session, project_id, audio_url)


def find_checkpoint(store: Store, name: str | None) -> Checkpoint:
    """The checkpoint of that name, or the one in use. Raises WorkspaceError where it is gone."""
    found = store.find_checkpoint(name) if name else store.checkpoint_in_use()
    store.weights_folder(found)
    return found


@contextmanager
def weights(store: Store, checkpoint: Checkpoint) -> Iterator[Path]:
    """The checkpoint's folder, while it is read. A round may delete it: then WorkspaceError."""
    folder = store.weights_folder(checkpoint)
    try:
        yield folder
    except (OSError, ModelError):
        store.weights_folder(checkpoint)  # says so where it is gone
        raise
