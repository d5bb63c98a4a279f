from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from al_loop.config import TrainSettings
from al_loop.errors import TrainingError
from al_loop.whisper.batches import Clip, collate
from al_loop.whisper.checkpoints import Whisper, load
from al_loop.whisper.features import accept_short_windows
from al_loop.whisper.methods import merge, prepare
from al_loop.whisper.optimiser import learning_rate
from al_loop.whisper.training import Progress, Training

TEXTS = ["бир", "эки үч төрт беш", "алты", "жети сегиз тогуз он он бир", "саат", "ооба", "жок", "а"]
ALIKE = {"learning_rate": 1e-3, "warmup_share": 0.0, "clip_norm": 1e9, "precision": "float32"}


@pytest.fixture
def clips(make_clip: Callable[..., Path]) -> list[Clip]:
    return [
        Clip(f"clip-{index}", make_clip(f"{index}.wav", 0.5, seed=index), text, "kk", 1.0)
        for index, text in enumerate(TEXTS)
    ]


@pytest.fixture
def fresh(tiny_folder: Path) -> Callable[[], Whisper]:
    def make() -> Whisper:
        whisper = load(str(tiny_folder))
        accept_short_windows(whisper.model)
        return whisper

    return make


def run(
    whisper: Whisper,
    epochs: Sequence[Sequence[Clip]],
    folder: Path,
    validation: Sequence[Clip] = (),
    **settings: object,
) -> Progress:
    """Train with `settings` and save, if at all, into `folder`."""
    rule = TrainSettings.model_validate(ALIKE | settings)
    folder.mkdir(exist_ok=True)
    model = prepare(whisper.model, rule, 0)
    done = Training(whisper, model, epochs, validation, rule, 0, folder, folder / "logs").run()
    merge(whisper.model, model, folder)
    return done


@pytest.mark.parametrize(("size", "accumulation"), [(8, 1), (4, 2), (2, 4), (1, 8)])
def test_accumulation_is_exact(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path, size: int, accumulation: int
) -> None:
    """However eight clips of unequal texts are split, one step has the same loss and gradient."""
    found = run(fresh(), [clips], tmp_path / "a", batch_size=size, accumulation=accumulation)
    whole = run(fresh(), [clips], tmp_path / "b", batch_size=8, accumulation=1)
    assert len(found.log["loss"]) == 1
    assert found.log["loss"] == pytest.approx(whole.log["loss"], rel=1e-5)
    assert found.log["grad_norm"] == pytest.approx(whole.log["grad_norm"], rel=1e-5)
    assert found.log["loss"][0] == pytest.approx(np.log(51865), rel=0.1)


