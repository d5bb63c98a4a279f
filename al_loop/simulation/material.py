"""What a simulation is made of: labelled utterances, divided by seed; written once, as they were.

Knows the stores of workspaces by what it asks of them, and neither replays nor strategies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from al_loop.errors import WorkspaceError
from al_loop.records import (
    IN_HOUSE,
    JUNK,
    Answer,
    Example,
    Source,
    Utterance,
    Verdict,
    content_hash,
)
from al_loop.text import normalise

FILE = "material.json"


@dataclass(frozen=True, slots=True)
class Material:
    """Utterances with what is said in them, or why nobody can say. Their paths are absolute.

    fixed: the same in every replay: test, validation and train splits. labelled: divided anew by
    each seed into what a replay begins with and its pool. Those without a text have a verdict,
    and are always of the pool.
    """

    sources: Sequence[Source]
    fixed: Sequence[Utterance]
    labelled: Sequence[Utterance]
    verdicts: Mapping[str, Verdict]

    @property
    def id(self) -> str:
        """A hash of all that figures depend on."""
        rows = [
            [row.id, row.split, row.language, row.source, row.speaker, row.text]
            for row in (*self.fixed, *self.labelled)
        ]
        sources = [[row.name, row.kind, row.language, row.weight] for row in self.sources]
        return content_hash([sorted(sources), sorted(rows, key=str), dict(self.verdicts)])


class Labelled(Protocol):
    """What is asked of the store of a workspace."""

    def sources(self) -> list[Source]: ...
    def find(self, utterance_id: str, sample_hash: str) -> Utterance | None: ...
    def evaluation_utterances(self) -> list[Utterance]: ...
    def validation_examples(self) -> list[Example]: ...
    def training_examples(self, in_house_source: str) -> list[Example]: ...
    def answers(self, encoder: str) -> list[Answer]: ...


def gather(
    store: Labelled,
    language: str,
    encoder: str,
    file: Callable[[str], Path],
    say: Callable[[str], None],
) -> Material:
    """What a workspace has labelled. file: where a clip of it lies.

    Fixed are the test split of the target language, the validation split, and what is labelled in
    other languages. The target language's train split and the in-house labels are replayed; what
    annotators found unusable is junk among them. Texts that hold no word, once they are normalised,
    are left out, for no error rate can be had of them; `say` is told how many.
    """
    wordless: set[str] = set()

    def find(utterance_id: str, text: str | None) -> Utterance:
        row = store.find(utterance_id, utterance_id)
        assert row is not None, utterance_id
        return replace(row, text=text, audio=str(file(row.audio).absolute()))

    def spoken(utterance_id: str, text: str | None) -> list[Utterance]:
        row = find(utterance_id, text)
        if normalise(text or "", row.language):
            return [row]
        wordless.add(utterance_id)
        return []

    examples = [
        found
        for row in store.training_examples(IN_HOUSE)
        for found in spoken(row.utterance_id, row.text)
    ]
    verdicts: dict[str, Verdict] = {
        row.utterance_id: row.verdict for row in store.answers(encoder) if row.verdict in JUNK
    }
    material = Material(
        sources=[row for row in store.sources() if row.name != IN_HOUSE],
        fixed=[
            *(
                found
                for row in store.evaluation_utterances()
                if row.language == language
                for found in spoken(row.id, row.text)
            ),
            *(
                found
                for row in store.validation_examples()
                for found in spoken(row.utterance_id, row.text)
            ),
            *(replace(row, split="train") for row in examples if row.language != language),
        ],
        labelled=[
            *(row for row in examples if row.language == language),
            *(find(utterance_id, None) for utterance_id in sorted(verdicts)),
        ],
        verdicts=verdicts,
    )
    if wordless:
        say(f"{len(wordless)} clips are left out, for their texts hold no word")
    return material


def keep(material: Material, folder: Path) -> None:
    """Write what the simulation in `folder` is made of, unless it is there already."""
    path = folder / FILE
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(material), ensure_ascii=False), encoding="utf-8")
    os.replace(unfinished, path)


def kept(folder: Path, live: Material, say: Callable[[str], None]) -> Material:
    """What the simulation in `folder` began with, or `live` where it has not begun.

    So labels that come later do not end it; `say` is told how many it does not use.
    """
    path = folder / FILE
    if not path.exists():
        return live
    values = json.loads(path.read_text(encoding="utf-8"))
    found = Material(
        [Source(**row) for row in values["sources"]],
        [Utterance(**row) for row in values["fixed"]],
        [Utterance(**row) for row in values["labelled"]],
        values["verdicts"],
    )
    if found.id != live.id:
        known = {(row.id, row.text) for row in found.labelled}
        later = sum((row.id, row.text) not in known for row in live.labelled)
        say(
            f"what is labelled has changed since this simulation began: {later} labels came, which "
            "it does not use; another --name does"
        )
    return found


def divide(material: Material, start_s: float, seed: int) -> list[Utterance]:
    """The utterances of a replay: what is fixed, what the seed begins with, and the pool.

    It begins with texts drawn at random until there are `start_s` seconds of them.
    """
    spoken = sorted((row for row in material.labelled if row.text), key=lambda row: row.id)
    begun: set[str] = set()
    spent_s = 0.0
    for index in np.random.default_rng(seed).permutation(len(spoken)):
        if spent_s >= start_s:
            break
        begun.add(spoken[index].id)
        spent_s += spoken[index].duration_s
    return [
        *material.fixed,
        *(
            replace(row, split="train")
            if row.id in begun
            else replace(row, split="pool", text=None)
            for row in material.labelled
        ),
    ]


def check(material: Material, start_s: float, seeds: int, rounds: int, budget_s: float) -> None:
    """Raises WorkspaceError, with the figures, when it is too little for so many rounds."""
    if not any(row.split == "test" for row in material.fixed):
        raise WorkspaceError(
            "a simulation measures on the test split, and there is none in the target language; "
            "`al-loop ingest MANIFEST --split test` makes one"
        )
    for seed in range(seeds):
        rows = divide(material, start_s, seed)
        pool_s = sum(row.duration_s for row in rows if row.split == "pool")
        if pool_s < rounds * budget_s:
            labelled_s = sum(row.duration_s for row in material.labelled)
            raise WorkspaceError(
                f"{rounds} rounds of {budget_s:g} s need {rounds * budget_s:g} s of labelled audio "
                f"besides what a replay begins with; of {labelled_s:.0f} s here, {pool_s:.0f} s "
                f"are left after {start_s:g} s to begin with; lower one of these, or label more"
            )
        if not any(row.split == "train" for row in rows):
            raise WorkspaceError(
                "a replay would begin with nothing to train on; give it some seconds to begin with"
            )
