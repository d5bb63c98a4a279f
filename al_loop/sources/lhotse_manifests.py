"""lhotse's manifests as rows: cuts, or recordings and supervisions. Read through lhotse.

lhotse says what a line means; it is not asked for any audio, so it runs no command and opens no
address that a manifest names. A line that cannot be read costs that line alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_loop.errors import ManifestError
from al_loop.sources.listings import NOT_UTF8, Places, Rows, absolute, bad_row, numbered_lines
from al_loop.sources.rows import Row, part_of, printable, recording_name

WHOLE_S = 0.01
"""A part that leaves out no more of a recording is the whole of it."""
ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".yaml", ".yaml.gz", ".yml")


@dataclass(frozen=True, slots=True)
class _Item:
    """What lhotse makes of a line: a cut, a recording or a supervision; or what is wrong."""

    path: Path
    line: int
    value: Any = None
    problem: str | None = None

    @property
    def kind(self) -> str:
        return type(self.value).__name__

    def refused(self, problem: str) -> Row:
        return bad_row(self.path, self.line, problem)


def read_lhotse(manifests: Sequence[Path], roots: Sequence[Path | str] = ()) -> Rows:
    """The rows of a manifest of cuts, or of recordings, or of recordings and supervisions.

    What has a supervision with a text is for training, the rest for the pool. Paths are read from
    the first manifest's folder and from `roots`, and may not lead out of them.
    Raises ManifestError: lhotse is not installed, a manifest cannot be read or is another one.
    """
    try:
        import lhotse.serialization as _  # noqa: F401
    except ModuleNotFoundError as exc:
        raise ManifestError(
            "lhotse's manifests are read by lhotse, which is not installed: "
            "pip install 'al-loop[lhotse]'"
        ) from exc
    paths = [absolute(path) for path in manifests]
    kinds = [_kind(path) for path in paths]
    places = Places.beside(paths[0].parent, roots)
    if kinds in (["cuts"], ["recordings"]):
        return Rows(lambda: _cuts(paths[0], places), _count(paths[0]))
    if sorted(kinds) == ["recordings", "supervisions"]:
        by_kind = dict(zip(kinds, paths, strict=True))
        return Rows(
            lambda: _supervised(by_kind["recordings"], by_kind["supervisions"], places),
            _count(by_kind["supervisions"]),
        )
    got = " and ".join(f"{path.name} ({kind})" for path, kind in zip(paths, kinds, strict=True))
    raise ManifestError(
        f"{got}: expected one manifest of cuts or of recordings, or one of recordings and one of "
        "supervisions"
    )


def _kind(path: Path) -> str:
    """Of the first line that lhotse understands."""
    first_problem = "it holds nothing"
    for item in _items(path):
        if item.problem is None:
            if item.kind.endswith("Cut"):
                return "cuts"
            known = {"Recording": "recordings", "SupervisionSegment": "supervisions"}
            return known.get(item.kind, item.kind)
        if first_problem == "it holds nothing":
            first_problem = f"line {item.line}: {item.problem}"
    raise ManifestError(f"{path}: no manifest of lhotse: {first_problem}")


def _count(path: Path) -> int | None:
    if ".jsonl" in path.suffixes:
        return sum(1 for _, line in numbered_lines(path) if line != "")
    return None


def _items(path: Path) -> Iterator[_Item]:
    if not path.name.endswith(ENDINGS):
        raise ManifestError(f"{path}: expected a manifest that ends in {', '.join(ENDINGS)}")
    if ".jsonl" in path.suffixes:
        for number, line in numbered_lines(path):
            if line is None:
                yield _Item(path, number, problem=NOT_UTF8)
            elif line.strip():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError as exc:
                    yield _Item(path, number, problem=f"not JSON: {exc}")
                else:
                    yield _item(path, number, record)
        return
    from lhotse.serialization import load_json, load_yaml

    for _ in numbered_lines(path):  # says what is wrong with a file that is no text
        break
    try:
        records = list((load_json if ".json" in path.suffixes else load_yaml)(path))
    except Exception as exc:  # of a JSON or YAML reader, which is lhotse's choice
        raise ManifestError(f"{path}: cannot be read: {exc}") from exc
    for number, record in enumerate(records, start=1):
        yield _item(path, number, record)


def _item(path: Path, number: int, record: Any) -> _Item:
    from lhotse.serialization import deserialize_item

    if not isinstance(record, dict):
        return _Item(path, number, problem="not an object")
    try:
        return _Item(path, number, deserialize_item(record))
    except Exception as exc:  # whatever a wrong field leads to
        return _Item(path, number, problem=f"lhotse cannot read it: {type(exc).__name__}: {exc}")


def _cuts(path: Path, places: Places) -> Iterator[Row]:
    """The rows of cuts, or of recordings alone."""
    seen: set[str] = set()
    for item in _items(path):
        problem = item.problem or _again(item, seen)
        if problem is not None:
            yield item.refused(problem)
        elif item.kind == "Recording":
            yield _row(item, item.value, places, 0.0, item.value.duration, None)
        elif item.kind != "MonoCut":
            yield item.refused(f"a {item.kind}: only cuts out of one channel are taken")
        elif item.value.recording is None:
            yield item.refused(f"{item.value.id}: a cut without a recording has no audio")
        else:
            cut = item.value
            for said in cut.supervisions:
                start_s = cut.start + said.start
                yield _row(item, cut.recording, places, start_s, start_s + said.duration, said)
            if not cut.supervisions:
                yield _row(item, cut.recording, places, cut.start, cut.end, None)


def _supervised(recordings: Path, supervisions: Path, places: Places) -> Iterator[Row]:
    known: dict[str, Any] = {}
    for item in _items(recordings):
        if item.problem is not None:
            yield item.refused(item.problem)
        elif item.value.id in known:
            yield item.refused(f"{item.value.id} is a second time here")
        else:
            known[item.value.id] = item.value
    seen: set[str] = set()
    for item in _items(supervisions):
        problem = item.problem or _again(item, seen)
        if problem is not None:
            yield item.refused(problem)
        elif item.value.recording_id not in known:
            yield item.refused(
                f"{item.value.id}: recording {item.value.recording_id!r} is not in "
                f"{recordings.name}"
            )
        else:
            said = item.value
            recording = known[said.recording_id]
            yield _row(item, recording, places, said.start, said.start + said.duration, said)


def _again(item: _Item, seen: set[str]) -> str | None:
    if item.value.id in seen:
        return f"{item.value.id} is a second time here"
    seen.add(item.value.id)
    return None


def _row(
    item: _Item, recording: Any, places: Places, start_s: float, end_s: float, said: Any
) -> Row:
    """A part of a recording, with what a supervision says of it."""
    problem = _problem(recording)
    if problem is not None:
        return item.refused(f"{recording.id}: {problem}")
    try:
        audio = places.find(str(recording.sources[0].source))
    except ManifestError as exc:
        return item.refused(str(exc))
    text = said.text if said is not None else None
    row = Row(
        printable(audio),
        audio,
        text=text,
        split="train" if text is not None else "pool",
        speaker=said.speaker if said is not None else None,
        local_speaker=True,
        stated_s=recording.duration,
        text_origin=f"{printable(item.path)}:{item.line}" if text is not None else None,
    )
    start_s = max(start_s, 0.0)
    if start_s < WHOLE_S and end_s > recording.duration - WHOLE_S:
        return row
    return part_of(row, recording_name(audio), start_s, end_s)


def _problem(recording: Any) -> str | None:
    """Why a recording cannot be taken as a file."""
    kinds = [source.type for source in recording.sources]
    if kinds not in (["file"], ["url"]):
        if "command" in kinds:
            return "its audio is the output of a command, which is not run: make it a file"
        return f"its audio is of {' and '.join(kinds) or 'no source'}, where one file is expected"
    if len(recording.channel_ids or []) > 1:
        return f"{len(recording.channel_ids)} channels: write one file a channel, and name that"
    if recording.transforms:
        return "it is a changed copy (speed, volume or the like): take the recording itself"
    return None
