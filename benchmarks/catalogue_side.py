"""The parts of `make bench-catalogue` that are measured in processes of their own.

    python -m benchmarks.catalogue_side ingest FOLDER
    python -m benchmarks.catalogue_side page FOLDER TIMES

FOLDER is a workspace with the manifests of `benchmarks.catalogue_manifests`. `ingest` takes them in
with the code that `al-loop ingest` runs, but for decoding; `page` opens the dashboard so often, and
once before. What was measured goes into FOLDER/ingest.json and FOLDER/page.json.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from inspect import getmembers, isfunction
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_bytes

TIMEOUT_S = 120


def ingest(folder: Path) -> dict[str, Any]:
    """seconds: of both manifests. first_bytes: the most memory until the first one was in."""
    from al_loop.sources.ingest import ingest as take_in
    from al_loop.sources.rows import read_rows
    from benchmarks.catalogue_manifests import INTAKES, hear
    from storage.store import Store
    from storage.workspace import Workspace

    store = Store(Workspace.open(folder))
    peaks, added = [], 0
    start = time.perf_counter()
    for name, intake in INTAKES.items():
        rows = read_rows(str(folder / name))
        added += take_in(rows, intake, store, folder, lambda: None, hear).added
        peaks.append(peak_bytes())
    seconds = time.perf_counter() - start
    store.close()
    return {
        "seconds": seconds,
        "added": added,
        "first_bytes": peaks[0],
        "peak_bytes": peaks[-1],
    }


def page(folder: Path, times: str) -> dict[str, Any]:
    """seconds: of every query, by name, one number an opening. page_s: of the whole opening.

    The first opening imports what the page needs, and is left out.
    """
    import storage.queries
    import ui

    os.environ["AL_LOOP_WORKSPACE"] = str(folder)
    taken: dict[str, list[float]] = defaultdict(list)
    storage.queries.Reader = _timed(storage.queries.Reader, taken)  # type: ignore[misc]
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    dashboard = Path(ui.__file__).with_name("dashboard.py")
    openings: list[dict[str, float]] = []
    page_s = []
    for _ in range(int(times) + 1):
        for each in taken.values():
            each.clear()
        st.cache_data.clear()  # as after every write of the loop
        start = time.perf_counter()
        found = AppTest.from_file(dashboard, default_timeout=TIMEOUT_S).run()
        page_s.append(time.perf_counter() - start)
        if found.exception:
            raise RuntimeError(found.exception[0].message)
        openings.append({name: max(each) for name, each in taken.items() if each})
    names = openings[-1]
    return {
        "seconds": {name: [row[name] for row in openings[1:]] for name in names},
        "page_s": page_s[1:],
    }


def _timed(reader: type, taken: dict[str, list[float]]) -> type:
    """A Reader that notes how long each of its questions took, by the method's name."""
    questions = {
        name: _clocked(method, taken[name])
        for name, method in getmembers(reader, isfunction)
        if not name.startswith("_") and name != "close"
    }
    return type(reader.__name__, (reader,), questions)


def _clocked(question: Callable[..., Any], taken: list[float]) -> Callable[..., Any]:
    @wraps(question)
    def ask(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return question(*arguments, **named)
        finally:
            taken.append(time.perf_counter() - start)

    return ask


PARTS: dict[str, Callable[..., dict[str, Any]]] = {"ingest": ingest, "page": page}

if __name__ == "__main__":
    part, place, *arguments = sys.argv[1:]
    measured = PARTS[part](Path(place), *arguments)
    Path(place, f"{part}.json").write_text(json.dumps(measured), encoding="utf-8")
