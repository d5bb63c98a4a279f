"""A data set of the Hugging Face hub, or of that form in a folder, as rows: streamed, not decoded.

Knows `datasets` and the hub's errors; decodes no audio. Nothing is kept on disk meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_loop.errors import ManifestError
from al_loop.records import HELD_OUT, Split
from al_loop.sources.listings import Rows, absolute, speaker_of
from al_loop.sources.rows import LABELS_OF_TEXT, Row

if TYPE_CHECKING:
    from datasets import IterableDataset

TIMEOUT_S = 5.0
KNOWN_SPLITS: Mapping[str, Split] = {
    "test": "test",
    "validation": "validation",
    "valid": "validation",
    "dev": "validation",
    "train": "train",
}
"""What splits are for, by the names that most data sets give them."""
LABELS_OF_SPEAKER = ("speaker_id", "speaker", "client_id")
LONG_NAME = 40
"""A speaker's name so long is a hash already, or says more than a name should."""
ARCHIVES = ("gzip", "tar", "zip")
MOST_BYTES = 512 * 2**20
"""Of one clip: an hour of uncompressed speech is 110 MiB."""
PARQUET = "refs/convert/parquet"
"""The revision that the hub makes of data sets that are a script."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of columns; None: the one that is named as usual, or that holds audio."""

    audio: str | None = None
    text: str | None = None
    speaker: str | None = None
    id: str | None = None


def read_hub(
    name: str,
    splits: Mapping[str, Split | None] | None = None,
    columns: Columns | None = None,
    revision: str | None = None,
) -> Rows:
    """The rows of some splits of NAME or NAME:CONFIG, evaluation sets first.

    name: an id on the hub, or a folder with the same files. splits: what each is for, None being
    for the command to say; by default all that have a usual name.
    Raises ManifestError: the hub is out of reach, the data set gated, or absent; no such split or
    column. A split that breaks off is a row with that problem, and the next one is read.
    """
    found = _load(name, revision)
    columns = columns or Columns()
    wanted = splits if splits is not None else _known_splits(name, list(found))
    absent = [split for split in wanted if split not in found]
    if absent:
        raise ManifestError(
            f"{name}: no split {', '.join(absent)}; it has {', '.join(found)} (see --hub-split)"
        )
    ordered = sorted(wanted, key=lambda split: wanted[split] not in HELD_OUT)
    chosen = {split: _choose(name, found[split], columns, wanted[split]) for split in ordered}
    counts = [_count(found[split], split) for split in ordered]
    rows = Rows(
        lambda: (
            row
            for split in ordered
            for row in _rows(name, split, found[split], chosen[split], wanted[split])
        ),
        None if None in counts else sum(filter(None, counts)),
    )
    left = [split for split in found if split not in wanted]
    if splits is None and left:
        rows.notices.append(
            f"{name}: left out {', '.join(left)}; to take one, say what it is for: "
            f"--hub-split {left[0]}=pool"
        )
    return rows


def _load(name: str, revision: str | None) -> Mapping[str, IterableDataset]:
    import datasets
    from huggingface_hub import HfApi

    repository, _, configuration = (name, "", "") if Path(name).exists() else name.partition(":")
    try:
        if not Path(repository).exists():  # datasets would try again for minutes
            HfApi().dataset_info(repository, timeout=TIMEOUT_S)
        found: Mapping[str, IterableDataset] = datasets.load_dataset(
            repository, configuration or None, revision=revision, streaming=True
        )
    except Exception as exc:  # datasets raises many unrelated types
        raise ManifestError(f"{name}: {_in_words(repository, exc)}") from exc
    return found


def _in_words(repository: str, exc: Exception) -> str:
    """What an error of the hub or of `datasets` means, and what to do."""
    from huggingface_hub import errors

    text = f"{type(exc).__name__}: {exc}"
    if isinstance(exc, errors.GatedRepoError) or "gated dataset" in text:
        return (
            "a gated data set. Accept its conditions at https://huggingface.co/datasets/"
            f"{repository}, make a token there, and set it as HF_TOKEN"
        )
    here = "neither a folder nor a manifest here, and"
    if isinstance(exc, errors.RepositoryNotFoundError | errors.HFValidationError):
        return (
            f"{here} the hub has no data set of that name, or it is private: check the name, or "
            "set HF_TOKEN"
        )
    lost = errors.HTTPError | ConnectionError | TimeoutError | errors.LocalEntryNotFoundError
    if isinstance(exc, lost) and not isinstance(exc, errors.HfHubHTTPError):
        return (
            f"{here} the hub cannot be reached ({text}): try again where there is a network, or "
            "name a folder with its files"
        )
    if "scripts are no longer supported" in text:
        return f"a script, which `datasets` does not run; try --revision {PARQUET}"
    if "onfig" in text:
        return f"name its configuration too, as {repository}:CONFIG ({text})"
    return text


def _known_splits(name: str, found: Sequence[str]) -> Mapping[str, Split | None]:
    known: dict[str, Split | None] = {
        split: KNOWN_SPLITS[split] for split in found if split in KNOWN_SPLITS
    }
    if not known:
        raise ManifestError(
            f"{name}: its splits are {', '.join(found)}; say what one is for, as "
            f"--hub-split {found[0]}=train"
        )
    return known


