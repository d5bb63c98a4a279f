"""`al-loop align`: a book and its recording become utterances."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from al_loop.commands.ctc import DEFAULT, FOLDER
from al_loop.commands.importing import take_rows
from al_loop.errors import AudioError, ModelError, WorkspaceError
from al_loop.wiring import open_workspace

if TYPE_CHECKING:
    from al_loop.sources.books import Aligned
    from storage.workspace import Workspace

ALIGNMENTS = "alignments"
"""The folder of the workspace that keeps what was heard in long recordings, and what was cut."""
LABELLED = ("train", "validation")
"""No test: its text would be what a model found it to be."""


@click.command()
@click.argument("recording", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("text", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--source", required=True, help="A name for where this data comes from.")
@click.option(
    "--model",
    help="A recogniser of letters: the name of one that `al-loop ctc train` made, or a folder or "
    "hub id of transformers' (MMS, XLS-R, wav2vec2).",
    default=DEFAULT,
    show_default=True,
)
@click.option("--language", help="As a Whisper code; default: model.language.")
@click.option("--speaker", help="Who reads.")
@click.option("--split", type=click.Choice(LABELLED), default="train", show_default=True)
@click.option(
    "--weight",
    type=click.FloatRange(min=0, min_open=True),
    help="How often its examples are seen in training; default: 1, or what it was.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(max=0),
    default=-1.5,
    show_default=True,
    help="Of a segment's worst word, in nats per letter; nearer to 0 keeps less, and less that is "
    "wrong.",
)
@click.pass_obj
def align(
    workspace: Path,
    recording: Path,
    text: Path,
    source: str,
    model: str,
    language: str | None,
    speaker: str | None,
    split: Any,
    weight: float | None,
    min_score: float,
) -> None:
    """Cut a long RECORDING into utterances with their part of TEXT (.txt, .epub, .pdf).

    Text that nobody reads and speech that is not written are passed over; what fits badly is left
    out, and the share that is kept is told. What is heard is kept, so that a run that was killed
    goes on. Doing it twice adds nothing; but another recogniser or --min-score cuts elsewhere, and
    its clips join those that are there: choose by a workspace of its own.
    """
    from dataclasses import replace

    from tqdm import tqdm

    from al_loop.alignment.segments import Rules
    from al_loop.sources.books import align_book

    root, settings, store = open_workspace(workspace)
    store.close()
    recogniser = _recogniser(root, model, settings)
    place = root.root / ALIGNMENTS
    try:
        with tqdm(unit="s", disable=None, desc="heard") as bar:
            found = align_book(
                recording,
                text,
                language or settings.model.language,
                recogniser,
                place,
                Rules(min_score=min_score),
                lambda heard_s: bar.update(round(heard_s) - bar.n),
            )
    except AudioError as exc:
        raise WorkspaceError(f"{recording}: {exc}") from exc
    write_table(found, place / f"{recording.stem}-{text.stem}.tsv")
    for line in found.share().lines():
        click.echo(line)
    given = {
        "source": source,
        "kind": "forced_alignment",
        "language": language,
        "split": split,
        "weight": weight,
    }
    rows = [replace(row, speaker=speaker) for row in found.rows()]
    take_rows(workspace, given, lambda _: rows)


def _recogniser(root: Workspace, name: str, settings: Any) -> Any:
    from al_loop.whisper.ctc import load_recognizer
    from al_loop.whisper.recognizer import WhisperRecognizer

    ours = root.root / FOLDER / name
    device = WhisperRecognizer(root.root, settings.model).device
    if name == DEFAULT and not ours.is_dir():
        raise ModelError(
            f"{ours} is not there: train it with `al-loop ctc train`, or name another --model"
        )
    return load_recognizer(str(ours) if ours.is_dir() else name, device)


def write_table(found: Aligned, path: Path) -> None:
    """The segments that are kept, with their scores, for whoever looks for a threshold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, dialect=csv.excel_tab)
        table.writerow(["start_s", "end_s", "score", "text_origin", "text"])
        for segment, row in zip(found.segments, found.rows(), strict=True):
            table.writerow(
                [
                    f"{segment.start_s:.2f}",
                    f"{segment.end_s:.2f}",
                    f"{segment.score:.3f}",
                    row.text_origin,
                    row.text,
                ]
            )
    os.replace(unfinished, path)
