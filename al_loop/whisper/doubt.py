"""Second opinions on a clip: sampled texts, texts of perturbed models, the gradient of its texts.

Every random choice follows from the seed, and from the utterance's id or the number of the
perturbed model: never from the block that an utterance comes in. Knows nothing of what the
opinions are used for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration

from al_loop.records import Alternatives, Doubt, content_hash
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.decode import Batch, decode_batch, encode, end_id, token_limit, unroll

MAX_DRAW = 1 - 2**-20
"""Draws stop short of 1 by more than float32 rounds, or a token of probability 0 might be drawn."""
TOGETHER = 5
"""So many alternatives of a clip are decoded at once: faster than one by one, and memory has an
end where there are many."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a clip: its tokens, and the sum of their log-probabilities.

    The end token is the last of them, unless the limit came first.
    """

    tokens: tuple[int, ...]
    log_prob: float


Opinions = Callable[[Batch], list[Alternatives]]


def opinions(whisper: Whisper, doubt: Doubt) -> Opinions:
    """A function that gives every clip of a batch the alternatives that `doubt` asks for."""
    if doubt.kind == "perturbed":
        return _perturbed_opinions(whisper, doubt)

    def sample(batch: Batch) -> list[Alternatives]:
        encoded = encode(whisper.model, batch.log_mel)
        drawn = sampled_readings(whisper.model, encoded, batch, doubt)
        lengths: list[float | None] = [None] * len(drawn)
        if doubt.kind == "gradient":
            likeliest = greedy_readings(whisper.model, encoded, batch)
            lengths = [
                expected_gradient_length(whisper.model, rows, prompt, [best, *readings])
                for rows, prompt, best, readings in zip(
                    encoded, batch.prompts, likeliest, drawn, strict=True
                )
            ]
        return [
            Alternatives(
                utterance_id,
                [_text(whisper, row.tokens) for row in readings],
                [row.log_prob for row in readings],
                length,
            )
            for utterance_id, readings, length in zip(batch.ids, drawn, lengths, strict=True)
        ]

    return sample


def _text(whisper: Whisper, tokens: Sequence[int]) -> str:
    end = end_id(whisper.model)
    text: str = whisper.tokenizer.decode([token for token in tokens if token != end])
    return text.strip()


def draws(utterance_id: str, doubt: Doubt, width: int) -> np.ndarray:
    """(count, width) float32 in [0, 1): what chooses each token of each alternative.

    A larger count adds rows and leaves the others as they are.
    """
    seed = int(content_hash([doubt.seed, utterance_id])[:16], 16)
    uniform = np.random.default_rng(seed).random((doubt.count, width))
    return np.minimum(uniform, MAX_DRAW).astype(np.float32)


def drawn_tokens(log_probs: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
    """Where the cumulative probability passes the draw: tokens (A,) int64.

    log_probs: (A, V) float32; chances: (A,) float32 in [0, 1).
    """
    cumulative = log_probs.exp().cumsum(-1)
    passed = chances[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, passed, right=True)[:, 0]


def sampled_readings(
    model: WhisperForConditionalGeneration, encoded: torch.Tensor, batch: Batch, doubt: Doubt
) -> list[list[Reading]]:
    """`doubt.count` readings of each clip, drawn at temperature 1 from what greedy decoding sees.

    encoded: (B, T / 2, D).
    """
    width = model.config.max_target_positions
    uniform = torch.from_numpy(
        np.stack([draws(utterance_id, doubt, width) for utterance_id in batch.ids])
    ).to(model.device)
    found: list[list[Reading]] = [[] for _ in batch.ids]
    for start in range(0, doubt.count, TOGETHER):
        part = uniform[:, start : start + TOGETHER]
        count = part.shape[1]
        chances = part.flatten(end_dim=1)  # the alternatives of one clip lie side by side

        def choose(
            step: int,
            rows: torch.Tensor,
            log_probs: torch.Tensor,
            chances: torch.Tensor = chances,
        ) -> torch.Tensor:
            return drawn_tokens(log_probs, chances[rows, step])

        prompts = [prompt for prompt in batch.prompts for _ in range(count)]
        repeated = encoded.repeat_interleave(count, dim=0)
        readings = _read(model, repeated, prompts, batch.window_s, choose)
        for row in range(len(found)):
            found[row] += readings[row * count : (row + 1) * count]
    return found


def greedy_readings(
    model: WhisperForConditionalGeneration, encoded: torch.Tensor, batch: Batch
) -> list[Reading]:
    """The likeliest token after the likeliest token; encoded: (B, T / 2, D)."""
    return _read(
        model,
        encoded,
        batch.prompts,
        batch.window_s,
        lambda _step, _rows, log_probs: log_probs.argmax(-1),
    )


def _read(
    model: WhisperForConditionalGeneration,
    encoded: torch.Tensor,
    prompts: Sequence[Sequence[int]],
    window_s: float,
    choose: Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor],
) -> list[Reading]:
    total = torch.zeros(len(prompts), device=model.device)

    def choose_and_sum(step: int, rows: torch.Tensor, log_probs: torch.Tensor) -> torch.Tensor:
        chosen = choose(step, rows, log_probs)
        total[rows] += log_probs.gather(-1, chosen[:, None])[:, 0]
        return chosen

    limit = token_limit(model, prompts, window_s)
    unrolled = unroll(model, encoded, prompts, limit, choose_and_sum)
    end = end_id(model)
    return [
        Reading((*tokens, end) if length > len(tokens) else tuple(tokens), log_prob)
        for tokens, length, log_prob in zip(
            unrolled.tokens, unrolled.lengths, total.tolist(), strict=True
        )
    ]


@torch.inference_mode()
def expected_gradient_length(
    model: WhisperForConditionalGeneration,
    encoded: torch.Tensor,
    prompt: Sequence[int],
    readings: Sequence[Reading],
) -> float:
    """The length of the output projection's gradient that a clip's text is expected to give.

    Expected under the posterior of the distinct readings, normalised (Huang et al.,
    arXiv 1612.03226). encoded: (T / 2, D), the clip's own.
    """
    distinct = {row.tokens: row.log_prob for row in readings}
    posterior = torch.tensor(list(distinct.values()), dtype=torch.float64).softmax(-1)
    lengths = [gradient_length(model, encoded, prompt, tokens) for tokens in distinct]
    return float(posterior @ torch.tensor(lengths, dtype=torch.float64))


def gradient_length(
    model: WhisperForConditionalGeneration,
    encoded: torch.Tensor,
    prompt: Sequence[int],
    tokens: Sequence[int],
) -> float:
    """The Frobenius norm of the output projection's gradient of -log p(tokens), summed.

    The gradient is sum_t e_t h_t^T, with e_t the distribution less the token (V,) and h_t the
    decoder's output (D,). Its squared norm is sum_st (e_s . e_t)(h_s . h_t), so that V x D numbers
    never exist. The distribution is the one that training sees: nothing is suppressed.
    """
    inputs = torch.tensor([[*prompt, *tokens[:-1]]], device=model.device)
    hidden = model.model.decoder(
        input_ids=inputs, encoder_hidden_states=encoded[None], use_cache=False
    ).last_hidden_state[0, len(prompt) - 1 :]
    errors = model.proj_out(hidden).float().softmax(-1)
    errors[torch.arange(len(tokens)), torch.tensor(tokens)] -= 1
    outputs = hidden.float()
    squared = ((errors @ errors.T) * (outputs @ outputs.T)).sum()
    return float(squared.clamp(min=0).sqrt())


def _perturbed_opinions(whisper: Whisper, doubt: Doubt) -> Opinions:
    perturbed = Perturbed(whisper.model, doubt)

    def disagree(batch: Batch) -> list[Alternatives]:
        decoded = [
            decode_batch(perturbed.model(number), batch.log_mel, batch.prompts, batch.window_s)
            for number in range(doubt.count)
        ]
        return [
            Alternatives(
                utterance_id,
                [_text(whisper, rows[index].tokens) for rows in decoded],
                [float("nan")] * doubt.count,
            )
            for index, utterance_id in enumerate(batch.ids)
        ]

    return disagree


class Perturbed:
    """Copies of a model, one at a time, with noise on their weight matrices.

    Whisper's dropouts are 0, so a disturbance has to come from elsewhere: Gaussian noise on the
    weights, as in STAR (arXiv 2405.14161). Its spread is `doubt.strength` times that of the matrix
    itself. Spared are the norms and biases, few numbers that move whole layers at once, and the
    embeddings: they are the output layer too, where noise would change each token's chance by
    itself, whatever is heard. What is spared is shared with the model.
    """

    def __init__(self, model: WhisperForConditionalGeneration, doubt: Doubt) -> None:
        self.doubt = doubt
        spared = {
            id(parameter)
            for module in model.modules()
            if isinstance(module, torch.nn.Embedding) or module is model.proj_out
            for parameter in module.parameters(recurse=False)
        }
        self.clean = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.ndim > 1 and id(parameter) not in spared
        }
        noisy = {id(parameter) for parameter in self.clean.values()}
        shared = {id(row): row for row in model.parameters() if id(row) not in noisy}
        self.copy = copy.deepcopy(model, shared)

    @torch.no_grad()
    def model(self, number: int) -> WhisperForConditionalGeneration:
        """The copy, as perturbed model `number`; the one before is gone."""
        seed = int(content_hash([self.doubt.seed, number])[:15], 16)
        generator = torch.Generator().manual_seed(seed)  # of the CPU: alike on every device
        copied = dict(self.copy.named_parameters())
        for name, weight in self.clean.items():
            noise = torch.randn(weight.shape, generator=generator).to(weight.device)
            spread = self.doubt.strength * weight.float().std()
            copied[name].copy_(weight.float() + spread * noise)
        return self.copy
