from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.decode import TOKENS_AT_LEAST, compression_ratio, decode_batch
from al_loop.whisper.features import log_mel, window_s
from al_loop.whisper.languages import prompt_ids, timestamp_ids


@pytest.mark.parametrize(
    ("duration_s", "padding_s", "bucket_s", "expected"),
    [
        (1.0, 0.0, 1.0, 1.0),
        (1.01, 0.0, 1.0, 2.0),
        (3.2, 2.0, 1.0, 6.0),
        (0.3, 0.0, 0.1, 0.3),
        (29.5, 2.0, 1.0, 30.0),
    ],
)
def test_the_window_follows_from_the_clip(
    duration_s: float, padding_s: float, bucket_s: float, expected: float
) -> None:
    assert window_s(duration_s, padding_s, bucket_s) == pytest.approx(expected)


def test_short_windows_equal_the_full_encoder_cut_short(tiny: Whisper) -> None:
    """Positions are those of the start, and the full window works again afterwards."""
    encoder = tiny.model.get_encoder()
    full = torch.randn(1, 80, 3000)
    before = encoder(full).last_hidden_state
    short = encoder(full[..., :400]).last_hidden_state
    assert short.shape == (1, 200, 16)
    torch.testing.assert_close(encoder(full).last_hidden_state, before)
    assert encoder.config.max_source_positions == 1500
    with pytest.raises(ValueError, match="mel input features"):
        encoder(torch.randn(1, 80, 3002))
    assert encoder.config.max_source_positions == 1500


def test_a_clips_numbers_do_not_depend_on_its_batch(tiny: Whisper) -> None:
    prompts = [prompt_ids(tiny.model, "kk")] * 5
    mels = torch.randn(5, 80, 300, generator=torch.Generator().manual_seed(0))
    together = decode_batch(tiny.model, mels, prompts, [150, 100, 50, 150, 20], 3.0)
    for index, positions in enumerate([150, 100, 50, 150, 20]):
        (alone,) = decode_batch(tiny.model, mels[index : index + 1], prompts[:1], [positions], 3.0)
        assert alone.tokens == together[index].tokens
        assert alone.mean_log_prob == pytest.approx(together[index].mean_log_prob, abs=1e-5)
        assert alone.mean_token_entropy == pytest.approx(
            together[index].mean_token_entropy, abs=1e-5
        )
        torch.testing.assert_close(alone.embedding, together[index].embedding)


def test_finished_clips_leave_without_a_trace(tiny: Whisper) -> None:
    """Rows end at different steps; the others' numbers are those of a batch without them."""
    mels = torch.randn(12, 80, 200, generator=torch.Generator().manual_seed(3))
    mels *= torch.linspace(0.1, 5, 12)[:, None, None]
    prompts = [prompt_ids(tiny.model, "kk")] * 12
    embeddings = tiny.model.get_input_embeddings().weight
    with torch.no_grad():  # hear more, and end where one row alone would say something else
        tiny.model.get_decoder().layers[0].encoder_attn.out_proj.weight *= 100
        said = [row.tokens for row in decode_batch(tiny.model, mels, prompts, [100] * 12, 2.0)]
        last = next(token for token in said[0] if any(token not in row for row in said))
        embeddings[tiny.model.generation_config.eos_token_id] = 1.1 * embeddings[last]
    together = decode_batch(tiny.model, mels, prompts, [100] * 12, 2.0)
    lengths = {len(row.tokens) for row in together}
    assert len(lengths) > 1
    for index, row in enumerate(together):
        (alone,) = decode_batch(tiny.model, mels[index : index + 1], prompts[:1], [100], 2.0)
        assert alone.tokens == row.tokens
        assert alone.mean_log_prob == pytest.approx(row.mean_log_prob, abs=1e-5)


def test_statistics_are_those_of_the_suppressed_distribution(tiny: Whisper) -> None:
    """The first step by hand: suppressed tokens are impossible, the rest is a softmax."""
    mel = torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(1))
    prompt = prompt_ids(tiny.model, "kk")
    (row,) = decode_batch(tiny.model, mel, [prompt], [100], 2.0)
    generation = tiny.model.generation_config
    banned = {
        *generation.suppress_tokens,
        *generation.lang_to_id.values(),
        *generation.task_to_id.values(),
        *timestamp_ids(tiny.model),
    }
    assert not banned & set(row.tokens)
    tokens, log_prob, entropy = list(prompt), 0.0, 0.0
    for step in range(len(row.tokens)):
        with torch.no_grad():
            logits = tiny.model(mel, decoder_input_ids=torch.tensor([tokens])).logits[0, -1]
        logits[list(banned)] = -torch.inf
        if step == 0:
            logits[generation.begin_suppress_tokens] = -torch.inf
        probabilities = logits.softmax(-1)
        tokens.append(int(probabilities.argmax()))
        log_prob += float(probabilities.max().log())
        entropy += float(torch.special.entr(probabilities).sum())
    assert tokens[4:] == row.tokens
    steps = len(row.tokens)
    if steps < TOKENS_AT_LEAST + 40:
        pytest.fail("the random model was expected never to end")
    assert row.mean_log_prob == pytest.approx(log_prob / steps, abs=1e-4)
    assert row.mean_token_entropy == pytest.approx(entropy / steps, abs=1e-4)
    assert 0 <= row.no_speech_prob <= 1


def test_log_mel_is_of_the_window_asked_for(tiny: Whisper, make_clip: Callable[..., Path]) -> None:
    mels = log_mel(tiny.features, [make_clip("a.wav", 1.3), make_clip("b.wav", 2.0)], 3.0)
    assert mels.shape == (2, 80, 300)
    assert mels.dtype == torch.float32
    full = tiny.features(
        np.zeros(16_000, np.float32), sampling_rate=16_000, return_tensors="np"
    ).input_features
    assert full.shape == (1, 80, 3000)


def test_compression_ratio_finds_loops() -> None:
    assert compression_ratio("") == 0
    assert compression_ratio("В магазине не осталось молока.") < 1.5
    assert compression_ratio("нан барбы, " * 20) > 2.4
