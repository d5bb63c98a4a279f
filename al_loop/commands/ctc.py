"""`al-loop ctc`: the recogniser that spells, for aligning, rescoring and as a second opinion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from al_loop.errors import WorkspaceError
from al_loop.records import IN_HOUSE, content_hash
from al_loop.wiring import alone, find_checkpoint, open_workspace, weights
from storage.workspace import Workspace, delete_folder, whole_folder

if TYPE_CHECKING:
    from al_loop.config import Settings
    from al_loop.records import Example, Utterance
    from storage.store import Store

FOLDER = "ctc"
"""Of the workspace; one folder a recogniser."""
DEFAULT = "spelling"


@click.group()
def ctc() -> None:
    """A recogniser of letters on Whisper's encoder, trained in minutes from what is labelled."""


@ctc.command()
@click.option("--name", default=DEFAULT, show_default=True, help="One of that name is replaced.")
@click.option(
    "--from",
    "checkpoint",
    show_default="the one in use",
    help="The checkpoint whose encoder it starts from.",
)
@click.option(
    "--encoder",
    type=click.Choice(("trained", "frozen")),
    default="frozen",
    show_default=True,
    help="frozen: the head alone learns, in minutes; trained: the encoder too, which takes several "
    "times as long.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=20, show_default=True)
@click.pass_obj
def train(workspace: Path, name: str, checkpoint: str | None, encoder: str, epochs: int) -> None:
    """Train it on every labelled example that training may use.

    Evaluation sets stay closed to it. Interrupted, it goes on where it was. In the end it is
    measured on the evaluation sets, read greedily, without a language model.
    """
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise click.UsageError(f"--name {name!r}: expected letters, digits, dots and hyphens")
    root, settings, store = open_workspace(workspace)
    with alone(root):
        target = root.root / FOLDER / name
        _train(root, settings, store, target, checkpoint, encoder == "frozen", epochs)
        click.echo(f"{target} is written")
        for line in _measured(root, settings, store, target):
            click.echo(line)


def _train(
    root: Workspace,
    settings: Settings,
    store: Store,
    target: Path,
    checkpoint: str | None,
    frozen: bool,
    epochs: int,
) -> None:
    from al_loop.leakage import find_leaks
    from al_loop.whisper.ctc_jobs import CtcJob, train, training_settings
    from al_loop.whisper.recognizer import WhisperRecognizer

    start = find_checkpoint(store, checkpoint)
    closed = store.evaluation_utterances()
    examples = store.training_examples(IN_HOUSE)
    leaked = {row.utterance_id for row in find_leaks(examples, store.sample_hashes(), closed)}
    examples = [row for row in examples if row.utterance_id not in leaked]
    if not examples:
        raise WorkspaceError("there is no labelled example to train on; ingest some, or label some")
    rule = training_settings(epochs, frozen, settings.train.save_minutes)
    validation = store.validation_examples()
    key = _key(settings, rule.model_dump(exclude={"save_minutes"}), start.id, examples, validation)
    scratch = target.with_name(f"{target.name}.training") / key
    for old in scratch.parent.glob("*"):  # of another training set: its save would not fit
        if old != scratch:
            delete_folder(old)
    scratch.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.new")
    delete_folder(fresh)  # whole, but never put in its place
    with weights(store, start) as folder, whole_folder(fresh) as new:
        job = CtcJob(
            root=root.root,
            checkpoint=folder,
            examples=examples,
            validation=validation,
            train=rule,
            seed=settings.seed,
            device=WhisperRecognizer(root.root, settings.model).device,
            folder=new,
            scratch=scratch,
            facts={
                "made_from": start.id,
                "language": settings.model.language,
                "examples": len(examples),
                "training_set": key,
            },
        )
        train(job, click.echo)
    delete_folder(target)
    fresh.rename(target)
    delete_folder(scratch.parent)


def _key(
    settings: Settings,
    rule: dict[str, Any],
    checkpoint_id: str,
    examples: list[Example],
    validation: list[Example],
) -> str:
    content = {
        "from": checkpoint_id,
        "rule": rule,
        "model": settings.model.identity(),
        "seed": settings.seed,
        "examples": sorted([row.utterance_id, row.text] for row in examples),
        "validation": sorted([row.utterance_id, row.text] for row in validation),
    }
    return content_hash(content)[:24]


def _measured(root: Workspace, settings: Settings, store: Store, target: Path) -> list[str]:
    """A line for each evaluation set."""
    import numpy as np

    from al_loop.metrics import count_errors, error_rate
    from al_loop.whisper.ctc import load_recognizer
    from al_loop.whisper.ctc_jobs import spelled
    from al_loop.whisper.recognizer import WhisperRecognizer

    device = WhisperRecognizer(root.root, settings.model).device
    recogniser = load_recognizer(str(target), device)
    sets: dict[str, list[Utterance]] = {}
    for row in store.evaluation_utterances():
        if row.text:
            sets.setdefault(row.source, []).append(row)
    lines = []
    for name, rows in sorted(sets.items()):
        counts = [
            count_errors(row.text or "", heard, row.language)
            for row, heard in spelled(recogniser, root.root, rows)
        ]
        rng = np.random.default_rng(settings.seed)
        samples = settings.evaluate.bootstrap_samples
        wer = error_rate(
            np.array([row.word_errors for row in counts]),
            np.array([row.words for row in counts]),
            rng,
            samples,
        )
        cer = error_rate(
            np.array([row.character_errors for row in counts]),
            np.array([row.characters for row in counts]),
            rng,
            samples,
        )
        lines.append(
            f"{name}: WER {100 * wer.value:.1f} ({100 * wer.low:.1f} to {100 * wer.high:.1f}), "
            f"CER {100 * cer.value:.1f} ({100 * cer.low:.1f} to {100 * cer.high:.1f})"
        )
    return lines
