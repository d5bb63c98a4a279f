"""The port `Recognizer` of `al_loop.round`, on Whisper. Knows no database and no Label Studio."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import WhisperConfig
from transformers.utils import logging as transformers_logging

from al_loop.clips import Clips, Place
from al_loop.config import ModelSettings, TrainSettings
from al_loop.errors import ConfigError, ModelError
from al_loop.records import Alternatives, Doubt, Example, Profile, Room, Utterance, WordConfidence
from al_loop.whisper.augment import Augmentation, draw_augmentation
from al_loop.whisper.backend import Backend, choose_backend
from al_loop.whisper.batches import AS_RECORDED, Clip
from al_loop.whisper.checkpoints import Whisper, load, save, weights_hash
from al_loop.whisper.ctranslate2_decoder import CTranslate2Decoder
from al_loop.whisper.decode import Batch, decode_batch
from al_loop.whisper.doubt import TOGETHER, opinions
from al_loop.whisper.encoders import load_encoder
from al_loop.whisper.features import MAX_WINDOW_S, accept_short_windows, log_mel_of, window_s
from al_loop.whisper.jobs import Job, group, run
from al_loop.whisper.languages import Language, ensure_language, prompt_ids
from al_loop.whisper.listener import Listener
from al_loop.whisper.memory import MIB, clip_bytes
from al_loop.whisper.optimiser import autocast_dtype
from al_loop.whisper.precision import shorten
from al_loop.whisper.profile import profile
from al_loop.whisper.statistics import Decoded
from al_loop.whisper.words import word_confidences

STEPS_AT_ONCE = 4
"""Distributions of a step that are in memory at once where torch decodes."""
WHISPERS_OWN = "whisper"
"""The name of the encoder that needs no other model."""
LIBRARIES = ("torch", "transformers", "accelerate", "peft", "numpy")


class WhisperRecognizer:
    """Decodes and trains Whisper checkpoints that lie under `root`, the workspace.

    clips: where its audio is; by default in its folder. The device is looked for when something is
    done on it, so that a driver may lack what its workers have; ConfigError where it is not there.
    """

    def __init__(self, root: Path, settings: ModelSettings, clips: Clips | None = None) -> None:
        self.root = root
        self.clips = clips or Clips(Place(root))
        self.settings = settings
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    @cached_property
    def device(self) -> str:
        return _device(self.settings.device)

    @cached_property
    def backend(self) -> Backend:
        return choose_backend(self.settings, self.device, torch.get_num_threads())

    @cached_property
    def dtype(self) -> torch.dtype:
        precision = self.settings.precision
        torchs_own = "auto" if precision == "int8" else precision
        return autocast_dtype(torchs_own, self.device) or torch.float32

    def create_base(self, folder: Path) -> Mapping[str, Any]:
        """Write the starting model, with the target language's token, into `folder`."""
        name = self.settings.checkpoint
        local = self.root / name
        whisper = load(str(local) if local.is_dir() else name)
        from_folder = local.is_dir() or Path(name).expanduser().is_dir()
        language = Language(self.settings.language, self.settings.donor)
        added = ensure_language(whisper.model, whisper.tokenizer, language)
        sidecar = {
            "made_from": name,
            "from_folder": from_folder,
            "model": self.settings.identity(),
            "token_started_from": self.settings.donor if added else None,
            "versions": versions(),
        }
        save(whisper, folder, sidecar)
        return {**sidecar, "weights_sha256": weights_hash(folder)}

    def room(self) -> Room:
        """What `model.memory_mb` leaves to one decode of this process, on its device."""
        budget = MIB * self.settings.memory_mb / self.backend.decodes_at_once
        return Room(budget, None if self.backend.is_ctranslate2 else STEPS_AT_ONCE)

    def blocks(
        self, checkpoint: str, utterances: Sequence[Utterance], room: Room, texts: int = 1
    ) -> list[list[Utterance]]:
        """Utterances in blocks of one window each, of a size for which there is room.

        checkpoint: the folder of what will hear them, which says how large it is. texts: how many
        a clip is given at once.
        """
        folder = self.root / checkpoint
        if not folder.is_dir():
            raise ModelError(
                f"{folder}: the checkpoint's weights are not there; bring that folder back, or put "
                "another checkpoint in use with `al-loop rollback` or `al-loop promote`"
            )
        config = WhisperConfig.from_pretrained(folder)
        grouped: dict[float, list[Utterance]] = {}
        for row in utterances:
            grouped.setdefault(self._window(row.duration_s), []).append(row)
        blocks = []
        for window, rows in sorted(grouped.items(), reverse=True):  # short ones fill the end
            each = clip_bytes(config, window, room.distributions, min(texts, TOGETHER))
            size = max(int(room.bytes / each), 1)
            blocks += [rows[start : start + size] for start in range(0, len(rows), size)]
        return blocks

    def listener(self, checkpoint: str) -> Listener:
        """Decodes a block with the checkpoint in the folder of that name."""
        backend = self.backend
        if backend.is_ctranslate2:
            whisper = load(str(self.root / checkpoint))
            decode: Callable[[Batch], list[Decoded]] = CTranslate2Decoder(
                whisper, self.root / checkpoint, self.settings.language, self.device, backend
            )
        else:
            whisper = self._load(checkpoint)
            decode = partial(_decode, whisper)
        prepare = partial(self._batch, whisper)
        return Listener(
            prepare, decode, whisper.tokenizer, backend.lanes, together=backend.is_ctranslate2
        )

    def profiler(
        self, checkpoint: str, encoder: str, related: Collection[str]
    ) -> Callable[[Sequence[Utterance]], list[Profile]]:
        """A function that profiles one block, by the checkpoint in the folder of that name.

        encoder: `whisper`, or a hub id or folder of a self-supervised speech encoder; a folder is
        looked for in the workspace first. related: codes of languages near the target language.
        """
        whisper = self._load(checkpoint)
        embed = None
        if encoder != WHISPERS_OWN:
            local = self.root / encoder
            name = str(local) if local.is_dir() else encoder
            embed = load_encoder(name, self.device, self.dtype)
        near = {self.settings.language, *related}

        def profile_block(block: Sequence[Utterance]) -> list[Profile]:
            clips = [self.clips.samples(row.audio) for row in block]
            return profile(whisper, embed, near, block, clips, self._window(block[0].duration_s))

        return profile_block

    def doubter(
        self, checkpoint: str, doubt: Doubt
    ) -> Callable[[Sequence[Utterance]], list[Alternatives]]:
        """A function that decodes one block again, as `doubt` says."""
        whisper = self._load(checkpoint)
        opine = opinions(whisper, doubt)
        return lambda block: opine(self._batch(whisper, block))

    def confider(
        self, checkpoint: str, texts: Mapping[str, str]
    ) -> Callable[[Sequence[Utterance]], list[WordConfidence]]:
        """A function that says of one block how sure the checkpoint is of each word of `texts`.

        texts: by utterance id, of all that comes.
        """
        whisper = self._load(checkpoint)
        return lambda block: word_confidences(whisper, self._batch(whisper, block), texts)

    def train(
        self,
        checkpoint: str,
        epochs: Sequence[Sequence[Example]],
        validation: Sequence[Example],
        settings: TrainSettings,
        seed: int,
        folder: Path,
        scratch: Path,
    ) -> Mapping[str, Any]:
        """Train from `checkpoint` on the epochs' draws; write weights and sidecar into `folder`.

        scratch: a folder of this training's own, from whose save it goes on after a kill. May be
        called in every process of a group of torch.distributed, which then train together; what
        the first returns counts.
        """
        rng = np.random.default_rng(seed)
        job = Job(
            checkpoint=self.root / checkpoint,
            epochs=[self._draws(draws, settings, rng) for draws in epochs],
            validation=[self._clip(row, AS_RECORDED) for row in validation],
            settings=settings,
            seed=seed,
            device=self.device,
            folder=folder,
            scratch=scratch,
            logs=self.root / "logs" / "tensorboard" / scratch.stem,
            facts={
                "made_from": checkpoint,
                "language": self.settings.language,
                "versions": versions(),
            },
            place=self.clips.place,
        )
        sidecar = run(job)
        if group().rank > 0:  # the first one writes the checkpoint
            return sidecar
        return {**sidecar, "weights_sha256": weights_hash(folder)}

    def _draws(
        self, draws: Sequence[Example], settings: TrainSettings, rng: np.random.Generator
    ) -> list[Clip]:
        """The draws with their windows: the clip's own, or 30 s for a share of them."""
        clips = [self._clip(row, draw_augmentation(settings, rng)) for row in draws]
        count = round(settings.full_window_share * len(clips))
        for index in rng.permutation(len(clips))[:count]:
            clips[index] = replace(clips[index], window_s=MAX_WINDOW_S)
        return clips

    def _clip(self, row: Example, augmentation: Augmentation) -> Clip:
        window = self._window(row.duration_s / augmentation.speed)
        path = self.clips.file(row.audio)
        return Clip(row.utterance_id, path, row.text, row.language, window, augmentation)

    def _window(self, duration_s: float) -> float:
        return window_s(duration_s, self.settings.padding_s, self.settings.bucket_s)

    def _batch(self, whisper: Whisper, block: Sequence[Utterance]) -> Batch:
        window = self._window(block[0].duration_s)
        heard = [self.clips.samples(row.audio) for row in block]
        return Batch(
            [row.id for row in block],
            torch.from_numpy(log_mel_of(whisper.features, heard, window)),
            [prompt_ids(whisper.model, row.language) for row in block],
            window,
        )

    def _load(self, checkpoint: str) -> Whisper:
        whisper = load(str(self.root / checkpoint))
        accept_short_windows(whisper.model)
        whisper.model.to(self.device)
        shorten(whisper.model, self.dtype)
        return whisper


def _decode(whisper: Whisper, batch: Batch) -> list[Decoded]:
    return decode_batch(whisper.model, batch.log_mel, batch.prompts, batch.window_s)


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _device(wanted: str) -> str:
    here = ["cpu"]
    if torch.backends.mps.is_available():
        here.insert(0, "mps")
    if torch.cuda.is_available():
        here.insert(0, "cuda")
    if wanted != "auto" and wanted not in here:
        raise ConfigError(f"model.device = {wanted!r}, but torch finds only {', '.join(here)}")
    return here[0] if wanted == "auto" else wanted
