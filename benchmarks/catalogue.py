"""`make bench-catalogue`: a million records into the database, and what is asked of it then.

Ingests two manifests of generated clips in a process of its own, by the command's own code but for
decoding; gives them the history of three rounds, which is not timed; and times `al-loop status` as
a command, and every question that the dashboard asks on opening. Prints one line a target and exits
with 1 when one is missed; writes its section of docs/benchmarks.md. The workspace lies in
.bench/catalogue, or where AL_LOOP_BENCH_DIR says, and is deleted in the end. `--utterances N` tries
it on another number and writes no report; `--keep` leaves the workspace.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_loop.errors import AlLoopError
from benchmarks.catalogue_history import add_history
from benchmarks.catalogue_manifests import FIRST_SHARE, write_manifests
from benchmarks.corpus import ROOT
from benchmarks.place import work_folder
from benchmarks.report import Target, announce, write_section
from storage.store import Store
from storage.workspace import CONFIG_NAME, Workspace

UTTERANCES = 1_000_000
TIMES = 5
"""So often `al-loop status` is called, and the dashboard opened; the median counts."""
SHOWN = 3
"""Queries that the report names: the slowest."""
ROWS_PER_S_TARGET, SECONDS_TARGET, BYTES_TARGET = 5000.0, 1.0, 1e9
MEMORY_TARGET = 1.2
"""The most memory in the end over that of the first tenth: what grows with the rows is in it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """bytes: of the database after ingest; with_history: with profiles and hypotheses of all.

    queries: seconds of each of the dashboard's, by name; page_s: of a whole opening.
    """

    rows: int
    ingest_s: float
    first_bytes: int
    peak_bytes: int
    bytes: int
    with_history: int
    status_s: float
    queries: Mapping[str, float]
    page_s: float

    @property
    def slowest(self) -> str:
        return max(self.queries, key=lambda name: self.queries[name])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.catalogue")
    parser.add_argument("--utterances", type=int, default=UTTERANCES, metavar="N")
    parser.add_argument("--keep", action="store_true", help="leave the workspace where it is")
    wanted = parser.parse_args(arguments)
    try:
        with work_folder("catalogue") as folder:
            shutil.rmtree(folder, ignore_errors=True)
            found = measure(folder, wanted.utterances)
            if not wanted.keep:
                shutil.rmtree(folder)
    except AlLoopError as exc:
        print(exc)
        return 2
    for name, seconds in found.queries.items():
        print(f"{name}: {1000 * seconds:.1f} ms", file=sys.stderr)
    print(f"the dashboard's page: {found.page_s:.2f} s", file=sys.stderr)
    if wanted.utterances == UTTERANCES:
        _write_section(found)
    return announce(targets(found))


def measure(folder: Path, count: int, times: int = TIMES) -> Measured:
    """Make the workspace at `folder`, which must not exist, and ask it everything."""
    folder.mkdir(parents=True)
    (folder / CONFIG_NAME).touch()
    workspace = Workspace.open(folder)
    write_manifests(folder, count)
    ingested = _side("ingest", folder)
    if ingested["added"] != count:
        raise RuntimeError(f"{ingested['added']} rows were added, expected {count}")
    size = _size(workspace)
    store = Store(workspace)
    add_history(store, count)
    store.close()
    status_s = [_status_s(folder) for _ in range(times)]
    page = _side("page", folder, str(times))
    return Measured(
        rows=count,
        ingest_s=ingested["seconds"],
        first_bytes=ingested["first_bytes"],
        peak_bytes=ingested["peak_bytes"],
        bytes=size,
        with_history=_size(workspace),
        status_s=statistics.median(status_s),
        queries={name: statistics.median(taken) for name, taken in page["seconds"].items()},
        page_s=statistics.median(page["page_s"]),
    )


def _side(part: str, folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.catalogue_side", part, str(folder), *arguments]
    subprocess.run(command, cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
    return found


def _status_s(folder: Path) -> float:
    """Wall time of the command, the interpreter's start included."""
    command = [sys.executable, "-m", "al_loop", "-w", str(folder), "status"]
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _size(workspace: Workspace) -> int:
    """Bytes of the database with its indexes; what the last writer left beside it counts too."""
    return sum(path.stat().st_size for path in workspace.root.glob(f"{workspace.database.name}*"))


def targets(found: Measured) -> list[Target]:
    speed, growth = found.rows / found.ingest_s, found.peak_bytes / found.first_bytes
    slowest_s = found.queries[found.slowest]
    return [
        Target(
            "catalogue_ingest",
            f"{speed:.0f} rows/s",
            f">= {ROWS_PER_S_TARGET:.0f} rows/s",
            speed >= ROWS_PER_S_TARGET,
        ),
        Target(
            "catalogue_status",
            f"{found.status_s:.2f} s",
            f"<= {SECONDS_TARGET:g} s",
            found.status_s <= SECONDS_TARGET,
        ),
        Target(
            "catalogue_dashboard",
            f"{slowest_s:.2f} s (slowest: {found.slowest})",
            f"<= {SECONDS_TARGET:g} s",
            slowest_s <= SECONDS_TARGET,
        ),
        Target(
            "catalogue_size",
            f"{found.bytes / 1e9:.2f} GB (records alone; {found.with_history / 1e9:.2f} GB with "
            "profiles and hypotheses)",
            f"<= {BYTES_TARGET / 1e9:g} GB",
            found.bytes <= BYTES_TARGET,
        ),
        Target(
            "catalogue_memory",
            f"{found.peak_bytes / 2**20:.0f} MiB, {growth:.2f} of that of the first tenth",
            f"<= {MEMORY_TARGET:g}",
            growth <= MEMORY_TARGET,
        ),
    ]


def _write_section(found: Measured) -> None:
    about = (
        f"By `make bench-catalogue`: {found.rows:,} generated records in two manifests of which "
        f"the first has {FIRST_SHARE:.0%}, ingested by the command's own code but for decoding "
        "and the writing of audio, reading of the manifests included, in a process of its own; "
        "then three recorded rounds and an open one, with a profile for every utterance and a "
        "hypothesis for every one that its profile does not keep from that. `al-loop status` is "
        f"the whole command, its interpreter's start included; median of {TIMES} calls. Queries "
        f"are those that the dashboard makes on opening, each the median of {TIMES} openings; the "
        "file cache held the database."
    )
    rows = [
        ["ingest", f"{found.ingest_s:.0f} s, {found.rows / found.ingest_s:.0f} rows/s"],
        [
            f"peak memory after {FIRST_SHARE:.0%} of the rows, after all",
            f"{found.first_bytes / 2**20:.0f} MiB, {found.peak_bytes / 2**20:.0f} MiB",
        ],
        ["database, records alone", f"{found.bytes / 1e9:.2f} GB"],
        ["database with profiles, hypotheses, rounds", f"{found.with_history / 1e9:.2f} GB"],
        ["`al-loop status`", f"{found.status_s:.2f} s"],
        ["the dashboard's page", f"{found.page_s:.2f} s"],
        *(
            [f"of that, `{name}`", f"{1000 * seconds:.1f} ms"]
            for name, seconds in sorted(found.queries.items(), key=lambda row: -row[1])[:SHOWN]
        ),
    ]
    write_section("Catalogue", about, ["what", "measured"], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
