from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.config import TrainSettings
from al_loop.errors import TrainingError
from al_loop.whisper.checkpoints import Whisper, load
from al_loop.whisper.features import accept_short_windows
from al_loop.whisper.training import Clip, TrainingRun, micro_batches, train

TEXTS = ["бир", "эки үч төрт беш", "алты", "жети сегиз тогуз он он бир", "саат", "ооба", "жок", "а"]


@pytest.fixture
def clips(make_clip: Callable[..., Path]) -> list[Clip]:
    return [
        Clip(make_clip(f"{index}.wav", 0.5, seed=index), text, "kk", 1.0)
        for index, text in enumerate(TEXTS)
    ]


def run(
    whisper: Whisper, batches: list[list[Clip]], tmp_path: Path, **settings: object
) -> TrainingRun:
    defaults = {
        "learning_rate": 1e-3,
        "warmup_share": 0.0,
        "clip_norm": 1e9,
        "precision": "float32",
    }
    return train(
        whisper, batches, TrainSettings(**(defaults | settings)), 0, "cpu", tmp_path / "scratch"
    )


def test_micro_batches_hold_one_window_each_and_every_draw_once() -> None:
    draws = [Clip(Path(f"{n}"), "а", "ky", float(1 + n % 3)) for n in range(20)]
    batches = micro_batches(draws, 4, np.random.default_rng(0))
    assert sorted(clip.path for batch in batches for clip in batch) == sorted(
        clip.path for clip in draws
    )
    assert all(len({clip.window_s for clip in batch}) == 1 for batch in batches)
    assert max(len(batch) for batch in batches) == 4
    assert batches == micro_batches(draws, 4, np.random.default_rng(0))


@pytest.mark.parametrize(("size", "accumulation"), [(8, 1), (4, 2), (2, 4), (1, 8)])
def test_accumulation_is_exact(
    tiny_folder: Path, clips: list[Clip], tmp_path: Path, size: int, accumulation: int
) -> None:
    """However eight clips of unequal texts are split, one step has the same loss and gradient."""
    whisper = load(str(tiny_folder))
    accept_short_windows(whisper.model)
    batches = [clips[start : start + size] for start in range(0, 8, size)]
    found = run(whisper, batches, tmp_path, accumulation=accumulation)
    assert len(found.loss) == 1

    reference = load(str(tiny_folder))
    accept_short_windows(reference.model)
    whole = run(reference, [clips], tmp_path, accumulation=1)
    assert found.loss[0] == pytest.approx(whole.loss[0], rel=1e-5)
    assert found.grad_norm[0] == pytest.approx(whole.grad_norm[0], rel=1e-5)
    assert found.loss[0] == pytest.approx(np.log(51865), rel=0.1)


def test_training_learns_and_repeats_to_the_bit(
    tiny_folder: Path, clips: list[Clip], tmp_path: Path
) -> None:
    weights, runs = [], []
    for _ in range(2):
        whisper = load(str(tiny_folder))
        accept_short_windows(whisper.model)
        runs.append(run(whisper, [clips] * 12, tmp_path, learning_rate=1e-2, accumulation=1))
        weights.append(whisper.model.state_dict())
    assert runs[0].loss[-1] < 0.9 * runs[0].loss[0]
    assert runs[0] == runs[1]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_bfloat16_computes_nearly_the_same(
    tiny_folder: Path, clips: list[Clip], tmp_path: Path
) -> None:
    found = []
    for precision in ("float32", "bfloat16"):
        whisper = load(str(tiny_folder))
        accept_short_windows(whisper.model)
        found.append(run(whisper, [clips], tmp_path, precision=precision))
        assert {value.dtype for value in whisper.model.state_dict().values()} == {torch.float32}
    assert found[1].loss[0] == pytest.approx(found[0].loss[0], rel=0.01)
    assert found[1].grad_norm[0] == pytest.approx(found[0].grad_norm[0], rel=0.1)
    assert found[1] != found[0]


def test_a_frozen_encoder_stays(tiny: Whisper, clips: list[Clip], tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    run(tiny, [clips] * 2, tmp_path, freeze_encoder=True, accumulation=1)
    after = tiny.model.state_dict()
    assert all(
        torch.equal(before[name], after[name]) == ("encoder." in name)
        for name in before
        if name.endswith(("fc1.weight", "conv1.weight"))
    )


def test_nothing_to_train_on(tiny: Whisper, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no labelled example"):
        run(tiny, [], tmp_path)


def test_a_loss_that_is_not_a_number_is_an_error(
    tiny: Whisper, clips: list[Clip], tmp_path: Path
) -> None:
    with torch.no_grad():
        tiny.model.get_input_embeddings().weight[100] = torch.nan
    with pytest.raises(TrainingError, match="stopped being a number"):
        run(tiny, [clips], tmp_path)
