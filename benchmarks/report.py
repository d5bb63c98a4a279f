"""What a benchmark tells: one line a target, and one section of docs/benchmarks.md.

Knows no benchmark; every one writes its own section and leaves the others as they are.
"""

from __future__ import annotations

import os
import platform
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from al_loop.metrics import Interval
from al_loop.whisper.recognizer import versions
from benchmarks.corpus import ROOT

REPORT = ROOT / "docs" / "benchmarks.md"
TITLE = "# Benchmarks"
INTRODUCTION = (
    "Each section is written by the `make` target that it names; both sides of a comparison ran in "
    "the same run, on the machine and with the versions that it states."
)
LINE_LENGTH = 100
RIVALS = ("ctranslate2", "faster-whisper", "datasets")
"""Libraries that a comparison may use, beside those that every checkpoint names."""
INSTRUCTIONS = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""Those that decide how fast a CPU multiplies matrices."""


@dataclass(frozen=True, slots=True)
class Target:
    """What was `measured`, what was `wanted`, both as text, and whether that is enough."""

    name: str
    measured: str
    wanted: str
    passed: bool


def announce(targets: Sequence[Target]) -> int:
    """Print one line a target; the exit status, 1 when one is missed."""
    for row in targets:
        print(f"{'PASS' if row.passed else 'FAIL'} {row.name} {row.measured} {row.wanted}")
    return 0 if all(row.passed for row in targets) else 1


def write_section(
    heading: str,
    about: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    report: Path = REPORT,
) -> None:
    """Put the section `heading` into `report`: in its old place, or last when it is new.

    about: one paragraph, what was run and how. Environment and table follow it; no rows, no table.
    """
    body = [textwrap.fill(about, LINE_LENGTH), textwrap.fill(_environment(), LINE_LENGTH)]
    if rows:
        body.append(_table(columns, rows))
    sections = _sections(report) | {heading: "\n\n".join(body)}
    text = [TITLE, textwrap.fill(INTRODUCTION, LINE_LENGTH)]
    text += [f"## {name}\n\n{content}" for name, content in sections.items()]
    report.write_text("\n\n".join(text) + "\n", encoding="utf-8")


def percent(rate: Interval) -> str:
    """In percent, or points of it: the estimate and its 95% interval."""
    return f"{100 * rate.value:.1f} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


def _sections(report: Path) -> dict[str, str]:
    """What `report` holds: each section's text by its heading, in the file's order."""
    if not report.is_file():
        return {}
    parts = re.split(r"^## (.+)$", report.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _environment() -> str:
    """Hardware and versions in one sentence."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    able = torch.cpu.get_capabilities()
    fast = [name for name in INSTRUCTIONS if able.get(name)]
    known = ", ".join([*_processor(), platform.machine(), *fast])
    machine = f"{os.cpu_count()} CPU cores ({known}), {device}"
    numbers = versions() | {name: version(name) for name in RIVALS}
    return f"{machine}; " + ", ".join(f"{name} {number}" for name, number in numbers.items())


def _processor() -> list[str]:
    """The processor's name, where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return list(named)[:1]
