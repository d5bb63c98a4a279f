"""Files of hypotheses: what a checkpoint heard in many utterances, as columns of a Parquet file.

Knows the files, and neither the database that names them nor which utterances lie in which. A file
is sorted by utterance and is written once, under a temporary name, so that under its own name it is
whole. Loads pyarrow only where there is a file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.errors import WorkspaceError
from storage.workspace import UNFINISHED

HYPOTHESIS_STATISTICS = (
    "mean_log_prob",
    "mean_token_entropy",
    "top_token_entropy",
    "tsallis_entropy",
    "renyi_entropy",
    "mean_margin",
    "no_speech_prob",
    "compression_ratio",
)
HYPOTHESIS_COLUMNS = ("utterance_id", "text", "token_count", *HYPOTHESIS_STATISTICS)
PART_COLUMNS = (*HYPOTHESIS_COLUMNS, "word_count", "character_count")
GROUP = 20_000
"""Rows of a row group: so many are Python objects while a part is written, and a clip that is
looked for costs reading so many ids."""
SUFFIX = ".parquet"


def write_part(path: Path, checkpoint_id: str, blocks: Iterable[Sequence[Sequence[Any]]]) -> int:
    """Write rows of PART_COLUMNS, sorted by utterance, a row group a block; returns how many.

    Each row gets the checkpoint's id besides, for whoever reads several files. When this returns,
    the file is on the disk under its own name.
    """
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {name: pa.float64() for name in HYPOTHESIS_STATISTICS}
    kinds |= {"checkpoint_id": pa.string(), "utterance_id": pa.string(), "text": pa.string()}
    names = ("checkpoint_id", *PART_COLUMNS)
    schema = pa.schema([(name, kinds.get(name, pa.int64())) for name in names])
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(path.name + UNFINISHED)
    count = 0
    with unfinished.open("wb") as file:
        with parquet.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=["checkpoint_id"],
            # numbers that a model gave in float32 take 4 bytes then, and come back as they were
            use_byte_stream_split=list(HYPOTHESIS_STATISTICS),
        ) as writer:
            for block in blocks:
                columns = [[checkpoint_id] * len(block), *zip(*block, strict=True)]
                writer.write_table(
                    pa.table(
                        [pa.array(*row) for row in zip(columns, schema.types, strict=True)],
                        schema=schema,
                    )
                )
                count += len(block)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return count


def read_part(path: Path, names: Sequence[str]) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """The ids (K,) "S64" and the columns of numbers (K,) of every row group, in turn.

    What is no number is nan. Raises WorkspaceError when the file is gone or damaged.
    """
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, ["utterance_id", *names])
            numbers = [table[name].to_numpy() for name in names]
            yield _ids(table), numbers


def find_in_part(
    path: Path, utterance_ids: Collection[str], names: Sequence[str] = PART_COLUMNS
) -> list[tuple[Any, ...]]:
    """The rows of those of the utterances that the file holds, as columns `names`, by utterance.

    Raises WorkspaceError when the file is gone or damaged.
    """
    wanted = np.unique(np.array(list(utterance_ids), "S64"))
    if not len(wanted):
        return []
    found: list[tuple[Any, ...]] = []
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            if not _may_hold(file.metadata.row_group(group), wanted):
                continue
            ids = _ids(file.read_row_group(group, ["utterance_id"]))
            places = np.flatnonzero(np.isin(ids, wanted, assume_unique=True))
            if len(places):
                rows = file.read_row_group(group, list(names)).take(places).to_pydict()
                found += zip(*(rows[name] for name in names), strict=True)
    return found


def damage(path: Path, count: int) -> str | None:
    """What is wrong with a file that should hold so many hypotheses; reads its end alone."""
    try:
        with _opened(path) as file:
            held = file.metadata.num_rows
    except WorkspaceError as exc:
        return str(exc)
    return None if held == count else f"{path} holds {held} hypotheses, expected {count}"


def _may_hold(group: Any, wanted: np.ndarray) -> bool:
    """Whether any of the sorted ids lies between the first and the last one of the row group."""
    (column,) = (
        group.column(place)
        for place in range(group.num_columns)
        if group.column(place).path_in_schema == "utterance_id"
    )
    known = column.statistics
    if known is None or not known.has_min_max:
        return True
    first, last = np.array([known.min, known.max], "S64")
    place = int(np.searchsorted(wanted, first))
    return place < len(wanted) and bool(wanted[place] <= last)


def _ids(table: Any) -> np.ndarray:
    return np.array(table["utterance_id"].to_pylist(), "S64")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A Parquet file for reading."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException) as exc:
        raise WorkspaceError(
            f"{path}, which the database counts on, cannot be read: {exc}; put it back from a "
            "backup, or have its clips heard again in the next round: sqlite-utils "
            f'{path.parent.parent / "al_loop.db"} "DELETE FROM hypothesis_parts '
            f"WHERE file = '{path.name}'\""
        ) from exc
