"""The port `Speller` of `al_loop.ports`, on any CTC recogniser. Knows no database."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from al_loop.clips import Clips
from al_loop.errors import ModelError
from al_loop.records import Spelled, Utterance
from al_loop.text import normalise
from al_loop.whisper.ctc import CtcRecognizer, score, spell_out
from al_loop.whisper.ctc_jobs import HEARD_AT_ONCE


class CtcSpeller:
    """Hears the clips of a workspace, greedily, without a language model."""

    def __init__(self, recogniser: CtcRecognizer, clips: Clips) -> None:
        self.recogniser = recogniser
        self.clips = clips
        self.id = recogniser.id

    def blocks(self, utterances: Sequence[Utterance]) -> list[list[Utterance]]:
        """Clips of about one length together, the shortest first."""
        ordered = sorted(utterances, key=lambda row: row.duration_s)
        return [
            ordered[start : start + HEARD_AT_ONCE]
            for start in range(0, len(ordered), HEARD_AT_ONCE)
        ]

    def spell(self, block: Sequence[tuple[Utterance, Sequence[str]]]) -> list[Spelled]:
        """What is heard in each clip, and log-probabilities of the texts beside it, normalised.

        A text without a word, or with a letter that the recogniser lacks, has -inf. Raises
        ModelError where the device fails, or its memory is too small.
        """
        clips = [self.clips.samples(row.audio) for row, _ in block]
        labels = self.recogniser.labels
        try:
            emissions = self.recogniser.emissions(clips)
        except torch.OutOfMemoryError as exc:
            raise ModelError(
                f"{self.id}: out of memory for {len(clips)} clips, the longest of "
                f"{max(row.duration_s for row, _ in block):.1f} s ({exc}); free the device of "
                "other work, or name a smaller model in ctc.model"
            ) from exc
        except RuntimeError as exc:  # what PyTorch raises when a device fails
            raise ModelError(
                f"{self.id} cannot hear ({exc}); try again, or train or name another in ctc.model"
            ) from exc
        found = []
        for (row, texts), log_probs in zip(block, emissions, strict=True):
            spoken = [normalise(text, row.language) for text in texts]
            scores = [score(log_probs, text, labels) if text else -math.inf for text in spoken]
            found.append(Spelled(row.id, spell_out(log_probs, labels), scores))
        return found
