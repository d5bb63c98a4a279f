"""Training in two CPU processes (gloo) against one: same clips, same gradients."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from al_loop.config import TrainSettings
from al_loop.errors import TrainingError
from al_loop.whisper.batches import Clip
from al_loop.whisper.checkpoints import load, save
from al_loop.whisper.jobs import Job, _from_json, _to_json, run

TEXTS = ["бир", "эки үч төрт беш", "алты", "жети сегиз тогуз он он бир", "саат", "ооба", "жок"]
RULE = {
    "precision": "float32",
    "batch_size": 2,
    "accumulation": 2,
    "epochs": 2,
    "learning_rate": 1e-3,
    "warmup_share": 0.0,
    "clip_norm": 1e9,
}


@pytest.fixture
def clips(make_clip: Callable[..., Path]) -> list[Clip]:
    """Seven clips in two windows: one step of four, one of two, and one of a single clip, of which
    the second process gets nothing."""
    windows = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0]
    return [
        Clip(f"clip-{index}", make_clip(f"{index}.wav", 0.5, seed=index), text, "kk", window)
        for index, (text, window) in enumerate(zip(TEXTS, windows, strict=True))
    ]


@pytest.fixture
def base(tiny_folder: Path, tmp_path: Path) -> Path:
    save(load(str(tiny_folder)), tmp_path / "base", {})
    return tmp_path / "base"


def job(base: Path, clips: list[Clip], folder: Path, **settings: object) -> Job:
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    rule = TrainSettings.model_validate(RULE | settings)
    facts = {"made_from": "base"}
    return Job(
        base,
        [clips] * 2,
        clips[:3],
        rule,
        0,
        "cpu",
        folder / "made",
        scratch,
        folder / "logs",
        facts,
    )


def test_two_processes_compute_what_one_does(base: Path, clips: list[Clip], tmp_path: Path) -> None:
    one = run(job(base, clips, tmp_path / "one"))
    two = run(job(base, clips, tmp_path / "two", processes=2))
    assert one["draws"] == two["draws"] == 14
    assert one["steps"] == two["steps"] == 6
    for made in (one, two):
        assert made["peak_memory_bytes"]["process"] > 50 * 2**20  # torch alone takes more
        assert made["peak_memory_bytes"]["gpu"] is None
    for name in ("loss", "grad_norm", "learning_rate"):
        assert two["log"][name] == pytest.approx(one["log"][name], rel=1e-5)
    for ours, theirs in zip(one["epochs"], two["epochs"], strict=True):
        assert theirs == pytest.approx(ours, rel=1e-4)
    before, after = (
        load_file(tmp_path / name / "made" / "model.safetensors") for name in ("one", "two")
    )
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-5)


def test_one_epoch_with_validation_in_two_processes(
    base: Path, clips: list[Clip], tmp_path: Path
) -> None:
    """The best weights are those of the last epoch, which one process has just written."""
    one_epoch = replace(job(base, clips, tmp_path, processes=2), epochs=[clips])
    assert run(one_epoch)["epochs"][0]["validation_loss"] > 0


def test_workers_leave_with_the_driver_and_the_next_call_goes_on(
    base: Path, clips: list[Clip], tmp_path: Path
) -> None:
    """SIGKILL for the driver of two workers, in the middle of a training."""
    whole = run(job(base, clips, tmp_path / "whole", processes=2))
    cut = job(base, clips, tmp_path / "cut", processes=2, save_minutes=1e-9)
    (tmp_path / "cut.json").write_text(_to_json(cut), encoding="utf-8")
    code = f"""if True:
        from pathlib import Path
        from al_loop.whisper.jobs import _from_json, run
        run(_from_json(Path({str(tmp_path / "cut.json")!r}).read_text()))"""
    driver = subprocess.Popen([sys.executable, "-c", code])
    state = cut.scratch / "state.pt"
    wait_until(state.exists, 120)
    driver.kill()  # and not waited for: a zombie keeps its process id
    wait_until(lambda: not working(cut), 20)
    driver.wait()
    done = run(cut)
    for name in ("loss", "grad_norm"):
        assert done["log"][name] == pytest.approx(whole["log"][name], rel=1e-4)


def working(of: Job) -> bool:
    """Whether any process still has the job on its command line."""
    name = str(of.scratch / "job.json").encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if name in path.read_bytes():
                return True
    return False


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_a_worker_finds_wrong_reaches_the_driver(
    base: Path, clips: list[Clip], tmp_path: Path
) -> None:
    weights = base / "model.safetensors"
    state = load_file(weights)
    state["model.encoder.conv1.weight"][:] = torch.nan
    save_file(state, weights, {"format": "pt"})
    with pytest.raises(TrainingError, match=r"the loss is nan in a batch of .* utterances: clip-"):
        run(job(base, clips, tmp_path / "two", processes=2))
    assert not (tmp_path / "two" / "made").exists()


def test_what_nobody_foresaw_in_a_worker_is_told_as_it_was(
    base: Path, clips: list[Clip], tmp_path: Path
) -> None:
    (base / "tokenizer.json").unlink()
    (base / "tokenizer_config.json").write_text("[]")
    with pytest.raises(TrainingError, match=r"Traceback|tokenizer"):
        run(job(base, clips, tmp_path / "two", processes=2))


def test_a_job_survives_being_written(base: Path, clips: list[Clip], tmp_path: Path) -> None:
    expected = job(base, clips, tmp_path)
    assert _from_json(json.dumps(json.loads(_to_json(expected)))) == expected
