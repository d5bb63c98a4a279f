"""`make bench-train`: a round's training against the loop of a course notebook, in one run.

Both sides start from the same checkpoint and see the same draws, one after the other, each in a
process of its own. Their time runs from the checkpoint on disk to the trained one on disk: loading,
features and saving count on both sides, importing libraries and evaluating on neither. Prints one
line a target and exits with 1 when one is missed; writes its section of docs/benchmarks.md.
`--quick` tries it on a few clips and writes nothing.
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
from al_loop.errors import ManifestError
from al_loop.manifest import build_manifest
from al_loop.metrics import Interval, count_errors, error_rate, paired_difference
from al_loop.mixture import draw_epoch
from al_loop.records import ErrorCounts, Example, Source, Utterance
from al_loop.whisper.features import MAX_WINDOW_S
from al_loop.whisper.recognizer import WhisperRecognizer
from benchmarks.corpus import read_clips
from benchmarks.report import ROOT, Target, announce, write_section
from benchmarks.training_side import Plan, write_plan

OURS, THEIRS = "al_loop", "notebook"
NAMES = {
    OURS: "al_loop: the clips' own windows, bfloat16 where the CPU has it",
    THEIRS: "notebook: 30 s, float32",
}
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

    train_ky: int
    train_ru: int
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
    folder = ROOT / "build" / "benchmark" / "training"
    shutil.rmtree(folder, ignore_errors=True)  # an interrupted training would go on from its save
    (folder / "scratch").mkdir(parents=True)
    try:
        plan = _plan(sizes)
        kyrgyz = read_clips("ky", {"test"}, sizes.test_ky)
        russian = read_clips("ru", {"test"}, sizes.test_ru)
    except ManifestError as exc:
        print(exc)
        return 2
    write_plan(plan, folder)
    WhisperRecognizer(folder, ModelSettings()).create_base(folder / "base")
    sides = {side: _measure(side, folder, kyrgyz, russian) for side in (OURS, THEIRS)}
    draws = sum(len(epoch) for epoch in plan.epochs)
    difference = paired_difference(
        _best(sides[THEIRS]), sides[OURS].own, np.random.default_rng(SEED), SAMPLES
    )
    if not quick:
        _write_section(sizes, sides, draws, difference)
    return announce(_targets(sides, difference))


def _plan(sizes: Sizes) -> Plan:
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
    own = ModelSettings()
    padded = ModelSettings(padding_s=MAX_WINDOW_S, batch_s=BATCH_SIZE * MAX_WINDOW_S)
    return Measured(
        used["seconds"],
        used["peak_bytes"],
        _count(WhisperRecognizer(folder, own), side, kyrgyz),
        _count(WhisperRecognizer(folder, padded), side, kyrgyz),
        _count(WhisperRecognizer(folder, own), side, russian),
    )


def _count(
    recognizer: WhisperRecognizer, checkpoint: str, clips: Sequence[Utterance]
) -> list[ErrorCounts]:
    listen = recognizer.listener(checkpoint)
    heard = {
        row.utterance_id: row.text for block in recognizer.blocks(clips) for row in listen(block)
    }
    return [count_errors(row.text or "", heard[row.id], row.language) for row in clips]


def _wer(counts: Sequence[ErrorCounts]) -> Interval:
    errors, words = np.array([(row.word_errors, row.words) for row in counts]).T
    return error_rate(errors, words, np.random.default_rng(SEED), SAMPLES)


def _best(side: Measured) -> Sequence[ErrorCounts]:
    """Kyrgyz in the windows that suit the side better: the notebook has only ever seen 30 s."""
    return min(side.own, side.padded, key=lambda counts: sum(row.word_errors for row in counts))


def _targets(sides: Mapping[str, Measured], difference: Interval) -> list[Target]:
    faster = sides[THEIRS].seconds / sides[OURS].seconds
    ours, theirs = _wer(sides[OURS].own), _wer(_best(sides[THEIRS]))
    return [
        Target("training_speed", f"{faster:.1f}x", f">= {SPEED_TARGET:g}x", faster >= SPEED_TARGET),
        Target(
            "training_wer",
            f"{100 * ours.value:.1f}% (difference {_interval(difference)} points)",
            f"<= {100 * theirs.high:.1f}%, the upper end of the notebook's 95% interval",
            ours.value <= theirs.high,
        ),
    ]


def _write_section(
    sizes: Sizes, sides: Mapping[str, Measured], draws: int, difference: Interval
) -> None:
    tested = len(sides[OURS].own), len(sides[OURS].russian)
    about = (
        f"By `make bench-train`: whisper-base with `<|ky|>` from `<|kk|>`, trained on "
        f"{sizes.train_ky} Kyrgyz and {sizes.train_ru} Russian clips in {sizes.epochs} epochs "
        f"({draws} examples), learning rate {LEARNING_RATE:g}, batches of {BATCH_SIZE}; each side "
        "in a process of its own. Time runs from checkpoint to checkpoint on disk, features "
        f"included. WER in % with 95% intervals on {tested[0]} Kyrgyz and {tested[1]} Russian "
        "test clips, both sides decoded by al_loop in the clips' own windows, and in 30 s. "
        "Difference in Kyrgyz WER, al_loop in the clips' own windows minus the notebook in those "
        f"that suit it better: {_interval(difference)} points."
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
                *(_interval(row) for row in rates),
            ]
        )
    write_section("Training", about, columns, rows)


def _interval(rate: Interval) -> str:
    return f"{100 * rate.value:.1f} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
