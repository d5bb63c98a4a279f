"""`make bench-selection`: choosing a query batch from a pool of a million scored utterances.

Makes a workspace with generated statistics and embeddings, which is not timed, and measures one
select stage in a fresh process: reading, gates, ranking, choosing, writing. Prints one line a
target and exits with 1 when one is missed; writes its section of docs/benchmarks.md.
The workspace lies in .bench/selection, or where AL_LOOP_BENCH_DIR
says, and is deleted in the end. `--utterances N` tries it on another number and writes no report.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.config import Settings
from al_loop.errors import AlLoopError
from benchmarks.corpus import ROOT
from benchmarks.place import work_folder
from benchmarks.report import Target, announce, write_section
from benchmarks.scored import (
    ANSWERED,
    BLOCK,
    CHECKPOINT,
    SEED,
    SPEAKERS,
    TRAINED,
    Row,
    ask,
    open_rounds,
    scored,
)
from benchmarks.selection_side import MEASURED
from storage.store import Store
from storage.workspace import CONFIG_NAME, Workspace

UTTERANCES = 1_000_000
DIMENSION = 512
"""Of whisper-base's embeddings."""
SECONDS_TARGET, BYTES_TARGET = 60.0, 2 * 2**30


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.selection")
    parser.add_argument("--utterances", type=int, default=UTTERANCES, metavar="N")
    count = parser.parse_args(arguments).utterances
    try:
        with work_folder("selection") as folder:
            shutil.rmtree(folder, ignore_errors=True)
            generate(folder, count)
            found = measure(folder)
            shutil.rmtree(folder)  # gigabytes
    except AlLoopError as exc:
        print(exc)
        return 2
    for name, seconds in found["seconds"].items():
        print(f"{name}: {seconds:.1f} s", file=sys.stderr)
    print(
        f"{found['chosen']} chosen by {found['acquisition']}, {found['gated']} held back",
        file=sys.stderr,
    )
    if count == UTTERANCES:
        _write_section(found)
    return announce(targets(found))


def measure(folder: Path) -> dict[str, Any]:
    """What one select stage took in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.selection_side", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    measured: dict[str, Any] = json.loads((folder / MEASURED).read_text(encoding="utf-8"))
    return measured


def targets(found: dict[str, Any]) -> list[Target]:
    seconds, used = sum(found["seconds"].values()), found["peak_bytes"]
    return [
        Target(
            "selection_time",
            f"{seconds:.1f} s",
            f"<= {SECONDS_TARGET:g} s",
            seconds <= SECONDS_TARGET,
        ),
        Target(
            "selection_memory",
            f"{used / 2**30:.2f} GiB",
            f"<= {BYTES_TARGET / 2**30:g} GiB",
            used <= BYTES_TARGET,
        ),
    ]


# -- the workspace -----------------------------------------------------------------------------


def generated(count: int) -> Iterator[list[Row]]:
    """A pool of `count` utterances, with those that were learned or asked about before them.

    In blocks, and the same every time.
    """
    rng = np.random.default_rng(SEED)
    voices = rng.standard_normal((SPEAKERS, DIMENSION), dtype=np.float32)
    total = ANSWERED + TRAINED + count
    for start in range(0, total, BLOCK):
        yield list(scored(start, min(start + BLOCK, total), voices, rng))


def generate(folder: Path, count: int, is_scored: bool = True) -> None:
    """A workspace with `count` utterances in its pool, and a round open at `select`.

    is_scored: whether they have profiles and hypotheses, as all else has.
    """
    folder.mkdir(parents=True)
    (folder / CONFIG_NAME).write_text("", encoding="utf-8")
    settings = Settings()
    encoder, language = settings.embedding.encoder, settings.model.language
    store = Store(Workspace.open(folder))
    store.db.execute("PRAGMA cache_size = -2000000")
    with store.transaction():  # one, or nearly every page would be written with every block
        open_rounds(store, language)
        for number, rows in enumerate(generated(count)):
            store.add([row.utterance for row in rows], [])
            known = rows if is_scored else rows[: ANSWERED + TRAINED] if number == 0 else []
            store.add_profiles(encoder, [row.profile for row in known])
            store.add_hypotheses(CHECKPOINT, [row.hypothesis for row in known if row.hypothesis])
            if number == 0:
                ask(store, rows[:ANSWERED])
    store.close()


def _write_section(found: dict[str, Any]) -> None:
    about = (
        f"By `make bench-selection`: one select stage with the default settings over a pool of "
        f"{found['pool']:,} utterances with generated statistics and embeddings ({DIMENSION} "
        f"float16), {TRAINED} utterances to train on and {ANSWERED} answers; {found['chosen']} "
        f"chosen by {found['acquisition']}, {found['gated']:,} held back by the gates. In a "
        "process of its own; database and embeddings lay in the file cache. Peak memory "
        f"{found['peak_bytes'] / 2**30:.2f} GiB, pages of the mapped embeddings included."
    )
    rows = [[name, f"{seconds:.1f}"] for name, seconds in found["seconds"].items()]
    rows.append(["all", f"{sum(found['seconds'].values()):.1f}"])
    write_section("Selection", about, ["step", "s"], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
