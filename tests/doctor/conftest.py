"""An installation without a fault."""

from __future__ import annotations

import json

import numpy as np
import pytest

from al_loop.audio import decode, sample_hash, write_flac
from al_loop.config import TOKEN_VARIABLE
from al_loop.doctor.workspace import WEIGHTS
from al_loop.records import Checkpoint, Source, Utterance
from storage.store import Store
from storage.workspace import Workspace

from .installation import CONFIG, TOKEN, Installation, Studio


@pytest.fixture
def here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    store = Store(workspace)
    clip = workspace.audio / "ab" / "abc.flac"
    clip.parent.mkdir()
    write_flac(np.sin(np.arange(16_000) / 20).astype(np.float32) / 2, clip)
    store.put_source(Source("radio", "in_house", "ky"))
    heard = sample_hash(decode(clip))
    store.add([Utterance("abc", heard, "audio/ab/abc.flac", 1.0, "radio", "ky", "pool")], [])
    weights = workspace.checkpoints / "base" / WEIGHTS
    weights.parent.mkdir()
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    weights.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    store.promote("base", "for a start")
    studio = Studio(store.workspace_id, clip.read_bytes())
    found = Installation(workspace, clip, weights, studio)
    store.close()
    found.configure(CONFIG)
    return found
