"""The language token: how Whisper is told which language it hears, also one that it does not list.

A new token's row of the embedding starts from that of a related language (the donor), which keeps
the zero-shot start; noise would lose it. The new token's id lies behind the timestamps' ids, so
"id >= timestamp_begin" does not mean "timestamp" here: ask `timestamp_ids` instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import AddedToken, WhisperForConditionalGeneration, WhisperTokenizer

from al_loop.errors import ModelError

TIMESTAMPS = 1501
"""<|0.00|> to <|30.00|> in steps of 0.02 s."""


@dataclass(frozen=True, slots=True)
class Language:
    """`code` as in <|code|>; `donor` starts the token where the model lacks it."""

    code: str
    donor: str


def add_timestamps(tokenizer: WhisperTokenizer) -> None:
    """Name the timestamps' ids, which CTranslate2's tokenizers leave out.

    Without their names the next new token would get the id of <|0.00|>.
    """
    tokenizer.add_tokens(
        [AddedToken(f"<|{index * 0.02:.2f}|>", normalized=False) for index in range(TIMESTAMPS)]
    )


def language_token(code: str) -> str:
    return f"<|{code}|>"


def ensure_language(
    model: WhisperForConditionalGeneration, tokenizer: WhisperTokenizer, language: Language
) -> bool:
    """Make the model's default language `language`; True when a token had to be added.

    Afterwards `generate()` without arguments transcribes in that language, and so does
    `generate(language="<|code|>")`, here and in any program that loads the saved checkpoint.
    Raises ModelError when the donor is unknown too.
    """
    token = language_token(language.code)
    known = model.generation_config.lang_to_id
    added = token not in known
    if added:
        donor = known.get(language_token(language.donor))
        if donor is None:
            listed = ", ".join(sorted(name.strip("<|>") for name in known))
            raise ModelError(f"model.donor = {language.donor!r}: the model knows only {listed}")
        tokenizer.add_tokens([AddedToken(token, special=True, normalized=False)])
        new = tokenizer.convert_tokens_to_ids(token)
        if new in timestamp_ids(model):
            raise ModelError(
                f"the tokenizer does not name Whisper's timestamps, so {token} would take the "
                f"place of one (id {new}); use the model's complete tokenizer.json"
            )
        if new >= model.config.vocab_size:
            model.resize_token_embeddings(new + 1, mean_resizing=False)
        embeddings = model.get_input_embeddings().weight
        with torch.no_grad():
            embeddings[new] = embeddings[donor]
        known[token] = new
    model.generation_config.language = token
    model.generation_config.task = "transcribe"
    allow_lone_space(model, tokenizer)
    return added


def allow_lone_space(model: WhisperForConditionalGeneration, tokenizer: WhisperTokenizer) -> None:
    """Let a text begin with the token of a space alone, which Whisper suppresses.

    Every text begins with a space, and one token holds it together with the first letter where the
    vocabulary has such a token. It has none for ң, ө and ү, whose two bytes are a token each, so a
    word that begins with one could not be the first.
    """
    (lone,) = tokenizer(" ", add_special_tokens=False).input_ids
    first = model.generation_config.begin_suppress_tokens or []
    model.generation_config.begin_suppress_tokens = [token for token in first if token != lone]


def prompt_ids(model: WhisperForConditionalGeneration, code: str) -> list[int]:
    """The four tokens that open every transcript: start, language, task, no timestamps."""
    generation = model.generation_config
    token = language_token(code)
    if token not in generation.lang_to_id:
        listed = ", ".join(sorted(name.strip("<|>") for name in generation.lang_to_id))
        raise ModelError(f"the model has no token for language {code!r}; it has {listed}")
    return [
        generation.decoder_start_token_id,
        generation.lang_to_id[token],
        generation.task_to_id["transcribe"],
        generation.no_timestamps_token_id,
    ]


def timestamp_ids(model: WhisperForConditionalGeneration) -> range:
    begin = model.generation_config.no_timestamps_token_id + 1
    return range(begin, begin + TIMESTAMPS)
