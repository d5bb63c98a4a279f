"""Labels in and out: projects that people labelled by hand, and exports for other programs.

Two commands, registered in `al_loop.cli`. Heavy imports stay inside the functions.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from al_loop.errors import WorkspaceError
from al_loop.records import IN_HOUSE, SOURCE_KINDS, VERDICTS
from al_loop.wiring import audio_address, clips_of, connect_label_studio, open_workspace

if TYPE_CHECKING:
    from al_loop.records import Example
    from al_loop.sources.rows import Row
    from labeling.fetched import Audio
    from labeling.imported import Labelled
    from storage.store import Store

LABELLED = ("train", "validation", "test")
"""Splits of clips that have a text."""
FORMATS = ("tsv", "parquet", "label-studio")
DOWNLOADS = "downloads"
"""The folder of the workspace that fetched audio waits in."""


@click.command(name="import")
@click.argument("project")
@click.option("--source", required=True, help="A name for where this data comes from.")
@click.option("--kind", type=click.Choice(SOURCE_KINDS), default="in_house", show_default=True)
@click.option("--language", help="As a Whisper code; default: model.language.")
@click.option("--split", type=click.Choice(LABELLED), default="train", show_default=True)
@click.option(
    "--weight",
    type=click.FloatRange(min=0, min_open=True),
    help="How often its examples are seen in training; default: 1, or what it was.",
)
@click.option("--text-tag", help="The tag that holds the text, where there are several.")
@click.option("--audio-field", help="The field of a task that names the audio, likewise.")
@click.option(
    "--leave-out",
    "left_out",
    multiple=True,
    metavar="CHOICE",
    help=f"A ticked choice that makes a clip useless, besides {', '.join(VERDICTS)}.",
)
@click.option(
    "--audio",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder in which the audio is looked for first, by file name.",
)
@click.option(
    "--fetch", is_flag=True, help="Of an export: fetch what is not there from label_studio.url."
)
@click.pass_obj
def import_project(
    workspace: Path,
    project: str,
    source: str,
    kind: Any,
    language: str | None,
    split: Any,
    weight: float | None,
    text_tag: str | None,
    audio_field: str | None,
    left_out: Sequence[str],
    folder: Path | None,
    fetch: bool,
) -> None:
    """Take in a project that people have labelled by hand.

    PROJECT is a file that Label Studio exported as JSON, or the number of a project on the server
    of al_loop.toml. Of a task's answers the newest counts, or the one that is starred; predictions
    never do. A text of a part of a recording becomes a clip of its own. What cannot be used is
    refused with its reason. Doing it twice adds nothing.
    """
    from filelock import FileLock, Timeout
    from tqdm import tqdm

    from al_loop.languages import WHISPER_LANGUAGES
    from al_loop.sources.ingest import Intake, ingest
    from labeling.fetched import Audio
    from labeling.imported import read_export, read_project

    root, settings, store = open_workspace(workspace)
    is_file = not project.isdecimal() or Path(project).exists()
    session = None if is_file and not fetch else connect_label_studio(settings)
    found = (
        read_export(Path(project))
        if is_file or session is None
        else read_project(session, int(project))
    )
    tags = found.tags(text_tag, audio_field)
    target = settings.model.language
    languages = WHISPER_LANGUAGES | {target}
    intake = Intake(source, kind, language or target, split, languages, weight)
    downloads = root.root / DOWNLOADS
    beside: Counter[str] = Counter()
    try:
        with FileLock(root.root / "import.lock", blocking=False), tqdm(disable=None) as bar:
            rows = _rows(
                found.labels(tags, {*VERDICTS, *left_out}),
                Audio(folder, session, downloads),
                beside,
            )
            clips = clips_of(root, settings)
            report = ingest(rows, intake, store, root.root, bar.update, clips=clips)
            shutil.rmtree(downloads, ignore_errors=True)
    except Timeout as exc:
        raise WorkspaceError("another import is at work in this workspace") from exc
    for refusal in report.refusals:
        click.echo(f"refused {refusal.origin}: {refusal.reason} ({refusal.detail})")
    if found.unlabelled:
        click.echo(f"{found.unlabelled} tasks have no answer yet")
    if beside:
        told = ", ".join(f"{name} ({count})" for name, count in beside.most_common())
        click.echo(f"ticked beside a text that was taken: {told}; see --leave-out")
    click.echo(
        f"{report.added} added, {report.moved} moved to an evaluation set, "
        f"{report.known} known already, {len(report.refusals)} refused"
    )


def _rows(labels: Iterator[Labelled], audio: Audio, beside: Counter[str]) -> Iterator[Row]:
    """The labels as rows to ingest; `beside` counts the choices that stand beside their texts."""
    from al_loop.sources.rows import Row
    from labeling.fetched import Missing

    for label in labels:
        problem, heard = label.problem, None
        if problem is None:
            try:
                heard = audio.find(label.address, label.task_id)
                beside.update(label.ticked)
            except Missing as exc:
                problem = str(exc)
        start_s, end_s = label.part_s or (None, None)
        yield Row(
            label.origin,
            heard,
            text=label.text,
            language=label.language,
            speaker=label.speaker,
            problem=problem,
            start_s=start_s,
            end_s=end_s,
        )


# -- out -------------------------------------------------------------------------------------------


@click.command(name="export-labels")
@click.option("--format", "form", type=click.Choice(FORMATS), default="tsv", show_default=True)
@click.option(
    "--round",
    "number",
    type=click.IntRange(min=0),
    show_default="the newest that has a training set",
    help="Whose training set is written.",
)
@click.option(
    "--labels", "labels_only", is_flag=True, help="All labels of annotators instead, as they stand."
)
@click.option(
    "--audio",
    type=click.Choice(("copy", "reference")),
    default="copy",
    show_default=True,
    help="Whether the export holds the audio, or names where it lies.",
)
@click.option(
    "--audio-url",
    metavar="PREFIX",
    help="Of the audio's addresses in Label Studio's tasks; default: its local files'.",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    show_default="in the workspace's exports/",
    help="The folder to make.",
)
@click.pass_obj
def export_labels(
    workspace: Path,
    form: str,
    number: int | None,
    labels_only: bool,
    audio: str,
    audio_url: str | None,
    to: Path | None,
) -> None:
    """Write a round's training set, or all labels, for other programs.

    tsv: a table that `ingest` takes. parquet: a data set that Hugging Face's `load_dataset` loads.
    label-studio: tasks with their answers, for a project with this loop's interface. The folder
    appears when it is whole, and none is overwritten.
    """
    if audio_url is not None and form != "label-studio":
        raise click.UsageError("--audio-url is for --format label-studio")
    if labels_only and number is not None:
        raise click.UsageError("--labels are not those of one --round")

    from al_loop.exports import place_audio, write_data_set, write_table, write_tasks
    from labeling.exported import labelled_task, played_at
    from storage.workspace import whole_folder

    root, settings, store = open_workspace(workspace)
    name, title, examples = _labels(store) if labels_only else _training_set(store, number)
    target = (to or root.exports / f"{name}-{form}").resolve()
    if not examples:
        raise WorkspaceError(f"{title} is empty")
    if target.exists():
        raise WorkspaceError(f"{target} exists already, and stays as it is; name another with --to")
    copied, clips = audio == "copy", clips_of(root, settings)
    with whole_folder(target) as folder:
        if form == "parquet":
            write_data_set(examples, clips, folder, title, copied=copied)
        else:
            places = place_audio(examples, clips, folder, copied=copied)
            if form == "tsv":
                write_table(examples, places, folder)
            else:
                address = (
                    partial(played_at, prefix=audio_url, local=f"{target.name}/audio")
                    if copied or audio_url
                    else partial(audio_address, settings, store.workspace_id)
                )
                write_tasks(examples, lambda row: labelled_task(row, address(row.audio)), folder)
    click.echo(f"{target} is written: {title}, {len(examples)} clips")


def _labels(store: Store) -> tuple[str, str, Sequence[Example]]:
    """All labels that may be trained on: their export's name, its title, the examples."""
    from al_loop.records import content_hash

    rows = [row for row in store.training_examples(IN_HOUSE) if row.source == IN_HOUSE]
    if not rows:
        raise WorkspaceError(
            "there is no label yet that training may use; `al-loop status` says what is waited for"
        )
    content = content_hash([[row.utterance_id, row.text, row.quality] for row in rows])
    return f"labels-{content[:12]}", "labels of annotators", rows


def _training_set(store: Store, number: int | None) -> tuple[str, str, Sequence[Example]]:
    """A round's manifest, in the same form."""
    from storage.queries import Reader

    ids = {
        row["round"]: row["manifest_id"]
        for row in Reader(store.workspace).checkpoints()
        if row["manifest_id"]
    }
    for last in (store.last_round(), store.last_recorded_round()):
        if last and last.manifest_id:
            ids[last.number] = last.manifest_id
    if not ids:
        raise WorkspaceError("no round has a training set yet; `al-loop round` makes the first")
    wanted = max(ids) if number is None else number
    if wanted not in ids:
        listed = ", ".join(map(str, sorted(ids)))
        raise WorkspaceError(f"round {wanted} has no training set; those of {listed} have one")
    manifest_id = ids[wanted]
    name = f"round-{wanted:03}-{manifest_id[:12]}"
    return name, f"the training set of round {wanted}", store.manifest(manifest_id).examples
