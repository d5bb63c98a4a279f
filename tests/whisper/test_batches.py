from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from al_loop.config import MixtureSettings
from al_loop.manifest import build_manifest
from al_loop.mixture import draw_epoch
from al_loop.records import Example, Source
from al_loop.whisper.augment import Augmentation
from al_loop.whisper.batches import IGNORED, MAX_TARGETS, Clip, by_window, collate, evenly, steps
from al_loop.whisper.checkpoints import Whisper


def clip(number: int, window_s: float) -> Clip:
    return Clip(str(number), Path(f"{number}"), "а", "ky", window_s)


def test_a_step_has_one_window_and_every_draw_is_in_one_step() -> None:
    draws = [clip(number, float(1 + number % 3)) for number in range(50)]
    found = steps(draws, 8, np.random.default_rng(0))
    assert Counter(row.utterance_id for step in found for row in step) == Counter(
        row.utterance_id for row in draws
    )
    assert all(len({row.window_s for row in step}) == 1 for step in found)
    assert max(len(step) for step in found) <= 8
    assert found == steps(draws, 8, np.random.default_rng(0))
    assert found != steps(draws, 8, np.random.default_rng(1))
    windows = [step[0].window_s for step in found]
    assert windows != sorted(windows)


def test_no_remainder_becomes_a_step_of_its_own() -> None:
    sizes = [len(part) for part in evenly([clip(n, 1.0) for n in range(17)], 8)]
    assert sizes == [6, 6, 5]
    assert list(evenly([], 8)) == []


def test_windows_come_in_order() -> None:
    rows = by_window([clip(0, 3.0), clip(1, 1.0), clip(2, 3.0)])
    assert [[row.utterance_id for row in part] for part in rows] == [["1"], ["0", "2"]]


@pytest.mark.parametrize("seed", range(5))
def test_steps_keep_the_mixture(seed: int) -> None:
    """Buckets rearrange the draws; each source's share stays as the manifest says."""
    rng = np.random.default_rng(seed)
    sizes = {"a_ky": 7, "b_ky": 60, "c_ru": 150}
    sources = {name: Source(name, "open_source", name[-2:]) for name in sizes}
    examples = [
        Example(f"{name}-{number}", "x", float(rng.uniform(1, 12)), name, name[-2:], "а")
        for name, size in sizes.items()
        for number in range(size)
    ]
    rule = MixtureSettings(language_shares={"ky": 0.4}, source_shares={"a_ky": 0.45})
    manifest = build_manifest(examples, sources, rule, set())
    draws = [
        Clip(row.utterance_id, Path("x"), row.text, row.language, float(np.ceil(row.duration_s)))
        for row in draw_epoch(manifest, rng)
    ]
    drawn = Counter(
        row.utterance_id.split("-")[0] for step in steps(draws, 16, rng) for row in step
    )
    assert drawn == {row.source: row.draws for row in manifest.mixture}


def test_collate(tiny: Whisper, make_clip: Callable[..., Path]) -> None:
    """Labels lie one position ahead of the inputs; neither prompt nor padding is a target."""
    path = make_clip("a.wav", 0.5)
    clips = [Clip("a", path, "бир", "kk", 1.0), Clip("b", path, "эки үч төрт", "ru", 1.0)]
    made = collate(tiny, clips)
    assert made["input_features"].shape == (2, 80, 100)
    inputs, labels = made["decoder_input_ids"], made["labels"]
    names = tiny.tokenizer.convert_ids_to_tokens(inputs[0, :4].tolist())
    assert names == ["<|startoftranscript|>", "<|kk|>", "<|transcribe|>", "<|notimestamps|>"]
    for row, text in enumerate(["бир", "эки үч төрт"]):
        targets = labels[row][labels[row] != IGNORED].tolist()
        assert tiny.tokenizer.decode(targets[:-1]) == f" {text}"
        assert targets[-1] == tiny.tokenizer.eos_token_id
        assert labels[row, :3].tolist() == [IGNORED] * 3
        assert inputs[row, 4 : 3 + len(targets)].tolist() == targets[:-1]


def test_a_text_longer_than_the_decoder_is_cut(
    tiny: Whisper, make_clip: Callable[..., Path]
) -> None:
    made = collate(tiny, [Clip("a", make_clip("a.wav", 0.5), "сөз " * 900, "kk", 1.0)])
    assert made["labels"].shape[1] == MAX_TARGETS


def test_augmentation_reaches_the_features(tiny: Whisper, make_clip: Callable[..., Path]) -> None:
    plain = Clip("a", make_clip("a.wav", 0.5), "бир", "kk", 1.0)
    changed = replace(plain, augmentation=Augmentation(1.1, 10.0, True, 3))
    one, two = (collate(tiny, [row])["input_features"] for row in (plain, changed))
    assert one.shape == two.shape
    assert not one.equal(two)
    assert two.equal(collate(tiny, [changed])["input_features"])
