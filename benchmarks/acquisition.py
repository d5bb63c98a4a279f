"""`make bench-acquisition`: the loop replayed with three strategies on a clean and a field pool.

`al-loop simulate`'s own code on the pools of `benchmarks.pools`, with equal seconds for every
strategy. Prints one line a target and exits with 1 when one is missed; writes its section of
docs/benchmarks.md and the plots beside it. What is finished stays in .bench/acquisition, or where
AL_LOOP_BENCH_DIR says, so that a run that was interrupted goes on; delete that folder to start
anew. `--pools`, `--strategies` and `--seeds` try a part of it, which writes no report.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from al_loop.config import Settings
from al_loop.errors import AlLoopError
from al_loop.metrics import Interval
from al_loop.records import Source, SourceKind
from al_loop.simulate import simulate
from al_loop.simulation.material import Material
from al_loop.simulation.processes import Processes
from al_loop.simulation.replay import ASKED
from al_loop.simulation.report import text, write_plot
from al_loop.simulation.results import BASELINE, Result, results
from al_loop.simulation.settings import DEFAULT, STRATEGIES, Simulation
from benchmarks.corpus import read_clips
from benchmarks.pools import LANGUAGE, SOURCES, Clip, clean, field, write_clips
from benchmarks.report import ROOT, Target, announce, write_section
from storage.store import Store
from storage.workspace import Workspace

POOLS = {"clean": clean, "field": field}
COMPARED = (BASELINE, "mean_token_entropy", DEFAULT)
SEEDS, ROUNDS, BUDGET_S, PROCESSES = 3, 3, 100.0, 2
SETTINGS = Settings.model_validate(
    {
        "train": {"epochs": 3, "batch_size": 4, "accumulation": 1, "full_window_share": 0.0},
        # every clip as often as any other, so that batches differ and nothing else
        "mixture": {"policy": "epoch", "in_house_weight": 1.0},
    }
)
SAMPLES = 2000
KINDS: Mapping[str, SourceKind] = {"pool": "in_house", "test": "in_house", "train": "open_source"}
EASY = "easy"
MOST_SHARE, MOST_JUNK, LEAST_SPEARMAN = 0.5, 0.05, 0.6
AFTER_ONE_ROUND = 2
"""The round whose scores are the first that a query batch has taught."""
IMAGES = ROOT / "docs" / "images"


@dataclass(frozen=True, slots=True)
class Measured:
    """One pool. kinds: of the clips that each strategy chose, over all seeds."""

    pool: str
    clips: int
    duration_s: float
    tested: int
    found: Mapping[str, Result]
    kinds: Mapping[str, Counter[str]]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.acquisition")
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(COMPARED))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    wanted = parser.parse_args(arguments)
    whole = (wanted.pools, wanted.strategies, wanted.seeds) == (list(POOLS), list(COMPARED), SEEDS)
    folder = Path(os.environ.get("AL_LOOP_BENCH_DIR", ROOT / ".bench")) / "acquisition"
    folder.mkdir(parents=True, exist_ok=True)
    strategies = list(dict.fromkeys([BASELINE, *wanted.strategies]))
    try:
        with FileLock(folder / "lock", blocking=False), _timed(folder):
            measured = [_measure(name, folder, strategies, wanted.seeds) for name in wanted.pools]
    except Timeout:
        print(f"another run is at work in {folder}")
        return 2
    except AlLoopError as exc:
        print(exc)
        return 2
    columns, rows = table(measured)
    for line in [columns, *rows]:
        print(" | ".join(line), file=sys.stderr)
    for row in measured:
        for name, kinds in row.kinds.items():
            counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            print(f"{row.pool}, {name} chose: {counts}", file=sys.stderr)
    if whole:
        _write_report(measured, columns, rows, _spent_s(folder))
    return announce(targets(measured))


def _measure(name: str, folder: Path, strategies: Sequence[str], seeds: int) -> Measured:
    """Replay one pool, as far as it is not replayed yet."""
    pool, test = POOLS[name]()
    root = folder / name
    material, kinds = make_material(pool, test, root / "clips")
    (root / "al_loop.toml").touch()
    book = Store(Workspace.open(root))
    simulation = Simulation(name, strategies, seeds, ROUNDS, BUDGET_S, 0.0, PROCESSES)
    replays = root / "replays"

    def say(line: str) -> None:
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
        lines = (folder / ASKED).read_text(encoding="utf-8").split("\n")
        asked = {json.loads(line)["utterance_id"] for line in lines if line}
        counts.update(kinds[utterance_id] for utterance_id in asked)
    return counts


@contextmanager
def _timed(folder: Path) -> Iterator[None]:
    """Adds the time that the block takes to what earlier runs took."""
    start, before_s = time.monotonic(), _spent_s(folder)
    try:
        yield
    finally:
        spent_s = before_s + time.monotonic() - start
        (folder / "seconds.json").write_text(json.dumps(spent_s), encoding="utf-8")


def _spent_s(folder: Path) -> float:
    path = folder / "seconds.json"
    return float(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else 0.0


# -- what is told --------------------------------------------------------------------------------


def targets(measured: Sequence[Measured]) -> list[Target]:
    """One a promise, of the pools that were measured."""
    found = []
    for row in measured:
        if DEFAULT not in row.found:
            continue
        default, baseline = row.found[DEFAULT], row.found[BASELINE]
        if row.pool == "field":
            junk = default.junk_share
            found += [
                Target(
                    "field_seconds_to_random",
                    f"{text(default.share, 100, 0)} % of random's {baseline.seconds.value:.0f} s",
                    f"<= {MOST_SHARE:.0%}",
                    default.share.value <= MOST_SHARE,
                ),
                Target(
                    "field_junk_share",
                    f"{text(junk, 100)} %, random {text(baseline.junk_share, 100)} %",
                    f"<= {MOST_JUNK:.0%}",
                    junk.value <= MOST_JUNK,
                ),
                _spearman_target(default),
            ]
        final, area = default.final_difference, default.area_difference
        found.append(
            Target(
                f"{row.pool}_not_worse",
                f"final WER {text(final, 100)}, mean over the curve {text(area, 100)} points",
                "no interval above 0",
                max(final.low, area.low) <= 0,
            )
        )
    return found


def _spearman_target(default: Result) -> Target:
    known = _after_one_round(default)
    wanted = f">= {LEAST_SPEARMAN:g}"
    if known is None:
        return Target("field_spearman", "not measured", wanted, False)
    return Target("field_spearman", text(known, 1, 2), wanted, known.value >= LEAST_SPEARMAN)


def _after_one_round(row: Result) -> Interval | None:
    return next((step.spearman for step in row.steps if step.round == AFTER_ONE_ROUND), None)


def table(measured: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Both pools, one row a strategy."""
    columns = [
        "pool",
        "strategy",
        "WER % at the start",
        *(f"after round {number}" for number in range(1, ROUNDS + 1)),
        "mean over the curve",
        "% of random's seconds to its final WER",
        "junk %",
        "rare %",
        "Spearman after one round",
    ]
    rows = []
    for row in measured:
        for name in sorted(row.found, key=lambda name: (name != BASELINE, name == DEFAULT, name)):
            result, kinds = row.found[name], row.kinds[name]
            known = _after_one_round(result)
            rare = kinds.total() - kinds[EASY] - round(result.junk_share.value * kinds.total())
            rows.append(
                [
                    row.pool,
                    name,
                    *(text(step.wer, 100) for step in result.steps),
                    text(result.area, 100),
                    text(result.share, 100, 0),
                    text(result.junk_share, 100),
                    f"{100 * rare / kinds.total():.0f}",
                    "–" if known is None else text(known, 1, 2),
                ]
            )
    return columns, rows


