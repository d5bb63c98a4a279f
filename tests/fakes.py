"""What tests of the loop put in the places of Whisper and Label Studio, and a corpus for both.

The fakes keep the promises of `al_loop.ports`. All that they say follows from an utterance's id,
so that two runs can be compared row by row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from al_loop.config import Settings, TrainSettings
from al_loop.engine.local import LocalEngine
from al_loop.records import (
    Alternatives,
    Annotation,
    Doubt,
    Example,
    Hypothesis,
    Profile,
    Pulled,
    Source,
    SourceKind,
    Split,
    Stage,
    Task,
    Utterance,
    Verdict,
    content_hash,
)
from al_loop.round import Loop, Outcome
from labeling.quality import settle
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace

WORDS = ("бир", "эки", "үч", "төрт", "беш", "алты", "жети", "сегиз", "тогуз", "он")
SETTINGS: Mapping[str, Any] = {
    "select": {"budget_s": 8.0, "control_share": 0.4, "explore_share": 0.0},
    "gates": {"enabled": False},  # nobody speaks as fast as the fake clips
    "train": {"epochs": 2},
    "evaluate": {"bootstrap_samples": 100},
}


def spoken(utterance_id: str) -> str:
    """What is said in a clip: ten words."""
    return " ".join(WORDS[int(digit, 16) % len(WORDS)] for digit in utterance_id[:10])


def clips(source: str, split: Split, count: int) -> list[Utterance]:
    """`count` utterances of 1, 1.5 or 2 seconds; those of the pool have no text yet."""
    rows = []
    for number in range(count):
        name = content_hash([source, split, number])
        text = None if split == "pool" else spoken(name)
        audio = f"audio/{name}.flac"
        duration_s = 1 + number % 3 / 2
        rows.append(Utterance(name, name, audio, duration_s, source, "ky", split, text))
    return rows


class FakeRecognizer:
    """Hears more of a clip's words the more often its checkpoint was trained.

    progress: what one training adds to the skill; below zero the model unlearns. base_failure,
    failure: what `create_base` and `train` raise, if anything. trainings: what `train` was called
    with. quiet, shapeless: ids of clips that are too quiet, and that have no embedding.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.progress = 1
        self.base_failure: BaseException | None = None
        self.failure: BaseException | None = None
        self.trainings: list[Training] = []
        self.quiet: set[str] = set()
        self.shapeless: set[str] = set()

    def create_base(self, folder: Path) -> Mapping[str, Any]:
        if self.base_failure:
            raise self.base_failure
        model = Settings().model
        sidecar = {"made_from": model.checkpoint, "token_started_from": model.donor}
        return self._save(folder, {**sidecar, "model": model.identity(), "skill": 0})

    def blocks(
        self, checkpoint: str, utterances: Sequence[Utterance], texts: int = 1
    ) -> list[list[Utterance]]:
        return [list(utterances[start : start + 5]) for start in range(0, len(utterances), 5)]

    def listener(self, checkpoint: str) -> Callable[[Sequence[Utterance]], list[Hypothesis]]:
        skill = self._skill(checkpoint)
        return lambda block: [hear(row.id, skill) for row in block]

    def profiler(
        self, checkpoint: str, encoder: str, related: Collection[str]
    ) -> Callable[[Sequence[Utterance]], list[Profile]]:
        assert self._skill(checkpoint) == 0, "profiles are the untrained checkpoint's"
        return lambda block: [self._profile(row.id) for row in block]

    def _profile(self, utterance_id: str) -> Profile:
        found = sound(utterance_id)
        if utterance_id in self.quiet:
            found = replace(found, loudness_dbfs=-90.0)
        if utterance_id in self.shapeless:
            found = replace(found, embedding=np.full_like(found.embedding, np.nan))
        return found

    def doubter(
        self, checkpoint: str, doubt: Doubt
    ) -> Callable[[Sequence[Utterance]], list[Alternatives]]:
        skill = self._skill(checkpoint)
        return lambda block: [doubts(row.id, skill, doubt) for row in block]

    def train(
        self,
        checkpoint: str,
        epochs: Sequence[Sequence[Example]],
        validation: Sequence[Example],
        settings: TrainSettings,
        seed: int,
        folder: Path,
        scratch: Path,
    ) -> Mapping[str, Any]:
        found = {path.name for path in scratch.iterdir()}
        self.trainings.append(Training(checkpoint, epochs, validation, seed, found))
        (scratch / f"save-{len(self.trainings)}").touch()
        if self.failure:
            raise self.failure
        skill = self._skill(checkpoint) + self.progress
        return self._save(folder, {"skill": skill})

    def _save(self, folder: Path, sidecar: Mapping[str, Any]) -> Mapping[str, Any]:
        (folder / "weights.json").write_text(json.dumps(sidecar))
        return sidecar

    def _skill(self, checkpoint: str) -> int:
        return json.loads((self.root / checkpoint / "weights.json").read_text())["skill"]


