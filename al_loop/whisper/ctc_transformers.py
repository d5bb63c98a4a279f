"""Any of transformers' AutoModelForCTC (MMS, XLS-R, wav2vec2) in the place of our CTC recogniser.

Weights are safetensors only, and no code of a checkpoint is ever run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForCTC

from al_loop.alignment.text import Labels
from al_loop.audio import SAMPLE_RATE
from al_loop.errors import ModelError
from al_loop.whisper.checkpoints import find_on_hub
from al_loop.whisper.ctc import CtcRecognizer, frames_of

VOCABULARY = "vocab.json"
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")
OTHER_WAYS = (
    "name a folder that holds such a model, or one of your own: `al-loop ctc train` makes it"
)
SPACES = ("|", " ", "▁")
"""How vocabularies write the gap between words."""


def load_transformers(name: str, device: str) -> CtcRecognizer:
    """The model called `name`, a folder or a hub id. Raises ModelError."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load(str(folder), device)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"{name!r}: no such CTC recogniser; {OTHER_WAYS}")
    return find_on_hub(name, lambda *args, **options: _load(name, device, **options), OTHER_WAYS)


class TransformersCtc:
    """The port `CtcRecognizer` on a model of transformers'. A clip is heard alone."""

    chunk_s = 20.0
    context_s = 2.0

    def __init__(self, extractor: Any, model: Any, labels: Labels, id_: str, device: str) -> None:
        self.extractor = extractor
        self.model = model.to(device)
        self.labels = labels
        self.id = id_
        self.device = device
        self.stride = int(np.prod(model.config.conv_stride))
        self.reach = _reach(model.config)
        self.frame_s = self.stride / SAMPLE_RATE

    def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self._hear(clip) for clip in clips]

    @torch.inference_mode()
    def _hear(self, samples: np.ndarray) -> np.ndarray:
        """(T, V) float32; silence is put around the clip, so that it has a frame a stride."""
        frames = frames_of(len(samples), self.frame_s)
        beyond = frames * self.stride + self.reach - self.stride - len(samples)
        before = (self.reach - self.stride) // 2
        padded = np.pad(samples, (before, max(beyond - before, 0)))
        inputs = self.extractor(padded, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        values = inputs[self.extractor.model_input_names[0]].to(self.device)
        logits = self.model(values).logits[0].float()
        heard: np.ndarray = torch.log_softmax(logits, dim=-1).cpu().numpy()[:frames]
        return heard


def _reach(config: Any) -> int:
    """The samples that one frame is computed from."""
    reach, stride = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        reach += (kernel - 1) * stride
        stride *= step
    return reach


def _load(name: str, device: str, **options: Any) -> CtcRecognizer:
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, **options)
        extractor = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False, **options)
        model = AutoModelForCTC.from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            **options,
        )
        vocabulary = _vocabulary(name, options)
    except (OSError, ValueError, KeyError) as exc:
        raise ModelError(f"{name}: cannot be loaded as a CTC recogniser: {exc}") from exc
    if not hasattr(config, "conv_stride") or extractor.sampling_rate != SAMPLE_RATE:
        raise ModelError(
            f"{name}: expected a wav2vec2 or its like that hears {SAMPLE_RATE} Hz, got a "
            f"{config.model_type} at {extractor.sampling_rate} Hz; {OTHER_WAYS}"
        )
    labels = labels_of(vocabulary, config.pad_token_id)
    weights = hashlib.sha256()
    for key, row in sorted(model.state_dict().items()):
        weights.update(key.encode() + row.contiguous().view(torch.uint8).numpy().tobytes())
    id_ = f"{Path(name).name}@{weights.hexdigest()[:12]}"
    return TransformersCtc(extractor, model.eval(), labels, id_, device)


def _vocabulary(name: str, options: Mapping[str, Any]) -> Mapping[str, int]:
    from transformers.utils import cached_file

    path = cached_file(name, VOCABULARY, **options)
    found = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    nested = next((row for row in found.values() if isinstance(row, dict)), None)
    return nested if nested is not None else found


def labels_of(vocabulary: Mapping[str, int], blank: int) -> Labels:
    """The labels of a vocabulary: its single letters, in lower case; <unk> and its like are none.

    Raises ModelError where there are no letters.
    """
    letters: dict[str, int] = {}
    for token, index in vocabulary.items():
        if len(token) == 1 and token not in SPACES and index != blank:
            letters.setdefault(token.lower(), index)
    if not letters:
        raise ModelError(f"its vocabulary of {len(vocabulary)} tokens has no single letters")
    space = next((vocabulary[token] for token in SPACES if token in vocabulary), None)
    return Labels(letters, blank, space)
