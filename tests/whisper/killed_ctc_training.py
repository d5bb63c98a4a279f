"""A training that kills itself with SIGKILL, for `test_ctc.py`.

Arguments: the checkpoint, the scratch folder, after how many steps, then PATH=TEXT for each clip.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from al_loop.config import TrainSettings
from al_loop.whisper.batches import Clip
from al_loop.whisper.checkpoints import load
from al_loop.whisper.ctc import Windows, alphabet_of, begin
from al_loop.whisper.ctc_training import CtcTraining
from al_loop.whisper.features import accept_short_windows
from tests.whisper.test_ctc import RULE, TEXTS


class Killed(CtcTraining):
    """Saves at every second step, and ends after `steps` of them."""

    steps = 0

    def save(self) -> None:
        done = len(self.progress.losses)
        if done % 2 == 0:
            super().save()
        if done == self.steps:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    checkpoint, scratch, steps, *texts = sys.argv[1:]
    clips = []
    for index, row in enumerate(texts):
        path, text = row.split("=")
        clips.append(Clip(f"clip-{index}", Path(path), text, "ky", 1.0))
    rule = TrainSettings.model_validate(RULE | {"batch_size": 2, "save_minutes": 1e-9})
    folder = Path(scratch)
    folder.mkdir()
    whisper = load(checkpoint)
    accept_short_windows(whisper.model)
    ctc = begin(whisper, alphabet_of((text, "ky") for text in TEXTS), Windows(0.5, 0.5), seed=0)
    training = Killed(ctc, [clips] * 3, clips[:2], rule, 0, folder)
    training.steps = int(steps)
    training.run()


main()
