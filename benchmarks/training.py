"""`make bench-train`: a round's training against the loop of a course notebook and the recipe of
transformers' example, in one run; `make bench` runs it too.

All sides start from the same checkpoint and see the same draws, one after the other, each in a
process of its own. Their time runs from the checkpoint on disk to the trained one on disk: loading,
features and saving count on every side, importing libraries and evaluating on none. Prints one
line a target and exits with 1 when one is missed; writes its section of docs/benchmarks.md. Works
in .bench/training, or where AL_LOOP_BENCH_DIR says. `--quick` tries it on a few clips and writes no
report.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_loop.config import MixtureSettings, ModelSettings
from al_loop.errors import AlLoopError
from al_loop.manifest import build_manifest
from al_loop.metrics import Interval, count_errors, error_rate, paired_difference
from al_loop.mixture import draw_epoch
from al_loop.records import ErrorCounts, Example, Source, Utterance
from al_loop.whisper.features import MAX_WINDOW_S
from al_loop.whisper.recognizer import WhisperRecognizer
from benchmarks.corpus import ROOT, read_clips
from benchmarks.listening import hearing
from benchmarks.place import work_folder
from benchmarks.report import Target, announce, percent, write_section
from benchmarks.training_side import Plan, write_plan

OURS, THEIRS, RECIPE = "al_loop", "notebook", "recipe"
NAMES = {
    OURS: "al_loop: the clips' own windows, bfloat16 where the CPU has it",
    THEIRS: "notebook: 30 s, float32",
    RECIPE: "transformers' example recipe: 30 s, bfloat16 where the CPU has it",
}
OWN, PADDED = ModelSettings(), ModelSettings(padding_s=MAX_WINDOW_S)
"""Test clips are decoded in their own windows, and in 30 s."""
LEARNING_RATE = 1e-4
BATCH_SIZE = 8
SEED = 0
SAMPLES = 1000
SPEED_TARGET = 6.0
SOURCES = {
    name: Source(name, "open_source", language)
    for name, language in (("corpus_ky", "ky"), ("corpus_ru", "ru"))
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Clips to train on, epochs, clips to test on; None means all."""

    train_ky: int | None
    train_ru: int | None
    epochs: int
    test_ky: int | None
    test_ru: int | None


FULL = Sizes(120, 40, 2, None, None)
QUICK = Sizes(12, 4, 1, 8, 4)


@dataclass(frozen=True, slots=True)
class Measured:
    """One side. own, padded: Kyrgyz counts per clip, decoded in its own window and in 30 s."""

    seconds: float
    peak_bytes: int
    own: Sequence[ErrorCounts]
    padded: Sequence[ErrorCounts]
    russian: Sequence[ErrorCounts]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.training")
    parser.add_argument("--quick", action="store_true", help="a few clips; writes no report")
    quick = parser.parse_args(arguments).quick
    sizes = QUICK if quick else FULL
    try:
        plan = make_plan(sizes)
        kyrgyz = read_clips("ky", {"test"}, sizes.test_ky)
        russian = read_clips("ru", {"test"}, sizes.test_ru)
        with work_folder("training") as folder:
            shutil.rmtree(folder, ignore_errors=True)  # or it would go on from a killed run's save
            (folder / "scratch").mkdir(parents=True)
            write_plan(plan, folder)
            WhisperRecognizer(folder, OWN).create_base(folder / "base")
            sides = {side: _measure(side, folder, kyrgyz, russian) for side in NAMES}
            shutil.rmtree(folder)  # gigabytes
    except AlLoopError as exc:
        print(exc)
        return 2
    difference = paired_difference(
        _best(sides[THEIRS]), sides[OURS].own, np.random.default_rng(SEED), SAMPLES
    )
    if not quick:
        _write_section(plan, sides, difference)
    return announce(targets(sides, difference))


def make_plan(sizes: Sizes) -> Plan:
    """What a training on the corpus's train and pool splits draws; test is left out.

    Raises ManifestError when there is no corpus.
    """
    clips = [
        *read_clips("ky", {"train", "pool"}, sizes.train_ky),
        *read_clips("ru", {"train"}, sizes.train_ru),
    ]
    examples = [
        Example(row.id, row.audio, row.duration_s, row.source, row.language, row.text or "")
        for row in clips
    ]
    manifest = build_manifest(examples, SOURCES, MixtureSettings(), frozenset())
    rng = np.random.default_rng(SEED)
    epochs = [draw_epoch(manifest, rng) for _ in range(sizes.epochs)]
    return Plan(epochs, LEARNING_RATE, BATCH_SIZE, SEED)


