"""Joins the packages: a workspace's store, its loop, its Label Studio. Knows no Click.

With `al_loop.cli` the one place that imports adapters, and inside functions only, so that what a
command does not need is never loaded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from al_loop.config import (
    CTC_FOLDER,
    EMBEDDED,
    OWN_CTC,
    ModelSettings,
    Settings,
    label_studio_token,
    load_settings,
)
from al_loop.errors import ConfigError, ModelError, OracleUnavailable, WorkspaceError
from al_loop.listening import Once
from al_loop.logs import open_log
from storage.spellers import Speller
from storage.workspace import Workspace

if TYPE_CHECKING:
    from al_loop.clips import Clips
    from al_loop.ports import Engine
    from al_loop.records import Checkpoint
    from al_loop.round import Loop
    from al_loop.whisper.ctc import CtcRecognizer
    from al_loop.whisper.recognizer import WhisperRecognizer
    from al_loop.whisper.spelling import CtcSpeller
    from labeling.oracle import LabelStudioOracle
    from labeling.s3 import Bucket
    from labeling.session import Session
    from storage.store import Store

LOG = logging.getLogger("al_loop")


def open_workspace(workspace: Path, log_ahead: bool = True) -> tuple[Workspace, Settings, Store]:
    """log_ahead: as `storage.database.Database` has it."""
    from storage.store import Store

    root = Workspace.open(workspace)
    settings = load_settings(root.config)
    store = Store(root, log_ahead)
    clips = cache(partial(clips_of, root, settings))
    store.read_clip = lambda audio: clips().samples(audio)
    open_log(root.logs / "al_loop.log")
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
    from al_loop.round import Loop
    from labeling.quality import LabelJudge

    @cache
    def oracle() -> LabelStudioOracle:
        return connect_oracle(root, settings, store)

    clips = clips_of(root, settings)
    if not store.silence_utterances():
        from al_loop.sources.silence import ingest_standard_silence

        ingest_standard_silence(settings.model.language, store, root.root, clips)
    judge = LabelJudge(
        settings.labels, settings.model.language, lambda: read_gold_scores(root, settings)
    )
    engine, recognizer = open_engine(settings), recognizer_of(root, settings.model, clips)
    speller = Once(partial(open_speller, root, settings))
    return Loop(settings, store, engine, recognizer, oracle, judge, say, speller=speller)


def open_engine(settings: Settings) -> Engine:
    """Where the configuration has heavy work run; nothing is started before the first work.

    Raises ConfigError where that is Ray and Ray is not installed.
    """
    from al_loop.engine.local import LocalEngine

    rule = settings.engine
    if rule.kind == "local":
        return LocalEngine()
    from al_loop.engine.ray import RayEngine

    return RayEngine(rule.address, rule.actors, rule.cpus_each, rule.gpus_each)


def clips_of(root: Workspace, settings: Settings) -> Clips:
    """Where the workspace's audio is; nothing is reached before the first clip."""
    from al_loop.clips import Clips, place_of

    return Clips(place_of(root.root, settings.audio))


def recognizer_of(
    root: Workspace, settings: ModelSettings, clips: Clips
) -> Callable[[], WhisperRecognizer]:
    """What makes the workspace's recogniser, once in any process that it gets to."""
    return Once(partial(_recognizer, root.root, settings, clips))


def _recognizer(root: Path, settings: ModelSettings, clips: Clips) -> WhisperRecognizer:
    from al_loop.whisper.recognizer import WhisperRecognizer

    return WhisperRecognizer(root, settings, clips)


def load_ctc(
    root: Workspace, settings: Settings, name: str | None = None, language: str | None = None
) -> CtcRecognizer:
    """The recogniser of letters of that name, by default the one that `ctc.model` names.

    language: that is spelled, by default the model's.
    Raises ModelError with the ways that would work.
    """
    from al_loop.whisper.ctc import load_recognizer
    from al_loop.whisper.recognizer import WhisperRecognizer

    place = find_ctc(root, settings, name)
    device = WhisperRecognizer(root.root, settings.model).device
    return load_recognizer(place, device, language or settings.model.language)


def find_ctc(root: Workspace, settings: Settings, name: str | None = None) -> str:
    """Where that recogniser is: a folder, or a name on the hub. Raises ModelError."""
    name = name or settings.ctc.model
    ours = Speller(root.root / CTC_FOLDER / name).place()
    if name == OWN_CTC and not ours.is_dir():
        raise ModelError(
            f"{ours} is not there: train it with `al-loop ctc train`, or name another model in "
            "ctc.model"
        )
    return str(ours) if ours.is_dir() else name


