"""Decoding of one batch, with the statistics of uncertainty gathered in the same pass.

transformers' `generate` would keep every step's distribution over 51,866 tokens; here each step is
reduced to a few numbers at once, and finished clips leave the batch. Knows no files and no records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from al_loop.whisper.languages import timestamp_ids
from al_loop.whisper.precision import decoder_dtype, encoder_dtype
from al_loop.whisper.statistics import Decoded, summary, token_statistics

TOKENS_AT_LEAST = 16
TOKENS_PER_S = 20
"""Ours: Kyrgyz speech needs 8 to 13 tokens a second in Whisper's vocabulary; what needs more than
20 is looping. Whisper's own limit of 448 tokens holds as well."""
PROMPT_LENGTH = 4
"""Start, language, task, no timestamps."""
IMPOSSIBLE = -1e9
"""The logit of a suppressed token. Finite, so that its share of an entropy is 0 and not nan."""

Choose = Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]
"""(step, rows (A,) int64, log-probabilities (A, V) float32) -> the next tokens (A,) int64."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips of one window. log_mel: (B, n_mels, T) float32; prompts: B lists of equal length."""

    ids: Sequence[str]
    log_mel: torch.Tensor
    prompts: Sequence[Sequence[int]]
    window_s: float


@torch.inference_mode()
def decode_batch(
    model: WhisperForConditionalGeneration,
    log_mel: torch.Tensor,
    prompts: Sequence[Sequence[int]],
    window_s: float,
) -> list[Decoded]:
    """Decode clips that share one window, greedily.

    log_mel: (B, n_mels, T) float32; prompts: B token lists of equal length; window_s: T / 100.
    """
    limit = token_limit(model, prompts, window_s)
    greedy = _Greedy(len(prompts), limit, model.device)
    unrolled = unroll(model, encode(model, log_mel), prompts, limit, greedy.choose)
    return greedy.decoded(unrolled)


def encode(model: WhisperForConditionalGeneration, log_mel: torch.Tensor) -> torch.Tensor:
    """The encoder's outputs (B, T / 2, D) for log_mel (B, n_mels, T)."""
    inputs = log_mel.to(model.device, encoder_dtype(model))
    encoded: torch.Tensor = model.get_encoder()(inputs).last_hidden_state
    return encoded.to(decoder_dtype(model))


def token_limit(
    model: WhisperForConditionalGeneration, prompts: Sequence[Sequence[int]], window_s: float
) -> int:
    """How many tokens a clip of such a window may be given, its end included."""
    return tokens_at_most(model.config, len(prompts[0]), window_s)


def tokens_at_most(config: WhisperConfig, prompt_length: int, window_s: float) -> int:
    room: int = config.max_target_positions - prompt_length
    return min(int(TOKENS_AT_LEAST + TOKENS_PER_S * window_s), room)


@dataclass(frozen=True, slots=True)
class Unrolled:
    """What `unroll` emitted: tokens of each row without its end, how many were emitted with it.

    no_speech_prob: (B,) float32, the probability of Whisper's no-speech token before any token.
    """

    tokens: list[list[int]]
    lengths: list[int]
    no_speech_prob: torch.Tensor


@torch.inference_mode()
def unroll(
    model: WhisperForConditionalGeneration,
    encoded: torch.Tensor,
    prompts: Sequence[Sequence[int]],
    limit: int,
    choose: Choose,
) -> Unrolled:
    """Emit tokens as `choose` says until every row has ended, or has `limit` of them.

    encoded: (B, T / 2, D); prompts: B token lists of equal length. A row that has ended is left
    out of what `choose` sees.
    """
    device, size = model.device, len(prompts)
    suppress = Suppression(model)
    end = end_id(model)
    emitted = torch.full((size, limit), end, device=device)
    lengths = torch.zeros(size, dtype=torch.int64, device=device)
    no_speech = torch.zeros(size)
    rows = torch.arange(size, device=device)
    inputs = torch.tensor(prompts, device=device)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    for step in range(limit):
        hidden = model.model.decoder(
            input_ids=inputs, encoder_hidden_states=encoded, past_key_values=cache, use_cache=True
        ).last_hidden_state  # (A, L, D), L = 1 behind the prompt
        if step == 0:
            start = model.proj_out(hidden[:, 0]).float().softmax(-1)
            no_speech = start[:, suppress.no_speech].cpu()
        logits = suppress(model.proj_out(hidden[:, -1]).float(), first=step == 0)
        chosen = choose(step, rows, logits.log_softmax(-1))
        emitted[rows, step] = chosen
        lengths[rows] = step + 1
        going = chosen != end
        if not going.any():
            break
        inputs = chosen[:, None]
        if not going.all():
            keep = going.nonzero()[:, 0]
            inputs, encoded, rows = inputs[keep], encoded[keep], rows[keep]
            cache.batch_select_indices(keep)
    tokens = [
        [token for token in row[:length] if token != end]
        for row, length in zip(emitted.tolist(), lengths.tolist(), strict=True)
    ]
    return Unrolled(tokens, lengths.tolist(), no_speech)


class _Greedy:
    """Chooses the likeliest token, and keeps what its distribution looks like, step by step."""

    def __init__(self, size: int, limit: int, device: torch.device) -> None:
        self.kept = torch.zeros((5, size, limit), device=device)

    def choose(self, step: int, rows: torch.Tensor, log_probs: torch.Tensor) -> torch.Tensor:
        self.kept[:, rows, step] = token_statistics(log_probs)
        return log_probs.argmax(-1)

    def decoded(self, unrolled: Unrolled) -> list[Decoded]:
        kept, no_speech = self.kept.cpu(), unrolled.no_speech_prob.tolist()
        return [
            summary(tokens, kept[:, row, :length], no_speech[row])
            for row, (tokens, length) in enumerate(
                zip(unrolled.tokens, unrolled.lengths, strict=True)
            )
        ]


def end_id(model: WhisperForConditionalGeneration) -> int:
    end = model.generation_config.eos_token_id
    return int(end[0] if isinstance(end, list) else end)


def suppressed_ids(model: WhisperForConditionalGeneration) -> list[int]:
    """Tokens that must not be emitted: symbols, languages, tasks, timestamps."""
    generation = model.generation_config
    return [
        *(generation.suppress_tokens or []),
        *generation.lang_to_id.values(),
        *generation.task_to_id.values(),
        *timestamp_ids(model),
    ]


class Suppression:
    """Makes impossible what must not be emitted, at the start or at all."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        generation = model.generation_config
        self.always = torch.tensor(suppressed_ids(model), device=model.device)
        self.first = torch.tensor(generation.begin_suppress_tokens or [], device=model.device)
        self.no_speech = generation.no_timestamps_token_id - 1

    def __call__(self, logits: torch.Tensor, first: bool) -> torch.Tensor:
        """logits: (A, V); the same tensor comes back."""
        logits[:, self.always] = IMPOSSIBLE
        if first and len(self.first):
            logits[:, self.first] = IMPOSSIBLE
        return logits
