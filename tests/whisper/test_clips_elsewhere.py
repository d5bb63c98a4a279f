"""What hears and what trains, on clips that are in object storage alone."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from al_loop.audio import decode
from al_loop.cli import _advance_replay
from al_loop.clips import Clips, Place, place_of
from al_loop.config import ModelSettings, Settings, TrainSettings
from al_loop.records import Example, Source, Utterance
from al_loop.simulation.folders import Folders
from al_loop.simulation.material import Material
from al_loop.simulation.replay import PROFILES, Plan
from al_loop.simulation.settings import Simulation, detached, strategy_settings
from al_loop.whisper.checkpoints import load, save
from al_loop.whisper.recognizer import WhisperRecognizer
from al_loop.wiring import recognizer_of
from storage.store import Store
from storage.workspace import Workspace
from tests.s3_server import KEYS, s3_client, s3_server

MakeClip = Callable[..., Path]
RULE = {"epochs": 1, "batch_size": 2, "accumulation": 1, "precision": "float32"}
NAMES = [f"audio/0{number}/{number}.wav" for number in range(4)]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as address:
        s3_client(address).create_bucket(Bucket="heard")
        yield address


def test_a_worker_hears_and_trains_from_a_cache_of_its_own(
    endpoint: str, tmp_path: Path, tiny_folder: Path, make_clip: MakeClip
) -> None:
    for number, name in enumerate(NAMES):
        make_clip(f"root/{name}", 0.5, seed=number)
    root, cache = tmp_path / "root", tmp_path / "cache"
    save(load(str(tiny_folder)), root / "base", {})
    settings = ModelSettings(device="cpu", language="kk", padding_s=0.1, bucket_s=1.0)
    utterances = [Utterance(name, name, name, 0.5, "x", "kk", "pool") for name in NAMES]
    examples = [Example(name, name, 0.5, "x", "kk", "сөз") for name in NAMES]
    local = WhisperRecognizer(root, settings)
    heard = local.listener("base")(utterances)
    profiled = local.profiler("base", "whisper", [])(utterances)
    rule = TrainSettings.model_validate(RULE)
    train = partial(local.train, "base", [examples], (), rule, 0)
    (tmp_path / "scratch").mkdir()
    expected = train(tmp_path / "here", tmp_path / "scratch")

    place = Place(root, "s3://heard/x", endpoint, cache)
    assert Clips(place).bring(NAMES) == len(NAMES)
    for name in NAMES:
        (root / name).unlink()
    make = pickle.loads(pickle.dumps(recognizer_of(Workspace(root), settings, Clips(place))))
    theirs = make()
    assert theirs.listener("base")(utterances) == heard
    for one, other in zip(
        profiled, theirs.profiler("base", "whisper", [])(utterances), strict=True
    ):
        assert np.array_equal(one.embedding, other.embedding)
    for path in cache.rglob("*.wav"):
        path.unlink()
    (tmp_path / "again").mkdir()
    made = theirs.train("base", [examples], (), rule, 0, tmp_path / "there", tmp_path / "again")
    assert made["weights_sha256"] == expected["weights_sha256"]
    assert len(list(cache.rglob("*.wav"))) == len(NAMES)
    assert len(decode(theirs.clips.path(NAMES[0]))) == 8000


def test_a_replay_hears_clips_that_are_in_object_storage(
    endpoint: str, tmp_path: Path, tiny_folder: Path, make_clip: MakeClip
) -> None:
    """On a machine whose cache is empty; its database is one that machines may share."""
    for number, name in enumerate(NAMES):
        make_clip(f"root/{name}", 0.5, seed=number)
    root, cache = tmp_path / "root", tmp_path / "cache"
    save(load(str(tiny_folder)), root / "base", {})
    settings = Settings.model_validate(
        {
            "model": {"checkpoint": "base", "device": "cpu", "language": "kk", "donor": "kk"},
            "audio": {"url": "s3://heard/x", "endpoint": endpoint, "cache_folder": cache},
        }
    )
    clips = Clips(place_of(root, settings.audio))
    clips.bring(NAMES)
    shutil.rmtree(root / "audio")
    pool = [Utterance(n, n, str(clips.file(n)), 0.5, "x", "kk", "pool") for n in NAMES]
    material = Material([Source("x", "open_source", "kk")], pool, [], {})
    rule = strategy_settings(
        Simulation("trial", ("default",), 1, 1, 1.0, 1.0), detached(settings, root), "default", 0
    )
    folders = Folders(tmp_path / "trial", material, lambda place: Store(Workspace(place), False))
    folders.make(folders.profiles, rule, Plan(PROFILES, 0, 0, "../replies.json"), pool)

    _advance_replay(folders.profiles, None, shared=True)
    store = Store(Workspace(folders.profiles), False)
    assert set(store.profiles("whisper", NAMES)) == set(NAMES)
    assert store.db.journal_mode == "delete"
    assert len(list(cache.rglob("*.wav"))) == len(NAMES)