@dataclass(frozen=True)
class Training:
    checkpoint: str
    epochs: Sequence[Sequence[Example]]
    validation: Sequence[Example]
    seed: int
    found: set[str]
    """What lay in the scratch folder when it began."""


def hear(utterance_id: str, skill: int) -> Hypothesis:
    """A quarter of the words at skill 0, all of them at skill 3; a word once learned stays."""
    luck = [int(digit, 16) for digit in utterance_id[-10:]]
    right = [digit < 4 + 4 * skill for digit in luck]
    words = spoken(utterance_id).split()
    wrong_share = right.count(False) / len(right)
    return Hypothesis(
        utterance_id=utterance_id,
        text=" ".join(word if hit else "эмне" for word, hit in zip(words, right, strict=True)),
        token_count=len(words),
        mean_log_prob=-wrong_share,
        mean_token_entropy=wrong_share,
        top_token_entropy=wrong_share,
        tsallis_entropy=wrong_share,
        renyi_entropy=wrong_share,
        mean_margin=1 - wrong_share,
        no_speech_prob=0.0,
        compression_ratio=1.0,
    )


def sound(utterance_id: str, dimension: int = 4) -> Profile:
    """A clip that no gate holds back, at a place of its own among the embeddings."""
    rng = np.random.default_rng(int(utterance_id[:8], 16))
    embedding = rng.standard_normal(dimension).astype(np.float32)
    return Profile(utterance_id, -20.0, 0.0, 0.9, "ru", 0.1, embedding)


def doubts(utterance_id: str, skill: int, doubt: Doubt) -> Alternatives:
    """What is heard at each skill in turn."""
    texts = [hear(utterance_id, skill + number % 2).text for number in range(doubt.count)]
    length = 1.0 if doubt.kind == "gradient" else None
    return Alternatives(utterance_id, texts, [-1.0] * len(texts), length)


