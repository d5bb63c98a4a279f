"""`al-loop ctc`: the recogniser that spells, for aligning, rescoring and as a second opinion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from al_loop.config import CTC_FOLDER, OWN_CTC
from al_loop.errors import WorkspaceError
from al_loop.leakage import check_share, find_leaks, leak_lines
from al_loop.records import IN_HOUSE, content_hash
from al_loop.wiring import alone, clips_of, find_checkpoint, open_workspace, weights
from storage.spellers import Speller, is_name
from storage.workspace import Workspace, whole_folder

if TYPE_CHECKING:
    from al_loop.config import Settings
    from al_loop.records import Example, Leak, Utterance
    from storage.store import Store

SHOWN = 3


@click.group()
def ctc() -> None:
    """A recogniser of letters on Whisper's encoder, trained in minutes from what is labelled."""


@ctc.command()
@click.option("--name", default=OWN_CTC, show_default=True, help="One of that name is replaced.")
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

    Evaluation sets stay closed to it, and what it learns can become none. Interrupted, it goes on
    where it was. In the end it is measured on the evaluation sets, read greedily, without a
    language model.
    """
    if not is_name(name):
        raise click.UsageError(
            f"--name {name!r}: expected letters, digits, dots and hyphens, and no name that ends "
            "in .deleted or .unfinished"
        )
    root, settings, store = open_workspace(workspace)
    with alone(root):
        target = root.root / CTC_FOLDER / name
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
    from al_loop.whisper.ctc_jobs import CtcJob, train, training_settings
    from al_loop.whisper.recognizer import WhisperRecognizer

    start = find_checkpoint(store, checkpoint)
    rule = training_settings(epochs, frozen, settings.train.save_minutes)
    speller = Speller(target)
    with store.transaction():  # nothing may become a test between the check and the writing down
        examples, leaks = _examples(store, settings.mixture.max_leak_share)
        validation = store.validation_examples()
        told = rule.model_dump(exclude={"save_minutes"})
        key = _key(settings, told, start.id, examples, validation)
        learner = root.relative(speller.work / key)
        store.put_learned(learner, examples)
    for line in leak_lines(leaks):
        click.echo(f"left out, for an evaluation set holds it too: {line}")
    if _training_set(speller.fresh) != key:
        scratch = speller.begin(key)
        with weights(store, start) as folder, whole_folder(speller.fresh) as new:
            job = CtcJob(
                clips=clips_of(root, settings),
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
                    "leaks": len(leaks),
                    "training_set": key,
                },
            )
            left_out = set(train(job, click.echo)["left_out"])
        for line in _left_out([row for row in examples if row.utterance_id in left_out]):
            click.echo(line)
    speller.put()
    store.move_learner(learner, root.relative(target), root.relative(speller.work))
    speller.end()


def _examples(store: Store, most: float) -> tuple[list[Example], list[Leak]]:
    """What may be learned, and what is left out because an evaluation set holds it too.

    Raises WorkspaceError where nothing is left, or where more than the share `most` is left out.
    """
    examples = store.training_examples(IN_HOUSE)
    leaks = find_leaks(examples, store.sample_hashes(), store.evaluation_utterances())
    check_share(leaks, len(examples), most)
    leaked = {row.utterance_id for row in leaks}
    examples = [row for row in examples if row.utterance_id not in leaked]
    if not examples:
        raise WorkspaceError("there is no labelled example to train on; ingest some, or label some")
    return examples, leaks


def _left_out(examples: list[Example]) -> list[str]:
    """A line about examples whose text does not fit their audio; none where there are none."""
    if not examples:
        return []
    texts = ", ".join(f"“{row.text}”" for row in examples[:SHOWN])
    more = ", …" if len(examples) > SHOWN else ""
    return [
        f"{len(examples)} left out, for their text has no letter, or more than can be said in "
        f"their audio: is it theirs? ({texts}{more})"
    ]


def _training_set(folder: Path) -> str | None:
    """What the recogniser in a folder was trained by; None: there is none that is whole."""
    try:
        found = json.loads((folder / "al_loop.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(found.get("training_set"))


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
            for row, heard in spelled(recogniser, clips_of(root, settings), rows)
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
