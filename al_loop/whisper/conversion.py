"""A Whisper model in CTranslate2's form. Knows nothing of what becomes of it.

CTranslate2 takes every id from the first timestamp to the end of the vocabulary for a timestamp. A
token that we added fails that rule; so it moves into the place of another token, and the vocabulary
ends with the timestamps.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer
from transformers import WhisperForConditionalGeneration

from al_loop.errors import ModelError
from al_loop.whisper.languages import language_token, timestamp_ids

TOKENIZER = "tokenizer.json"


def is_added(model: WhisperForConditionalGeneration, code: str) -> bool:
    """Whether the language `code` has a token that CTranslate2 would take for a timestamp."""
    token = language_token(code)
    known = model.generation_config.lang_to_id
    if token not in known:
        raise ModelError(f"the model has no token for language {code!r}")
    return bool(known[token] >= timestamp_ids(model).start)


def listed_languages(model: WhisperForConditionalGeneration) -> list[str]:
    """Codes of the languages that Whisper lists itself, in the order of their ids."""
    first_timestamp = timestamp_ids(model).start
    known = model.generation_config.lang_to_id
    by_id = sorted((at, name) for name, at in known.items() if at < first_timestamp)
    return [name.strip("<|>") for _, name in by_id]


def move_language(
    model: WhisperForConditionalGeneration, tokenizer: dict[str, Any], added: str, place: str
) -> None:
    """Move the added language into the place of another; `tokenizer` is tokenizer.json's value.

    Both change in place. Raises ModelError where Whisper does not list `place`.
    """
    known = model.generation_config.lang_to_id
    if place not in (listed := listed_languages(model)):
        raise ModelError(
            f"{added} cannot take the place of {place!r}; expected one of "
            f"{', '.join(sorted(listed))}"
        )
    move_to(model, tokenizer, added, known[language_token(place)])


def unused_place(model: WhisperForConditionalGeneration) -> int:
    """The id of <|startoflm|>, which nobody ever says or is told: right behind the tasks'."""
    generation = model.generation_config
    place = int(generation.task_to_id["transcribe"]) + 1
    assert place < generation.no_timestamps_token_id - 1, "no_speech is a token of its own"
    return place


def move_to(
    model: WhisperForConditionalGeneration, tokenizer: dict[str, Any], added: str, place: int
) -> None:
    """Move the added language to the id `place`, whose token is lost."""
    generation = model.generation_config
    known = generation.lang_to_id
    embeddings = model.get_input_embeddings().weight  # the output layer's as well
    with torch.no_grad():
        embeddings[place] = embeddings[known[language_token(added)]]
    end = timestamp_ids(model).stop
    model.resize_token_embeddings(end, mean_resizing=False)
    generation.lang_to_id = {name: at for name, at in known.items() if at < end}
    tokenizer["added_tokens"] = [row for row in tokenizer["added_tokens"] if row["id"] < end]


def convert(
    checkpoint: Path,
    model: WhisperForConditionalGeneration,
    tokenizer: dict[str, Any],
    folder: Path,
    quantization: str | None,
) -> None:
    """Write `checkpoint`, whose model and tokenizer are given, into `folder`, which is made anew.

    quantization: one of CTranslate2's types; None keeps float32.
    """
    text = json.dumps(tokenizer, ensure_ascii=False)
    converter = _Converter(checkpoint, model, Tokenizer.from_str(text))
    converter.convert(str(folder), quantization=quantization, force=True)


class _Converter(TransformersConverter):
    """CTranslate2's converter, given the model and the tokenizer instead of loading them."""

    def __init__(
        self, checkpoint: Path, model: WhisperForConditionalGeneration, tokenizer: Tokenizer
    ) -> None:
        super().__init__(str(checkpoint))
        self.model = model
        self.tokenizer = tokenizer

    def load_model(self, *args: Any, **options: Any) -> WhisperForConditionalGeneration:
        return self.model

    def load_tokenizer(self, *args: Any, **options: Any) -> Tokenizer:
        return self.tokenizer
