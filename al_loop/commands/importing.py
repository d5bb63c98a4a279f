"""`al-loop ingest`, and `al-loop import` for open data in the forms that it comes in.

Knows Click and which reader a form has; no format. Heavy imports stay inside the functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from al_loop.errors import WorkspaceError
from al_loop.records import SOURCE_KINDS, SPLITS
from al_loop.wiring import clips_of, open_workspace

if TYPE_CHECKING:
    from al_loop.records import Split
    from al_loop.sources.ingest import Report
    from al_loop.sources.rows import Row

Command = Callable[..., None]
PATH = click.Path(path_type=Path)
POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.argument("place")
@click.option("--source", required=True, help="A name for where this data comes from.")
@click.option("--kind", type=click.Choice(SOURCE_KINDS), default="open_source", show_default=True)
@click.option("--language", default=None, help="As a Whisper code; default: model.language.")
@click.option("--split", type=click.Choice(SPLITS), default="pool", show_default=True)
@click.option(
    "--weight",
    type=POSITIVE,
    help="How often its examples are seen in training; default: 1, or what it was.",
)
@click.option("--hub-split", default="train", show_default=True, help="Of a hub data set.")
@click.option("--text-column", default=None, help="Of a hub data set.")
@click.pass_obj
def ingest(
    workspace: Path, place: str, hub_split: str, text_column: str | None, **given: Any
) -> None:
    """Take in a folder, a manifest (.tsv, .csv, .jsonl), or a hub data set.

    A manifest's own columns language, split and speaker come before the options; rows that state
    a language go to a source of their own, such as NAME_ky. Recordings for the pool that are longer
    than 30 s are cut at pauses. What cannot be used is refused row by row, with its reason; the
    rest goes in. Doing it twice adds nothing.
    """
    from al_loop.sources.rows import read_rows

    take_rows(workspace, given, lambda _: read_rows(place, hub_split, text_column), for_all=False)


@click.group(name="import")
def importing() -> None:
    """Take in open data: Common Voice, the hub, Kaldi, NeMo, lhotse.

    A folder of audio, or a table of paths and texts, is for `al-loop ingest`. What cannot be used
    is refused row by row, with its reason; the rest goes in. Doing it again adds only what is not
    in, and does not decode the rest.
    """


def _for_all(command: Command) -> Command:
    """The options that every form has."""
    options = (
        click.option("--source", required=True, help="A name for where this data comes from."),
        click.option(
            "--kind", type=click.Choice(SOURCE_KINDS), default="open_source", show_default=True
        ),
        click.option("--language", help="As a Whisper code; default: model.language."),
        click.option(
            "--split",
            type=click.Choice(SPLITS),
            show_default="as the data set has it",
            help="For all of it; pool: without the texts.",
        ),
        click.option(
            "--weight",
            type=POSITIVE,
            help="How often its examples are seen in training; default: 1, or what it was.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return click.pass_obj(command)


def _with_roots(command: Command) -> Command:
    return click.option(
        "--audio-root",
        "roots",
        multiple=True,
        metavar="PLACE",
        help="A folder that audio may lie in, besides the manifest's own, or what its addresses "
        "begin with, as s3://bucket/folder; may be repeated.",
    )(command)


@importing.command(name="common-voice")
@click.argument("folder", type=PATH)
@click.option(
    "--validated", is_flag=True, help="Also what is validated and in no split, for training."
)
@click.option("--other", is_flag=True, help="Also what nobody has judged yet, for the pool.")
@_for_all
def common_voice(workspace: Path, folder: Path, validated: bool, other: bool, **given: Any) -> None:
    """A release of Common Voice, unpacked: the FOLDER of one language.

    Its train, dev (as validation) and test splits are kept, and so are its speakers, under a short
    hash. What was voted down is left out. With --validated and --other, clips that share a speaker
    or a sentence with dev or test stay out.
    """
    from al_loop.sources.common_voice import read_common_voice

    def read(language: str) -> Iterable[Row]:
        return read_common_voice(folder, language, validated=validated, other=other)

    take_rows(workspace, given, read)


@importing.command()
@click.argument("name")
@click.option(
    "--hub-split",
    "splits",
    multiple=True,
    metavar="NAME[=SPLIT]",
    help="A split of the data set, and what it is for; may be repeated. Default: all that are "
    "called train, validation, dev or test.",
)
@click.option("--audio-column", show_default="the one that holds audio")
@click.option("--text-column", show_default="transcription, text or sentence")
@click.option("--speaker-column", show_default="speaker_id, speaker or client_id, if there")
@click.option("--id-column", help="Names the rows; default: their numbers.")
@click.option("--revision", help="Of the data set, as refs/convert/parquet.")
@_for_all
def hub(
    workspace: Path,
    name: str,
    splits: Sequence[str],
    audio_column: str | None,
    text_column: str | None,
    speaker_column: str | None,
    id_column: str | None,
    revision: str | None,
    **given: Any,
) -> None:
    """A data set of the Hugging Face hub, as NAME or NAME:CONFIG; or a folder of that form.

    google/fleurs:ky_kg is FLEURS in Kyrgyz. It is streamed: nothing but its clips is kept.
    """
    from al_loop.sources.hub import Columns, read_hub

    columns = Columns(audio_column, text_column, speaker_column, id_column)
    wanted = _wanted(splits, given["split"])
    take_rows(workspace, given, lambda language: read_hub(name, wanted, columns, revision))


@importing.command()
@click.argument("folder", type=PATH)
@_with_roots
@_for_all
def kaldi(workspace: Path, folder: Path, roots: Sequence[str], **given: Any) -> None:
    """A Kaldi data FOLDER: wav.scp, and text, utt2spk and segments where they are.

    An entry of wav.scp that is a command is refused, never run.
    """
    from al_loop.sources.kaldi import read_kaldi

    take_rows(workspace, given, lambda language: read_kaldi(folder, roots))


@importing.command()
@click.argument("manifest", type=PATH)
@_with_roots
@_for_all
def nemo(workspace: Path, manifest: Path, roots: Sequence[str], **given: Any) -> None:
    """A MANIFEST of NeMo: lines of JSON with audio_filepath, offset, duration and text."""
    from al_loop.sources.nemo import read_nemo

    take_rows(workspace, given, lambda language: read_nemo(manifest, roots))


@importing.command()
@click.argument("manifests", type=PATH, nargs=-1, required=True)
@_with_roots
@_for_all
def lhotse(workspace: Path, manifests: Sequence[Path], roots: Sequence[str], **given: Any) -> None:
    """MANIFESTS of lhotse: one of cuts or recordings, or recordings and supervisions.

    It needs lhotse: pip install 'al-loop[lhotse]'.
    """
    from al_loop.sources.lhotse_manifests import read_lhotse

    take_rows(workspace, given, lambda language: read_lhotse(manifests, roots))


def _wanted(splits: Sequence[str], overall: Split | None) -> Mapping[str, Split | None] | None:
    """What --hub-split says; None: nothing."""
    from al_loop.sources.hub import KNOWN_SPLITS

    wanted: dict[str, Any] = {}
    for text in splits:
        name, _, split = text.partition("=")
        target = split or overall or KNOWN_SPLITS.get(name)
        if target not in SPLITS:
            raise click.UsageError(
                f"--hub-split {text}: say what it is for, as {name}=SPLIT, with one of "
                f"{', '.join(SPLITS)}"
            )
        wanted[name] = target
    return wanted or None


def take_rows(
    workspace: Path,
    given: Mapping[str, Any],
    read: Callable[[str], Iterable[Row]],
    for_all: bool = True,
) -> None:
    """Read the rows, given the language, take them in, and say what became of them.

    for_all: a split that is given comes before the rows' own.
    """
    from filelock import FileLock, Timeout
    from tqdm import tqdm

    from al_loop.languages import WHISPER_LANGUAGES
    from al_loop.sources.ingest import Intake
    from al_loop.sources.ingest import ingest as take_in

    root, settings, store = open_workspace(workspace)
    target = settings.model.language
    language, split = given["language"] or target, given["split"]
    intake = Intake(
        given["source"],
        given["kind"],
        language,
        split or "pool",
        WHISPER_LANGUAGES | {target},
        given["weight"],
    )
    try:
        with FileLock(root.root / "import.lock", blocking=False):
            rows = read(language)
            total = len(rows) if isinstance(rows, Sized) else getattr(rows, "count", None)
            with tqdm(total=total, unit="clip", disable=None) as bar:
                taken = _all_for(split, rows) if split and for_all else rows
                tell = bar.set_postfix_str
                report = take_in(
                    taken,
                    intake,
                    store,
                    root.root,
                    bar.update,
                    tell=tell,
                    clips=clips_of(root, settings),
                )
    except Timeout as exc:
        raise WorkspaceError("another import is at work in this workspace") from exc
    for line in (*_told(report), *getattr(rows, "notices", ())):
        click.echo(line)
    click.echo(
        f"{report.added} added, {report.moved} moved to an evaluation set, "
        f"{report.known} known already, {len(report.refusals)} refused"
    )


def _all_for(split: Split, rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        yield replace(row, split=split)


def _told(report: Report) -> Iterator[str]:
    for refusal in report.refusals:
        yield f"refused {refusal.origin}: {refusal.reason} ({refusal.detail})"
    absent = sum(refusal.reason == "not_a_file" for refusal in report.refusals)
    if absent:
        yield (
            f"{absent} files are not there: is the data set downloaded and unpacked as a whole? "
            "The same command takes in what is there later"
        )
    if report.cut:
        yield f"{report.cut} recordings longer than 30 s were cut at pauses; clips are counted"
