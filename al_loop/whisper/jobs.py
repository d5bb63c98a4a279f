"""A training from its files to its files, in this process or in several that train together.

An engine may have started these; otherwise accelerate does, and `python -m al_loop.whisper.jobs
JOB` is one of them. Workers know the job's files and one another; the lock, the database and Label
Studio stay with the process that launched them.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from accelerate import PartialState

from al_loop.clips import Clips, Place
from al_loop.config import TrainSettings
from al_loop.errors import AlLoopError, ConfigError, TrainingError
from al_loop.whisper.augment import Augmentation
from al_loop.whisper.batches import Clip
from al_loop.whisper.checkpoints import SIDECAR, load, save
from al_loop.whisper.features import accept_short_windows, read
from al_loop.whisper.gradients import ALONE, Processes
from al_loop.whisper.methods import merge, prepare
from al_loop.whisper.optimiser import autocast_dtype
from al_loop.whisper.training import STATE, Training

JOB, ERROR, OUTPUT = "job.json", "error.txt", "workers.log"
LOOPBACK = ("lo", "lo0")
LAST_LINES = 15
SAVE_WAIT_S = 90


@dataclass(frozen=True, slots=True)
class Job:
    """All that a training needs. folder: where the checkpoint goes; facts: for its sidecar.

    place: of the clips; None: their files are here.
    """

    checkpoint: Path
    epochs: Sequence[Sequence[Clip]]
    validation: Sequence[Clip]
    settings: TrainSettings
    seed: int
    device: str
    folder: Path
    scratch: Path
    logs: Path
    facts: Mapping[str, Any]
    place: Place | None = None


def run(job: Job) -> Mapping[str, Any]:
    """Train as the job says, in as many processes as its settings say; returns the sidecar.

    In a process of a group of torch.distributed it is this group that trains. All of it call this,
    all have a sidecar back, and the first has written the checkpoint.
    """
    if torch.distributed.is_initialized():
        return _train_in_group(job, group())
    return _launch(job) if job.settings.processes > 1 else _train(job, ALONE)


def group() -> Processes:
    """The group that this process was started in; it alone where there is none."""
    if not torch.distributed.is_initialized():
        return ALONE
    return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())


def _train_in_group(job: Job, processes: Processes) -> dict[str, Any]:
    _await_one_save(job.scratch / STATE)
    on_gpu = job.device.startswith("cuda")
    device = f"cuda:{torch.cuda.current_device()}" if on_gpu else job.device
    return _train(replace(job, device=device), processes)


def _await_one_save(path: Path) -> None:
    """Wait until all processes see the same save there: a node may have heard of an older one.

    File systems over a network remember what a folder held for up to a minute (acdirmax in nfs(5)).
    """
    for _ in range(SAVE_WAIT_S):
        stat = path.stat() if path.exists() else None
        seen = torch.tensor([stat.st_size, stat.st_mtime_ns] if stat else [0, 0])
        least, most = seen.clone(), seen.clone()
        torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
        torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
        if torch.equal(least, most):
            return
        time.sleep(1)
    raise TrainingError(
        f"{path} is not the same file for all processes after {SAVE_WAIT_S} s; put the workspace "
        "on storage that every node mounts at the same path"
    )


def _train(job: Job, processes: Processes) -> dict[str, Any]:
    whisper = load(str(job.checkpoint))
    accept_short_windows(whisper.model)
    whisper.model.to(job.device)
    if job.device.startswith("cuda"):  # the line above has initialised it
        torch.cuda.reset_peak_memory_stats(job.device)
    model = prepare(whisper.model, job.settings, job.seed)
    logs = job.logs if processes.rank == 0 else job.scratch / f"logs-{processes.rank}"
    done = Training(
        whisper, model, job.epochs, job.validation, job.settings, job.seed, job.scratch, logs,
        processes, Clips(job.place).samples if job.place else read,
    ).run()  # fmt: skip
    sidecar = {
        **job.facts,
        "settings": job.settings.model_dump(),
        "seed": job.seed,
        "draws": done.draws,
        "steps": len(done.log["loss"]),
        "grad_norm_bound": job.settings.grad_norm_bound,
        "epochs": done.epochs,
        "log": done.log,
        "notes": done.notes,
        "batch_size": done.batch_size,
        "device": job.device,
        "autocast": str(autocast_dtype(job.settings.precision, job.device)),
        "peak_memory_bytes": peak_memory_bytes(job.device),
    }
    if processes.rank == 0:
        merge(whisper.model, model, job.folder)
        save(whisper, job.folder, sidecar)
    return sidecar


def peak_memory_bytes(device: str) -> dict[str, int | None]:
    """The most memory that this process held so far, and that its tensors held on its GPU.

    process: since it began, so what it did before a training is in it; of several processes, and
    after a kill, it is that of the one that wrote the checkpoint. gpu: of this training; None
    without CUDA.
    """
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    on_gpu = device.startswith("cuda")
    return {
        "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "gpu": torch.cuda.max_memory_allocated(device) if on_gpu else None,
    }


def _launch(job: Job) -> dict[str, Any]:
    """Let accelerate start the workers, and wait for them.

    Raises TrainingError with a worker's own message, or with the last lines that they printed;
    ConfigError where there are fewer GPUs than processes.
    """
    count = job.settings.processes
    environment = os.environ | {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // count, 1))}
    if job.device == "cpu":
        environment["GLOO_SOCKET_IFNAME"] = LOOPBACK[sys.platform == "darwin"]
    elif count > torch.cuda.device_count():
        raise ConfigError(
            f"train.processes = {count}, but torch finds {torch.cuda.device_count()} GPUs here"
        )
    else:
        torch.cuda.empty_cache()  # an earlier stage may have left memory on the first one
    (job.scratch / ERROR).unlink(missing_ok=True)
    (job.scratch / JOB).write_text(_to_json(job), encoding="utf-8")
    # --multi_gpu is accelerate's name for torchrun's workers, which may as well run on CPUs
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--gpu_ids", "all"),
        *("--num_processes", str(count), "--num_machines", "1", "--main_process_port", "0"),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
        *("-m", "al_loop.whisper.jobs", str(job.scratch / JOB)),
    ]
    with (
        (job.scratch / OUTPUT).open("wb") as output,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,  # never written to: it ends when this process does
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as launcher,
    ):
        status = launcher.wait()
    if status == 0:
        sidecar: dict[str, Any] = json.loads((job.folder / SIDECAR).read_text(encoding="utf-8"))
        return sidecar
    if (job.scratch / ERROR).is_file():
        raise TrainingError((job.scratch / ERROR).read_text(encoding="utf-8"))
    lines = (job.scratch / OUTPUT).read_text(encoding="utf-8", errors="replace").splitlines()
    raise TrainingError(
        f"{count} training processes ended with status {status}; the last lines of "
        f"{job.scratch / OUTPUT}:\n" + "\n".join(lines[-LAST_LINES:])
    )


def _work(path: Path) -> None:
    """One worker's part."""
    threading.Thread(target=_leave_with_the_driver, daemon=True).start()
    job = _from_json(path.read_text(encoding="utf-8"))
    on_cpu = job.device == "cpu"
    try:
        state = PartialState(cpu=on_cpu, backend="gloo" if on_cpu else None)
        processes = Processes(state.process_index, state.num_processes)
        _train(replace(job, device=str(state.device)), processes)
    except Exception as exc:
        message = str(exc) if isinstance(exc, AlLoopError) else traceback.format_exc()
        with suppress(FileExistsError), (job.scratch / ERROR).open("x", encoding="utf-8") as file:
            file.write(message)  # the first failure's: the others only lose their peer
        raise
    state.wait_for_everyone()
    state.destroy_process_group()


def _leave_with_the_driver() -> None:
    """End this worker when the process that launched it is gone: its next call starts anew."""
    while os.read(0, 1):  # nothing is ever written to standard input: it only ends
        pass
    os._exit(1)


def _to_json(job: Job) -> str:
    return json.dumps({**asdict(job), "settings": job.settings.model_dump()}, default=str)


def _from_json(text: str) -> Job:
    values = json.loads(text)
    for name in ("checkpoint", "folder", "scratch", "logs"):
        values[name] = Path(values[name])
    values["settings"] = TrainSettings.model_validate(values["settings"])
    values["validation"] = [_clip(row) for row in values["validation"]]
    values["epochs"] = [[_clip(row) for row in draws] for draws in values["epochs"]]
    values["place"] = Place.from_values(values["place"]) if values["place"] else None
    return Job(**values)


def _clip(row: Mapping[str, Any]) -> Clip:
    augmentation = Augmentation(**row["augmentation"])
    return Clip(**{**row, "path": Path(row["path"]), "augmentation": augmentation})


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
