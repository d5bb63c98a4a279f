"""How much memory a process has used, for benchmarks that run each side in one of its own."""

from __future__ import annotations

from pathlib import Path


def peak_bytes() -> int:
    """The most memory that this process has held at once.

    From Linux's /proc: `ru_maxrss` would start at what the parent held when it started this one.
    Pages of a mapped file count once they were touched.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
