"""The part of `make bench-selection` that is measured, in a process of its own: one select stage.

    python -m benchmarks.selection_side FOLDER

FOLDER is a workspace whose round is open at `select`. Times, memory and what came of it go into
FOLDER/measured.json. Never loads torch, as a real select stage does not.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from al_loop.acquisition.selection import select
from al_loop.config import Settings
from al_loop.records import STAGES, Alternatives, Doubt
from benchmarks.memory import peak_bytes
from storage.store import Store
from storage.workspace import Workspace

MEASURED = "measured.json"


def main(folder: Path) -> None:
    settings = Settings()
    laps = {"start": time.perf_counter()}
    store = Store(Workspace.open(folder))
    current = store.open_round()
    assert current is not None
    encoder = settings.embedding.encoder
    pool = store.scored_pool(current.checkpoint_id, encoder)
    laps["read the pool"] = time.perf_counter()
    answers, known = store.answers(encoder), store.known_embeddings(encoder)
    released = store.released()
    laps["read answers and known embeddings"] = time.perf_counter()
    selection = select(
        pool,
        answers,
        known,
        released,
        settings.select,
        settings.gates,
        True,
        _no_second_opinion,
        settings.model.language,
        np.random.default_rng([current.seed, STAGES.index("select")]),
    )
    laps["gate, rank and choose"] = time.perf_counter()
    with store.finishing(current.number, "select", "push"):
        store.put_selection(current.number, selection)
    laps["write the selection"] = time.perf_counter()
    moments = list(laps.items())
    found = {
        "seconds": {name: moment - before for (_, before), (name, moment) in pairwise(moments)},
        "peak_bytes": peak_bytes(),
        "pool": len(pool.ids),
        "chosen": len(selection.choices),
        "gated": len(selection.gated),
        "acquisition": selection.facts["acquisition"],
    }
    (folder / MEASURED).write_text(json.dumps(found), encoding="utf-8")


def _no_second_opinion(utterance_ids: Sequence[str], doubt: Doubt) -> Mapping[str, Alternatives]:
    raise AssertionError("the default acquisition function needs no further decodes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
