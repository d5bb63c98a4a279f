"""Tiny self-supervised encoders, made here, saved to a folder and loaded as anybody's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    HubertConfig,
    HubertModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from al_loop.errors import ModelError
from al_loop.whisper.encoders import embedding_layer, load_encoder

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
CONVOLUTIONS: dict[str, Any] = {
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (10, 8, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def write_encoder(folder: Path, kind: str, sampling_rate: int = 16_000) -> Path:
    torch.manual_seed(0)
    models: dict[str, Callable[[], Any]] = {
        "wav2vec2": lambda: Wav2Vec2Model(Wav2Vec2Config(**SMALL, **CONVOLUTIONS)),
        "xls-r": lambda: Wav2Vec2Model(
            Wav2Vec2Config(
                **SMALL, **CONVOLUTIONS, feat_extract_norm="layer", do_stable_layer_norm=True
            )
        ),
        "hubert": lambda: HubertModel(HubertConfig(**SMALL, **CONVOLUTIONS)),
        "w2v-bert": lambda: Wav2Vec2BertModel(Wav2Vec2BertConfig(**SMALL)),
    }
    models[kind]().eval().save_pretrained(folder)
    if kind == "w2v-bert":
        SeamlessM4TFeatureExtractor(sampling_rate=sampling_rate).save_pretrained(folder)
    else:
        Wav2Vec2FeatureExtractor(sampling_rate=sampling_rate).save_pretrained(folder)
    return folder


def noise(seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(16_000 * seconds))).astype(np.float32)


@pytest.mark.parametrize("kind", ["wav2vec2", "xls-r", "hubert", "w2v-bert"])
def test_an_embedding_is_of_the_clip_alone(tmp_path: Path, kind: str) -> None:
    embed = load_encoder(str(write_encoder(tmp_path, kind)), "cpu", torch.float32)
    clips = [noise(0.51, 1), noise(1.23, 2), noise(0.02, 3)]
    found = embed(clips)
    assert found.shape == (3, 16)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 1e-3
    for row, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(embed([clip])[0], row, atol=1e-6)


def test_it_is_the_mean_over_the_frames_of_the_first_third(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path, "wav2vec2")
    samples = noise(0.7, 4)
    model = Wav2Vec2Model.from_pretrained(folder).eval()
    scaled = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    with torch.no_grad():
        states = model(torch.from_numpy(scaled)[None], output_hidden_states=True).hidden_states
    assert len(states) == 4
    found = load_encoder(str(folder), "cpu", torch.float32)([samples])[0]
    np.testing.assert_allclose(found, states[1][0].mean(dim=0).numpy(), atol=1e-5)


def test_frames_that_fill_a_stride_do_not_count(tmp_path: Path) -> None:
    """w2v-BERT pairs its frames: of an odd number the last pair is padding, which is masked."""
    folder = write_encoder(tmp_path, "w2v-bert")
    extractor = SeamlessM4TFeatureExtractor.from_pretrained(folder)
    masks = {}
    for milliseconds in (500, 510, 520, 530):
        clip = noise(milliseconds / 1000, 5)
        masks[milliseconds] = extractor(clip, sampling_rate=16_000)["attention_mask"]
    odd = next(key for key, mask in masks.items() if not np.all(mask))
    samples = noise(odd / 1000, 5)
    inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
    model = Wav2Vec2BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(**inputs, output_hidden_states=True).hidden_states
    kept = inputs["attention_mask"][0].bool()
    expected = embedding_layer(states)[0][kept].mean(dim=0).numpy()
    found = load_encoder(str(folder), "cpu", torch.float32)([samples])[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(found, embedding_layer(states)[0].mean(dim=0).numpy(), atol=1e-4)


@pytest.mark.parametrize(("layers", "taken"), [(1, 1), (2, 1), (6, 2), (12, 4), (24, 8), (32, 11)])
def test_the_layer_is_a_third_of_the_way(layers: int, taken: int) -> None:
    states = [torch.tensor(float(index)) for index in range(layers + 1)]
    assert embedding_layer(states) == taken


def test_shorter_weights_will_do(tmp_path: Path) -> None:
    embed = load_encoder(str(write_encoder(tmp_path, "hubert")), "cpu", torch.bfloat16)
    exact = load_encoder(str(tmp_path), "cpu", torch.float32)
    clip = noise(0.5, 6)
    assert embed([clip]).dtype == np.float32
    np.testing.assert_allclose(embed([clip]), exact([clip]), atol=0.1)


@pytest.mark.parametrize("name", ["./nowhere", "wav2vec2", "a/b/c"])
def test_a_name_that_is_no_encoder(name: str) -> None:
    with pytest.raises(ModelError, match=r"no such folder; name a folder .*or `whisper`"):
        load_encoder(name, "cpu", torch.float32)


def test_without_a_hub_it_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(ModelError, match=r"cannot be reached; name a folder .*or `whisper`"):
        load_encoder("facebook/an-encoder-that-is-not-cached", "cpu", torch.float32)


def test_other_models_are_refused(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=9, **SMALL)
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"got a model of type bert, expected one of .*hubert"):
        load_encoder(str(tmp_path), "cpu", torch.float32)


def test_other_sample_rates_are_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path, "wav2vec2", sampling_rate=8000)
    with pytest.raises(ModelError, match="it hears 8000 Hz, expected 16000"):
        load_encoder(str(folder), "cpu", torch.float32)


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path, "wav2vec2")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="cannot be loaded as a speech encoder"):
        load_encoder(str(folder), "cpu", torch.float32)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded as a speech encoder"):
        load_encoder(str(tmp_path), "cpu", torch.float32)
