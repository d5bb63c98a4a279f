"""How sure a checkpoint is of a text that it is given, word by word.

The text is fed to the decoder in place of what the decoder would say (teacher forcing), and every
token's probability is read where it stands. A word is as probable as the least probable of its
tokens: NeMo's default aggregation, "min" (`ConfidenceConfig` of its asr_confidence_utils; Laptev
and Ginsburg, arXiv 2212.08703). openai/whisper's word timings take the mean, which tells wrong
words from right ones about as well, but gives a long word with one wrong letter a high number.
Knows nothing of what is done with doubtful words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from al_loop.records import WordConfidence
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.decode import Batch, encode

POSITIONS_AT_ONCE = 64
"""Distributions over the vocabulary that are in memory at once, 13 MB in float32."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """The tokens of a text, and for each of them the index of the word that it belongs to."""

    tokens: Sequence[int]
    words: Sequence[int]


def spell(whisper: Whisper, text: str) -> Spelling:
    """The text as the decoder is given it: each of its words behind one space.

    Cyrillic letters such as ө take two tokens, and a space before them one of its own; a space
    counts to the word behind it. What looks like a special token is spelled out.
    """
    spaced = "".join(f" {word}" for word in text.split())
    encoded = whisper.tokenizer(
        spaced,
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
    )
    ends = [end for _, end in encoded.offset_mapping]  # in characters; parts of one share its end
    return Spelling(encoded.input_ids, [spaced.count(" ", 0, end) - 1 for end in ends])


@torch.inference_mode()
def word_confidences(
    whisper: Whisper, batch: Batch, texts: Mapping[str, str]
) -> list[WordConfidence]:
    """What each clip of a batch makes of its own text; texts: by utterance id.

    The distributions are those that training sees: nothing is suppressed, for decoding forbids a
    text to begin with a lone space, and every text that begins with ө has one. Words that reach
    beyond what the decoder can hold (448 tokens, prompt included) have nan.
    """
    rows = [index for index, name in enumerate(batch.ids) if texts[name].split()]
    spelled = [spell(whisper, texts[batch.ids[index]]) for index in rows]
    room = whisper.model.config.max_target_positions - len(batch.prompts[0]) + 1
    found: dict[int, list[float]] = {}
    if rows:
        encoded = encode(whisper.model, batch.log_mel[rows])
        prompts = [batch.prompts[index] for index in rows]
        given = [row.tokens[:room] for row in spelled]
        probabilities = token_probabilities(whisper, encoded, prompts, given)
        found = dict(zip(rows, map(least, spelled, probabilities), strict=True))
    return [
        WordConfidence(name, texts[name], found.get(index, []))
        for index, name in enumerate(batch.ids)
    ]


def token_probabilities(
    whisper: Whisper,
    encoded: torch.Tensor,
    prompts: Sequence[Sequence[int]],
    tokens: Sequence[Sequence[int]],
) -> list[list[float]]:
    """The probability of each row's tokens, each behind those before it.

    encoded: (B, T / 2, D); prompts: B token lists of equal length; tokens: B lists, none empty.
    """
    model = whisper.model
    start = len(prompts[0]) - 1  # where the first token is foretold
    inputs = [
        torch.tensor([*prompt, *row[:-1]]) for prompt, row in zip(prompts, tokens, strict=True)
    ]
    # what pads a row stands behind all that is read of it, where no position looks
    padded = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True)
    hidden = model.model.decoder(
        input_ids=padded.to(model.device), encoder_hidden_states=encoded, use_cache=False
    ).last_hidden_state
    read = torch.cat([hidden[row, start : start + len(own)] for row, own in enumerate(tokens)])
    wanted = torch.tensor([token for own in tokens for token in own], device=model.device)
    parts = [
        model.proj_out(states).float().softmax(-1).gather(-1, names[:, None])[:, 0]
        for states, names in zip(
            read.split(POSITIONS_AT_ONCE), wanted.split(POSITIONS_AT_ONCE), strict=True
        )
    ]
    return [row.tolist() for row in torch.cat(parts).split([len(own) for own in tokens])]


def least(spelled: Spelling, probabilities: Sequence[float]) -> list[float]:
    """The least probability of each word's tokens; nan where one of them has none."""
    tokens: list[list[float]] = [[] for _ in range(spelled.words[-1] + 1)]
    for index, word in enumerate(spelled.words):
        tokens[word].append(probabilities[index] if index < len(probabilities) else math.nan)
    return [math.nan if math.isnan(row[-1]) else min(row) for row in tokens]
