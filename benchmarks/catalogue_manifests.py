"""What `make bench-catalogue` ingests: manifests of clips that nobody has recorded.

A path holds the id and the length that hearing would find, so `hear` opens no file. Knows nothing
of what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from al_loop.records import Utterance
from al_loop.sources.ingest import Clip, Intake
from benchmarks.scored import BLOCK, SEED, SPEAKERS, Row, scored

FIRST, SECOND = "radio", "calls"
INTAKES = {
    "radio.tsv": Intake(FIRST, "open_source", "ky", "pool", frozenset({"ky", "ru"})),
    "calls.tsv": Intake(SECOND, "in_house", "ky", "pool", frozenset({"ky", "ru"})),
}
"""By manifest. Rows state their language, so there are four sources."""
FIRST_SHARE, TRAINED_SHARE = 0.1, 0.05
"""Of all utterances: those of the first manifest, and those of the train split."""
RUSSIAN, TESTED = 10, 19
"""Every tenth utterance is in Russian; of the train split every nineteenth is a test instead."""
DIMENSION = 8
"""Of the embeddings: they lie outside the database, and nothing here reads them."""


def hear(audio: Path | bytes, may_be_silent: bool) -> Clip:
    """In the place of decoding: what the path of a generated clip says of it."""
    assert isinstance(audio, Path)
    id_, _, milliseconds = audio.stem.partition("-")
    return Clip(id_, id_[::-1], int(milliseconds) / 1000, _keep_nothing)


def _keep_nothing(path: Path) -> None:
    pass


def write_manifests(folder: Path, count: int) -> None:
    """`count` rows in the files that INTAKES names, as `al-loop ingest` takes them."""
    numbers = iter(range(count))
    with ExitStack() as files:
        first, second = (
            files.enter_context((folder / name).open("w", encoding="utf-8")) for name in INTAKES
        )
        for file in (first, second):
            file.write("path\ttranscription\tlanguage\tsplit\tspeaker\n")
        for rows in blocks(count):
            for row, number in zip(rows, numbers, strict=False):
                file = first if number < FIRST_SHARE * count else second
                file.write(f"{_manifest_row(row.utterance, number)}\n")


def _manifest_row(utterance: Utterance, number: int) -> str:
    learned = utterance.split == "train"
    columns = (
        f"clips/{utterance.id}-{round(1000 * utterance.duration_s)}.wav",
        utterance.text or "",
        "ru" if number % RUSSIAN == 0 else "ky",
        "test" if learned and number % TESTED == 0 else utterance.split,
        utterance.speaker or "",
    )
    return "\t".join(columns)


def blocks(count: int) -> Iterator[Sequence[Row]]:
    rng = np.random.default_rng(SEED)
    voices = rng.standard_normal((SPEAKERS, DIMENSION), dtype=np.float32)
    trained = int(TRAINED_SHARE * count)
    for start in range(0, count, BLOCK):
        yield list(scored(start, min(start + BLOCK, count), voices, rng, trained))