def open_speller(root: Workspace, settings: Settings) -> CtcSpeller:
    """The same as a second opinion."""
    from al_loop.whisper.spelling import CtcSpeller

    return CtcSpeller(load_ctc(root, settings), clips_of(root, settings))


def read_gold_scores(root: Workspace, settings: Settings) -> dict[str, float]:
    """How well annotators do on tasks whose answer is known, by annotator."""
    from al_loop.annotators import from_row, gold_scores
    from storage.queries import Reader

    rows = [from_row(row) for row in Reader(root).annotator_answers() if row["kind"] == "gold"]
    return gold_scores(rows, settings.model.language)


def connect_label_studio(settings: Settings) -> Session:
    """A session with the server that the configuration names."""
    from labeling.server import EmbeddedServer
    from labeling.session import Session

    rule = settings.label_studio
    if rule.url != EMBEDDED:
        return Session(rule.url, label_studio_token(rule), ca_file=rule.ca_file)
    server = EmbeddedServer()
    running = server.status()
    if running is None:
        raise OracleUnavailable(
            "Label Studio is not running: start it with `al-loop labelstudio up`"
        )
    return Session(running.url, server.token)


def connect_oracle(root: Workspace, settings: Settings, store: Store) -> LabelStudioOracle:
    """The annotators of this workspace, whose projects are found or made when they are needed."""
    from labeling.oracle import LabelStudioOracle
    from labeling.project import Rules

    session = connect_label_studio(settings)
    rule, workspace_id = settings.label_studio, store.workspace_id
    return LabelStudioOracle(
        session,
        Rules(
            workspace_id,
            rule.project,
            settings.labels.overlap_share,
            lambda project_id: make_audible(session, project_id, root, settings, workspace_id),
        ),
        lambda audio: audio_address(settings, workspace_id, audio),
        rule.doubt_below,
        bring=lambda audio: bring_audio(root, settings, audio),
    )


def audio_address(settings: Settings, workspace_id: str, audio: str) -> str:
    """What a task says of its clip, `audio` in the workspace, for the annotator's browser."""
    from labeling.tasks import local_audio_url

    path, prefix = audio.removeprefix("audio/"), settings.label_studio.audio_url
    if prefix is not None:
        return f"{prefix.rstrip('/')}/{path}"
    if settings.audio.url is not None:
        raise ConfigError(
            "with audio.url the workspace's audio/ holds only what was read last, and annotators "
            "would not hear the rest: set label_studio.audio_url to where they hear all. The same "
            "s3:// address (with label_studio.s3_endpoint) serves for both"
        )
    return local_audio_url(f"{workspace_id}/{path}")


def bring_audio(root: Workspace, settings: Settings, audio: Sequence[str]) -> None:
    """Bring these clips of the workspace to where their addresses lead, if that is a bucket, and
    another place than the clips' own."""
    from labeling.s3 import upload

    rule, ours = settings.label_studio, settings.audio
    if ours.url is not None and rule.audio_url is not None:
        same = ours.url.rstrip("/") == rule.audio_url.rstrip("/")
        if same and ours.endpoint == rule.s3_endpoint:
            return
    if bucket := find_bucket(settings):
        clips = clips_of(root, settings)
        with TemporaryDirectory() as copies:
            for path in audio if ours.url else ():
                copy = Path(copies, path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(clips.read(path))
            upload(bucket, Path(copies) if ours.url else root.root, audio)


def make_audible(
    session: Session, project_id: int, root: Workspace, settings: Settings, workspace_id: str
) -> None:
    """Let a project's annotators hear the clips; calling it twice changes nothing."""
    from labeling.project import add_local_audio_storage
    from labeling.s3_storage import ensure_storage
    from labeling.server import EmbeddedServer

    if bucket := find_bucket(settings):
        ensure_storage(session, project_id, bucket)
    elif settings.label_studio.url == EMBEDDED and settings.label_studio.audio_url is None:
        folder = EmbeddedServer().link_audio(workspace_id, root.audio)
        add_local_audio_storage(session, project_id, folder)


def find_bucket(settings: Settings) -> Bucket | None:
    """The bucket that the configuration names; None where clips come from elsewhere."""
    from labeling.s3 import is_s3, read_bucket

    rule = settings.label_studio
    if rule.audio_url is None or not is_s3(rule.audio_url):
        return None
    return read_bucket(rule.audio_url, rule.s3_endpoint, os.environ)


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