def test_training_learns_and_repeats_to_the_bit(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    weights, runs = [], []
    for index in range(2):
        whisper = fresh()
        runs.append(run(whisper, [clips] * 12, tmp_path / str(index), learning_rate=1e-2))
        weights.append(whisper.model.state_dict())
    losses = runs[0].log["loss"]
    assert losses[-1] < 0.9 * losses[0]
    assert runs[0] == runs[1]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("killed_after", [2, 3, 5])
def test_a_killed_training_ends_with_the_same_weights(
    fresh: Callable[[], Whisper],
    clips: list[Clip],
    tiny_folder: Path,
    tmp_path: Path,
    killed_after: int,
) -> None:
    """SIGKILL, then a second call. Every second step saves: the kill comes right after a save,
    or a step or an epoch's end after it.

    Both have the same number of threads, or sums would differ in their last bits.
    """
    rule = {"batch_size": 2, "accumulation": 2, "save_minutes": 1e-9, "learning_rate": 1e-2}
    whole, resumed = fresh(), fresh()
    expected = run(whole, [clips] * 3, tmp_path / "whole", clips[:2], **rule)
    scratch = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.whisper.killed_training"]
    texts = [f"{clip.path}={clip.text}" for clip in clips]
    killed = subprocess.run(
        [*command, str(tiny_folder), str(scratch), str(killed_after), *texts],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -9, killed.stderr
    assert (scratch / "state.pt").is_file()
    steps_before = len(torch.load(scratch / "state.pt")["progress"]["log"]["loss"])
    assert steps_before == killed_after // 2 * 2
    done = run(resumed, [clips] * 3, scratch, clips[:2], **rule)
    assert done == expected
    before, after = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_bfloat16_computes_nearly_the_same(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    found = []
    for precision in ("float32", "bfloat16"):
        whisper = fresh()
        found.append(run(whisper, [clips], tmp_path / precision, precision=precision).log)
        assert {value.dtype for value in whisper.model.state_dict().values()} == {torch.float32}
    assert found[1]["loss"] == pytest.approx(found[0]["loss"], rel=0.01)
    assert found[1]["grad_norm"] == pytest.approx(found[0]["grad_norm"], rel=0.1)
    assert found[1] != found[0]


def test_gradient_checkpointing_changes_nothing(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    found, passes = [], []
    for value in (False, True):
        whisper = fresh()
        layers = whisper.model.get_encoder().layers
        counted = [0]
        layers[0].fc1.register_forward_hook(lambda *_, counted=counted: add_one(counted))
        rule = {"gradient_checkpointing": value}
        found.append(run(whisper, [clips] * 2, tmp_path / str(value), **rule))
        passes.append(counted[0])
        assert not any(module.training for module in whisper.model.modules())
    assert passes[1] == 2 * passes[0] > 0
    assert found[1].log["loss"] == pytest.approx(found[0].log["loss"], rel=1e-5)
    assert found[1].log["grad_norm"] == pytest.approx(found[0].log["grad_norm"], rel=1e-5)


def add_one(counted: list[int]) -> None:
    counted[0] += 1


def test_a_frozen_encoder_stays(tiny: Whisper, clips: list[Clip], tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    run(tiny, [clips] * 2, tmp_path, method="frozen_encoder")
    after = tiny.model.state_dict()
    assert all(
        torch.equal(before[name], after[name]) == ("encoder." in name)
        for name in before
        if name.endswith(("fc1.weight", "conv1.weight"))
    )


def test_adapters_learn_alone_and_are_merged(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    whisper = fresh()
    before = {name: value.clone() for name, value in whisper.model.state_dict().items()}
    losses = run(
        whisper, [clips] * 6, tmp_path, method="lora", lora_rank=4, learning_rate=3e-2
    ).log["loss"]
    after = whisper.model.state_dict()
    assert losses[-1] < losses[0]
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.rsplit(".", 2)[1] for name in changed} <= {
        *("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    }
    assert any("encoder.layers" in name for name in changed)
    assert any("decoder.layers" in name for name in changed)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_adapters_resume(fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path) -> None:
    """A save from the middle holds the adapters, and a second training goes on from it."""
    rule = {"method": "lora", "lora_rank": 4, "batch_size": 2, "accumulation": 1}
    whole, resumed = fresh(), fresh()
    expected = run(whole, [clips] * 2, tmp_path / "whole", **rule)
    rule |= {"save_minutes": 1e-9}
    with pytest.raises(Stop):
        run_until(fresh(), [clips] * 2, tmp_path / "cut", 5, **rule)
    done = run(resumed, [clips] * 2, tmp_path / "cut", **rule)
    assert done.log == expected.log
    before, after = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_tensorboard_shows_every_step_once_after_a_restart(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    rule = {"batch_size": 2, "accumulation": 1, "save_minutes": 1e-9}
    with pytest.raises(Stop):
        run_until(fresh(), [clips] * 2, tmp_path / "cut", 5, **rule)
    done = run(fresh(), [clips] * 2, tmp_path / "cut", **rule)
    shown = EventAccumulator(str(tmp_path / "cut" / "logs")).Reload()
    events = shown.Scalars("step/loss")
    assert [event.step for event in events] == list(range(1, 9))
    assert [event.value for event in events] == pytest.approx(done.log["loss"])
    assert len(shown.Scalars("epoch/mean_grad_norm")) == 2


class Stop(Exception):
    """Ends a training where a test wants it to end."""


def run_until(
    whisper: Whisper, epochs: Sequence[Sequence[Clip]], folder: Path, steps: int, **settings: object
) -> None:
    """Train, and raise Stop in the forward pass after `steps` steps and saves."""
    rule = TrainSettings.model_validate(ALIKE | settings)
    folder.mkdir()
    model = prepare(whisper.model, rule, 0)
    training = Training(whisper, model, epochs, (), rule, 0, folder, folder / "logs")

    def stop(*_: object) -> None:
        if len(training.progress.log["loss"]) == steps:
            raise Stop

    whisper.model.get_encoder().register_forward_pre_hook(stop)
    training.run()


def test_training_stops_early_with_the_best_weights(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    """At an absurd learning rate the validation loss rises at once."""
    rule = {"batch_size": 8, "accumulation": 1, "schedule": "constant"}
    whisper = fresh()
    done = run(
        whisper, [clips] * 9, tmp_path / "a", clips[:3], patience=2, learning_rate=3.0, **rule
    )
    losses = [row["validation_loss"] for row in done.epochs]
    assert len(losses) == 1 + losses.index(min(losses)) + 2 < 9
    best = fresh()
    epochs = 1 + losses.index(min(losses))
    run(best, [clips] * epochs, tmp_path / "b", patience=0, learning_rate=3.0, **rule)
    before, after = best.model.state_dict(), whisper.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_no_validation_split_means_no_early_stop(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    done = run(fresh(), [clips] * 3, tmp_path, learning_rate=3.0)
    assert [row["validation_loss"] for row in done.epochs] == [None] * 3


def test_every_epoch_tells_its_gradient(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    done = run(fresh(), [clips, clips], tmp_path, batch_size=2, accumulation=1, grad_norm_bound=1e9)
    for row, first in zip(done.epochs, (0, 4), strict=True):
        assert row["steps"] == 4
        assert row["mean_grad_norm"] == pytest.approx(
            np.mean(done.log["grad_norm"][first : first + 4])
        )
        assert row["measured_clips"] == 8
        assert row["loss"] == pytest.approx(np.mean(done.log["loss"][first : first + 4]))
    assert not any("warning" in note for note in done.notes)
    assert any(f"full gradient {done.epochs[0]['full_grad_norm']:.1f}" in n for n in done.notes)


def test_the_full_gradient_is_that_of_one_step_with_all_clips(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    done = run(fresh(), [clips], tmp_path, batch_size=8, accumulation=1)
    assert done.epochs[0]["measured_norm"] == pytest.approx(done.log["grad_norm"][0], rel=1e-5)


def test_a_full_gradient_beyond_the_bound_is_a_warning(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    done = run(fresh(), [clips], tmp_path, grad_norm_bound=1e-6)
    assert any("the full gradient itself exceeds" in note for note in done.notes)


def test_auto_meets_the_bound_where_it_can_be_met(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    """A bound between the full gradient's norm and that of single clips: one clip a step breaks
    it, and what `auto` chooses keeps it in every epoch."""
    many = [replace(clip, text=f"{clip.text} {index}") for index in range(6) for clip in clips]
    rule = {"batch_size": 1, "learning_rate": 1e-5, "max_accumulation": 48}
    alone = run(fresh(), [many], tmp_path / "alone", accumulation=1, **rule).epochs[0]
    full = alone["full_grad_norm"]
    bound = (full + alone["mean_grad_norm"]) / 2
    assert full < 0.9 * bound < bound < alone["mean_grad_norm"]
    chosen = run(
        fresh(), [many] * 2, tmp_path / "auto", accumulation="auto", grad_norm_bound=bound, **rule
    )
    for row in chosen.epochs:
        assert 1 < row["accumulation"] < 48
        assert row["mean_grad_norm"] <= bound
        assert row["variance"] > 0


def test_auto_says_where_no_window_holds_what_it_wants(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    spread = [replace(clip, window_s=1.0 + index % 4) for index, clip in enumerate(clips)]
    rule = {"batch_size": 1, "accumulation": "auto", "max_accumulation": 16}
    bound = run(fresh(), [clips], tmp_path / "a", batch_size=8).epochs[0]["full_grad_norm"] * 1.02
    done = run(fresh(), [spread], tmp_path / "b", grad_norm_bound=bound, **rule)
    assert done.epochs[0]["accumulation"] > 2
    assert any("no window has more than 2 clips" in note for note in done.notes)


def test_a_clip_in_a_small_step_counts_like_any_other(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    """A window with a single clip makes a step of its own, at a fraction of the rate."""
    draws = [*clips[:7], replace(clips[7], window_s=2.0)]
    done = run(
        fresh(), [draws], tmp_path, batch_size=7, accumulation=1, schedule="constant",
        learning_rate=0.7,
    )  # fmt: skip
    assert sorted(done.log["learning_rate"]) == pytest.approx([0.1, 0.7])


def test_float16_learns_like_float32_and_skips_what_overflows(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    rule = {"learning_rate": 1e-2, "save_minutes": 1e-9, "batch_size": 8, "accumulation": 1}
    exact = run(fresh(), [clips] * 3, tmp_path / "32", **rule)
    half = run(fresh(), [clips] * 3, tmp_path / "16", precision="float16", **rule)
    assert half.log["loss"] == pytest.approx(exact.log["loss"], rel=1e-2)
    assert half.log["grad_norm"] == pytest.approx(exact.log["grad_norm"], rel=1e-2)

    whisper = fresh()
    settings = TrainSettings.model_validate(ALIKE | rule | {"precision": "float16"})
    training = Training(
        whisper, whisper.model, [clips] * 3, (), settings, 0, new(tmp_path / "cut"), tmp_path
    )
    training.gradients.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    before = {name: value.clone() for name, value in whisper.model.state_dict().items()}
    training.begin_epoch()
    training.take_step(clips, 1.0)
    assert training.progress.log["grad_norm"] == [None]
    assert all(torch.equal(before[n], v) for n, v in whisper.model.state_dict().items())
    training.save()
    again = Training(
        fresh(), fresh().model, [clips] * 3, (), settings, 0, tmp_path / "cut", tmp_path
    )
    assert again.gradients.scaler.get_scale() == training.gradients.scaler.get_scale() == 2.0**59


def new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_damaged_save_is_no_obstacle(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path
) -> None:
    expected = run(fresh(), [clips], tmp_path / "whole")
    new(tmp_path / "damaged")
    (tmp_path / "damaged" / "state.pt").write_bytes(b"not a save")
    done = run(fresh(), [clips], tmp_path / "damaged")
    assert done.log == expected.log
    assert done.notes[0] == "the last save could not be read: training starts anew"


@pytest.mark.parametrize("room", [1, 3])
def test_out_of_memory_halves_the_batch_and_says_so(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path, room: int
) -> None:
    expected = run(fresh(), [clips] * 2, tmp_path / "enough", batch_size=8, accumulation=1)
    whisper = fresh()
    limit_memory(whisper, room)
    done = run(whisper, [clips] * 2, tmp_path / "short", batch_size=8, accumulation=1)
    assert done.batch_size == 2 ** int(math.log2(room))
    assert any("out of memory with 8 utterances" in note for note in done.notes)
    assert done.log["loss"] == pytest.approx(expected.log["loss"], rel=1e-5)
    assert done.log["grad_norm"] == pytest.approx(expected.log["grad_norm"], rel=1e-5)


def limit_memory(whisper: Whisper, room: int) -> None:
    """Let the encoder fail as a full GPU does, with more than `room` clips at once."""

    def check(module: object, args: tuple[torch.Tensor, ...], kwargs: dict) -> None:
        batch = args[0] if args else kwargs["input_features"]
        if len(batch) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    whisper.model.get_encoder().register_forward_pre_hook(check, with_kwargs=True)


def test_memory_for_no_clip_at_all(tiny: Whisper, clips: list[Clip], tmp_path: Path) -> None:
    limit_memory(tiny, 0)
    with pytest.raises(TrainingError, match=r"single utterance.*gradient_checkpointing"):
        run(tiny, [clips], tmp_path)


def test_nothing_to_train_on(tiny: Whisper, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no labelled example"):
        run(tiny, [], tmp_path)


@pytest.mark.parametrize("repeats", [1, 16])
def test_a_loss_that_is_not_a_number_names_the_utterances_and_keeps_the_last_save(
    fresh: Callable[[], Whisper], clips: list[Clip], tmp_path: Path, repeats: int
) -> None:
    """Whether the measurement before an epoch meets it first, or a step."""
    whisper = fresh()
    poison(whisper, clips[3])
    epochs = [clips[:2], [*clips[:2] * repeats, clips[3]]]
    with pytest.raises(TrainingError, match=r"the loss is nan in a batch of 1 utterances: clip-3;"):
        run(whisper, epochs, tmp_path, batch_size=1, accumulation=3, save_minutes=1e-9)
    saved = torch.load(tmp_path / "state.pt")
    assert saved["progress"]["draws"] >= 2
    assert all(row.isfinite().all() for row in saved["weights"].values())


def poison(whisper: Whisper, clip: Clip) -> None:
    """Let the encoder hear nothing that is a number in this clip."""
    bad = collate(whisper, [clip])["input_features"][0]

    def spoil(module: object, args: tuple[torch.Tensor, ...], kwargs: dict, output: Any) -> None:
        heard = args[0] if args else kwargs["input_features"]
        for row, hidden in zip(heard, output.last_hidden_state, strict=True):
            if torch.equal(row, bad):
                hidden.data.fill_(torch.nan)

    whisper.model.get_encoder().register_forward_hook(spoil, with_kwargs=True)


@pytest.mark.parametrize(
    ("schedule", "at_half", "at_end"),
    [("cosine", 0.5, 0.0), ("linear", 0.5, 0.0), ("constant", 1.0, 1.0)],
)
def test_learning_rate(schedule: str, at_half: float, at_end: float) -> None:
    rule = TrainSettings(learning_rate=1.0, warmup_share=0.2, schedule=schedule)
    assert learning_rate(0.1, rule) == pytest.approx(0.5)
    assert learning_rate(0.2, rule) == pytest.approx(1.0)
    assert learning_rate(0.6, rule) == pytest.approx(at_half)
    assert learning_rate(1.0, rule) == pytest.approx(at_end)
