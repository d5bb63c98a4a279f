from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from al_loop.whisper.batches import IGNORED, Clip, collate
from al_loop.whisper.checkpoints import Whisper, load
from al_loop.whisper.features import accept_short_windows
from al_loop.whisper.gradients import ALONE, Gradients
from tests.whisper.split_gradients import SIZES, split_gradients

TEXTS = ["бир", "эки үч төрт беш", "алты", "жети сегиз тогуз он он бир", "саат", "ооба", "жок", "а"]
LOOPBACK = {"darwin": "lo0"}.get(sys.platform, "lo")


@pytest.fixture
def clips(make_clip: Callable[..., Path]) -> list[Clip]:
    return [
        Clip(f"clip-{index}", make_clip(f"{index}.wav", 0.5, seed=index), text, "kk", 1.0)
        for index, text in enumerate(TEXTS)
    ]


def by_torch(checkpoint: Path, clips: list[Clip]) -> tuple[float, torch.Tensor]:
    """The same step written down plainly: the sum over every clip's tokens, one division."""
    whisper = load(str(checkpoint))
    accept_short_windows(whisper.model)
    total, tokens = torch.zeros(()), 0
    for clip in clips:
        made = collate(whisper, [clip])
        labels = made.pop("labels")
        total = total + cross_entropy(
            whisper.model(**made).logits[0], labels[0], ignore_index=IGNORED, reduction="sum"
        )
        tokens += int((labels != IGNORED).sum())
    mean = total / tokens
    grads = torch.autograd.grad(
        mean, [row for row in whisper.model.parameters() if row.requires_grad]
    )
    return mean.item(), torch.cat([grad.flatten() for grad in grads])


def assert_equal(found: tuple[float, torch.Tensor], expected: tuple[float, torch.Tensor]) -> None:
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    difference = (found[1] - expected[1]).norm() / expected[1].norm()
    assert difference < 1e-5


def test_every_split_has_the_same_gradient(tiny_folder: Path, clips: list[Clip]) -> None:
    """8x1, 4x2, 2x4 and 1x8 with texts of 1 to 6 words."""
    expected = by_torch(tiny_folder, clips)
    for found in split_gradients(tiny_folder, clips).values():
        assert_equal(found, expected)


def test_every_split_has_the_same_gradient_in_two_processes(
    tiny_folder: Path, clips: list[Clip], tmp_path: Path
) -> None:
    result = tmp_path / "gradients.pt"
    subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
            *("--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"),
            *("--mixed_precision", "no", "--dynamo_backend", "no"),
            *("-m", "tests.whisper.split_gradients", str(tiny_folder), str(result)),
            *(f"{clip.path}={clip.text}" for clip in clips),
        ],
        env=os.environ | {"GLOO_SOCKET_IFNAME": LOOPBACK, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    made = torch.load(result)
    assert made["processes"] == 2
    assert made["found"].keys() == set(SIZES)
    expected = by_torch(tiny_folder, clips)
    for found in made["found"].values():
        assert_equal(found, expected)


def test_a_measurement_is_of_what_a_step_would_take(tiny: Whisper, clips: list[Clip]) -> None:
    gradients = Gradients(tiny, tiny.model, 4, None, ALONE)
    noise = gradients.measure(clips)
    gradients.fill(clips)
    norm = torch.nn.utils.get_total_norm([row.grad for row in gradients.parameters])
    assert noise.measured_norm == pytest.approx(norm.item(), rel=1e-5)
    assert noise.full_norm < noise.measured_norm
    assert noise.clips == 8


def test_what_a_measurement_needs_costs_the_steps_nothing(tiny: Whisper, clips: list[Clip]) -> None:
    """Memory that runs out in a measurement halves its own batches."""
    gradients = Gradients(tiny, tiny.model, 8, None, ALONE)
    hook = tiny.model.get_encoder().register_forward_pre_hook(no_pairs, with_kwargs=True)
    assert gradients.measure(clips).clips == 8
    hook.remove()
    assert gradients.batch_size == 8


def no_pairs(module: object, args: tuple[torch.Tensor, ...], kwargs: dict) -> None:
    if len(args[0] if args else kwargs["input_features"]) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")


def test_the_loss_without_gradients_is_that_of_training(tiny: Whisper, clips: list[Clip]) -> None:
    gradients = Gradients(tiny, tiny.model, 3, None, ALONE)
    assert gradients.loss(clips) == pytest.approx(gradients.fill(clips), rel=1e-5)
