"""`make bench-dashboard`: how long an ML lead waits for the dashboard of a large workspace.

Makes the workspace of `benchmarks.dashboard_workspace` at full size, serves it with `al-loop ui`,
and opens every view in Chromium, several times, each time with a browser that has seen nothing yet.
The server is warm: each view was opened once before. Prints one line a target and exits with 1 when
one is missed; writes its section of docs/benchmarks.md. The workspace lies in .bench/dashboard, or
where AL_LOOP_BENCH_DIR says, and is deleted in the end. `--workspace FOLDER` measures another one
and writes no report; `--keep` leaves what was made.

Times are the page's own: from the navigation to the first frame that shows the key figures, or the
whole view with every chart drawn. A browser's start is not in them.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from al_loop.errors import AlLoopError
from benchmarks.dashboard_browser import DRAWN, chromium, served, until, wait_until_drawn
from benchmarks.dashboard_clips import Size
from benchmarks.dashboard_workspace import make_workspace
from benchmarks.place import work_folder
from benchmarks.report import Target, announce, write_section

TIMES = 5
PAINT_TARGET_S, PAGE_TARGET_S = 2.0, 3.0
SETTLED_S = 1.0
"""That a browser is left alone after its start."""
WATCH = f"""
(() => {{
  const times = window.alLoopTimes = {{}};
  const drawn = () => {{ {DRAWN} }};
  const figure = () => [...document.querySelectorAll('[data-testid=stMetricValue]')]
    .some(row => row.textContent.trim() && row.getBoundingClientRect().height);
  const look = () => {{
    const now = performance.now();
    if (!times.figures && figure()) times.figures = now;
    if (!times.whole && drawn()) times.whole = now;
    if (!times.whole || !times.figures) requestAnimationFrame(look);
  }};
  document.addEventListener('DOMContentLoaded', () => requestAnimationFrame(look));
}})();
"""
"""Notes when the key figures were there, and when all was, in ms since the navigation began."""


@dataclass(frozen=True, slots=True)
class Measured:
    """paint_s: of the overview's key figures. page_s: of each whole view, by its name.

    Medians; longest_s: of all that is behind page_s.
    """

    paint_s: float
    page_s: Mapping[str, float]
    longest_s: float

    @property
    def slowest(self) -> str:
        return max(self.page_s, key=lambda name: self.page_s[name])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.dashboard")
    parser.add_argument("--workspace", type=Path, metavar="FOLDER", help="measure this one")
    parser.add_argument("--keep", action="store_true", help="leave the workspace where it is")
    parser.add_argument("--times", type=int, default=TIMES, metavar="N")
    wanted = parser.parse_args(arguments)
    try:
        if wanted.workspace:
            found = measure(wanted.workspace, wanted.times)
        else:
            with work_folder("dashboard") as folder:
                shutil.rmtree(folder, ignore_errors=True)
                now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
                make_workspace(folder, Size(), now)
                found = measure(folder, wanted.times)
                if not wanted.keep:
                    shutil.rmtree(folder)
    except AlLoopError as exc:
        print(exc)
        return 2
    for name, seconds in found.page_s.items():
        print(f"{name}: {seconds:.2f} s", file=sys.stderr)
    if not wanted.workspace:
        _write_section(found)
    return announce(targets(found))


def measure(folder: Path, times: int = TIMES) -> Measured:
    """Serve the workspace in `folder`, and open every view `times` times."""
    from ui.dashboard import VIEWS

    paint_s: list[float] = []
    page_s: dict[str, list[float]] = {name: [] for name in VIEWS}
    with served(folder) as url:
        with chromium() as chrome:
            for name in VIEWS:  # the first opening imports and asks what later ones find
                chrome.get(_address(url, name))
                wait_until_drawn(chrome)
        for _ in range(times):
            for name, taken in page_s.items():
                found = _open(_address(url, name), figures=name == "overview")
                taken.append(found["whole"] / 1000)
                if name == "overview":
                    paint_s.append(found["figures"] / 1000)
    return Measured(
        statistics.median(paint_s),
        {name: statistics.median(taken) for name, taken in page_s.items()},
        max(map(max, page_s.values())),
    )


def _address(url: str, view: str) -> str:
    return f"{url}/{'' if view == 'overview' else view}"


def _open(url: str, figures: bool) -> Mapping[str, float]:
    """What a new browser noted of one opening, in ms."""
    with chromium(WATCH) as chrome:
        time.sleep(SETTLED_S)
        chrome.get(url)

        def noted() -> Mapping[str, float] | None:
            found: dict[str, float] = chrome.execute_script("return window.alLoopTimes")
            return found if "whole" in found and ("figures" in found or not figures) else None

        return until(noted, f"{url} to be drawn")


def targets(found: Measured) -> list[Target]:
    slowest_s = found.page_s[found.slowest]
    return [
        Target(
            "dashboard_first_paint",
            f"{found.paint_s:.2f} s (overview, key figures)",
            f"<= {PAINT_TARGET_S:g} s",
            found.paint_s <= PAINT_TARGET_S,
        ),
        Target(
            "dashboard_page",
            f"{slowest_s:.2f} s (slowest: {found.slowest})",
            f"<= {PAGE_TARGET_S:g} s",
            slowest_s <= PAGE_TARGET_S,
        ),
    ]


def _write_section(found: Measured) -> None:
    size = Size()
    about = (
        f"By `make bench-dashboard`: a generated workspace of {size.utterances:,} utterances, "
        f"{size.rounds} recorded rounds and an open one, {size.labels:,} labels. `al-loop ui` "
        "serves it, each view was opened once before; then each is opened in headless Chromium "
        f"without a GPU, {TIMES} times, with a new browser and empty caches each time. From the "
        "navigation to the first frame with the key figures, or with the whole view and every "
        "chart drawn; medians."
    )
    rows = [
        ["overview, key figures", f"{found.paint_s:.2f} s"],
        *([f"{name}, whole", f"{seconds:.2f} s"] for name, seconds in found.page_s.items()),
        ["the longest of all openings", f"{found.longest_s:.2f} s"],
    ]
    write_section("Dashboard", about, ["what", "measured"], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
