"""The clips that benchmarks run on: a folder with `manifest.tsv`, ../shared/corpus unless the
variable AL_LOOP_CORPUS names another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from al_loop.audio import SAMPLE_RATE, decode, sample_hash
from al_loop.errors import ManifestError
from al_loop.records import Split, Utterance
from al_loop.sources.rows import Row, read_rows

ROOT = Path(__file__).parent.parent
CORPUS = Path(os.environ.get("AL_LOOP_CORPUS", ROOT.parent / "shared" / "corpus"))


def read_clips(
    language: str, splits: Collection[Split], count: int | None = None, folder: Path = CORPUS
) -> list[Utterance]:
    """The first `count` labelled clips of these splits, or all; `audio` is an absolute path.

    Rows that cannot be read are passed over. Raises ManifestError when there is no manifest.
    """
    manifest = folder / "manifest.tsv"
    if not manifest.is_file():
        raise ManifestError(f"{manifest}: no such file; name a corpus in AL_LOOP_CORPUS")
    rows = [
        (row.audio, row)
        for row in read_rows(str(manifest))
        if isinstance(row.audio, Path)  # a row that cannot be read has none
        and row.text
        and row.language == language
        and row.split in splits
    ]
    return [_utterance(path, row) for path, row in rows[:count]]


def _utterance(path: Path, row: Row) -> Utterance:
    samples = decode(path)
    return Utterance(
        id=hashlib.sha256(path.read_bytes()).hexdigest(),
        sample_hash=sample_hash(samples),
        audio=str(path.resolve()),
        duration_s=len(samples) / SAMPLE_RATE,
        source=f"corpus_{row.language}",
        language=row.language or "",
        split=row.split or "pool",
        text=row.text,
        speaker=row.speaker,
    )
