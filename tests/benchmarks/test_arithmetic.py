"""The counts against torch's own counter, on a Whisper of uneven dimensions."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from al_loop.whisper.features import accept_short_windows
from benchmarks.arithmetic import (
    PROMPT,
    Dimensions,
    Work,
    decoder_work,
    decoding_flops,
    dimensions,
    encoder_flops,
    encoder_work,
    training_flops,
)

FRAMES, EMITTED = 80, 7


@pytest.fixture(scope="module")
def model() -> WhisperForConditionalGeneration:
    config = WhisperConfig(
        d_model=16,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=40,
        decoder_ffn_dim=40,
        vocab_size=101,
        num_mel_bins=12,
        attn_implementation="eager",
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
    )
    whisper = WhisperForConditionalGeneration(config).eval()
    accept_short_windows(whisper)
    return whisper


def test_the_encoder(model: WhisperForConditionalGeneration) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.get_encoder()(torch.zeros(1, 12, FRAMES))
    assert encoder_flops(dimensions(model.config), FRAMES) == counter.get_total_flops()


def test_decoding_token_by_token(model: WhisperForConditionalGeneration) -> None:
    encoded = torch.zeros(1, FRAMES // 2, 16)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    fed = torch.ones(1, PROMPT, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for _ in range(EMITTED):
            hidden = model.model.decoder(
                input_ids=fed, encoder_hidden_states=encoded, past_key_values=cache, use_cache=True
            ).last_hidden_state
            model.proj_out(hidden[:, -1])
            fed = fed[:, :1]
    expected = counter.get_total_flops()
    assert decoding_flops(dimensions(model.config), FRAMES, EMITTED) == expected


def test_a_training_step_counts_the_forward_pass_three_times(
    model: WhisperForConditionalGeneration,
) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(
            input_features=torch.zeros(1, 12, FRAMES),
            decoder_input_ids=torch.ones(1, 9, dtype=torch.int64),
        )
    assert training_flops(dimensions(model.config), FRAMES, 9) == 3 * counter.get_total_flops()


def test_weights_are_those_of_the_matrices(model: WhisperForConditionalGeneration) -> None:
    sizes = dimensions(model.config)
    encoder = [row for row in model.get_encoder().parameters() if row.ndim > 1]
    decoder = [row for row in model.model.decoder.layers.parameters() if row.ndim > 1]
    positions = model.get_encoder().embed_positions.weight.numel()
    assert sizes.encoder_weights == sum(row.numel() for row in encoder) - positions
    assert sizes.cross_weights + sizes.layer_weights == sum(row.numel() for row in decoder)
    assert sizes.output_weights == model.proj_out.weight.numel()


def test_a_block_reads_its_weights_once_a_step_and_its_audio_once_a_token() -> None:
    sizes = Dimensions(
        width=2, inner=3, encoder_layers=1, decoder_layers=1, vocabulary=10, mel_bins=1
    )
    assert encoder_work(sizes, 4, 3) == Work(3 * encoder_flops(sizes, 4), sizes.encoder_weights)
    # cross 8; layers 24 + 12, output 20, in 5 steps; keys and values of 2 positions, 6 tokens
    work = decoder_work(sizes, 4, [5, 1])
    assert work.numbers == 8 + 5 * (36 + 20) + 6 * 8
    assert work.flops == decoding_flops(sizes, 4, 5) + decoding_flops(sizes, 4, 1)
    assert Work(1, 2) + Work(3, 4) == Work(4, 6)
