"""One training that nobody keeps: what it hears of the test clips is all that is wanted of it.

Killed, it goes on where it was, inside the training too; what was heard stays until the caller has
used it, the weights do not. Knows the ports and nothing behind them. The caller holds the
workspace's lock.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from al_loop.config import TrainSettings
from al_loop.errors import WorkspaceError
from al_loop.ports import Engine, Recognizer, Store
from al_loop.records import Checkpoint, Example, Utterance


@dataclass(frozen=True, slots=True)
class Trial:
    """What is trained, from the checkpoint in the folder `base`, and what it is to hear then.

    name: of its files and of its log, like no other's in the same folder. title: for people.
    epochs: the draws of each.
    """

    name: str
    title: str
    base: str
    epochs: Sequence[Sequence[Example]]
    validation: Sequence[Example]
    settings: TrainSettings
    seed: int
    utterances: Sequence[Utterance]


def run_trial(
    trial: Trial,
    engine: Engine,
    recognizer: Recognizer,
    scratch: Path,
    say: Callable[[str], None],
) -> dict[str, str]:
    """What the trained model hears in each utterance, by id.

    scratch: a folder that is the same for the same trial and no other of this name. Its weights and
    saves lie there until the answer is known, and then only the answer.
    """
    finished = scratch / f"{trial.name}.json"
    if finished.is_file():
        say(f"{trial.title}: taken from the call before")
        found: dict[str, str] = json.loads(finished.read_text(encoding="utf-8"))
        return found
    weights, saves = scratch / f"{trial.name}-weights", scratch / trial.name
    trained = scratch / f"{trial.name}-is-trained"
    if not trained.is_file():
        say(f"{trial.title}: training")
        shutil.rmtree(weights, ignore_errors=True)
        weights.mkdir()
        saves.mkdir(exist_ok=True)
        sidecar = engine.run(
            lambda: recognizer.train(
                trial.base,
                trial.epochs,
                trial.validation,
                trial.settings,
                trial.seed,
                weights,
                saves,
            )
        )
        for note in sidecar.get("notes", ()):
            say(f"  {note}")
        trained.touch()
    heard: dict[str, str] = {}
    blocks = recognizer.blocks(str(weights), trial.utterances)
    for hypotheses in engine.map(lambda: recognizer.listener(str(weights)), blocks):
        heard |= {row.utterance_id: row.text for row in hypotheses}
        say(f"  heard {len(heard)} of {len(trial.utterances)} clips")
    unfinished = finished.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(heard, ensure_ascii=False), encoding="utf-8")
    os.replace(unfinished, finished)
    shutil.rmtree(weights)
    shutil.rmtree(saves, ignore_errors=True)
    return heard


def untrained_base(store: Store) -> Checkpoint:
    """The checkpoint that the one in use descends from. Raises WorkspaceError where none is."""
    checkpoint_id = store.current_checkpoint_id()
    if checkpoint_id is None:
        raise WorkspaceError("no checkpoint is in use yet; `al-loop round` makes the first")
    found = store.checkpoint(checkpoint_id)
    while found is not None and found.parent is not None:
        found = store.checkpoint(found.parent)
    assert found is not None, checkpoint_id
    return found


def leave_a_training_alone(store: Store) -> None:
    """Raises WorkspaceError while a round is at its training, whose saves another would delete."""
    current = store.open_round()
    if current is not None and current.stage == "train":
        raise WorkspaceError(
            f"round {current.number} is at its training, whose saves this would delete; let "
            "`al-loop round` finish it first"
        )


def tested(store: Store, language: str) -> list[Utterance]:
    """The clips of all evaluation sets. Raises WorkspaceError where none is in `language`."""
    utterances = store.evaluation_utterances()
    if not any(row.language == language for row in utterances):
        raise WorkspaceError(
            f"there is no evaluation set in {language} to compare on; ingest a test split"
        )
    return utterances