class FakeOracle:
    """Annotators who write down what is spoken, as soon as a test lets them.

    tasks: the task id of every utterance that was ever pushed. asked: every task as it was pushed,
    repetitions included. pulled_since: the mark that each pull came with. failure: what both calls
    raise, if anything; `push` does so when there are `room` tasks.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, str] = {}
        self.asked: list[Task] = []
        self.pulled_since: list[str | None] = []
        self.annotations: dict[str, Annotation] = {}
        self.failure: BaseException | None = None
        self.room = 0

    def push(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, str]]:
        for task in tasks:
            if self.failure and len(self.tasks) >= self.room:
                raise self.failure
            self.asked.append(task)
            task_id = self.tasks.setdefault(task.utterance_id, str(len(self.tasks) + 1))
            yield {task.utterance_id: task_id}

    def pull(self, since: str | None) -> Pulled:
        if self.failure:
            raise self.failure
        self.pulled_since.append(since)
        rows = [row for row in self.annotations.values() if row.updated_at >= (since or "")]
        return Pulled(rows, (), max((row.updated_at for row in rows), default=since))

    @property
    def unanswered(self) -> list[str]:
        answered = {row.utterance_id for row in self.annotations.values()}
        return [name for name in self.tasks if name not in answered]

    def answer(self, *utterance_ids: str, verdict: Verdict | None = None) -> None:
        """One more answer about each of the utterances: what is spoken, or the verdict."""
        for name in utterance_ids:
            number = len(self.annotations) + 1
            time = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)).isoformat()
            self.annotations[str(number)] = Annotation(
                id=str(number),
                task_id=self.tasks[name],
                utterance_id=name,
                annotator="annotator-1",
                text=None if verdict else spoken(name),
                verdict=verdict,
                lead_time_s=8.0,
                created_at=time,
                updated_at=time,
            )


@dataclass
class World:
    """A store, and all that a loop needs around it."""

    store: Store
    recognizer: FakeRecognizer
    oracle: FakeOracle = field(default_factory=FakeOracle)
    settings: Settings = field(default_factory=lambda: Settings.model_validate(SETTINGS))
    said: list[str] = field(default_factory=list)
    clock: Callable[[], float] = monotonic

    def set(self, **sections: Mapping[str, Any]) -> None:
        """Change settings, as in `set(select={"budget_s": 1.0})`."""
        values = self.settings.model_dump()
        for name, section in sections.items():
            values[name] |= section
        self.settings = Settings.model_validate(values)

    def advance(
        self, close: bool = False, insist: bool = False, until: Stage | None = None
    ) -> Outcome:
        """One call of `al-loop round`: nothing is kept from the call before but the store."""
        return Loop(
            self.settings,
            self.store,
            LocalEngine(),
            lambda: self.recognizer,
            lambda: self.oracle,
            settle,
            self.said.append,
            self.clock,
        ).advance(close, insist, until)

    def batch(self, round_number: int) -> list[str]:
        """The utterances that a round asks about, most valuable first."""
        return [task.utterance_id for task in self.oracle.asked if task.round == round_number]

    def reader(self) -> Reader:
        return Reader(self.store.workspace)


def new_store(folder: Path) -> Store:
    """A store in a workspace that is made at `folder`."""
    folder.mkdir()
    (folder / "al_loop.toml").touch()
    return Store(Workspace.open(folder))


def make_world(store: Store, pool: int = 14, train: int = 4, test: int = 6) -> World:
    """A world whose corpus has so many clips of each split."""
    sources: list[tuple[str, SourceKind, Split, int]] = [
        ("radio", "in_house", "pool", pool),
        ("books", "open_source", "train", train),
        ("held_out", "open_source", "test", test),
    ]
    store.set_project("http://label.studio.test", 1)
    for name, kind, split, count in sources:
        store.put_source(Source(name, kind, "ky"))
        store.add(clips(name, split, count), [])
    return World(store, FakeRecognizer(store.workspace.root))


def live(world: World) -> None:
    """Rounds 0 and 1, with annotators who answer as soon as they are asked."""
    for _ in range(4):
        last = world.store.last_round()
        if last and (last.number, last.stage) == (1, None):
            return
        if world.advance().kind == "waiting":
            world.oracle.answer(*world.oracle.unanswered)
    raise AssertionError("round 1 is not recorded after four calls")


def facts(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, without what differs from run to run: times, the workspace's id."""
    tables = {}
    for table in store.db.tables:
        varying = {"id"} if table.name == "workspace" else set()
        names = [
            column.name
            for column in table.columns
            if column.name not in varying and not column.name.endswith("_at")
        ]
        rows = store.db.execute(f"SELECT {', '.join(names)} FROM {table.name}").fetchall()
        tables[table.name] = sorted(rows, key=repr)
    return tables
