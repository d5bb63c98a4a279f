"""Embeddings of clips: which layer they are of, and those of self-supervised speech encoders.

The encoders are those of transformers: wav2vec2, XLS-R, HuBERT, w2v-BERT and their like. Weights
are safetensors only, and no code of a checkpoint is ever run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from al_loop.audio import SAMPLE_RATE
from al_loop.errors import ModelError
from al_loop.whisper.checkpoints import find_on_hub

KINDS = (
    "data2vec-audio",
    "hubert",
    "unispeech-sat",
    "wav2vec2",
    "wav2vec2-bert",
    "wav2vec2-conformer",
    "wavlm",
)
"""Architectures, as config.json names them. XLS-R and MMS are wav2vec2."""
SHORTEST = SAMPLE_RATE // 10
"""Samples; shorter clips are padded, as the convolutions need some to make one frame."""
OTHER_WAYS = "name a folder that holds the encoder, or `whisper`"


def embedding_layer(hidden_states: Sequence[torch.Tensor]) -> torch.Tensor:
    """(B, T, D) behind the first third of the layers; hidden_states: (B, T, D) each, the input's
    first.

    There an encoder tells voices, noise and channels apart better than at its end, where it has
    done away with them: docs/lab-notes.md has the numbers for Whisper, and Pasad et al. found so
    for wav2vec2 (arXiv 2107.04734).
    """
    layers = len(hidden_states) - 1
    return hidden_states[max(round(layers / 3), 1)]


def load_encoder(
    name: str, device: str, dtype: torch.dtype
) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """A function from clips (N,) float32 at 16 kHz to embeddings (B, D) float32.

    name: a hub id, or a folder. An embedding is the mean of a layer over the clip's frames. Raises
    ModelError with the ways that would work, within seconds when there is no network.
    """
    extractor, model = _load(name)
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ModelError(
            f"embedding.encoder = {name!r}: it hears {extractor.sampling_rate} Hz, expected "
            f"{SAMPLE_RATE}; {OTHER_WAYS}"
        )
    model.to(device, dtype)

    def embed(clips: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([_embed(extractor, model, samples) for samples in clips])

    return embed


@torch.inference_mode()
def _embed(extractor: Any, model: Any, samples: np.ndarray) -> np.ndarray:
    """(D,) float32. A clip is heard alone: padding to a neighbour's length would change it, as the
    smaller models normalise over time and cannot mask."""
    padded = np.pad(samples, (0, max(SHORTEST - len(samples), 0)))
    inputs = extractor(
        padded, sampling_rate=SAMPLE_RATE, return_attention_mask=True, return_tensors="pt"
    )
    features = inputs[extractor.model_input_names[0]].to(model.device, model.dtype)
    mask = inputs["attention_mask"].to(model.device)
    states = model(features, attention_mask=mask, output_hidden_states=True).hidden_states
    frames = embedding_layer(states)[0].float()  # (T, D)
    if features.ndim == 3:  # frames went in: some of them are there to fill a stride
        frames = frames[mask[0].bool()]
    embedding: np.ndarray = frames.mean(dim=0).cpu().numpy()
    return embedding


def _load(name: str) -> tuple[Any, Any]:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load_transformers(str(folder))
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"embedding.encoder = {name!r}: no such folder; {OTHER_WAYS}")
    return find_on_hub(name, _load_transformers, OTHER_WAYS)


def _load_transformers(name: str, **options: Any) -> tuple[Any, Any]:
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, **options)
        if config.model_type not in KINDS:
            raise ModelError(
                f"embedding.encoder = {name!r}: got a model of type {config.model_type}, expected "
                f"one of {', '.join(KINDS)}; {OTHER_WAYS}"
            )
        extractor = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False, **options)
        model = AutoModel.from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            **options,
        )
    except (OSError, ValueError, KeyError) as exc:
        raise ModelError(f"{name}: cannot be loaded as a speech encoder: {exc}") from exc
    return extractor, model.eval()
