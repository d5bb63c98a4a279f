"""A CTC recogniser of our own: Whisper's encoder, and a head that spells letters.

It hears faster than a decoder can write, says when each letter is spoken, and errs in other ways
than Whisper does. Knows no training, no alignment and no database. Saved as safetensors with the
encoder's own config and `al_loop.json`, the record of all that made it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from al_loop.alignment.text import Labels
from al_loop.audio import SAMPLE_RATE
from al_loop.errors import ModelError
from al_loop.text import normalise
from al_loop.whisper.checkpoints import SIDECAR, WEIGHTS, Whisper, weights_hash
from al_loop.whisper.features import POSITIONS_PER_S, accept_short_windows, log_mel_of, window_s
from al_loop.whisper.optimiser import autocast_dtype

BLANK, SPACE = 0, 1
"""The first two labels; the alphabet's letters follow."""
FRAME_S = 1 / POSITIONS_PER_S
LAYERS = 4
"""The encoder's last layers, whose mean is heard: its very last one is there for the decoder, and
spells a fifth more letters wrong (docs/lab-notes.md)."""
KERNEL = 5
"""Of the head's convolution: a letter is heard by what is around it."""
DROPOUT = 0.2


class CtcRecognizer(Protocol):
    """What spells speech, frame by frame. Ours, or any of transformers' AutoModelForCTC.

    id: the model's name and the beginning of its weights' SHA-256. manner: what its emissions
    depend on besides. frame_s: of its emissions.
    chunk_s, context_s: how a long recording is best given: in pieces of so many seconds, with so
    many of their neighbours' on either side.
    emissions: clips (N,) float32 at 16 kHz -> log-probabilities (T, V) float32 each, of the clip's
    own frames: T is the clip's length over frame_s, rounded up.
    """

    id: str
    manner: str
    labels: Labels
    frame_s: float
    chunk_s: float
    context_s: float

    def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Windows:
    """How clips are padded. A decoder needs silence to hear where a clip ends; a head does not."""

    padding_s: float = 0.5
    bucket_s: float = 0.5


class CtcModel(torch.nn.Module):
    """Whisper's encoder, and a head of one convolution over `size` labels."""

    def __init__(self, config: WhisperConfig, size: int) -> None:
        super().__init__()
        self.encoder = WhisperEncoder(config)
        width = config.d_model
        self.norm = torch.nn.LayerNorm(width)
        self.drop = torch.nn.Dropout(DROPOUT)
        self.mix = torch.nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2)
        self.spell = torch.nn.Linear(width, size)
        accept_short_windows(self)

    def get_encoder(self) -> Any:
        return self.encoder

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """(B, T, V) float32 log-probabilities of log_mel (B, n_mels, 2 T) float32."""
        return self.spelled(self.heard(log_mel))

    def heard(self, log_mel: torch.Tensor) -> torch.Tensor:
        """(B, T, D): what the encoder hears, the mean of its last layers."""
        layers = self.encoder(log_mel, output_hidden_states=True).hidden_states
        return torch.stack(layers[1:][-LAYERS:]).mean(dim=0)

    def spelled(self, heard: torch.Tensor) -> torch.Tensor:
        """(B, T, V) float32 log-probabilities of what the encoder hears, (B, T, D)."""
        heard = self.drop(self.norm(heard))
        around = torch.nn.functional.gelu(self.mix(heard.transpose(1, 2)).transpose(1, 2))
        return torch.log_softmax(self.spell(heard + around).float(), dim=-1)


@dataclass(frozen=True, slots=True)
class Ctc:
    """A model with what belongs to it. alphabet: the letters of the labels behind SPACE."""

    model: CtcModel
    features: WhisperFeatureExtractor
    alphabet: str
    windows: Windows

    @property
    def labels(self) -> Labels:
        letters = {letter: index for index, letter in enumerate(self.alphabet, start=SPACE + 1)}
        return Labels(letters, BLANK, SPACE)

    def target_ids(self, text: str, language: str) -> list[int]:
        """The labels of a text; letters that the alphabet lacks are left out."""
        known = {**self.labels.letters, " ": SPACE}
        return [known[letter] for letter in normalise(text, language) if letter in known]


def alphabet_of(texts: Iterable[tuple[str, str]]) -> str:
    """The letters of (text, language) pairs once normalised, in the order of their code points."""
    return "".join(sorted({letter for row in texts for letter in normalise(*row)} - {" "}))


def begin(whisper: Whisper, alphabet: str, windows: Windows, seed: int) -> Ctc:
    """An untrained head on a copy of `whisper`'s encoder. Raises ModelError without letters."""
    if not alphabet:
        raise ModelError("the training texts hold no letters, so there is nothing to spell")
    torch.manual_seed(seed)
    model = CtcModel(whisper.model.config, SPACE + 1 + len(alphabet))
    model.encoder.load_state_dict(whisper.model.get_encoder().state_dict())
    return Ctc(model.eval(), whisper.features, alphabet, windows)


