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
from al_loop.languages import ISO_639_3
from al_loop.whisper.checkpoints import find_on_hub
from al_loop.whisper.ctc import CtcRecognizer, frames_of

VOCABULARY = "vocab.json"
OTHER_WAYS = (
    "name a folder that holds such a model, or one of your own: `al-loop ctc train` makes it"
)
SPACES = ("|", " ", "▁")
"""How vocabularies write the gap between words."""


def load_transformers(name: str, device: str, language: str | None = None) -> CtcRecognizer:
    """The model called `name`, a folder or a hub id. Raises ModelError.

    language: Whisper's code; of models that have letters of their own for each language (MMS).
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load(str(folder), device, language)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"{name!r}: no such CTC recogniser; {OTHER_WAYS}")
    return find_on_hub(
        name, lambda *args, **options: _load(name, device, language, **options), OTHER_WAYS
    )


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
        self.manner = device
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


def _load(name: str, device: str, language: str | None, **options: Any) -> CtcRecognizer:
    try:
        table, vocabulary = _vocabulary(name, language, options)
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
        if table is not None and getattr(config, "adapter_attn_dim", None) is not None:
            # the checkpoint's own head and adapters are those of English
            model.load_adapter(table, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError) as exc:
        raise ModelError(f"{name}: cannot be loaded as a CTC recogniser: {exc}") from exc
    if not hasattr(config, "conv_stride") or extractor.sampling_rate != SAMPLE_RATE:
        raise ModelError(
            f"{name}: expected a wav2vec2 or its like that hears {SAMPLE_RATE} Hz, got a "
            f"{config.model_type} at {extractor.sampling_rate} Hz; {OTHER_WAYS}"
        )
    labels = labels_of(vocabulary, config.pad_token_id)
    _check_size(name, labels, model.lm_head.out_features)
    weights = hashlib.sha256()
    for key, row in sorted(model.state_dict().items()):
        weights.update(key.encode() + row.contiguous().view(torch.uint8).numpy().tobytes())
    id_ = f"{Path(name).name}@{weights.hexdigest()[:12]}"
    return TransformersCtc(extractor, model.eval(), labels, id_, device)


def _vocabulary(
    name: str, language: str | None, options: Mapping[str, Any]
) -> tuple[str | None, Mapping[str, int]]:
    """The labels by their tokens, and the name of their table where each language has one."""
    from transformers.utils import cached_file

    path = cached_file(name, VOCABULARY, **options)
    found = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    tables = {key: row for key, row in found.items() if isinstance(row, dict)}
    if not tables:
        return None, found
    codes = {language, ISO_639_3.get(language or "")}
    # some are named by language and script: uzb-script_cyrillic
    fit = [key for key in tables if key.partition("-")[0] in codes] if language else list(tables)
    if len(fit) != 1:
        raise ModelError(
            f"{name}: has letters for {len(tables)} languages, and {len(fit)} of these could be "
            f"{language or 'meant'} ({', '.join(sorted(fit or tables)[:8])}, …); {OTHER_WAYS}"
        )
    return fit[0], tables[fit[0]]


def _check_size(name: str, labels: Labels, size: int) -> None:
    """Raises ModelError where a label is none of the `size` that the model hears."""
    used = {*labels.letters.values(), labels.blank, labels.space or 0}
    if max(used) >= size or min(used) < 0:
        raise ModelError(
            f"{name}: {VOCABULARY} numbers its labels up to {max(used)}, and the model hears "
            f"{size}; they are not of one model: {OTHER_WAYS}"
        )


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
