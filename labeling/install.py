"""Label Studio's own virtual environment in the user's cache, one for all workspaces.

Its 150 packages, pinned in label-studio-constraints.txt, would not get along with ours. A marker,
written last, tells a finished environment from one whose installation was interrupted. Knows
nothing of running the server.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from al_loop.errors import AlLoopError

VERSION = "1.23.2"

CHECK = f"from importlib.metadata import version; assert version('label-studio') == '{VERSION}'"
"""Asks for the record only: the program's own --version would migrate a database first."""


def ensure_label_studio(cache: Path, progress: Callable[[str], None]) -> Path:
    """The `label-studio` program below `cache`, installed by the first caller (minutes, 1 GB).

    Others wait for that one. Raises AlLoopError when it cannot be installed.
    """
    venv = cache / f"label-studio-{VERSION}"
    program, marker = venv / "bin" / "label-studio", venv / ".complete"
    cache.mkdir(parents=True, exist_ok=True)
    with open(f"{venv}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another installation of Label Studio to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            if not _is_complete(venv):
                progress(f"installing Label Studio {VERSION} into {venv}: once, minutes, 1 GB")
                _install(venv, lock.fileno())
            marker.touch()
    return program


def _is_complete(venv: Path) -> bool:
    """pip records a package after those it needs, so the last record speaks for all of them."""
    python = venv / "bin" / "python"
    if not python.exists():
        return False
    checks = (["-c", CHECK], ["-m", "pip", "check"])
    return all(
        subprocess.run([str(python), *check], capture_output=True, check=False).returncode == 0
        for check in checks
    )


def _install(venv: Path, lock: int) -> None:
    """`lock` is inherited by what we run: were we killed, the next caller waits for pip's end."""
    log = Path(f"{venv}.log")
    shutil.rmtree(venv, ignore_errors=True)
    _run(
        [sys.executable, "-m", "venv", str(venv)],
        lock,
        log,
        advice="On Debian and Ubuntu, install the package python3-venv.",
    )
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    with as_file(files("labeling").joinpath("label-studio-constraints.txt")) as constraints:
        _run(
            [*pip, "install", "--constraint", str(constraints), f"label-studio=={VERSION}"],
            lock,
            log,
            advice="Check the network, pip's index and the free space, then call this again.",
        )


def _run(command: list[str], lock: int, log: Path, *, advice: str) -> None:
    with log.open("wb") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, pass_fds=[lock], check=False
        )
    if done.returncode != 0:
        raise AlLoopError(
            f"cannot install Label Studio {VERSION}: python {' '.join(command[1:3])} ended with "
            f"{done.returncode}. {advice} The end of {log}:\n{tail(log)}"
        )


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-lines:])
