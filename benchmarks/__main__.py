"""`make bench`: scoring, training and the GPU's part, one after the other.

    python -m benchmarks [--quick] [--parts PART ...]

Every part is a module of this package and runs in a process of its own. A part that fails or breaks
off does not keep the others from running; all target lines are printed once more at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.corpus import ROOT

PARTS = ("scoring", "training", "gpu")
VERDICTS = ("PASS ", "FAIL ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part ended, and what it printed on standard output."""

    part: str
    status: int
    printed: str


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--quick", action="store_true", help="a few clips; writes no report")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    wanted = parser.parse_args(arguments)
    options = ["--quick"] if wanted.quick else []
    return run_all(
        {part: [sys.executable, "-m", f"benchmarks.{part}", *options] for part in wanted.parts}
    )


def run_all(commands: Mapping[str, Sequence[str]]) -> int:
    """Run every part's command, whatever became of those before; 1 when one of them failed."""
    outcomes = []
    for part, command in commands.items():
        print(f"== {part}", file=sys.stderr, flush=True)
        outcomes.append(run(part, command))
        print(outcomes[-1].printed, end="", file=sys.stderr, flush=True)
    print("\n".join(line for outcome in outcomes for line in verdicts(outcome)))
    return int(any(outcome.status for outcome in outcomes))


def run(part: str, command: Sequence[str]) -> Outcome:
    """Standard error goes through as it comes."""
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, encoding="utf-8")
    return Outcome(part, done.returncode, done.stdout)


def verdicts(outcome: Outcome) -> list[str]:
    """A part's target lines; where it failed without naming a target, one line that says so."""
    found = [line for line in outcome.printed.splitlines() if line.startswith(VERDICTS)]
    if outcome.status and not any(line.startswith("FAIL ") for line in found):
        found.append(f"FAIL {outcome.part} broke off with status {outcome.status}, expected 0")
    return found or [f"     {outcome.part} has no target here"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