def save(ctc: Ctc, folder: Path, sidecar: Mapping[str, Any]) -> None:
    """Write the model into `folder`, with `sidecar`, the record of all that made it."""
    weights = ctc.model.state_dict().items()
    tensors = {name: row.detach().cpu().contiguous() for name, row in weights}
    save_file(tensors, folder / WEIGHTS)
    ctc.model.encoder.config.save_pretrained(folder)
    ctc.features.save_pretrained(folder)
    windows = {"padding_s": ctc.windows.padding_s, "bucket_s": ctc.windows.bucket_s}
    record = {**sidecar, "kind": "ctc", "alphabet": ctc.alphabet, "windows": windows}
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (folder / SIDECAR).write_text(text + "\n", encoding="utf-8")


def is_ours(folder: Path) -> bool:
    """Whether a folder holds what `save` wrote, whole or not."""
    try:
        found = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("kind") == "ctc"


def load(folder: Path) -> Ctc:
    """What `save` wrote, to the bit. Raises ModelError."""
    try:
        record = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        alphabet, windows = record["alphabet"], Windows(**record["windows"])
        config = WhisperConfig.from_pretrained(folder)
        features = WhisperFeatureExtractor.from_pretrained(folder)
        model = CtcModel(config, SPACE + 1 + len(alphabet))
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as exc:
        raise ModelError(
            f"{folder}: cannot be loaded as a CTC recogniser ({exc}); train one with "
            "`al-loop ctc train`"
        ) from exc
    return Ctc(model.eval(), features, alphabet, windows)


class WhisperCtc:
    """The port `CtcRecognizer` on a model of ours.

    Clips are heard in windows of their own, and in the precision, of training: what a clip is heard
    as does not depend on others, but for rounding.
    """

    chunk_s = 8.0
    context_s = 1.0

    def __init__(self, ctc: Ctc, id_: str, device: str = "cpu") -> None:
        self.ctc = ctc
        self.id = id_
        self.labels = ctc.labels
        self.frame_s = FRAME_S
        ctc.model.to(device)
        self.device = device
        self.autocast = autocast_dtype("auto", device)
        self.manner = f"{device} {self.autocast} {ctc.windows}"

    @torch.inference_mode()
    def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = [np.empty(0)] * len(clips)
        rule = self.ctc.windows
        windows: dict[float, list[int]] = {}
        for index, clip in enumerate(clips):
            window = window_s(len(clip) / SAMPLE_RATE, rule.padding_s, rule.bucket_s)
            windows.setdefault(window, []).append(index)
        for window, indices in windows.items():
            log_mel = log_mel_of(self.ctc.features, [clips[index] for index in indices], window)
            with torch.autocast(self.device, self.autocast, enabled=self.autocast is not None):
                log_probs = self.ctc.model(torch.from_numpy(log_mel).to(self.device))
            heard = log_probs.cpu().numpy()
            for index, rows in zip(indices, heard, strict=True):
                found[index] = rows[: frames_of(len(clips[index]), FRAME_S)]
        return found


def frames_of(samples: int, frame_s: float) -> int:
    """The frames of a clip of so many samples at 16 kHz."""
    return math.ceil(round(samples / SAMPLE_RATE / frame_s, 6))


def load_recognizer(name: str, device: str = "cpu", language: str | None = None) -> CtcRecognizer:
    """The recogniser called `name`: a folder of ours, or a folder or hub id of transformers'.

    language: Whisper's code, for models that spell each language in letters of its own.
    Raises ModelError with the ways that would work.
    """
    folder = Path(name).expanduser()
    if is_ours(folder):
        return WhisperCtc(load(folder), f"{folder.name}@{weights_hash(folder)[:12]}", device)
    from al_loop.whisper.ctc_transformers import load_transformers

    return load_transformers(name, device, language)


def spell_out(log_probs: np.ndarray, labels: Labels) -> str:
    """What is heard in emissions (T, V), greedily: the likeliest label of each frame, joined."""
    ids = log_probs.argmax(axis=1)
    kept = ids[np.insert(ids[1:] != ids[:-1], 0, True)] if len(ids) else ids
    letters = {index: letter for letter, index in labels.letters.items()}
    if labels.space is not None:
        letters[labels.space] = " "
    return " ".join("".join(letters.get(int(index), "") for index in kept).split())


def score(log_probs: np.ndarray, text: str, labels: Labels) -> float:
    """The log-probability of a normalised text under emissions (T, V), over all its alignments.

    -inf where the text has more letters than there are frames, or one that the model lacks.
    """
    known = dict(labels.letters)
    if labels.space is not None:
        known[" "] = labels.space
    else:
        text = text.replace(" ", "")
    if not set(text) <= known.keys():
        return -math.inf
    targets = torch.tensor([[known[letter] for letter in text]], dtype=torch.long)
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(np.asarray(log_probs, dtype=np.float32))[:, None],
        targets,
        torch.tensor([len(log_probs)]),
        torch.tensor([len(text)]),
        blank=labels.blank,
        reduction="sum",
    )
    return -loss.item()
