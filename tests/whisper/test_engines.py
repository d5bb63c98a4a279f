"""Results do not depend on the engine: the same round in this process and on a real local Ray."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from al_loop.audio import sample_hash, write_flac
from al_loop.config import load_settings
from al_loop.errors import AudioError
from al_loop.records import Source, Split, Utterance
from al_loop.wiring import wire
from storage.store import Store
from storage.workspace import Workspace

if find_spec("ray") is None:
    pytest.skip("needs the extra `ray`", allow_module_level=True)

from al_loop.engine.ray import RayEngine

POOL, TRAIN, TEST = 24, 4, 3
SETTINGS = """
[model]
checkpoint = "{checkpoint}"
language = "kk"
memory_mb = 2  # a few clips a block
[select]
acquisition = "mean_token_entropy"
budget_s = 6.0
cold_start_wer = 1000.0
[gates]
enabled = false
[train]
epochs = 1
"""
RAY = '[engine]\nkind = "ray"\nactors = {}\ncpus_each = 0.1\n'


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with RayEngine(num_cpus=2, cpus_each=0.1) as first:
        first.run(int)
        yield


@pytest.fixture(scope="module")
def trained(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose round 0 has trained a checkpoint, which is in use."""
    root = tmp_path_factory.mktemp("trained") / "workspace"
    root.mkdir()
    (root / "al_loop.toml").write_text(SETTINGS.format(checkpoint=tiny_folder))
    workspace = Workspace.open(root)
    store = Store(workspace)
    store.put_source(Source("radio", "open_source", "kk"))
    splits: list[tuple[Split, int]] = [("pool", POOL), ("train", TRAIN), ("test", TEST)]
    rows = [
        clip(workspace, number, split)
        for number, split in enumerate(name for name, count in splits for _ in range(count))
    ]
    store.add(rows, [])
    loop = wire(workspace, load_settings(workspace.config), store)
    assert loop.advance().kind == "recorded"
    ((candidate,),) = store.db.execute("SELECT id FROM checkpoints WHERE parent IS NOT NULL")
    if store.current_checkpoint_id() != candidate:
        store.promote(candidate, "to have a trained one in use")
    store.close()
    return root


def clip(workspace: Workspace, number: int, split: Split) -> Utterance:
    rng = np.random.default_rng(number)
    length = 8000 + 16000 * (number % 3) // 2
    tone = np.sin(np.arange(length) * (0.05 + 0.01 * number))
    samples = (0.3 * tone + 0.05 * rng.standard_normal(length)).astype(np.float32)
    path = workspace.audio / f"{number}.flac"
    write_flac(samples, path)
    name = hashlib.sha256(path.read_bytes()).hexdigest()
    text = None if split == "pool" else f"сөз {number}"
    heard = sample_hash(samples)
    return Utterance(name, heard, f"audio/{path.name}", length / 16000, "radio", "kk", split, text)


def asked(trained: Path, root: Path, engine: str) -> Store:
    """A copy of the workspace after the next round has chosen, on that engine."""
    shutil.copytree(trained, root)
    workspace = Workspace.open(root)
    with workspace.config.open("a") as file:
        file.write(engine)
    store = Store(workspace)
    assert wire(workspace, load_settings(workspace.config), store).advance(until="push").round == 1
    return store


def chosen(store: Store) -> list[tuple[str, int]]:
    return store.db.execute(
        "SELECT utterance_id, rank FROM query_batches ORDER BY rank, 1"
    ).fetchall()


@pytest.fixture(scope="module")
def here(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return asked(trained, tmp_path_factory.mktemp("here") / "workspace", "")


@pytest.mark.parametrize("actors", [1, 2, 4])
def test_ids_texts_statistics_and_the_batch_are_those_of_the_local_engine(
    trained: Path, here: Store, tmp_path: Path, actors: int
) -> None:
    there = asked(trained, tmp_path / "workspace", RAY.format(actors))
    in_use = here.current_checkpoint_id()
    assert in_use is not None
    ids = [row.id for row in here.utterances(path_ids(here))]
    one, other = (store.hypotheses(in_use, ids) for store in (here, there))
    assert len(one) == POOL
    assert {name: row.text for name, row in one.items()} == {
        name: row.text for name, row in other.items()
    }
    pools = [store.scored_pool(in_use, "whisper") for store in (here, there)]
    for name, numbers in pools[0].statistics.items():
        np.testing.assert_allclose(numbers, pools[1].statistics[name], atol=1e-4, err_msg=name)
    assert chosen(here) == chosen(there) != []


def path_ids(store: Store) -> list[str]:
    return [row[0] for row in store.db.execute("SELECT id FROM utterances WHERE split = 'pool'")]


def test_a_clip_that_no_worker_can_read_is_left_out_and_the_others_are_heard(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "workspace")
    (tmp_path / "workspace" / "audio" / "5.flac").write_bytes(b"no audio at all")
    shutil.copytree(tmp_path / "workspace", tmp_path / "damaged")
    found = []
    for name, engine in (("local", ""), ("ray", RAY.format(2))):
        store = asked(tmp_path / "damaged", tmp_path / name, engine)
        pool = {row.audio for row in store.pool()}
        ((utterance_id, (reason, detail)),) = store.unhearable().items()
        assert store.utterances([utterance_id])[0].audio == "audio/5.flac"
        assert reason == "no_samples"
        assert "5.flac" in detail
        assert "audio/5.flac" not in pool
        found.append(chosen(store))
    assert found[0] == found[1]


def test_a_damaged_clip_of_an_evaluation_set_is_refused_by_nobody(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "workspace")
    workspace = Workspace.open(tmp_path / "workspace")
    store = Store(workspace)
    tested = store.evaluation_utterances()
    (workspace.root / tested[0].audio).write_bytes(b"no audio at all")
    loop = wire(workspace, load_settings(workspace.config), store)
    base = store.checkpoint(store.current_checkpoint_id() or "")
    assert base is not None
    store.db.execute("DELETE FROM hypotheses")
    with pytest.raises(AudioError, match=f"no_samples: {tested[0].id}"):
        loop.listening.listen(base, tested)
    assert store.unhearable() == {}
