"""The gradient of one step of eight clips, split in every way, for `test_gradients.py`.

Runs in as many processes as torchrun starts. Arguments: the checkpoint, the file for the result,
then PATH=TEXT for each clip.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import PartialState

from al_loop.whisper.batches import Clip
from al_loop.whisper.checkpoints import load
from al_loop.whisper.features import accept_short_windows
from al_loop.whisper.gradients import ALONE, Gradients, Processes

SIZES = (8, 4, 2, 1)


def split_gradients(
    checkpoint: Path, clips: Sequence[Clip], processes: Processes = ALONE
) -> dict[int, tuple[float, torch.Tensor]]:
    """Loss and gradient (all parameters in a row, float32) by the size of a micro-batch."""
    whisper = load(str(checkpoint))
    accept_short_windows(whisper.model)
    found = {}
    for size in SIZES:
        gradients = Gradients(whisper, whisper.model, size, None, processes)
        loss = gradients.fill(clips)
        grads = [row.grad.flatten() for row in gradients.parameters if row.grad is not None]
        assert len(grads) == len(gradients.parameters)
        found[size] = (loss, torch.cat(grads).clone())
    return found


def main() -> None:
    state = PartialState(cpu=True, backend="gloo")
    processes = Processes(state.process_index, state.num_processes)
    clips = []
    for index, row in enumerate(sys.argv[3:]):
        path, text = row.split("=")
        clips.append(Clip(f"clip-{index}", Path(path), text, "kk", 1.0))
    found = split_gradients(Path(sys.argv[1]), clips, processes)
    if processes.rank == 0:
        torch.save({"processes": processes.size, "found": found}, sys.argv[2])
    state.wait_for_everyone()
    state.destroy_process_group()


if __name__ == "__main__":
    main()
