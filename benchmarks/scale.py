"""`make bench-scale`: what a million utterances cost beside hearing them, and what Ray costs.

Makes a workspace whose pool of generated utterances is not scored, which is not timed; has its
profiles and hypotheses kept in the blocks in which they would come, and a query batch chosen, each
in a process of its own; hands blocks to workers that do nothing, by the local engine and by Ray;
and runs what `make bench-catalogue` measures for ingest and the dashboard. Prints one line a target
and exits with 1 when one is missed; writes its section of docs/benchmarks.md, whose figures
docs/scale.md reckons with. The workspaces lie in .bench/scale, or where AL_LOOP_BENCH_DIR says, and
are deleted in the end. `--utterances N` tries it on another number and writes no report.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import WhisperConfig

from al_loop.errors import AlLoopError
from benchmarks import catalogue
from benchmarks.corpus import ROOT
from benchmarks.place import work_folder
from benchmarks.report import Target, announce, write_section
from benchmarks.scale_side import BASE
from benchmarks.selection import DIMENSION, generate
from benchmarks.selection import measure as choose

UTTERANCES = 1_000_000
SECONDS_TARGET, BYTES_TARGET = 60.0, 2 * 2**30
OVERHEAD_TARGET_S = 0.5
"""Of Ray with one actor, over the local engine, for 1000 utterances. Ours: hearing 1000 clips of
6 s takes that long where a GPU hears 12,000 s of audio in a second."""
WHISPER_BASE = WhisperConfig(
    d_model=DIMENSION,
    encoder_layers=6,
    decoder_layers=6,
    encoder_attention_heads=8,
    decoder_attention_heads=8,
    encoder_ffn_dim=2048,
    decoder_ffn_dim=2048,
)
"""The sizes of whisper-base, which decide how many clips fit into a block."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the sides told. ingest_s, page_s, record_bytes: of as many utterances; the dashboard's
    opening takes one median."""

    utterances: int
    kept: dict[str, Any]
    chosen: dict[str, Any]
    engines: dict[str, Any]
    ingest_s: float
    page_s: float
    record_bytes: int

    @property
    def keeping_s(self) -> float:
        return float(sum(self.kept["seconds"].values()))

    @property
    def choosing_s(self) -> float:
        return float(sum(self.chosen["seconds"].values()))

    @property
    def peak_bytes(self) -> int:
        return max(int(self.kept["peak_bytes"]), int(self.chosen["peak_bytes"]))

    def handing_s(self, engine: str) -> float:
        """For 1000 utterances; the median."""
        taken = statistics.median(self.engines["seconds"][engine])
        return 1000 * taken / int(self.engines["utterances"])

    @property
    def overhead_s(self) -> float:
        return self.handing_s("ray, 1 actor") - self.handing_s("local")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.scale")
    parser.add_argument("--utterances", type=int, default=UTTERANCES, metavar="N")
    count = parser.parse_args(arguments).utterances
    try:
        with work_folder("scale", quick=count != UTTERANCES) as folder:
            shutil.rmtree(folder, ignore_errors=True)
            found = measure(folder, count)
            shutil.rmtree(folder)  # gigabytes
    except AlLoopError as exc:
        print(exc)
        return 2
    for row in rows_of(found):
        print(": ".join(row), file=sys.stderr)
    if count == UTTERANCES:
        _write_section(found)
    return announce(targets(found))


def measure(folder: Path, count: int, times: int = catalogue.TIMES) -> Measured:
    """Everything, of `count` utterances; `folder` must not exist.

    times: openings of the dashboard.
    """
    pool = folder / "pool"
    generate(pool, count, is_scored=False)
    WHISPER_BASE.save_pretrained(pool / BASE)
    kept = _side("keep", pool)
    chosen = choose(pool)
    engines = _side("engines", pool)
    shutil.rmtree(pool)
    asked = catalogue.measure(folder / "catalogue", count, times)
    return Measured(count, kept, chosen, engines, asked.ingest_s, asked.page_s, asked.bytes)


def _side(part: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale_side", part, str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
    return found


def targets(found: Measured) -> list[Target]:
    seconds = found.keeping_s + found.choosing_s
    by_ray, here = found.handing_s("ray, 1 actor"), found.handing_s("local")
    return [
        Target(
            "scale_time",
            f"{seconds:.1f} s (scores {found.keeping_s:.1f} s, selection {found.choosing_s:.1f} s)",
            f"<= {SECONDS_TARGET:g} s",
            seconds <= SECONDS_TARGET,
        ),
        Target(
            "scale_memory",
            f"{found.peak_bytes / 2**30:.2f} GiB",
            f"<= {BYTES_TARGET / 2**30:g} GiB",
            found.peak_bytes <= BYTES_TARGET,
        ),
        Target(
            "scale_ray",
            f"{found.overhead_s:.3f} s per 1000 utterances (ray {by_ray:.3f}, local {here:.3f})",
            f"<= {OVERHEAD_TARGET_S:g} s",
            found.overhead_s <= OVERHEAD_TARGET_S,
        ),
    ]


def rows_of(found: Measured) -> list[list[str]]:
    """The report's table: times for a million utterances, bytes for one."""
    kept, scale = found.kept, UTTERANCES / found.utterances
    size = kept["bytes"]
    return [
        ["ingest, s per million", f"{scale * found.ingest_s:.0f}"],
        *(
            [f"scores: {step}, s per million", f"{scale * taken:.1f}"]
            for step, taken in kept["seconds"].items()
        ),
        ["scores, s per million", f"{scale * found.keeping_s:.1f}"],
        *(
            [f"selection: {step}, s per million", f"{scale * taken:.1f}"]
            for step, taken in found.chosen["seconds"].items()
        ),
        ["selection, s per million", f"{scale * found.choosing_s:.1f}"],
        [f"the dashboard's opening with {found.utterances:,}, s", f"{found.page_s:.2f}"],
        ["peak memory of scores, GiB", f"{kept['peak_bytes'] / 2**30:.2f}"],
        ["peak memory of selection, GiB", f"{found.chosen['peak_bytes'] / 2**30:.2f}"],
        ["clips in a block, mean", f"{kept['pool'] / kept['blocks']:.1f}"],
        ["bytes of a record", f"{found.record_bytes / found.utterances:.0f}"],
        ["bytes of a profile's row", f"{size['profiles'] / kept['pool']:.0f}"],
        ["bytes of an embedding", f"{2 * DIMENSION}"],
        [
            "bytes of a hypothesis in a part",
            f"{size['parts'] / kept['in_parts']:.0f}" if kept["in_parts"] else "none moved",
        ],
        *(
            [f"{name}: s per 1000 utterances", f"{found.handing_s(name):.3f}"]
            for name in found.engines["seconds"]
        ),
        ["ray: start of a local cluster with an actor, s", f"{found.engines['start_s']:.1f}"],
    ]


def _write_section(found: Measured) -> None:
    kept, engines = found.kept, found.engines
    about = (
        f"By `make bench-scale`: a pool of {found.utterances:,} utterances with generated numbers; "
        f"{kept['hypotheses']:,} get a hypothesis and all a profile ({DIMENSION} float16), kept in"
        f" {kept['blocks']:,} blocks of the sizes that the loop makes with the default "
        "settings on this machine, each committed; hearing, and making the numbers, is not in it. "
        f"{kept['in_parts']:,} hypotheses ended in Parquet parts, "
        f"{kept['in_rows']:,} in rows. Then one select stage as in Selection. The engines: "
        f"{engines['utterances']:,} utterances in {engines['blocks']:,} blocks through a worker "
        "that answers at once, making the workers left out, the median of "
        f"{len(engines['seconds']['local'])} turns. Ingest and the dashboard's opening as in "
        "Catalogue. Each in a process of its own."
    )
    write_section("Scale", about, ["what", "measured"], rows_of(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