def _write_report(
    measured: Sequence[Measured],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    spent_s: float,
) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    pictures = []
    for row in measured:
        # no hyphen in its name: the paragraph's lines may be broken there
        path = IMAGES / f"acquisition_{row.pool}.svg"
        write_plot(list(row.found.values()), path)
        pictures.append(f"![WER against labelled minutes, {row.pool}](images/{path.name})")
    pools = " and ".join(
        f"*{row.pool}* ({row.clips} clips, {row.duration_s:.0f} s; {row.tested} test clips)"
        for row in measured
    )
    rule = SETTINGS.train
    about = (
        f"By `make bench-acquisition`: the loop replayed on {pools} with references in the "
        f"annotators' place; {SEEDS} seeds, {ROUNDS} rounds of {BUDGET_S:g} s for every strategy, "
        "whisper-base trained from the untrained weights in each round on the corpus's train clips "
        f"and what was chosen, {rule.epochs} epochs in batches of {rule.batch_size}. *clean* is "
        "one voice as it comes; *field* is a fifth junk, seven tenths that voice and a tenth rare "
        "conditions, of which half of its test set consists. `random` and `mean_token_entropy` "
        "take what they rank highest, `default` is what a new workspace does. WER in % with 95% "
        "intervals, bootstrapped over seeds and test clips, the same resamples for all; seconds "
        "are of chosen audio, junk included, interpolated between rounds. Spearman: of the scores "
        f"that round {AFTER_ONE_ROUND} chooses by with the true WER of what is left, without junk. "
        f"It took {spent_s / 60:.0f} minutes. {' '.join(pictures)}"
    )
    write_section("Acquisition", about, columns, rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
