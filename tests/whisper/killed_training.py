"""A training that kills itself with SIGKILL, for `test_training.py`.

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
from al_loop.whisper.features import accept_short_windows
from al_loop.whisper.methods import prepare
from al_loop.whisper.training import Training
from tests.whisper.test_training import ALIKE


class Killed(Training):
    """Saves at every second step, and ends after `steps` of them, in the middle of everything."""

    steps = 0

    def save(self) -> None:
        done = len(self.progress.log["loss"])
        if done % 2 == 0:
            super().save()
        if done == self.steps:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    checkpoint, scratch, steps, *texts = sys.argv[1:]
    clips = []
    for index, row in enumerate(texts):
        path, text = row.split("=")
        clips.append(Clip(f"clip-{index}", Path(path), text, "kk", 1.0))
    rule = TrainSettings.model_validate(
        ALIKE | {"batch_size": 2, "accumulation": 2, "save_minutes": 1e-9, "learning_rate": 1e-2}
    )
    folder = Path(scratch)
    folder.mkdir()
    whisper = load(checkpoint)
    accept_short_windows(whisper.model)
    model = prepare(whisper.model, rule, 0)
    training = Killed(whisper, model, [clips] * 3, clips[:2], rule, 0, folder, folder / "logs")
    training.steps = int(steps)
    training.run()


main()
