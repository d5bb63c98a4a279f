"""One side of `make bench-train`, in a process of its own so that its peak memory is its own.

    python -m benchmarks.training_side (notebook|recipe|al_loop) FOLDER

FOLDER holds the checkpoint `base` and `plan.json`. The trained checkpoint goes into FOLDER/SIDE,
time and memory into FOLDER/SIDE.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from al_loop.config import ModelSettings, TrainSettings
from al_loop.records import Example
from al_loop.whisper.recognizer import WhisperRecognizer
from benchmarks import notebook
from benchmarks.memory import peak_bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What all sides do: the draws of every epoch, and what must be equal about the optimiser."""

    epochs: list[list[Example]]
    learning_rate: float
    batch_size: int
    seed: int

    @property
    def clips(self) -> Counter[str]:
        """How many different clips of each language are drawn."""
        drawn = {row.utterance_id: row.language for epoch in self.epochs for row in epoch}
        return Counter(drawn.values())


def write_plan(plan: Plan, folder: Path) -> None:
    (folder / "plan.json").write_text(json.dumps(asdict(plan)), encoding="utf-8")


def read_plan(folder: Path) -> Plan:
    values: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    epochs = [[Example(**row) for row in draws] for draws in values.pop("epochs")]
    return Plan(epochs, **values)


def main(side: str, folder: Path) -> None:
    plan = read_plan(folder)
    if side == "recipe":
        import benchmarks.recipe  # noqa: F401 - before the clock starts; no other side holds it
    start = time.perf_counter()
    {"notebook": _notebook, "recipe": _recipe, "al_loop": _al_loop}[side](plan, folder)
    used = {"seconds": time.perf_counter() - start, "peak_bytes": peak_bytes()}
    (folder / f"{side}.json").write_text(json.dumps(used), encoding="utf-8")


def _notebook(plan: Plan, folder: Path) -> None:
    notebook.train(
        folder / "base", plan.epochs, plan.learning_rate, plan.batch_size, folder / "notebook"
    )


def _recipe(plan: Plan, folder: Path) -> None:
    from benchmarks import recipe

    scratch = folder / "recipe-scratch"
    scratch.mkdir()
    recipe.train(
        folder / "base",
        plan.epochs,
        plan.learning_rate,
        plan.batch_size,
        plan.seed,
        folder / "recipe",
        scratch,
    )


def _al_loop(plan: Plan, folder: Path) -> None:
    settings = TrainSettings(
        epochs=len(plan.epochs),
        learning_rate=plan.learning_rate,
        batch_size=plan.batch_size,
        accumulation=1,  # the others have none; all else is as a new workspace has it
    )
    sidecar = WhisperRecognizer(folder, ModelSettings()).train(
        "base", plan.epochs, [], settings, plan.seed, folder / "al_loop", folder / "scratch"
    )
    print("\n".join(sidecar["notes"]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
