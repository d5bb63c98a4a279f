"""Which backend decodes, how many blocks at once, and how many clips fit."""

from __future__ import annotations

import pytest
from transformers import WhisperConfig

from al_loop.config import ModelSettings
from al_loop.errors import ConfigError
from al_loop.whisper.backend import Backend, choose_backend
from al_loop.whisper.memory import clip_bytes

TORCH = Backend("torch", 2, 8)


@pytest.mark.parametrize(
    ("settings", "device", "expected"),
    [
        ({}, "cpu", Backend("ctranslate2", 4, 2, "int8")),
        ({"precision": "float32"}, "cpu", Backend("ctranslate2", 4, 2, "float32")),
        ({"precision": "bfloat16"}, "cpu", TORCH),
        ({"backend": "torch"}, "cpu", TORCH),
        ({}, "cuda", TORCH),
        ({"backend": "ctranslate2"}, "cuda", Backend("ctranslate2", 4, 2, "float16")),
        ({"precision": "float16"}, "cuda", TORCH),
        ({}, "mps", TORCH),
    ],
)
def test_the_backend_follows_from_device_and_settings(
    settings: dict[str, str], device: str, expected: Backend
) -> None:
    assert choose_backend(ModelSettings.model_validate(settings), device, 8) == expected


@pytest.mark.parametrize(
    ("threads", "lanes"), [(1, (1, 1)), (2, (2, 1)), (3, (3, 1)), (6, (3, 2)), (7, (1, 7))]
)
def test_lanes_share_the_threads(threads: int, lanes: tuple[int, int]) -> None:
    found = choose_backend(ModelSettings(), "cpu", threads)
    assert (found.lanes, found.threads) == lanes


@pytest.mark.parametrize(
    ("settings", "device", "message"),
    [
        ({"backend": "ctranslate2"}, "mps", "it expects a CPU or CUDA"),
        (
            {"backend": "ctranslate2", "precision": "bfloat16"},
            "cpu",
            "expects model.precision to be one of auto, int8, float32",
        ),
        ({"backend": "torch", "precision": "int8"}, "cpu", "set model.backend to 'ctranslate2'"),
        ({"precision": "int8"}, "mps", "set model.backend to 'ctranslate2'"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(
    settings: dict[str, str], device: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_backend(ModelSettings.model_validate(settings), device, 2)


def test_a_clip_s_bytes_are_those_of_its_parts() -> None:
    config = WhisperConfig(
        vocab_size=1000,
        d_model=16,
        num_mel_bins=80,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        max_target_positions=448,
    )
    positions, tokens = 100, 16 + 20 * 2
    encoder = 200 * (80 + 16) + positions * (6 * 16 + 24) + 2 * positions**2
    keys_and_values = 2 * 2 * 16 * (positions + tokens)
    all_of_them = encoder + keys_and_values + 1000 * tokens
    assert clip_bytes(config, 2.0, distributions=None) == 4 * all_of_them
    five_texts = encoder + 5 * (keys_and_values + 1000 * 4)
    assert clip_bytes(config, 2.0, distributions=4, texts=5) == 4 * five_texts
