"""Labelled clips, written for other programs: a table, a Hugging Face data set, or tasks.

Each writer fills a folder that the caller makes appear when it is whole. Audio is copied into it,
or stays in the workspace and is named. Knows neither databases nor how tasks are answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from al_loop.audio import SAMPLE_RATE
from al_loop.clips import Clips
from al_loop.errors import AudioError, WorkspaceError
from al_loop.records import Example

COLUMNS = ("path", "transcription", "language", "source", "quality")
"""Of the table: the first two are the seed's, and what `al-loop ingest` reads is the first three.
"""
SHARD_BYTES = 500 * 2**20
"""Of audio in one file, as `datasets` has it."""
BYTES_PER_S = 2 * SAMPLE_RATE
"""Of audio, at most: FLAC makes it less."""
ROWS_AT_ONCE = 100
"""In memory, and in one group of a file: what a reader loads to see one row."""

_BREAK = re.compile(r"[\t\r\n]+")


def place_audio(
    examples: Sequence[Example], clips: Clips, folder: Path, *, copied: bool
) -> dict[str, str]:
    """Where each example's audio is, by utterance id: in `folder`, once copied, or in the
    workspace, or in object storage where that is its place.

    Paths are relative to `folder`, or absolute. Raises WorkspaceError where a file is gone.
    """
    places = {}
    for example in examples:
        places[example.utterance_id] = example.audio if copied else _left(clips, example)
        if copied:
            target = folder / example.audio
            target.parent.mkdir(parents=True, exist_ok=True)
            with _read(clips, example):
                content = clips.read(example.audio)
            target.write_bytes(content)
    return places


def write_table(examples: Sequence[Example], places: Mapping[str, str], folder: Path) -> None:
    """manifest.tsv, as `al-loop ingest` and the seed's notebooks read it.

    A tab or a line break in a text becomes a space, for such tables know no quotation. Raises
    WorkspaceError where a path has one.
    """
    with (folder / "manifest.tsv").open("w", encoding="utf-8", newline="") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for row in examples:
            path = places[row.utterance_id]
            if _BREAK.search(path):
                raise WorkspaceError(f"{path!r} cannot stand in a table; copy the audio instead")
            text = _BREAK.sub(" ", row.text)
            file.write(f"{path}\t{text}\t{row.language}\t{row.source}\t{row.quality:g}\n")


def write_tasks(
    examples: Sequence[Example], to_task: Callable[[Example], Mapping[str, Any]], folder: Path
) -> None:
    """tasks.json: a list of what `to_task` makes of each example."""
    with (folder / "tasks.json").open("w", encoding="utf-8") as file:
        for index, row in enumerate(examples):
            file.write("[\n" if index == 0 else ",\n")
            json.dump(to_task(row), file, ensure_ascii=False)
        file.write("\n]\n")


def write_data_set(
    examples: Sequence[Example], clips: Clips, folder: Path, title: str, *, copied: bool
) -> None:
    """Parquet files that `datasets.load_dataset(folder)` loads, and a card that says what they are.

    copied: whether the audio's bytes are in them, or where it is.
    """
    import pyarrow as pa
    from datasets import Audio, Features, Value
    from pyarrow.parquet import ParquetWriter

    features = Features(
        {
            "audio": Audio(sampling_rate=SAMPLE_RATE),
            "text": Value("string"),
            "language": Value("string"),
            "source": Value("string"),
            "duration": Value("float64"),
            "quality": Value("float64"),
            "utterance": Value("string"),
        }
    )
    schema = features.arrow_schema
    sizes = [row.duration_s * BYTES_PER_S if copied else 0 for row in examples]
    shards = list(_shards(examples, sizes))
    (folder / "data").mkdir()
    for number, rows in enumerate(shards):
        name = f"train-{number:05}-of-{len(shards):05}.parquet"
        with ParquetWriter(folder / "data" / name, schema) as writer:
            for start in range(0, len(rows), ROWS_AT_ONCE):
                part = [_record(row, clips, copied) for row in rows[start : start + ROWS_AT_ONCE]]
                writer.write_table(pa.Table.from_pylist(part, schema))
    (folder / "README.md").write_text(_card(examples, title), encoding="utf-8")


def _record(row: Example, clips: Clips, copied: bool) -> dict[str, Any]:
    audio: dict[str, Any]
    if copied:
        with _read(clips, row):
            audio = {"bytes": clips.read(row.audio), "path": Path(row.audio).name}
    else:
        audio = {"bytes": None, "path": _left(clips, row)}
    return {
        "audio": audio,
        "text": row.text,
        "language": row.language,
        "source": row.source,
        "duration": row.duration_s,
        "quality": row.quality,
        "utterance": row.utterance_id,
    }


def _shards(examples: Sequence[Example], sizes: Sequence[float]) -> Iterator[list[Example]]:
    """The examples in parts of at most SHARD_BYTES, or one example; sizes: in bytes, about."""
    shard: list[Example] = []
    held = 0.0
    for row, size in zip(examples, sizes, strict=True):
        if shard and held + size > SHARD_BYTES:
            yield shard
            shard, held = [], 0.0
        shard.append(row)
        held += size
    yield shard


def _card(examples: Sequence[Example], title: str) -> str:
    languages = sorted({row.language for row in examples})
    minutes = sum(row.duration_s for row in examples) / 60
    listed = "\n".join(f"- {code}" for code in languages)
    return f"""---
language:
{listed}
task_categories:
- automatic-speech-recognition
---
# {title}

{len(examples)} clips, {minutes:.1f} minutes, exported by al_loop.

| column | |
|---|---|
| audio | 16 kHz mono FLAC |
| text | what is said, as it was labelled |
| language | as a Whisper code |
| source | where the clip comes from |
| duration | seconds |
| quality | (0, 1], how much the label counts in training |
| utterance | SHA-256 of the file that was ingested |

```python
from datasets import Audio, load_dataset

clips = load_dataset("path/to/this/folder", split="train")
clips = clips.cast_column("audio", Audio(decode=False))  # bytes, where torchcodec is missing
```
"""


def _left(clips: Clips, row: Example) -> str:
    """Where the clip is and stays. Raises WorkspaceError where that should be here, and is not."""
    address = clips.address(row.audio)
    if address is None:
        with _read(clips, row):
            clips.file(row.audio).stat()
    return address or str(clips.file(row.audio))


@contextmanager
def _read(clips: Clips, row: Example) -> Iterator[None]:
    try:
        yield
    except (OSError, AudioError) as exc:
        told = exc.strerror if isinstance(exc, OSError) else exc
        raise WorkspaceError(
            f"{clips.file(row.audio)} cannot be read ({told}); restore it from a backup, or ingest "
            "it anew"
        ) from exc
