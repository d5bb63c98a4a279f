"""`make bench-labelstudio`: is every answer kept, whatever is killed?

Pushes a query batch to a Label Studio server of its own. Three simulated annotators with accounts
of their own answer it at once, while `al-loop labelstudio sync` runs every few seconds; that is
killed at random instants, and the server is restarted. In the end both databases are compared.
Prints one line a target and exits with 1 when one is missed; writes its section of
docs/benchmarks.md. `--tasks N` tries it on another number and writes no report.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from al_loop.errors import AlLoopError
from benchmarks.labelstudio_run import Measured, Plan, run
from benchmarks.place import work_folder
from benchmarks.report import Target, announce, write_section

TASKS, ANNOTATORS, RESTARTS, KILLS = 5000, 3, 3, 20
EVERY_S = 3.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.labelstudio")
    parser.add_argument("--tasks", type=int, default=TASKS, metavar="N")
    wanted = parser.parse_args(arguments)
    plan = Plan(wanted.tasks, ANNOTATORS, RESTARTS, KILLS, EVERY_S, seed=0)
    try:
        with work_folder("labelstudio") as folder:
            shutil.rmtree(folder, ignore_errors=True)
            found = measure(folder, plan)
            shutil.rmtree(folder)
    except AlLoopError as exc:
        print(exc)
        return 2
    if wanted.tasks == TASKS:
        _write_section(plan, found)
    return announce(targets(plan, found))


def measure(folder: Path, plan: Plan) -> Measured:
    """Run it in `folder`, which must not exist; progress goes to standard error."""
    os.environ["AL_LOOP_DATA_DIR"] = str(folder / "data")  # the loop's processes look there too
    return run(folder, plan, lambda line: print(line, file=sys.stderr))


def targets(plan: Plan, found: Measured) -> list[Target]:
    facts = found.findings
    asked = f"{facts.tasks}, {facts.twins} twice, {facts.unasked} missing"
    whole = facts.tasks >= plan.tasks and not facts.twins and not facts.unasked
    counts = [
        ("annotations_lost", f"{facts.lost} of {facts.annotations}", facts.lost),
        ("annotations_invented", str(facts.invented), facts.invented),
        ("annotations_different", str(facts.different), facts.different),
        ("annotations_doubled", str(facts.doubled), facts.doubled),
        ("answers_forgotten_by_server", str(facts.forgotten), facts.forgotten),
    ]
    rows = [Target("tasks_once", asked, f">={plan.tasks}", whole)]
    rows += [Target(name, shown, "0", count == 0) for name, shown, count in counts]
    rows.append(Target("kills", str(found.kills), str(plan.kills), found.kills >= plan.kills))
    restarts = found.restarts >= plan.restarts
    rows.append(Target("restarts", str(found.restarts), str(plan.restarts), restarts))
    return rows


def _write_section(plan: Plan, found: Measured) -> None:
    facts = found.findings
    write_section(
        "Label Studio",
        f"`make bench-labelstudio`: {plan.tasks} tasks were pushed to a Label Studio server and "
        f"answered by {plan.annotators} simulated annotators at once, who also skipped, changed "
        f"and deleted answers, while `al-loop labelstudio sync` ran {plan.every_s:g} s after its "
        f"last end. It was killed {found.kills} times at random instants, the server restarted "
        f"{found.restarts} times. Then both databases were compared.",
        ["", "measured"],
        [
            ["tasks on the server, third opinions among them", str(facts.tasks)],
            ["annotations on the server", str(facts.annotations)],
            ["lost, invented, different, doubled", _faults(found)],
            ["pushing, kills included", f"{found.push_s:.0f} s"],
            ["until all was answered and pulled", f"{found.whole_s:.0f} s"],
            ["calls of sync that came to an end", str(len(found.syncs_s))],
            ["one call, median and longest", f"{found.median_s:.1f} s, {found.longest_s:.1f} s"],
            ["memory of one call, at most", f"{found.peak_bytes / 2**20:.0f} MiB"],
            ["memory of the server, at most", f"{found.server_bytes / 2**20:.0f} MiB"],
        ],
    )


def _faults(found: Measured) -> str:
    facts = found.findings
    return f"{facts.lost}, {facts.invented}, {facts.different}, {facts.doubled}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
