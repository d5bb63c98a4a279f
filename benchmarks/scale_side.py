"""The parts of `make bench-scale` that are measured in processes of their own.

    python -m benchmarks.scale_side keep FOLDER
    python -m benchmarks.scale_side engines FOLDER

`keep`: FOLDER is a workspace of `benchmarks.selection` whose pool is not scored, and has a
checkpoint of whisper-base's sizes under `base`. Asks the store what is missing and gives it
profiles and hypotheses, as Listening does, in the recogniser's blocks. What a model would take is
not there, and making the numbers is not timed. `engines`: hands such blocks to a worker that does
nothing, by the local engine and by Ray. What was measured goes into FOLDER/keep.json and
FOLDER/engines.json.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.config import Settings
from al_loop.engine.local import LocalEngine
from al_loop.records import Hypothesis, Profile, Utterance
from al_loop.whisper.recognizer import WhisperRecognizer
from benchmarks.memory import peak_bytes
from benchmarks.scored import ANSWERED, CHECKPOINT, SEED, TRAINED, Row
from benchmarks.selection import DIMENSION, generated
from storage.hypotheses import HYPOTHESIS_STATISTICS
from storage.profiles import PROFILE_STATISTICS
from storage.store import Store
from storage.workspace import Workspace

BASE = "base"
NUMBERS = ("token_count", *HYPOTHESIS_STATISTICS)
SENTENCES = Path(__file__).parents[1] / "al_loop" / "demo" / "sentences_ky.txt"
HANDED_OUT = 20_000
"""Utterances that go through each engine, each time."""
TIMES = 5


def keep(folder: Path) -> dict[str, Any]:
    """seconds: of every step. bytes: of what was written, by what it is."""
    seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[step] += time.perf_counter() - start

    encoder = Settings().embedding.encoder
    workspace = Workspace.open(folder)
    store = Store(workspace)
    before = _size(workspace)
    with timed("which have no profile"):
        missing = store.unprofiled(encoder)
    count = len(missing)
    numbers = Numbers(folder / "numbers", count)
    recognizer = WhisperRecognizer(folder, Settings().model)
    for rows in recognizer.blocks(BASE, missing, recognizer.room()):
        profiles = numbers.profiles(rows)
        with timed("keep profiles"):
            store.add_profiles(encoder, profiles)
    with_profiles = _size(workspace)
    del missing, rows
    with timed("which are unheard"):
        pool = store.scored_pool(CHECKPOINT, encoder)
        unheard = store.utterances([name.decode() for name in pool.ids[~pool.heard]])
        heard = store.heard(CHECKPOINT, [row.id for row in unheard])
    if len(unheard) != count or heard:
        raise RuntimeError(f"{len(unheard)} unheard and {len(heard)} heard of {count} utterances")
    kept = blocks = 0
    for rows in recognizer.blocks(BASE, unheard, recognizer.room()):
        hypotheses = numbers.hypotheses(rows)
        with timed("keep hypotheses"):
            store.add_hypotheses(CHECKPOINT, hypotheses)
        kept += len(hypotheses)
        blocks += 1
    with timed("which are unheard"):
        pool = store.scored_pool(CHECKPOINT, encoder)
    if int(pool.heard.sum()) != kept:
        raise RuntimeError(f"{int(pool.heard.sum())} are heard, expected {kept}")
    numbers.delete()
    parts = sum(path.stat().st_size for path in workspace.hypotheses.glob("*"))
    in_parts = int(store.db.execute("SELECT total(hypotheses) FROM hypothesis_parts").fetchone()[0])
    in_rows = store.db.table("hypotheses").count
    store.close()
    return {
        "seconds": seconds,
        "peak_bytes": peak_bytes(),
        "pool": count,
        "blocks": blocks,
        "hypotheses": kept,
        "in_parts": in_parts,
        "in_rows": in_rows,
        "bytes": {
            "profiles": with_profiles - before,
            "embeddings": sum(path.stat().st_size for path in workspace.embeddings.iterdir()),
            "parts": parts,
        },
    }


class Numbers:
    """What a model would tell of the pool: made and laid aside before anything is timed, for blocks
    take them in another order."""

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        self.words = SENTENCES.read_text(encoding="utf-8").split()
        self.rng = np.random.default_rng(SEED)
        self.seen = np.full((count, len(PROFILE_STATISTICS)), np.nan, np.float32)
        self.said = np.full((count, len(NUMBERS)), np.nan, np.float32)
        with path.open("wb") as file:
            for place, row in enumerate(_pool(count)):
                self.seen[place] = [getattr(row.profile, name) for name in PROFILE_STATISTICS]
                if row.hypothesis is not None:
                    self.said[place] = [getattr(row.hypothesis, name) for name in NUMBERS]
                file.write(row.profile.embedding.astype(np.float32).tobytes())

    def profiles(self, rows: Sequence[Utterance]) -> list[Profile]:
        found = []
        with self.path.open("rb", buffering=0) as file:
            for row in rows:
                embedding = np.empty(DIMENSION, np.float32)
                place = _place(row)
                os.preadv(file.fileno(), [embedding], place * embedding.nbytes)
                seen = dict(zip(PROFILE_STATISTICS, self.seen[place].tolist(), strict=True))
                found.append(Profile(row.id, other_language="ru", embedding=embedding, **seen))
        return found

    def hypotheses(self, rows: Sequence[Utterance]) -> list[Hypothesis]:
        """Of those that would be decoded, with a text of real words."""
        found = []
        for row in rows:
            tokens, *statistics = self.said[_place(row)].tolist()
            if not math.isnan(tokens):
                words = self.rng.integers(len(self.words), size=int(tokens) // 3)
                text = " ".join(self.words[word] for word in words)
                found.append(Hypothesis(row.id, text, int(tokens), *statistics))
        return found

    def delete(self) -> None:
        self.path.unlink()


def _pool(count: int) -> Iterator[Row]:
    """The pool's rows, without those that were learned or asked about before."""
    every = (row for rows in generated(count) for row in rows)
    return islice(every, ANSWERED + TRAINED, None)


