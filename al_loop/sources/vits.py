"""A VITS model of transformers as a `Synthesiser`: facebook/mms-tts-*, or any other of its kind.

VITS is Kim et al., "Conditional variational autoencoder with adversarial learning for end-to-end
text-to-speech", ICML 2021 (arXiv 2106.06103). Knows no files and no rows; torch is loaded when a
model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from al_loop.errors import AudioError, ModelError
from al_loop.sources.book_words import ISO_639_3
from al_loop.sources.model_licence import licence_of, model_name
from al_loop.sources.synthesis import Manner


class VitsVoice:
    """The synthesiser. place: a folder, or a name on the hub.

    noise_scale: how much its speech varies; None: as the model has it. Raises ModelError where the
    model cannot be had, or needs what is not installed.
    """

    def __init__(
        self, place: str, language: str, device: str = "cpu", noise_scale: float | None = None
    ) -> None:
        from transformers import VitsModel, VitsTokenizer

        self.name = model_name(place)
        try:
            self._model: Any = VitsModel.from_pretrained(place).to(device).eval()
            self._tokenizer: Any = VitsTokenizer.from_pretrained(place)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as exc:
            raise ModelError(
                f"{place} cannot be read as a VITS model: {exc}. Expected espeak-ng, a folder, or "
                "the name of such a model on the hub, as facebook/mms-tts-kir"
            ) from exc
        self.licence = licence_of(place)
        if noise_scale is not None:
            self._model.noise_scale = noise_scale
        self.id = f"{self.name} noise {self._model.noise_scale:g}"
        count = self._model.config.num_speakers
        self.speakers: Sequence[str] = (
            [f"{self.name} speaker {number}" for number in range(count)]
            if count > 1
            else [self.name]
        )
        self._many = count > 1
        self._romanise = _romaniser(language) if self._tokenizer.is_uroman else None

    def speak(self, text: str, manner: Manner) -> tuple[np.ndarray, int]:
        """As the port says; the pitch stays. What the model draws follows from the seed."""
        import torch

        ids = torch.tensor([self._ids(text)], device=self._model.device)
        speaker = self.speakers.index(manner.speaker) if self._many else None
        devices = [] if self._model.device.type == "cpu" else [self._model.device]
        # the model draws from torch's own generator, which others use too
        with torch.random.fork_rng(devices), torch.no_grad():
            torch.manual_seed(manner.seed)
            wave = self._model(ids, speaker_id=speaker, speaking_rate=manner.pace).waveform[0]
        rate: int = self._model.config.sampling_rate
        return wave.float().cpu().numpy(), rate

    def close(self) -> None:
        """There is nothing to end."""

    def _ids(self, text: str) -> list[int]:
        """The text in the model's letters. Raises AudioError where it lacks some.

        The tokenizer would leave those out without a word.
        """
        tokenizer = self._tokenizer
        said = tokenizer.normalize_text(text) if tokenizer.normalize else text
        if self._romanise is not None:
            said = self._romanise(said).lower()
        if not tokenizer.phonemize:
            lacking = sorted(
                {row for row in said if row.isalnum() and row not in tokenizer.encoder}
            )
            if lacking:
                raise AudioError(
                    "unspeakable", f"{self.name} has not the letters {' '.join(lacking[:20])}"
                )
        try:
            ids: list[int] = tokenizer(said).input_ids
        except ImportError as exc:
            raise ModelError(
                f"{self.name} reads phonemes, which the package phonemizer makes; it is not "
                "installed: pip install phonemizer"
            ) from exc
        if not any(ids):  # id 0 stands between letters
            raise AudioError("unspeakable", f"nothing of it is a letter to {self.name}")
        return ids


def _romaniser(language: str) -> Any:
    try:
        from uroman import Uroman
    except ModuleNotFoundError as exc:
        raise ModelError(
            "the model spells in Latin letters, which uroman makes; run "
            "`pip install 'al-loop[romanise]'`"
        ) from exc
    table: Any = Uroman()
    code = ISO_639_3.get(language)
    return lambda text: str(table.romanize_string(text, lcode=code))
