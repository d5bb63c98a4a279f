from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.errors import ModelError
from al_loop.whisper.checkpoints import load

from .conftest import tiny_variables, write_folder


def test_every_weight_arrives_where_transformers_expects_it(tiny_folder: Path) -> None:
    model = load(str(tiny_folder)).model
    given = tiny_variables()
    weights = model.state_dict()
    stacked = given["decoder/layer_0/self_attention/linear_0/weight"]
    for index, part in enumerate("qkv"):
        np.testing.assert_array_equal(
            weights[f"model.decoder.layers.0.self_attn.{part}_proj.weight"],
            stacked[16 * index : 16 * (index + 1)].astype(np.float32),
        )
    assert "model.decoder.layers.0.self_attn.k_proj.bias" not in weights
    np.testing.assert_array_equal(
        weights["model.decoder.layers.0.encoder_attn.v_proj.bias"],
        given["decoder/layer_0/attention/linear_1/bias"][16:].astype(np.float32),
    )
    assert weights["proj_out.weight"].data_ptr() == (
        weights["model.decoder.embed_tokens.weight"].data_ptr()
    )
    assert all(value.dtype == torch.float32 for value in weights.values())


def test_what_is_no_float_model_is_refused_with_its_reason(tmp_path: Path) -> None:
    quantised = tiny_variables() | {"encoder/conv1/weight_scale": np.ones(3, np.float32)}
    write_folder(tmp_path / "int8", quantised)
    with pytest.raises(ModelError, match="quantised to 8 bits"):
        load(str(tmp_path / "int8"))

    write_folder(tmp_path / "old", tiny_variables(), version=5)
    with pytest.raises(ModelError, match="of version 5, expected WhisperSpec of 6"):
        load(str(tmp_path / "old"))

    write_folder(tmp_path / "cut", tiny_variables())
    data = (tmp_path / "cut" / "model.bin").read_bytes()
    (tmp_path / "cut" / "model.bin").write_bytes(data[:-1000])
    with pytest.raises(ModelError, match="damaged"):
        load(str(tmp_path / "cut"))

    write_folder(tmp_path / "mute", tiny_variables())
    (tmp_path / "mute" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        load(str(tmp_path / "mute"))
