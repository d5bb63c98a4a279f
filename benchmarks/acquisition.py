"""`make bench-acquisition`: the loop replayed with three strategies on a clean and a field pool.

`al-loop simulate`'s own code on the pools of `benchmarks.pools`, with equal seconds for every
strategy. Prints one line a target and exits with 1 when one is missed; writes its section of
docs/benchmarks.md and the plots beside it. What is finished stays in .bench/acquisition, or where
AL_LOOP_BENCH_DIR says, so that a run that was interrupted goes on; delete that folder to start
anew. `--pools`, `--strategies` and `--seeds` try a part of it, in a folder beside that one
(acquisition-trial), which writes no report.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from al_loop.config import Settings
from al_loop.errors import AlLoopError
from al_loop.records import Source, SourceKind
from al_loop.simulate import simulate
from al_loop.simulation.material import Material
from al_loop.simulation.oracle import read_asked
from al_loop.simulation.processes import Processes
from al_loop.simulation.replay import ASKED
from al_loop.simulation.results import BASELINE, results
from al_loop.simulation.settings import DEFAULT, STRATEGIES, Simulation
from benchmarks.acquisition_report import Measured, table, targets, time_target, write_report
from benchmarks.corpus import read_clips
from benchmarks.place import work_folder
from benchmarks.pools import LANGUAGE, SOURCES, Clip, clean, field, write_clips
from benchmarks.report import announce
from storage.store import Store
from storage.workspace import Workspace

POOLS = {"clean": clean, "field": field}
COMPARED = (BASELINE, "mean_token_entropy", DEFAULT)
SEEDS, ROUNDS, BUDGET_S, PROCESSES = 3, 3, 100.0, 2
SETTINGS = Settings.model_validate(
    {
        "train": {
            "epochs": 2,
            "learning_rate": 1e-4,
            "batch_size": 4,
            "accumulation": 1,
            "full_window_share": 0.0,
        },
        # every clip as often as any other, so that batches differ and nothing else
        "mixture": {"policy": "epoch", "in_house_weight": 1.0},
    }
)
SAMPLES = 2000
KINDS: Mapping[str, SourceKind] = {"pool": "in_house", "test": "in_house", "train": "open_source"}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.acquisition")
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(COMPARED))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    wanted = parser.parse_args(arguments)
    whole = (wanted.pools, wanted.strategies, wanted.seeds) == (list(POOLS), list(COMPARED), SEEDS)
    strategies = list(dict.fromkeys([BASELINE, *wanted.strategies]))
    try:
        with work_folder("acquisition" if whole else "acquisition-trial") as folder:
            folder.mkdir(exist_ok=True)
            clock = Clock(folder / "seconds.json")
            measured = [
                _measure(name, folder, strategies, wanted.seeds, clock) for name in wanted.pools
            ]
            clock.keep()
    except AlLoopError as exc:
        print(f"{exc}\nWhat is finished is kept; delete the folder of the benchmark to start anew")
        return 2
    columns, rows = table(measured, ROUNDS)
    for line in [columns, *rows]:
        print(" | ".join(line), file=sys.stderr)
    for row in measured:
        for name, kinds in row.kinds.items():
            counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            print(f"{row.pool}, {name} chose: {counts}", file=sys.stderr)
    found = targets(measured)
    if whole:
        write_report(measured, _described(), ROUNDS, clock.spent_s)
        found.append(time_target(clock.spent_s))
    return announce(found)


def _described() -> str:
    rule = SETTINGS.train
    return (
        f"{SEEDS} seeds, {ROUNDS} rounds of {BUDGET_S:g} s for every strategy, whisper-base "
        "trained from the untrained weights in each round on the corpus's train clips and what "
        f"was chosen, {rule.epochs} epochs at a learning rate of {rule.learning_rate:g} in "
        f"batches of {rule.batch_size}."
    )


def _measure(
    name: str, folder: Path, strategies: Sequence[str], seeds: int, clock: Clock
) -> Measured:
    """Replay one pool, as far as it is not replayed yet."""
    pool, test = POOLS[name]()
    root = folder / name
    material, kinds = make_material(pool, test, root / "clips")
    (root / "al_loop.toml").touch()
    book = Store(Workspace.open(root))
    simulation = Simulation(name, strategies, seeds, ROUNDS, BUDGET_S, 0.0)
    replays = root / "replays"

    def say(line: str) -> None:
        clock.keep()
        print(f"{time.strftime('%H:%M:%S')} {name}: {line}", file=sys.stderr)

    points = simulate(
        simulation,
        SETTINGS,
        material,
        replays,
        book,
        lambda place: Store(Workspace.open(place)),
        Processes(PROCESSES, say),
        say,
    )
    book.close()
    places = [replays / f"seed-{seed}" for seed in range(seeds)]
    chosen = {
        strategy: chosen_kinds([place / strategy for place in places], kinds)
        for strategy in strategies
    }
    found = results(points, np.random.default_rng(SETTINGS.seed), SAMPLES)
    duration_s = sum(row.duration_s for row in material.labelled)
    by_name = {row.strategy: row for row in found}
    return Measured(name, len(pool), duration_s, len(test), by_name, chosen)


def make_material(
    pool: Sequence[Clip], test: Sequence[Clip], folder: Path
) -> tuple[Material, dict[str, str]]:
    """What a simulation needs of a pool, and the kind of each of its clips.

    Every seed begins with the corpus's train clips, and nothing of the pool.
    """
    labelled = write_clips(pool, "pool", folder)
    seed = [
        replace(row, source=SOURCES["train"], speaker=None)
        for row in read_clips(LANGUAGE, ["train"])
    ]
    pairs = list(zip(labelled, pool, strict=True))
    material = Material(
        sources=[Source(name, KINDS[split], LANGUAGE) for split, name in SOURCES.items()],
        fixed=[*seed, *write_clips(test, "test", folder)],
        labelled=labelled,
        verdicts={row.id: clip.verdict for row, clip in pairs if clip.verdict},
    )
    return material, {row.id: clip.kind for row, clip in pairs}


def chosen_kinds(replays: Sequence[Path], kinds: Mapping[str, str]) -> Counter[str]:
    """How many clips of each kind annotators were asked about."""
    counts: Counter[str] = Counter()
    for folder in replays:
        counts.update(kinds[row["utterance_id"]] for row in read_asked(folder / ASKED))
    return counts


class Clock:
    """The wall time of a run and of those before it in the same folder.

    It is written whenever a replay says something, so that a kill loses little of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before_s = float(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else 0
        self.start = time.monotonic()

    @property
    def spent_s(self) -> float:
        return self.before_s + time.monotonic() - self.start

    def keep(self) -> None:
        unfinished = self.path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.spent_s), encoding="utf-8")
        os.replace(unfinished, self.path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
