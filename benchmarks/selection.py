"""`make bench-selection`: choosing a query batch from a pool of a million scored utterances.

Makes a workspace with generated statistics and embeddings, which is not timed, and measures one
select stage in a fresh process: reading, gates, ranking, choosing, writing. Prints one line a
target and exits with 1 when one is missed; writes its section of docs/benchmarks.md.
`--utterances N` tries it on another number and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.config import Settings
from al_loop.records import (
    Annotation,
    Checkpoint,
    Choice,
    Hypothesis,
    Label,
    Profile,
    Selection,
    Source,
    Utterance,
)
from benchmarks.report import ROOT, Target, announce, write_section
from benchmarks.selection_side import MEASURED
from storage.store import Store
from storage.workspace import CONFIG_NAME, Workspace

UTTERANCES = 1_000_000
DIMENSION = 512
"""Of whisper-base's embeddings."""
SPEAKERS, SOURCES = 2000, 5
TRAINED, ANSWERED, ROUNDS = 5000, 900, 3
"""Utterances of the train split, and of the query batches of so many earlier rounds."""
LOOPS = 3.0
"""Only looping junk has a compression ratio above this."""
BLOCK = 20_000
SEED = 0
SECONDS_TARGET, BYTES_TARGET = 60.0, 2 * 2**30


@dataclass(frozen=True, slots=True)
class Row:
    """One generated utterance. hypothesis: None where its profile alone keeps it from decoding."""

    utterance: Utterance
    profile: Profile
    hypothesis: Hypothesis | None
    wrong_words: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.selection")
    parser.add_argument("--utterances", type=int, default=UTTERANCES, metavar="N")
    count = parser.parse_args(arguments).utterances
    folder = ROOT / "build" / "benchmark" / "selection"
    shutil.rmtree(folder, ignore_errors=True)
    generate(folder, count)
    found = measure(folder)
    shutil.rmtree(folder)  # gigabytes
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


def generate(folder: Path, count: int) -> None:
    """A workspace with `count` scored utterances in its pool, and a round open at `select`."""
    folder.mkdir(parents=True)
    (folder / CONFIG_NAME).write_text("", encoding="utf-8")
    settings = Settings()
    encoder, language = settings.embedding.encoder, settings.model.language
    rng = np.random.default_rng(SEED)
    voices = rng.standard_normal((SPEAKERS, DIMENSION), dtype=np.float32)
    total = ANSWERED + TRAINED + count
    store = Store(Workspace.open(folder))
    store.db.execute("PRAGMA cache_size = -2000000")
    with store.transaction():  # one, or nearly every page would be written with every block
        _open_rounds(store, language)
        for start in range(0, total, BLOCK):
            rows = list(_rows(start, min(start + BLOCK, total), voices, rng))
            store.add([row.utterance for row in rows], [])
            store.add_profiles(encoder, [row.profile for row in rows])
            store.add_hypotheses("trained", [row.hypothesis for row in rows if row.hypothesis])
            if start == 0:
                _ask(store, rows[:ANSWERED])
    store.close()


def _open_rounds(store: Store, language: str) -> None:
    """The earlier rounds, recorded, and the one that is to select."""
    for number in range(SOURCES):
        store.put_source(Source(f"source {number}", "in_house", language))
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    store.put_checkpoint(Checkpoint("trained", "checkpoints/trained", "base", {}))
    for number in range(1, ROUNDS + 1):
        store.start_round(number, SEED, "score", "trained")
        with store.finishing(number, "record", None):
            pass
    store.start_round(ROUNDS + 1, SEED, "select", "trained")


def _rows(start: int, end: int, voices: np.ndarray, rng: np.random.Generator) -> Iterator[Row]:
    """Utterances `start` to `end`: a fifth is junk of one kind or another.

    What the statistics share is how difficult the clip is, and half of it is noise.
    """
    count = end - start
    difficulty = rng.beta(2, 5, count)
    seen = 0.5 * difficulty[:, None] + 0.5 * rng.beta(2, 5, (count, 8))
    kind = rng.choice(5, count, p=[0.8, 0.05, 0.05, 0.05, 0.05])  # sound, or four kinds of junk
    quiet, silent, foreign, looping = (kind == place for place in range(1, 5))
    loudness = np.where(quiet, -55.0, rng.normal(-25, 5, count))
    speech = np.where(silent, 0.02, rng.uniform(0.5, 1.0, count))
    other = np.where(foreign, 0.97, 0.5 * rng.random(count))
    compression = np.where(looping, 4.0, rng.normal(1.2, 0.2, count))
    duration = rng.gamma(4, 1.5, count).clip(1, 30)
    words = np.maximum(1, (1.8 * duration).astype(int))
    wrong = rng.binomial(words, difficulty)
    speaker = rng.integers(SPEAKERS, size=count)
    source = rng.integers(SOURCES, size=count)
    named = rng.random(count) < 0.8
    embeddings = voices[speaker] + rng.standard_normal((count, DIMENSION), dtype=np.float32)
    again = 1 + np.flatnonzero(rng.random(count - 1) < 0.01)
    embeddings[again] = embeddings[again - 1]
    for place in range(count):
        number = start + place
        id_ = hashlib.sha256(str(number).encode()).hexdigest()
        trained = ANSWERED <= number < ANSWERED + TRAINED
        text = " ".join(["сөз"] * int(words[place]))
        utterance = Utterance(
            id_,
            id_[::-1],
            f"audio/{id_[:2]}/{id_}.flac",
            float(duration[place]),
            f"source {source[place]}",
            "ky",
            "train" if trained else "pool",
            text if trained else None,
            f"speaker {speaker[place]}" if named[place] else None,
            f"{number}.wav",
        )
        profile = Profile(
            id_,
            float(loudness[place]),
            0.0,
            float(speech[place]),
            "ru",
            float(other[place]),
            embeddings[place],
        )
        entropy, top, tsallis, renyi, margin, doubt, silence, _ = seen[place].tolist()
        decoded = kind[place] in {0, 4}
        hypothesis = Hypothesis(
            id_,
            text,
            3 * int(words[place]),
            -2 * doubt,
            3 * entropy,
            5 * top,
            4 * tsallis,
            6 * renyi,
            1 - margin,
            0.3 * silence,
            float(compression[place]),
        )
        yield Row(utterance, profile, hypothesis if decoded else None, int(wrong[place]))


def _ask(store: Store, rows: Sequence[Row]) -> None:
    """Make the rows the batches of the earlier rounds: a tenth drawn at random, all answered."""
    time = "2026-01-01T00:00:00.000000Z"
    annotations, labels = [], []
    for number in range(ROUNDS):
        batch = rows[number::ROUNDS]
        choices = [
            Choice(row.utterance.id, rank, 1.0, "control" if rank % 10 == 0 else "acquired")
            for rank, row in enumerate(batch)
        ]
        store.put_selection(number + 1, Selection(choices, [], {}))
    for row in rows:
        id_ = row.utterance.id
        text = verdict = None
        if row.hypothesis is None or row.hypothesis.compression_ratio > LOOPS:
            verdict = "bad_audio"
        else:
            heard = row.hypothesis.text.split()
            text = " ".join(["башка"] * row.wrong_words + heard[row.wrong_words :])
        seconds = 5 + 2 * row.utterance.duration_s + 3 * row.wrong_words
        annotations.append(
            Annotation("1", "1", id_, "annotator-1", text, verdict, seconds, time, time)
        )
        labels.append(Label(id_, text, verdict, ["1"]))
    store.take_annotations(annotations, [], None)
    store.put_labels(labels)


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
