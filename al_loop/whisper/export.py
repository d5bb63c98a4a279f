"""A checkpoint for other programs: a transformers folder, or CTranslate2's for faster-whisper.

faster-whisper takes the languages of its own list only, and CTranslate2 takes every id from the
first timestamp to the end of the vocabulary for a timestamp. A token that we added fails both. So
in CTranslate2's form it moves into the place of another language, by default of the one that it
started from (the donor): `language="kk"` then decodes Kyrgyz, and the vocabulary ends with the
timestamps. Knows nothing of rounds or of the database.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ctranslate2.converters import TransformersConverter
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from tokenizers import Tokenizer
from transformers import WhisperForConditionalGeneration

from al_loop.errors import ModelError
from al_loop.whisper.checkpoints import PACKAGED, SIDECAR, load
from al_loop.whisper.languages import language_token, timestamp_ids

TOKENIZER = "tokenizer.json"
FEATURES = "preprocessor_config.json"
MODEL_SUFFIXES = {".json", ".safetensors", ".txt"}
CARD = "README.md"
LICENCE_LINE = re.compile(r"^license: *[\"']?([\w.-]+)", re.M)
NO_LICENCE = "unknown"
"""What a card of ours says where nobody knows."""
SIZES = ("tiny", "base", "small", "medium", "large", "large-v2", "large-v3")
LICENCES = {f"openai/whisper-{size}": "apache-2.0" for size in SIZES} | {
    "openai/whisper-large-v3-turbo": "mit"
}
"""Those of the hub's multilingual models, as their cards say; the packaged copy is MIT."""


def export_transformers(checkpoint: Path, folder: Path) -> None:
    """Copy a checkpoint's model files into `folder`, its sidecar without paths of this machine."""
    for path in sorted(checkpoint.iterdir()):
        if path.name == SIDECAR:
            sidecar = _without_paths(json.loads(path.read_text(encoding="utf-8")))
            text = json.dumps(sidecar, indent=2, sort_keys=True, ensure_ascii=False)
            (folder / SIDECAR).write_text(text + "\n", encoding="utf-8")
        elif path.is_file() and path.suffix in MODEL_SUFFIXES:
            shutil.copy(path, folder)


def export_ctranslate2(
    checkpoint: Path, folder: Path, quantization: str, code: str, place: str
) -> str:
    """Write the CTranslate2 form of a checkpoint into `folder`, which is made anew.

    code: the target language's. place: of the language that makes room where `code` is a token
    that we added. Returns the code by which faster-whisper then knows the target language. Raises
    ModelError where Whisper does not list `place`, or the checkpoint does not know `code`.
    """
    whisper = load(str(checkpoint))
    tokenizer = json.loads((checkpoint / TOKENIZER).read_text(encoding="utf-8"))
    known = whisper.model.generation_config.lang_to_id
    if language_token(code) not in known:
        raise ModelError(f"{checkpoint} has no token for language {code!r}")
    first_timestamp = timestamp_ids(whisper.model).start
    added = known[language_token(code)] >= first_timestamp
    if added:
        if known.get(language_token(place), first_timestamp) >= first_timestamp:
            listed = ", ".join(
                sorted(row.strip("<|>") for row, at in known.items() if at < first_timestamp)
            )
            raise ModelError(f"{code} cannot take the place of {place!r}; expected one of {listed}")
        _move(whisper.model, tokenizer, language_token(code), language_token(place))
    text = json.dumps(tokenizer, ensure_ascii=False)
    _Converter(checkpoint, whisper.model, Tokenizer.from_str(text)).convert(
        str(folder), quantization=quantization, force=True
    )
    (folder / TOKENIZER).write_text(text, encoding="utf-8")
    shutil.copy(checkpoint / FEATURES, folder)
    return place if added else code


def published(base: Mapping[str, Any], root: Path) -> tuple[str | None, str | None]:
    """What the model in a base's sidecar is called on the hub, and the licence of its weights.

    None where nobody says. Asked is what lies here: the model card of a folder, which may be
    relative to `root`, or the hub's in the local cache; then what we know of OpenAI's.
    """
    name = base["made_from"]
    if name == PACKAGED:
        return "openai/whisper-base", "mit"
    folder = root / Path(name).expanduser()
    if base.get("from_folder", folder.is_dir()):
        return None, _licence(folder / CARD)
    try:
        cached = try_to_load_from_cache(name, CARD)
    except HFValidationError:  # no name on the hub
        return None, None
    stated = _licence(Path(cached)) if isinstance(cached, str) else None
    return name, stated or LICENCES.get(name)


def _without_paths(value: Any) -> Any:
    """A sidecar's value, of a path of this machine only the last name."""
    if isinstance(value, dict):
        return {key: _without_paths(row) for key, row in value.items()}
    if isinstance(value, list):
        return [_without_paths(row) for row in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name
    return value


def _licence(card: Path) -> str | None:
    """What a model card's front matter says."""
    if not card.is_file():
        return None
    _, *front_matter = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    found = LICENCE_LINE.search(front_matter[0]) if front_matter else None
    return found[1] if found and found[1] != NO_LICENCE else None


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


def _move(
    model: WhisperForConditionalGeneration, tokenizer: dict[str, Any], added: str, place: str
) -> None:
    """Move the token `added` into that of `place`, and end the vocabulary with the timestamps."""
    generation = model.generation_config
    embeddings = model.get_input_embeddings().weight  # the output layer's as well
    with torch.no_grad():
        embeddings[generation.lang_to_id[place]] = embeddings[generation.lang_to_id[added]]
    end = timestamp_ids(model).stop
    model.resize_token_embeddings(end, mean_resizing=False)
    generation.lang_to_id = {name: at for name, at in generation.lang_to_id.items() if at < end}
    tokenizer["added_tokens"] = [row for row in tokenizer["added_tokens"] if row["id"] < end]