def _place(row: Utterance) -> int:
    return int(row.origin.removesuffix(".wav")) - ANSWERED - TRAINED


def _size(workspace: Workspace) -> int:
    return sum(path.stat().st_size for path in workspace.root.glob(f"{workspace.database.name}*"))


# -- engines -----------------------------------------------------------------------------------


class Nothing:
    """A worker that has the answer at once."""

    def __call__(self, block: Sequence[Utterance]) -> list[Hypothesis]:
        return [
            Hypothesis(row.id, "салам дос", 3, -0.5, 1.2, 2.5, 0.7, 0.8, 0.6, 0.01, 0.9)
            for row in block
        ]


def engines(folder: Path) -> dict[str, Any]:
    """seconds: of each engine by name, TIMES of them. start_s: until Ray's first result."""
    recognizer = WhisperRecognizer(folder, Settings().model)
    utterances = [row.utterance for row in islice(_pool(HANDED_OUT), HANDED_OUT)]
    count = len(utterances)
    blocks = recognizer.blocks(BASE, utterances, recognizer.room())
    from al_loop.engine.ray import RayEngine

    seconds: dict[str, list[float]] = {"local": [], "ray, 1 actor": [], "ray, 2 actors": []}
    with RayEngine(cpus_each=0.5) as one, RayEngine(actors=2, cpus_each=0.5) as two:
        start = time.perf_counter()
        list(one.map(Nothing, blocks[:1]))
        start_s = time.perf_counter() - start
        for _ in range(TIMES):  # by turns
            maps = (LocalEngine().map, one.map, two.map)
            for name, through in zip(seconds, maps, strict=True):
                seconds[name].append(_map_s(through, blocks))
    return {"seconds": seconds, "start_s": start_s, "utterances": count, "blocks": len(blocks)}


def _map_s(through: Callable[..., Iterator[list[Hypothesis]]], blocks: Sequence[Any]) -> float:
    """From the first result on: making a worker takes a model longer than any engine."""
    results = through(Nothing, blocks)
    done = len(next(results))
    start = time.perf_counter()
    done += sum(len(rows) for rows in results)
    taken = time.perf_counter() - start
    if done != sum(map(len, blocks)):
        raise RuntimeError(f"{done} results came of {sum(map(len, blocks))} utterances")
    return taken


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {"keep": keep, "engines": engines}

if __name__ == "__main__":
    part, place = sys.argv[1:]
    measured = PARTS[part](Path(place))
    Path(place, f"{part}.json").write_text(json.dumps(measured), encoding="utf-8")
