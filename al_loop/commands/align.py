"""`al-loop align`: a book and its recording become utterances."""

from __future__ import annotations

import csv
import hashlib
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from al_loop.commands.importing import take_rows
from al_loop.commands.model_licence import look_at_licence
from al_loop.config import CTC_FOLDER
from al_loop.errors import AudioError, WorkspaceError
from al_loop.licences import MADE_HERE
from al_loop.records import content_hash
from al_loop.wiring import find_ctc, load_ctc, open_engine, open_workspace

if TYPE_CHECKING:
    from al_loop.sources.books import Aligned
    from al_loop.sources.stretches import Facts
    from storage.store import Store

ALIGNMENTS = "alignments"
"""The folder of the workspace that keeps what was heard in long recordings, and what was cut."""
LABELLED = ("train", "validation")
"""No test: its text would be what a model found it to be."""
STEM_BYTES = 80
"""Of each title in a table's name: file systems take 255 bytes in all."""


@click.command()
@click.argument("recording", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("text", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--source", required=True, help="A name for where this data comes from.")
@click.option(
    "--model",
    help="A recogniser of letters: the name of one that `al-loop ctc train` made, or a folder or "
    "hub id of transformers' (MMS, XLS-R, wav2vec2); default: ctc.model.",
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
    model: str | None,
    language: str | None,
    speaker: str | None,
    split: Any,
    weight: float | None,
    min_score: float,
) -> None:
    """Cut a long RECORDING into utterances with their part of TEXT (.txt, .epub, .pdf).

    Text that nobody reads and speech that is not written are passed over; what fits badly is left
    out, and the share that is kept is told. What is heard is kept, so that a run that was killed
    goes on. Doing it twice adds nothing; what another recogniser or --min-score cuts elsewhere is
    refused where it shares audio with clips that are in: choose by a workspace of its own.
    With Ray several parts are heard at once; RECORDING lies where every node reads it.
    """
    from dataclasses import replace
    from functools import partial

    from tqdm import tqdm

    from al_loop.alignment.segments import Rules
    from al_loop.listening import Once
    from al_loop.sources.books import align_book
    from al_loop.sources.model_licence import full_place
    from al_loop.sources.stretches import Elsewhere, make_ear

    root, settings, store = open_workspace(workspace)
    recording, text = recording.resolve(), text.resolve()  # so they are known, however named
    language = language or settings.model.language
    with closing(store):
        found_at = full_place(find_ctc(root, settings, model))
        load = partial(load_ctc, root, settings, found_at, language)
        recogniser = Elsewhere(open_engine(settings), Once(partial(make_ear, load)))
        name = recogniser.facts.id
        store.put_maker(name, _licence(store, found_at, name, root.root / CTC_FOLDER))
    place = root.root / ALIGNMENTS
    try:
        with tqdm(unit="s", disable=None, desc="heard") as bar:
            found = align_book(
                recording,
                text,
                language,
                recogniser,
                place,
                Rules(min_score=min_score),
                lambda heard_s: bar.update(round(heard_s) - bar.n),
            )
    except AudioError as exc:
        raise WorkspaceError(f"{recording}: {exc}") from exc
    key = _key(recording, text, language, recogniser.facts, min_score)
    write_table(found, place / table_name(recording, text, key))
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


def _key(recording: Path, text: Path, language: str, facts: Facts, min_score: float) -> str:
    """A hash of all that an alignment follows from: no other one's table is overwritten."""
    from al_loop.sources.books import heard_key

    with text.open("rb") as file:
        book = hashlib.file_digest(file, "sha256").hexdigest()
    values = {
        "heard": heard_key(recording, facts),
        "text": book,
        "language": language,
        "min_score": min_score,
    }
    return content_hash(values)[:12]


def _licence(store: Store, place: str, name: str, own: Path) -> str:
    """The licence of the recogniser at `place`, told where it matters; own: where the workspace
    keeps those that it has trained."""
    from al_loop.whisper.ctc import is_ours

    folder = Path(place).expanduser().resolve()
    if folder.is_relative_to(own.resolve()) and is_ours(folder):
        return MADE_HERE
    return look_at_licence(store, place, name)


def table_name(recording: Path, text: Path, key: str) -> str:
    """For people the beginnings of both titles; `key` is what tells tables apart."""
    stems = (
        path.stem.encode("utf-8", "surrogateescape")[:STEM_BYTES].decode(errors="ignore")
        for path in (recording, text)
    )
    return f"{'-'.join(stems)}-{key}.tsv"


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
