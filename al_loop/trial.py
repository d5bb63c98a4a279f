"""Trainings that nobody keeps: what each hears of the test clips is all that is wanted of it.

Killed, it goes on where it was, inside the training too; what was heard stays until the caller has
used it, the weights do not. A trial is one piece of work for the engine, which may do several at
once. The caller holds the workspace's lock.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from al_loop.config import Settings, TrainSettings
from al_loop.errors import WorkspaceError
from al_loop.ports import Engine, Recognizer, Store
from al_loop.records import Checkpoint, Example, Utterance

ENDS_S = 200
"""Longest wait for a worker whose driver is gone, or whose machine is: an NFS server keeps the
locks of one that died for a lease, 90 s with Linux's, and longer where it was itself restarted."""


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


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of the trial of that name. heard: by utterance id. notes: for people, where they
    could not be told as they came."""

    name: str
    heard: Mapping[str, str]
    notes: Sequence[str]


def run_trials(
    trials: Iterable[Trial],
    engine: Engine,
    recognizer: Callable[[], Recognizer],
    scratch: Path,
    say: Callable[[str], None],
) -> Iterator[Tried]:
    """What the trained models hear, as it becomes known: trials that the engine does at once end in
    any order.

    trials: made when one is about to be begun. recognizer: must pickle. scratch: a folder that is
    the same for the same trials and no others, wherever the engine works. A trial's weights and
    saves lie there until its answer is known, and then only the answer.
    """

    def begun() -> Iterator[Trial]:
        for trial in trials:
            files = _Files(scratch, trial.name)
            if files.answer.is_file():
                say(f"{trial.title}: taken from the call before")
            elif not files.trained.is_file():
                say(f"{trial.title}: training")
            yield trial

    for tried in engine.map(_Tries(recognizer, scratch, say), begun()):
        for line in tried.notes:
            say(line)
        yield tried


class _Tries:
    """Makes workers that do a whole trial each. say: left behind where another process makes them,
    and what they have to say then comes back with the answer."""

    def __init__(
        self,
        recognizer: Callable[[], Recognizer],
        scratch: Path,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.recognizer = recognizer
        self.scratch = scratch
        self.say = say

    def __reduce__(self) -> tuple[type[_Tries], tuple[Callable[[], Recognizer], Path]]:
        return _Tries, (self.recognizer, self.scratch)

    def __call__(self) -> Callable[[Trial], Tried]:
        return self._try

    def _try(self, trial: Trial) -> Tried:
        notes: list[str] = []
        files = _Files(self.scratch, trial.name)
        try:
            # the worker of a driver that was killed a moment ago may still be ending
            with FileLock(files.lock, timeout=ENDS_S):
                heard = _heard(trial, self.recognizer, files, self.say or notes.append)
        except Timeout as exc:
            raise WorkspaceError(
                f"{trial.title}: another process is at work on it; try again when it has ended"
            ) from exc
        return Tried(trial.name, heard, notes)


@dataclass(frozen=True, slots=True)
class _Files:
    """A trial's places in `scratch`."""

    scratch: Path
    name: str

    @property
    def answer(self) -> Path:
        return self.scratch / f"{self.name}.json"

    @property
    def lock(self) -> Path:
        return self.scratch / f"{self.name}.lock"

    @property
    def weights(self) -> Path:
        return self.scratch / f"{self.name}-weights"

    @property
    def saves(self) -> Path:
        return self.scratch / self.name

    @property
    def trained(self) -> Path:
        """There as soon as the weights are whole."""
        return self.scratch / f"{self.name}-is-trained"


def _heard(
    trial: Trial, make: Callable[[], Recognizer], files: _Files, say: Callable[[str], None]
) -> dict[str, str]:
    """What the trained model hears in each utterance, by id."""
    from al_loop.engine.local import LocalEngine  # a trial is one worker's, wherever that is

    if files.answer.is_file():
        found: dict[str, str] = json.loads(files.answer.read_text(encoding="utf-8"))
        return found
    recognizer, weights = make(), files.weights
    if not files.trained.is_file():
        shutil.rmtree(weights, ignore_errors=True)
        weights.mkdir()
        files.saves.mkdir(exist_ok=True)
        sidecar = recognizer.train(
            trial.base,
            trial.epochs,
            trial.validation,
            trial.settings,
            trial.seed,
            weights,
            files.saves,
        )
        for note in sidecar.get("notes", ()):
            say(f"  {note}")
        files.trained.touch()
    heard: dict[str, str] = {}
    blocks = recognizer.blocks(str(weights), trial.utterances, recognizer.room())
    for hypotheses in LocalEngine().map(lambda: recognizer.listener(str(weights)), blocks):
        heard |= {row.utterance_id: row.text for row in hypotheses}
        say(f"  heard {len(heard)} of {len(trial.utterances)} clips")
    unfinished = files.answer.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(heard, ensure_ascii=False), encoding="utf-8")
    os.replace(unfinished, files.answer)
    shutil.rmtree(weights)
    shutil.rmtree(files.saves, ignore_errors=True)
    return heard


def in_one_worker(settings: Settings) -> TrainSettings:
    """The training of a trial: with Ray in one process, for a trial is one worker's, and that sees
    the GPUs that it occupies and no others."""
    rule = settings.train
    return rule if settings.engine.kind == "local" else rule.model_copy(update={"processes": 1})


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