def _choose(
    name: str, data: IterableDataset, columns: Columns, split: Split | None
) -> Mapping[str, str | None]:
    """The columns that hold audio, text, speaker and id; None where there is none."""
    import datasets

    kinds = data.features or next((dict.fromkeys(row) for row in data.take(1)), {})
    listed = f"its columns are {', '.join(kinds) or '(none)'}"
    for option, asked in (
        ("audio", columns.audio),
        ("text", columns.text),
        ("speaker", columns.speaker),
        ("id", columns.id),
    ):
        if asked is not None and asked not in kinds:
            raise ManifestError(f"{name}: no column {asked!r} for --{option}-column; {listed}")
    audio = columns.audio or next(
        (key for key, kind in kinds.items() if isinstance(kind, datasets.Audio)), None
    )
    if audio is None:
        raise ManifestError(f"{name}: no column holds audio; {listed} (see --audio-column)")
    text = columns.text or next((key for key in LABELS_OF_TEXT if key in kinds), None)
    if text is None and split not in (None, "pool", "silence"):
        raise ManifestError(
            f"{name}: no column for the text; {listed}: name it with --text-column, or take the "
            "clips without one by --split pool"
        )
    speaker = columns.speaker or next((key for key in LABELS_OF_SPEAKER if key in kinds), None)
    return {"audio": audio, "text": text, "speaker": speaker, "id": columns.id}


def _count(data: IterableDataset, split: str) -> int | None:
    stated = (data.info.splits or {}).get(split)
    return stated.num_examples if stated is not None else None


def _rows(
    name: str,
    split: str,
    data: IterableDataset,
    columns: Mapping[str, str | None],
    target: Split | None,
) -> Iterator[Row]:
    seen: set[str] = set()
    number = -1
    try:
        for number, record in enumerate(_undecoded(data, columns)):
            id_ = str(record[columns["id"]]) if columns["id"] else str(number)
            origin = f"{name}/{split}/{id_}"
            if columns["id"] and id_ in seen:
                yield Row(origin, None, problem=f"row {number} has an id that was there before")
                continue
            if columns["id"]:
                seen.add(id_)
            yield _row(name, origin, record, columns, target)
    except Exception as exc:  # of the network, of the files' readers
        yield Row(
            f"{name}/{split}",
            None,
            problem=f"breaks off after {number + 1} rows ({type(exc).__name__}: {exc}); run the "
            "command again, what is in already is skipped",
        )


def _undecoded(data: IterableDataset, columns: Mapping[str, str | None]) -> IterableDataset:
    """The columns that are wanted, with the audio as it was stored."""
    import datasets

    class Stored(datasets.Audio):
        """The Audio feature wants torchcodec, even for what it passes on as it is."""

        def encode_example(self, value: Any) -> dict[str, Any]:
            if isinstance(value, str | Path):
                return {"bytes": None, "path": str(value)}
            if isinstance(value, bytes):
                return {"bytes": value, "path": None}
            return {"bytes": value.get("bytes"), "path": value.get("path")}

    audio = columns["audio"]
    kept = data.select_columns(sorted({name for name in columns.values() if name}))
    if data.features and isinstance(data.features[audio], datasets.Audio):
        kept = kept.cast_column(audio, Stored(decode=False))
    return kept


def _row(
    name: str,
    origin: str,
    record: Mapping[str, Any],
    columns: Mapping[str, str | None],
    target: Split | None,
) -> Row:
    def value(name: str) -> str | None:
        column = columns[name]
        held = record[column] if column else None
        return None if held is None else str(held)

    try:
        audio = _audio(record[columns["audio"] or ""], name)
    except (OSError, ValueError) as exc:
        return Row(origin, None, problem=f"its audio cannot be fetched: {exc}")
    speaker = value("speaker")
    is_long = speaker is not None and len(speaker) > LONG_NAME
    return Row(
        origin,
        audio,
        text=value("text"),
        split=target,
        speaker=speaker_of(speaker) if is_long else speaker,
        local_speaker=True,
        problem=None if audio is not None else "it holds no audio",
    )


def _audio(held: Any, name: str) -> Path | bytes | None:
    """The bytes, or a file of the data set here; what is elsewhere in it is fetched.

    Raises ValueError where the data set names what is not in it: whoever made it may not choose
    among the files of this machine, or the addresses that it reaches.
    """
    import fsspec

    if isinstance(held, bytes | None):
        return held
    if not isinstance(held, Mapping):
        raise ValueError(f"{type(held).__name__} in the column, where bytes are expected")
    if held.get("bytes") is not None:
        return bytes(held["bytes"])
    address = held.get("path")
    if not address:
        return None
    *archives, place = str(address).split("::")
    if not _is_within(place, name) or not all(
        part.startswith(tuple(f"{form}://" for form in ARCHIVES)) for part in archives
    ):
        raise ValueError(f"{address} is not in the data set")
    if not archives and "://" not in place:
        return Path(place)
    with fsspec.open(address, "rb") as file:
        fetched: bytes = file.read(MOST_BYTES + 1)
    if len(fetched) > MOST_BYTES:
        raise ValueError(f"{address} is larger than {MOST_BYTES / 2**20:g} MiB")
    return fetched


def _is_within(place: str, name: str) -> bool:
    """Whether a file or address belongs to the data set: a folder, a file, or an id on the hub."""
    here = Path(name)
    if here.exists():
        folder = absolute(here if here.is_dir() else here.parent)
        file = absolute(Path(place.removeprefix("file://")))
        return file.is_relative_to(folder)
    repository = f"hf://datasets/{name.partition(':')[0]}"
    inner = place.removeprefix(repository)
    return inner != place and inner[:1] in ("@", "/") and ".." not in inner.split("/")
