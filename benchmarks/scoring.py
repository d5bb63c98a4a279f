"""`make bench`, scoring: a round's score stage against what people would use instead, in one run.

All sides hear the same clips with one fine-tuned checkpoint: transformers' pipeline at its best
batch size, faster-whisper's batched pipeline at its best compute type, and al_loop with its
statistics; beside them, without a target, the pipeline in bfloat16 and al_loop by torch. Each is a
process of its own that stays: it is warmed up, and the sides take turns. Prints one line a target
and exits with 1 when one is missed; writes its section of docs/benchmarks.md. The checkpoint is
kept in .bench/scoring, or where AL_LOOP_BENCH_DIR says. `--quick` tries it on a few clips,
`--checkpoint` with a checkpoint that is there; both write nothing, and work in a folder beside that
one (scoring-trial).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr
from transformers import WhisperConfig

from al_loop.config import ModelSettings
from al_loop.errors import AlLoopError
from al_loop.metrics import count_errors
from al_loop.records import Utterance
from benchmarks import floor
from benchmarks.arithmetic import dimensions
from benchmarks.corpus import ROOT, read_clips
from benchmarks.place import work_folder
from benchmarks.report import announce, write_section
from benchmarks.scoring_checkpoint import prepare
from benchmarks.scoring_report import Correlation, Measured, about, table, targets
from benchmarks.scoring_side import FOLLOWS, SIDES, TUNED, Heard, choices
from benchmarks.training import QUICK, Sizes, make_plan

LANGUAGE = "ky"
SHORTEST_S, LONGEST_S = 2.0, 8.0
REPEATS = 3
QUICK_CLIPS, QUICK_REPEATS = 6, 1
TRAINED = Sizes(None, None, 2, None, None)


class Side:
    """A process of `benchmarks.scoring_side` that scores the clips whenever it is told to."""

    def __init__(self, name: str, folder: Path, choice: Mapping[str, Any]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [*_command(name, folder), json.dumps(choice)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._answer()  # ready: warmed up

    def score(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        print("go", file=self.process.stdin, flush=True)
        found: dict[str, Any] = self._answer()
        return found

    def close(self) -> None:
        """Its input ends, and so does it."""
        self.process.communicate()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            raise AlLoopError(
                f"the side {self.name} ended with status {status} before it answered; what it "
                "printed stands above"
            )
        return json.loads(line)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.scoring")
    parser.add_argument("--quick", action="store_true", help="a few clips; writes no report")
    parser.add_argument("--checkpoint", type=Path, help="a fine-tuned one; writes no report")
    wanted = parser.parse_args(arguments)
    trial = wanted.quick or wanted.checkpoint is not None
    try:
        with work_folder("scoring-trial" if trial else "scoring") as folder:
            clips = choose_clips(QUICK_CLIPS if wanted.quick else None)
            plan = make_plan(QUICK if wanted.quick else TRAINED)
            reference = prepare(folder, plan, clips, wanted.checkpoint)
            machine = floor.measure("cpu")
            measured = measure(folder, clips, reference, wanted.quick)
            least = _floors(folder, clips, reference, machine)
    except AlLoopError as exc:
        print(exc)
        return 2
    columns, rows = table(measured, least, clips)
    for cells in [columns, *rows]:
        print(" | ".join(cells), file=sys.stderr)
    if not trial:
        told = about(measured, clips, plan.clips, len(plan.epochs), machine)
        write_section("Scoring", told, columns, rows)
    return announce(targets(measured))


def choose_clips(count: int | None) -> list[Utterance]:
    """The first test clips of 2 to 8 s, or all: nobody trained on them."""
    rows = read_clips(LANGUAGE, {"test"})
    return [row for row in rows if SHORTEST_S <= row.duration_s <= LONGEST_S][:count]


def measure(
    folder: Path, clips: Sequence[Utterance], reference: Sequence[Heard], quick: bool
) -> dict[str, Measured]:
    """Let every side choose, warm up, and then take turns. quick: no search, and one repeat."""
    chosen = {
        name: choices(name)[-1] if quick else _choose(name, folder)
        for name in SIDES
        if name not in FOLLOWS
    }
    chosen |= {name: chosen[other] for name, other in FOLLOWS.items()}
    sides: list[Side] = []
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
    try:
        for name in SIDES:
            sides.append(Side(name, folder, chosen[name]))
        for _ in range(QUICK_REPEATS if quick else REPEATS):
            for side in sides:
                answers[side.name].append(side.score())
                print(f"{side.name}: {answers[side.name][-1]['seconds']:.1f} s", file=sys.stderr)
    finally:
        for side in sides:
            side.close()
    return {name: judge(chosen[name], answers[name], clips, reference) for name in SIDES}


def judge(
    choice: Mapping[str, Any],
    answers: Sequence[Mapping[str, Any]],
    clips: Sequence[Utterance],
    reference: Sequence[Heard],
) -> Measured:
    """One side's answers: errors in what it heard first, and how its scores rank the clips."""
    heard = [Heard(**row) for row in answers[0]["heard"]]
    return Measured(
        choice=choice,
        seconds=[row["seconds"] for row in answers],
        peak_bytes=answers[-1]["peak_bytes"],
        counts=[
            count_errors(clip.text or "", row.text, clip.language)
            for clip, row in zip(clips, heard, strict=True)
        ],
        log_prob=correlation(
            [row.mean_log_prob for row in heard], [row.mean_log_prob for row in reference]
        ),
        entropy=correlation(
            [row.mean_token_entropy for row in heard], [row.mean_token_entropy for row in reference]
        ),
    )


def correlation(
    scores: Sequence[float | None], reference: Sequence[float | None]
) -> Correlation | None:
    """Spearman's, over the clips that a side scored; None where it scores none."""
    pairs = [
        (score, other)
        for score, other in zip(scores, reference, strict=True)
        if score is not None and other is not None
    ]
    if not pairs:
        return None
    return Correlation(float(spearmanr(*zip(*pairs, strict=True)).statistic), len(pairs))


def _command(name: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.scoring_side", name, str(folder)]


def _choose(name: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        _command(name, folder), cwd=ROOT, check=False, stdout=subprocess.PIPE, encoding="utf-8"
    )
    if done.returncode:
        raise AlLoopError(
            f"the side {name} ended with status {done.returncode} while it chose; what it printed "
            "stands above"
        )
    choice: dict[str, Any] = json.loads(done.stdout)
    return choice


def _floors(
    folder: Path, clips: Sequence[Utterance], reference: Sequence[Heard], machine: floor.Machine
) -> list[floor.Floor]:
    model = dimensions(WhisperConfig.from_pretrained(folder / TUNED))
    emitted = [row.token_count or 1 for row in reference]
    return floor.floors(model, clips, emitted, ModelSettings(), machine)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
