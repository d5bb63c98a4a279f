"""Reads a CTranslate2 Whisper folder (the faster-whisper format) as transformers weights.

The layout of `model.bin` is that of CTranslate2's model specification, version 6: a header, the
variables, then aliases. Knows nothing of checkpoints' places or of languages.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import WhisperConfig

from al_loop.errors import ModelError

SPECIFICATION = "WhisperSpec"
VERSION = 6
DTYPES = ("<f4", "i1", "<i2", "<i4", "<f2")
END_OF_TEXT = 50257
START_OF_TRANSCRIPT = 50258
"""Equal in all multilingual Whisper models."""


@dataclass(frozen=True, slots=True)
class Converted:
    """Weights under transformers' names (float32), with the configuration that they imply."""

    config: WhisperConfig
    weights: Mapping[str, torch.Tensor]
    extras: Mapping[str, Any]


def read_folder(folder: Path) -> Converted:
    """The model in `folder` (`model.bin`, `config.json`). Raises ModelError where it is unfit."""
    return convert((folder / "model.bin").read_bytes(), folder / "config.json")


def convert(data: bytes, config_path: Path) -> Converted:
    """The bytes of a `model.bin` as transformers weights; `config_path` is its `config.json`."""
    try:
        variables = _read_variables(data)
        extras = json.loads(config_path.read_text(encoding="utf-8"))
    except (struct.error, IndexError, UnicodeDecodeError, OSError, ValueError) as exc:
        folder = config_path.parent
        raise ModelError(f"{folder}: model.bin or config.json is damaged: {exc}") from exc
    scaled = [name for name in variables if name.endswith("/weight_scale")]
    if scaled:
        raise ModelError(
            f"{config_path.parent}: its weights are quantised to 8 bits, which cannot be trained; "
            "convert the model with --quantization float16"
        )
    return Converted(_config(variables), _weights(variables), extras)


def _read_variables(data: bytes) -> dict[str, np.ndarray]:
    cursor = _Cursor(data)
    version, name = cursor.take("I"), cursor.string()
    if (version, name) != (VERSION, SPECIFICATION):
        raise ValueError(f"{name} of version {version}, expected {SPECIFICATION} of {VERSION}")
    cursor.take("I")  # the specification's revision
    variables = {}
    for _ in range(cursor.take("I")):
        name = cursor.string()
        shape = [cursor.take("I") for _ in range(cursor.take("B"))]
        dtype = np.dtype(DTYPES[cursor.take("B")])
        variables[name] = np.frombuffer(cursor.block(cursor.take("I")), dtype).reshape(shape)
    return variables


class _Cursor:
    """Little-endian reading from the front of a buffer."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, code: str) -> int:
        (value,) = struct.unpack_from("<" + code, self.data, self.offset)
        self.offset += struct.calcsize("<" + code)
        return int(value)

    def block(self, size: int) -> memoryview:
        if self.offset + size > len(self.data):
            raise ValueError("it ends in the middle of a variable")
        self.offset += size
        return memoryview(self.data)[self.offset - size : self.offset]

    def string(self) -> str:
        return bytes(self.block(self.take("H"))).rstrip(b"\0").decode()


def _config(variables: Mapping[str, np.ndarray]) -> WhisperConfig:
    vocab_size, d_model = variables["decoder/embeddings/weight"].shape
    return WhisperConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        num_mel_bins=variables["encoder/conv1/weight"].shape[1],
        encoder_layers=_layers(variables, "encoder"),
        decoder_layers=_layers(variables, "decoder"),
        encoder_attention_heads=int(variables["encoder/num_heads"]),
        decoder_attention_heads=int(variables["decoder/num_heads"]),
        encoder_ffn_dim=variables["encoder/layer_0/ffn/linear_0/bias"].shape[0],
        decoder_ffn_dim=variables["decoder/layer_0/ffn/linear_0/bias"].shape[0],
        max_source_positions=variables["encoder/position_encodings/encodings"].shape[0],
        max_target_positions=variables["decoder/position_encodings/encodings"].shape[0],
        decoder_start_token_id=START_OF_TRANSCRIPT,
        bos_token_id=END_OF_TEXT,
        eos_token_id=END_OF_TEXT,
        pad_token_id=END_OF_TEXT,
    )


def _layers(variables: Mapping[str, np.ndarray], side: str) -> int:
    matches = (re.match(rf"{side}/layer_(\d+)/", name) for name in variables)
    return 1 + max(int(match[1]) for match in matches if match)


def _weights(variables: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    found: dict[str, np.ndarray] = {}

    def norm(target: str, source: str) -> None:
        found[f"{target}.weight"] = variables[f"{source}/gamma"]
        found[f"{target}.bias"] = variables[f"{source}/beta"]

    def linear(target: str, source: str) -> None:
        found[f"{target}.weight"] = variables[f"{source}/weight"]
        found[f"{target}.bias"] = variables[f"{source}/bias"]

    def stacked(target: str, source: str, parts: str) -> None:
        """One matrix that holds several projections; Whisper's keys have no bias."""
        weights = np.split(variables[f"{source}/weight"], len(parts))
        biases = np.split(variables[f"{source}/bias"], len(parts))
        for part, weight, bias in zip(parts, weights, biases, strict=True):
            found[f"{target}.{part}_proj.weight"] = weight
            if part != "k":
                found[f"{target}.{part}_proj.bias"] = bias

    for side in ("encoder", "decoder"):
        for index in range(_layers(variables, side)):
            target, source = f"model.{side}.layers.{index}", f"{side}/layer_{index}"
            norm(f"{target}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
            stacked(f"{target}.self_attn", f"{source}/self_attention/linear_0", "qkv")
            linear(f"{target}.self_attn.out_proj", f"{source}/self_attention/linear_1")
            if side == "decoder":
                norm(f"{target}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
                linear(f"{target}.encoder_attn.q_proj", f"{source}/attention/linear_0")
                stacked(f"{target}.encoder_attn", f"{source}/attention/linear_1", "kv")
                linear(f"{target}.encoder_attn.out_proj", f"{source}/attention/linear_2")
            norm(f"{target}.final_layer_norm", f"{source}/ffn/layer_norm")
            linear(f"{target}.fc1", f"{source}/ffn/linear_0")
            linear(f"{target}.fc2", f"{source}/ffn/linear_1")
        norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        positions = variables[f"{side}/position_encodings/encodings"]
        found[f"model.{side}.embed_positions.weight"] = positions
    linear("model.encoder.conv1", "encoder/conv1")
    linear("model.encoder.conv2", "encoder/conv2")
    embeddings = variables["decoder/embeddings/weight"]
    found["model.decoder.embed_tokens.weight"] = found["proj_out.weight"] = embeddings
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in found.items()}
