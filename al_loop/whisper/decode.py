"""Greedy decoding of one batch, with the statistics of uncertainty gathered in the same pass.

transformers' `generate` would keep every step's distribution over 51,866 tokens; here each step is
reduced to three numbers at once, and finished clips leave the batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, EncoderDecoderCache, WhisperForConditionalGeneration

from al_loop.whisper.languages import timestamp_ids

TOKENS_AT_LEAST = 16
TOKENS_PER_S = 20
"""Ours: Kyrgyz speech needs 8 to 13 tokens a second in Whisper's vocabulary; what needs more than
20 is looping. Whisper's own limit of 448 tokens holds as well."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One clip's tokens (without prompt and end), statistics, and embedding (D,) float32."""

    tokens: list[int]
    mean_log_prob: float
    mean_token_entropy: float
    no_speech_prob: float
    embedding: torch.Tensor


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes of its zlib form, as openai/whisper defines it; 0 when empty."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


@torch.inference_mode()
def decode_batch(
    model: WhisperForConditionalGeneration,
    log_mel: torch.Tensor,
    prompts: Sequence[Sequence[int]],
    positions: Sequence[int],
    window_s: float,
) -> list[Decoded]:
    """Decode clips that share one window.

    log_mel: (B, n_mels, T) float32; prompts: B token lists of equal length; positions: how many
    of the encoder's T/2 outputs lie on the clip itself, the rest on padding; window_s: T / 100.
    """
    device = model.device
    encoded = model.get_encoder()(log_mel.to(device, model.dtype)).last_hidden_state  # (B, T/2, D)
    embeddings = [
        rows[:length].float().mean(dim=0).cpu()
        for rows, length in zip(encoded, positions, strict=True)
    ]
    suppress = _Suppression(model)
    end = model.generation_config.eos_token_id
    end = end[0] if isinstance(end, list) else end
    size = len(prompts)
    limit = min(
        int(TOKENS_AT_LEAST + TOKENS_PER_S * window_s),
        model.config.max_target_positions - len(prompts[0]),
    )

    tokens: list[list[int]] = [[] for _ in range(size)]
    log_prob = torch.zeros(size)
    entropy = torch.zeros(size)
    no_speech = torch.zeros(size)
    steps = torch.zeros(size)
    alive = torch.arange(size)
    inputs = torch.tensor(prompts, device=device)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    for step in range(limit):
        logits = model(
            decoder_input_ids=inputs,
            encoder_outputs=(encoded,),
            past_key_values=cache,
            use_cache=True,
        ).logits.float()
        if step == 0:
            no_speech = logits[:, 0].softmax(-1)[:, suppress.no_speech].cpu()
        log_probs = suppress(logits[:, -1], first=step == 0).log_softmax(-1)  # (A, V)
        best, chosen = log_probs.max(-1)
        log_prob[alive] += best.cpu()
        # a suppressed token has probability 0 and log-probability -inf: it adds nothing
        entropy[alive] += torch.special.entr(log_probs.exp()).sum(-1).cpu()
        steps[alive] += 1
        going = chosen != end
        for row, token in zip(alive.tolist(), chosen.tolist(), strict=True):
            if token != end:
                tokens[row].append(token)
        if not going.any():
            break
        inputs = chosen[:, None]
        if not going.all():
            keep = going.nonzero()[:, 0]
            inputs, encoded, alive = inputs[keep], encoded[keep], alive[keep.cpu()]
            cache.batch_select_indices(keep)
    return [
        Decoded(
            tokens[row],
            (log_prob[row] / steps[row]).item(),
            (entropy[row] / steps[row]).item(),
            no_speech[row].item(),
            embeddings[row],
        )
        for row in range(size)
    ]


class _Suppression:
    """Sets the logits of tokens that must not be emitted to minus infinity."""

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
        logits[:, self.always] = float("-inf")
        if first:
            logits[:, self.first] = float("-inf")
        return logits
