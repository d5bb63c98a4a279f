"""Decoding of one batch, with the statistics of uncertainty gathered in the same pass.

transformers' `generate` would keep every step's distribution over 51,866 tokens; here each step is
reduced to a few numbers at once, and finished clips leave the batch. Knows no files and no records.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, EncoderDecoderCache, WhisperForConditionalGeneration

from al_loop.whisper.languages import timestamp_ids
from al_loop.whisper.precision import decoder_dtype, encoder_dtype

TOKENS_AT_LEAST = 16
TOKENS_PER_S = 20
"""Ours: Kyrgyz speech needs 8 to 13 tokens a second in Whisper's vocabulary; what needs more than
20 is looping. Whisper's own limit of 448 tokens holds as well."""
EXPONENT = 1 / 3
"""Of the generalised entropies, as in NeMo (Laptev and Ginsburg, arXiv 2212.08703)."""
TOP_PART = 5
"""Ours: of a clip's tokens one in so many, those of the highest entropy, make the top's mean."""
IMPOSSIBLE = -1e9
"""The logit of a suppressed token. Finite, so that its share of an entropy is 0 and not nan."""

Choose = Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]
"""(step, rows (A,) int64, log-probabilities (A, V) float32) -> the next tokens (A,) int64."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One clip's tokens (without prompt and end) and statistics.

    See `al_loop.records.Hypothesis`. With p the distribution that a token was taken from and
    a = 1/3, its Shannon entropy is -sum p log p, Tsallis' (sum p^a - 1) / (1 - a), and Renyi's
    log(sum p^a) / (1 - a); the two weigh improbable tokens more (arXiv 2212.08703, where they are
    scaled to confidences).
    """

    tokens: list[int]
    mean_log_prob: float
    mean_token_entropy: float
    top_token_entropy: float
    tsallis_entropy: float
    renyi_entropy: float
    mean_margin: float
    no_speech_prob: float


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes of its zlib form, as openai/whisper defines it; 0 when empty."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


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
    statistics = _Statistics(len(prompts), limit, model.device)
    unrolled = unroll(model, encode(model, log_mel), prompts, limit, statistics.choose)
    return statistics.decoded(unrolled)


def encode(model: WhisperForConditionalGeneration, log_mel: torch.Tensor) -> torch.Tensor:
    """The encoder's outputs (B, T / 2, D) for log_mel (B, n_mels, T)."""
    inputs = log_mel.to(model.device, encoder_dtype(model))
    encoded: torch.Tensor = model.get_encoder()(inputs).last_hidden_state
    return encoded.to(decoder_dtype(model))


def token_limit(
    model: WhisperForConditionalGeneration, prompts: Sequence[Sequence[int]], window_s: float
) -> int:
    """How many tokens a clip of such a window may be given, its end included."""
    room: int = model.config.max_target_positions - len(prompts[0])
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


class _Statistics:
    """Chooses the likeliest token, and keeps what its distribution looks like, step by step."""

    def __init__(self, size: int, limit: int, device: torch.device) -> None:
        # log-probability, entropies (Shannon, Tsallis, Renyi), margin; nan where a row has ended
        self.kept = torch.full((5, size, limit), torch.nan, device=device)

    def choose(self, step: int, rows: torch.Tensor, log_probs: torch.Tensor) -> torch.Tensor:
        best, tokens = log_probs.topk(2, dim=-1)
        probabilities = log_probs.exp()
        powers = (EXPONENT * log_probs).exp_().sum(-1)
        self.kept[:, rows, step] = torch.stack(
            [
                best[:, 0],
                -torch.linalg.vecdot(probabilities, log_probs),
                (powers - 1) / (1 - EXPONENT),
                powers.log() / (1 - EXPONENT),
                best[:, 0].exp() - best[:, 1].exp(),
            ]
        )
        return tokens[:, 0]

    def decoded(self, unrolled: Unrolled) -> list[Decoded]:
        means = self.kept.nanmean(-1).T.tolist()
        entropies = self.kept[1].cpu()
        return [
            Decoded(
                tokens=tokens,
                mean_log_prob=log_prob,
                mean_token_entropy=entropy,
                top_token_entropy=top_mean(entropies[row, : unrolled.lengths[row]]),
                tsallis_entropy=tsallis,
                renyi_entropy=renyi,
                mean_margin=margin,
                no_speech_prob=unrolled.no_speech_prob[row].item(),
            )
            for row, (tokens, (log_prob, entropy, tsallis, renyi, margin)) in enumerate(
                zip(unrolled.tokens, means, strict=True)
            )
        ]


def top_mean(values: torch.Tensor) -> float:
    """The mean of the highest fifth of `values` (N,), rounded up to whole values."""
    return float(values.topk(math.ceil(len(values) / TOP_PART)).values.mean())


def end_id(model: WhisperForConditionalGeneration) -> int:
    end = model.generation_config.eos_token_id
    return int(end[0] if isinstance(end, list) else end)


class Suppression:
    """Makes tokens impossible that must not be emitted: symbols, languages, timestamps."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        generation = model.generation_config
        special = [
            *generation.lang_to_id.values(),
            *generation.task_to_id.values(),
            *timestamp_ids(model),
        ]
        self.always = torch.tensor(
            [*(generation.suppress_tokens or []), *special], device=model.device
        )
        self.first = torch.tensor(generation.begin_suppress_tokens or [], device=model.device)
        self.no_speech = generation.no_timestamps_token_id - 1

    def __call__(self, logits: torch.Tensor, first: bool) -> torch.Tensor:
        """logits: (A, V); the same tensor comes back."""
        logits[:, self.always] = IMPOSSIBLE
        if first and len(self.first):
            logits[:, self.first] = IMPOSSIBLE
        return logits
