"""Shorter weights: the same model, a little rougher, whatever the batch."""

from __future__ import annotations

import pytest
import torch

from al_loop.config import ModelSettings
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.decode import decode_batch
from al_loop.whisper.languages import prompt_ids
from al_loop.whisper.precision import decoder_dtype, encoder_dtype, shorten


def test_the_decoders_layers_stay_exact(tiny: Whisper) -> None:
    embeddings = tiny.model.get_input_embeddings().weight.clone()
    shorten(tiny.model, torch.bfloat16)
    assert (encoder_dtype(tiny.model), decoder_dtype(tiny.model)) == (torch.bfloat16, torch.float32)
    assert {row.dtype for row in tiny.model.get_decoder().parameters()} == {torch.float32}
    assert tiny.model.proj_out.weight.dtype == torch.bfloat16
    torch.testing.assert_close(tiny.model.get_input_embeddings().weight, embeddings)


def test_float32_is_left_alone(tiny: Whisper) -> None:
    projection = tiny.model.proj_out
    shorten(tiny.model, torch.float32)
    assert tiny.model.proj_out is projection
    assert {row.dtype for row in tiny.model.parameters()} == {torch.float32}


def test_a_clip_is_heard_alike_alone_and_among_others(ending: Whisper) -> None:
    mels = torch.randn(6, 80, 200, generator=torch.Generator().manual_seed(3))
    prompts = [prompt_ids(ending.model, "kk")] * 6
    with torch.no_grad():
        ending.model.get_input_embeddings().weight *= 15  # as sure as a real one
    exact = decode_batch(ending.model, mels, prompts, 2.0)
    shorten(ending.model, torch.bfloat16)
    together = decode_batch(ending.model, mels, prompts, 2.0)
    for index, row in enumerate(together):
        (alone,) = decode_batch(ending.model, mels[index : index + 1], prompts[:1], 2.0)
        assert alone.tokens == row.tokens
        assert alone.mean_token_entropy == pytest.approx(row.mean_token_entropy, abs=1e-3)
        assert row.tokens[0] == exact[index].tokens[0]
        assert row.no_speech_prob == pytest.approx(exact[index].no_speech_prob, rel=0.2, abs=1e-4)


def test_precision_is_no_part_of_what_a_workspace_is() -> None:
    short = ModelSettings(precision="bfloat16")
    assert short.identity() == ModelSettings(precision="float32").identity()
    assert ModelSettings(language="tt", donor="tt").identity() != short.identity()
