"""A downloaded release of Common Voice, one language, as rows. Decodes no audio.

A release is a folder with `clips/`, lists of clips (`train.tsv`, `dev.tsv`, `test.tsv`,
`validated.tsv`, `other.tsv`, `invalidated.tsv`) and, in later releases, `clip_durations.tsv`. The
lists have named columns, and more of them with every few releases; used are `client_id`, `path`,
`sentence` and `locale`. `validated.tsv` holds all clips of the three splits and many more: of each
sentence one recording alone is in a split.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from al_loop.errors import ManifestError
from al_loop.records import Split
from al_loop.sources.listings import (
    NOT_UTF8,
    Places,
    Rows,
    bad_row,
    data_folder,
    numbered_lines,
    speaker_of,
)
from al_loop.sources.rows import Row, printable
from al_loop.text import normalise

SPLITS: Mapping[str, Split] = {"test": "test", "dev": "validation", "train": "train"}
"""Of the release, in the order in which they are taken: an evaluation set is stronger."""
VALIDATED, OTHER, INVALIDATED = "validated", "other", "invalidated"
DURATIONS = "clip_durations.tsv"
NEEDED = ("path", "sentence")


@dataclass(frozen=True, slots=True)
class _Clip:
    """A line of a list; `problem` where it gives no clip."""

    line: int
    path: str = ""
    sentence: str = ""
    client_id: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Apart:
    """What the splits hold, so that further clips stay apart from them."""

    paths: Collection[str]
    speakers: Collection[str]
    sentences: Collection[str]


def read_common_voice(
    place: Path, language: str, *, validated: bool = False, other: bool = False
) -> Rows:
    """The clips of a release: train, dev (as validation) and test; those marked invalid never.

    validated: those beyond the splits too, for training. other: those that nobody has judged, for
    the pool. Of both, what shares a speaker or a sentence with dev or test is left out, so that
    these go on to measure what they measured. A list that cannot be read is a row with that
    problem.
    Raises ManifestError where the folder is no release, or one of another language, or has no list
    that can be read.
    """
    folder = _release(data_folder(place))
    named = [name for name in SPLITS if (folder / f"{name}.tsv").is_file()]
    named += [
        name
        for name, wanted in ((VALIDATED, validated), (OTHER, other))
        if wanted and _need(folder / f"{name}.tsv")
    ]
    broken = _broken(folder, named)
    if len(broken) == len(named):
        raise ManifestError(next(iter(broken.values())))
    named = [name for name in named if name not in broken]
    _check_language(folder, named, language)
    count = sum(
        max(sum(1 for _ in numbered_lines(folder / f"{name}.tsv")) - 1, 0) for name in named
    )
    rows = Rows(lambda: iter(()), count)

    def make() -> Iterator[Row]:
        durations = _durations(folder / DURATIONS)
        invalid = {clip.path for clip in _clips(folder / f"{INVALIDATED}.tsv", absent=True)}
        apart = _apart(folder, language) if validated or other else None
        yield from (
            Row(printable(folder / f"{name}.tsv"), None, problem=problem)
            for name, problem in broken.items()
        )
        for name in named:
            left_out = 0
            for clip in _clips(folder / f"{name}.tsv"):
                if name not in SPLITS and apart and clip.problem is None:
                    if clip.path in apart.paths:
                        continue
                    if _is_shared(clip, apart, language):
                        left_out += 1
                        continue
                if clip.path in invalid and clip.problem is None:
                    yield bad_row(
                        folder / f"{name}.tsv", clip.line, f"{clip.path}: in {INVALIDATED}.tsv too"
                    )
                    continue
                yield _row(folder, name, clip, durations)
            if left_out:
                rows.notices.append(
                    f"{name}.tsv: {left_out} clips left out, whose speaker or sentence dev.tsv or "
                    "test.tsv has too"
                )

    rows.make = make
    return rows


def _release(folder: Path) -> Path:
    """Raises ManifestError where the folder is not one language's release."""
    if not any((folder / f"{name}.tsv").is_file() for name in SPLITS):
        within = sorted(path.parent.name for path in folder.glob("*/validated.tsv"))
        hint = f"; it holds releases: name one of {', '.join(within)}" if within else ""
        raise ManifestError(
            f"{folder}: none of {', '.join(f'{name}.tsv' for name in SPLITS)} is here, so this is "
            f"no release of Common Voice{hint}"
        )
    if not (folder / "clips").is_dir():
        raise ManifestError(
            f"{folder}: the lists are here, but no folder clips: unpack the whole archive"
        )
    return folder