def _measure(
    side: str, folder: Path, kyrgyz: Sequence[Utterance], russian: Sequence[Utterance]
) -> Measured:
    command = [sys.executable, "-m", "benchmarks.training_side", side, str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    used = json.loads((folder / f"{side}.json").read_text(encoding="utf-8"))
    print(f"{side}: trained in {used['seconds']:.0f} s", file=sys.stderr)
    return Measured(
        used["seconds"],
        used["peak_bytes"],
        _count(WhisperRecognizer(folder, OWN), side, kyrgyz),
        _count(WhisperRecognizer(folder, PADDED), side, kyrgyz),
        _count(WhisperRecognizer(folder, OWN), side, russian),
    )


def _count(
    recognizer: WhisperRecognizer, checkpoint: str, clips: Sequence[Utterance]
) -> list[ErrorCounts]:
    heard = hearing(recognizer, checkpoint)(clips)
    return [
        count_errors(clip.text or "", row.text, clip.language)
        for clip, row in zip(clips, heard, strict=True)
    ]


def _wer(counts: Sequence[ErrorCounts]) -> Interval:
    errors, words = np.array([(row.word_errors, row.words) for row in counts]).T
    return error_rate(errors, words, np.random.default_rng(SEED), SAMPLES)


def _best(side: Measured) -> Sequence[ErrorCounts]:
    """Kyrgyz in the windows that suit the side better: the rivals have only ever seen 30 s."""
    return min(side.own, side.padded, key=lambda counts: sum(row.word_errors for row in counts))


def targets(sides: Mapping[str, Measured], difference: Interval) -> list[Target]:
    faster = _faster(sides, THEIRS)
    ours, theirs = _wer(sides[OURS].own), _wer(_best(sides[THEIRS]))
    return [
        Target("training_speed", f"{faster:.1f}x", f">= {SPEED_TARGET:g}x", faster >= SPEED_TARGET),
        Target(
            "training_wer",
            f"{100 * ours.value:.1f}% against {100 * theirs.value:.1f}%, "
            f"{percent(difference)} points",
            "<= 0 points within the 95% interval",
            difference.low <= 0,
        ),
    ]


def _faster(sides: Mapping[str, Measured], rival: str) -> float:
    return sides[rival].seconds / sides[OURS].seconds


def _write_section(plan: Plan, sides: Mapping[str, Measured], difference: Interval) -> None:
    draws = sum(map(len, plan.epochs))
    tested = len(sides[OURS].own), len(sides[OURS].russian)
    about = (
        f"By `make bench-train`: whisper-base with `<|ky|>` from `<|kk|>`, trained on "
        f"{plan.clips['ky']} Kyrgyz and {plan.clips['ru']} Russian clips in {len(plan.epochs)} "
        f"epochs ({draws} examples), learning rate {LEARNING_RATE:g}, batches of {BATCH_SIZE}; "
        "each side "
        "in a process of its own. One run a side, for the notebook's alone takes "
        f"{sides[THEIRS].seconds / 60:.0f} minutes: the times have no spread. "
        "Time runs from checkpoint to checkpoint on disk, features "
        f"included. WER in % with 95% intervals on {tested[0]} Kyrgyz and {tested[1]} Russian "
        "test clips, all sides decoded by al_loop in the clips' own windows, and in 30 s. "
        "Difference in Kyrgyz WER, al_loop in the clips' own windows minus the notebook in those "
        f"that suit it better: {percent(difference)} points. Per example al_loop is "
        f"{_faster(sides, THEIRS):.1f} times as fast as the notebook and "
        f"{_faster(sides, RECIPE):.1f} times as fast as the recipe, which has no target."
    )
    columns = ["side", "s per example", "peak memory GiB", "WER ky", "WER ky, 30 s", "WER ru"]
    rows = []
    for name, side in sides.items():
        rates = [_wer(counts) for counts in (side.own, side.padded, side.russian)]
        rows.append(
            [
                NAMES[name],
                f"{side.seconds / draws:.2f}",
                f"{side.peak_bytes / 2**30:.1f}",
                *(percent(row) for row in rates),
            ]
        )
    write_section("Training", about, columns, rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
