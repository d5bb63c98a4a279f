"""The GPU's part and the recipe on a tiny model of random weights, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from al_loop.records import Example
from al_loop.whisper.checkpoints import load
from benchmarks import gpu, recipe


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for one another take minutes on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_row_of_a_size_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "RIVAL_BATCHES", (1, 2))
    monkeypatch.setattr(gpu, "REPEATS", 1)
    monkeypatch.setattr(gpu, "DURATION_S", 1.0)
    by_torch, by_ctranslate2, rival, training = gpu.measure(gpu.TINY, "cpu", 2)
    assert "torch" in by_torch.what
    assert "ctranslate2" in by_ctranslate2.what
    assert by_torch.what.split()[-4:] == rival.what.split()[-4:]  # as many tokens a clip
    assert rival.flops > by_torch.flops > 0
    assert all(row.seconds > 0 for row in (by_torch, by_ctranslate2, rival, training))
    assert [row.clips for row in (by_torch, by_ctranslate2, rival, training)] == [2] * 4


def test_the_recipe_trains_every_draw(tmp_path: Path) -> None:
    clips = gpu.write_clips(2, tmp_path / "audio")
    gpu.write_checkpoint(gpu.TINY, tmp_path / "base")
    draws = [
        Example(row.id, row.audio, row.duration_s, row.source, "ky", "бала окуйт") for row in clips
    ]
    (tmp_path / "scratch").mkdir()
    recipe.train(
        tmp_path / "base", [draws] * 3, 1e-2, 2, 0, tmp_path / "tuned", tmp_path / "scratch"
    )
    before, after = (load(str(tmp_path / name)).model for name in ("base", "tuned"))
    moved = before.model.decoder.layers[0].fc1.weight - after.model.decoder.layers[0].fc1.weight
    assert moved.abs().max() > 1e-4