def _broken(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The lists that cannot be read, and why."""
    found = {}
    for name in names:
        try:
            _columns(folder / f"{name}.tsv")
        except ManifestError as exc:
            found[name] = str(exc)
    return found


def _check_language(folder: Path, names: Sequence[str], language: str) -> None:
    """Raises ManifestError where a list states another language."""
    for name in names:
        found = _locale(folder / f"{name}.tsv")
        if found and found.partition("-")[0] != language:
            raise ManifestError(
                f"{folder / name}.tsv: its locale is {found}, not {language}: "
                f"give --language {found.partition('-')[0]}"
            )


def _need(path: Path) -> bool:
    if not path.is_file():
        raise ManifestError(f"{path}: there is no such list in this release")
    return True


def _columns(path: Path) -> list[str]:
    """The names of a list's columns. Raises ManifestError where one that is needed is missing."""
    header = next((text for _, text in numbered_lines(path)), None)
    columns = (header or "").split("\t")
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise ManifestError(
            f"{path}: no column {' and no column '.join(missing)}; its first line is "
            f"{(header or '(nothing)')[:80]!r}"
        )
    return columns


def _locale(path: Path) -> str | None:
    """The language that a list states for its first clip."""
    columns = _columns(path)
    if "locale" not in columns:
        return None
    for number, text in numbered_lines(path):
        fields = (text or "").split("\t")
        if number > 1 and len(fields) == len(columns):
            return fields[columns.index("locale")] or None
    return None


def _clips(path: Path, absent: bool = False) -> Iterator[_Clip]:
    """The lines of a list; where it may be absent and is, none."""
    if absent and not path.is_file():
        return
    columns = _columns(path)
    places = {name: columns.index(name) for name in (*NEEDED, "client_id") if name in columns}
    for number, text in numbered_lines(path):
        if number == 1 or text == "":
            continue
        # a quotation mark is part of the sentence: the lists quote nothing
        fields = text.split("\t") if text is not None else []
        if text is None:
            yield _Clip(number, problem=NOT_UTF8)
        elif len(fields) != len(columns):
            stated = f"{len(fields)} fields where the first line names {len(columns)}"
            yield _Clip(number, problem=f"{stated}: is the file whole?")
        elif not fields[places["path"]]:
            yield _Clip(number, problem="it names no clip")
        else:
            found = {name: fields[place] for name, place in places.items()}
            yield _Clip(number, found["path"], found["sentence"], found.get("client_id", ""))


def _row(folder: Path, name: str, clip: _Clip, durations: Mapping[str, float]) -> Row:
    listed = folder / f"{name}.tsv"
    if clip.problem is not None:
        return bad_row(listed, clip.line, clip.problem)
    file = clip.path if Path(clip.path).suffix else f"{clip.path}.mp3"  # the first releases' names
    try:
        audio = Places((folder / "clips",)).find(file)
    except ManifestError:
        return bad_row(listed, clip.line, f"{clip.path}: outside the folder clips")
    split: Split = SPLITS.get(name, "pool" if name == OTHER else "train")
    return Row(
        printable(audio),
        audio,
        text=clip.sentence,
        split=split,
        speaker=speaker_of(clip.client_id),
        stated_s=durations.get(clip.path),
        text_origin=f"{printable(listed)}:{clip.line}",
    )


def _apart(folder: Path, language: str) -> _Apart:
    """What the three splits hold: clips of all; speakers and sentences of dev and test."""
    paths, speakers, sentences = set(), set(), set()
    for name in SPLITS:
        for clip in _clips(folder / f"{name}.tsv", absent=True):
            paths.add(clip.path)
            if name != "train":
                speakers.add(clip.client_id)
                sentences.add(normalise(clip.sentence, language))
    return _Apart(paths, speakers - {""}, sentences - {""})


def _is_shared(clip: _Clip, apart: _Apart, language: str) -> bool:
    return clip.client_id in apart.speakers or normalise(clip.sentence, language) in apart.sentences


def _durations(path: Path) -> dict[str, float]:
    """Seconds by clip; the list states milliseconds. What it states otherwise is passed over."""
    found = {}
    if path.is_file():
        for _, text in numbered_lines(path):
            fields = (text or "").split("\t")
            if len(fields) >= 2 and fields[1].strip().isdecimal():
                found[fields[0]] = int(fields[1]) / 1000
    return found
