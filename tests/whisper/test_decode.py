from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.decode import (
    TOKENS_AT_LEAST,
    TOKENS_PER_S,
    decode_batch,
)
from al_loop.whisper.features import log_mel, window_s
from al_loop.whisper.languages import prompt_ids, timestamp_ids
from al_loop.whisper.statistics import Decoded, compression_ratio, top_mean


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


STATISTICS = [field.name for field in fields(Decoded) if field.name != "tokens"]


def assert_same(found: Decoded, expected: Decoded) -> None:
    assert found.tokens == expected.tokens
    for name in STATISTICS:
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-5, rel=1e-5)


def test_a_clips_numbers_do_not_depend_on_its_batch(tiny: Whisper) -> None:
    prompts = [prompt_ids(tiny.model, "kk")] * 5
    mels = torch.randn(5, 80, 300, generator=torch.Generator().manual_seed(0))
    together = decode_batch(tiny.model, mels, prompts, 3.0)
    for index, row in enumerate(together):
        (alone,) = decode_batch(tiny.model, mels[index : index + 1], prompts[:1], 3.0)
        assert_same(alone, row)


def test_finished_clips_leave_without_a_trace(ending: Whisper) -> None:
    """Rows end at different steps; the others' numbers are those of a batch without them."""
    mels = torch.randn(12, 80, 200, generator=torch.Generator().manual_seed(3))
    mels *= torch.linspace(0.1, 5, 12)[:, None, None]
    prompts = [prompt_ids(ending.model, "kk")] * 12
    together = decode_batch(ending.model, mels, prompts, 2.0)
    lengths = {len(row.tokens) for row in together}
    assert len(lengths) > 1
    for index, row in enumerate(together):
        (alone,) = decode_batch(ending.model, mels[index : index + 1], prompts[:1], 2.0)
        assert_same(alone, row)


def reference(whisper: Whisper, mel: torch.Tensor, prompt: list[int], steps: int) -> Decoded:
    """Greedy decoding written plainly: the whole text anew at every step, in float64."""
    generation = whisper.model.generation_config
    banned = [
        *generation.suppress_tokens,
        *generation.lang_to_id.values(),
        *generation.task_to_id.values(),
        *timestamp_ids(whisper.model),
    ]
    tokens, columns = list(prompt), []
    for step in range(steps):
        with torch.no_grad():
            inputs = torch.tensor([tokens])
            logits = whisper.model(mel, decoder_input_ids=inputs).logits[0].double()
        if step == 0:
            no_speech = logits[0].softmax(-1)[generation.no_timestamps_token_id - 1]
        last = logits[-1]
        last[banned] = -torch.inf
        if step == 0:
            last[generation.begin_suppress_tokens] = -torch.inf
        p = last.softmax(-1)
        p = p[p > 0]
        best, second = p.sort(descending=True).values[:2]
        powers = (p ** (1 / 3)).sum()
        columns.append(
            [
                best.log(),
                -(p * p.log()).sum(),
                1.5 * (powers - 1),
                1.5 * powers.log(),
                best - second,
            ]
        )
        tokens.append(int(last.argmax()))
        if tokens[-1] == generation.eos_token_id:
            break
    log_prob, entropy, tsallis, renyi, margin = torch.tensor(columns).T
    top = entropy.sort(descending=True).values[: -(-len(entropy) // 5)]
    return Decoded(
        [token for token in tokens[len(prompt) :] if token != generation.eos_token_id],
        float(log_prob.mean()),
        float(entropy.mean()),
        float(top.mean()),
        float(tsallis.mean()),
        float(renyi.mean()),
        float(margin.mean()),
        float(no_speech),
    )


@pytest.mark.parametrize("name", ["tiny", "ending"])
def test_statistics_are_those_of_the_suppressed_distribution(
    name: str, request: pytest.FixtureRequest
) -> None:
    """One model never ends, the other may: then the end token is among those that count."""
    whisper: Whisper = request.getfixturevalue(name)
    mels = torch.randn(12, 80, 200, generator=torch.Generator().manual_seed(3))[:3]
    mels *= torch.linspace(0.1, 5, 12)[:3, None, None]
    prompt = prompt_ids(whisper.model, "kk")
    limit = TOKENS_AT_LEAST + 2 * TOKENS_PER_S
    found = decode_batch(whisper.model, mels, [prompt] * 3, 2.0)
    assert all(len(row.tokens) == limit for row in found) == (name == "tiny")
    for mel, row in zip(mels, found, strict=True):
        plain = reference(whisper, mel[None], prompt, limit)
        assert row.tokens == plain.tokens
        for statistic in STATISTICS:
            expected = pytest.approx(getattr(plain, statistic), rel=1e-4, abs=1e-5)
            assert getattr(row, statistic) == expected, statistic


def test_a_sure_token_is_no_nan(tiny: Whisper) -> None:
    """All probability on one token, the rest impossible: no entropy, the whole margin."""
    embeddings = tiny.model.get_input_embeddings().weight
    with torch.no_grad():
        embeddings[1000] *= 1e4
        embeddings[1001] = -embeddings[1000]
    mel = torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(1))
    (row,) = decode_batch(tiny.model, mel, [prompt_ids(tiny.model, "kk")], 2.0)
    assert set(row.tokens) <= {1000, 1001}
    for name in ("mean_log_prob", "mean_token_entropy", "tsallis_entropy", "renyi_entropy"):
        assert getattr(row, name) == pytest.approx(0, abs=1e-6)
    assert row.mean_margin == pytest.approx(1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], 3.0), ([1.0, 2.0, 3.0, 4.0, 5.0], 5.0), ([5.0, 1.0, 1.0, 1.0, 1.0, 4.0], 4.5)],
)
def test_the_highest_fifth_is_one_at_least(values: list[float], expected: float) -> None:
    assert top_mean(torch.tensor(values)) == expected


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
