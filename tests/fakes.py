"""What tests of the loop put in the places of Whisper and Label Studio, and a corpus for both.

The fakes keep the promises of `al_loop.ports`. All that they say follows from an utterance's id,
so that two runs can be compared row by row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from al_loop.config import Settings, TrainSettings
from al_loop.engine.local import LocalEngine
from al_loop.records import (
    Alternatives,
    Annotation,
    Case,
    Doubt,
    Example,
    FollowUp,
    Hypothesis,
    Label,
    Place,
    Profile,
    Pulled,
    PulledTask,
    Refusal,
    Room,
    Source,
    SourceKind,
    Spelled,
    Split,
    Stage,
    Task,
    TaskKey,
    Utterance,
    Verdict,
    WordConfidence,
    content_hash,
)
from al_loop.round import Loop, Outcome
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace

WORDS = ("бир", "эки", "үч", "төрт", "беш", "алты", "жети", "сегиз", "тогуз", "он")
SETTINGS: Mapping[str, Any] = {
    "select": {"budget_s": 8.0, "control_share": 0.4, "explore_share": 0.0},
    "gates": {"enabled": False},  # nobody speaks as fast as the fake clips
    "train": {"epochs": 2},
    "labels": {"gold_share": 0.0, "repeat_share": 0.0},
    "label_studio": {"low_water": 0},
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
    with. confided: the skills and texts that `confider` was made with. quiet, shapeless: ids of
    clips that are too quiet, and that have no embedding. A clip needs one byte.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.progress = 1
        self.base_failure: BaseException | None = None
        self.failure: BaseException | None = None
        self.trainings: list[Training] = []
        self.confided: list[tuple[int, dict[str, str]]] = []
        self.quiet: set[str] = set()
        self.shapeless: set[str] = set()

    def create_base(self, folder: Path) -> Mapping[str, Any]:
        if self.base_failure:
            raise self.base_failure
        model = Settings().model
        sidecar = {"made_from": model.checkpoint, "token_started_from": model.donor}
        return self._save(folder, {**sidecar, "model": model.identity(), "skill": 0})

    def room(self) -> Room:
        return Room(bytes=5, distributions=None)

    def blocks(
        self, checkpoint: str, utterances: Sequence[Utterance], room: Room, texts: int = 1
    ) -> list[list[Utterance]]:
        size = int(room.bytes)
        return [list(utterances[start : start + size]) for start in range(0, len(utterances), size)]

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

    def confider(
        self, checkpoint: str, texts: Mapping[str, str]
    ) -> Callable[[Sequence[Utterance]], list[WordConfidence]]:
        skill = self._skill(checkpoint)
        self.confided.append((skill, dict(texts)))
        return lambda block: [confidence(row.id, texts[row.id], skill) for row in block]

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


def confidence(utterance_id: str, text: str, skill: int) -> WordConfidence:
    """Sure of what is right, the more so the more skilled; the first of its texts is as good."""
    probability = (1 + skill) / 8
    return WordConfidence(utterance_id, text, [probability] * len(text.split()))


class FakeSpeller:
    """Spells what is spoken. deaf: ids of clips in which it hears something else. failure: what it
    raises after `blocks_left` blocks. heard: the ids that it was asked about, repetitions too."""

    id = "letters@1"

    def __init__(self) -> None:
        self.deaf: set[str] = set()
        self.failure: BaseException | None = None
        self.blocks_left = 0
        self.heard: list[str] = []

    def blocks(self, utterances: Sequence[Utterance]) -> list[list[Utterance]]:
        return [list(utterances[start : start + 5]) for start in range(0, len(utterances), 5)]

    def spell(self, block: Sequence[tuple[Utterance, Sequence[str]]]) -> list[Spelled]:
        if self.failure and self.blocks_left == 0:
            raise self.failure
        self.blocks_left -= 1
        self.heard += [row.id for row, _ in block]
        return [self._spell(row.id, texts) for row, texts in block]

    def _spell(self, utterance_id: str, texts: Sequence[str]) -> Spelled:
        said = spoken(utterance_id)
        words = said.split()
        log_probs = [-5.0 * wrong_words(words, text.split()) for text in texts]
        text = "такыр башка" if utterance_id in self.deaf else said
        return Spelled(utterance_id, text, log_probs)


def wrong_words(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Of texts of one length, place by place."""
    return sum(one != other for one, other in zip(expected, heard, strict=False))


class FakeOracle:
    """Annotators who write down what is spoken, as soon as a test lets them.

    tasks: the task id of every task that is there. projects: where each name's project is. asked:
    every task as it was pushed, repetitions included. showing: what each task shows. drafts: tasks
    that somebody has begun to answer. pulled_since: the mark that each pull came with. failure:
    what every call raises, if anything; `place` and `push` do so when there are `room` tasks.
    """

    def __init__(self, server: str = "http://label.studio.test") -> None:
        self.server = server
        self.projects: dict[str, Place] = {}
        self.tasks: dict[TaskKey, str] = {}
        self.lies_in: dict[TaskKey, Place] = {}
        self.changed_at: dict[TaskKey, str] = {}
        self.asked: list[Task] = []
        self.showing: dict[TaskKey, Task] = {}
        self.drafts: set[TaskKey] = set()
        self.pulled_since: list[str | None] = []
        self.swept = 0
        self.refreshed: list[Task] = []
        self.annotations: dict[str, Annotation] = {}
        self.refusals: list[Refusal] = []
        self.failure: BaseException | None = None
        self.room = 0
        self.page = 3
        self._clock = 0
        self._numbers = 0

    # -- the port ------------------------------------------------------------------------------

    def place(self, name: str) -> Place:
        if len(self.tasks) >= self.room:
            self._fail()
        number = len(self.projects) + 1
        return self.projects.setdefault(name, Place(self.server, number))

    def find(self, name: str) -> Place | None:
        self._fail()
        return self.projects.get(name)

    def push(self, place: Place, tasks: Sequence[Task]) -> Iterator[Mapping[TaskKey, str]]:
        assert place in self.projects.values(), f"{place} is no project here"
        for task in tasks:
            if len(self.tasks) >= self.room:
                self._fail()
            self.asked.append(task)
            if task.key not in self.tasks:
                self._numbers += 1
                self.tasks[task.key] = str(self._numbers)
                self.showing[task.key] = task
                self.lies_in[task.key] = place
                self.changed_at[task.key] = self.now()
            yield {task.key: self.tasks[task.key]}

    def pull(self, place: Place, since: str | None) -> Iterator[Pulled]:
        self._fail()
        self.pulled_since.append(since)
        changed = [
            key
            for key, time in self.changed_at.items()
            if key in self.tasks and self.lies_in[key] == place and time >= (since or "")
        ]
        times = [self.changed_at[key] for key in changed]
        rows = iter(changed)
        while page := list(islice(rows, self.page)):
            yield Pulled([self._pulled(key) for key in page], (), None)
        yield Pulled((), self.refusals, max(times, default=since))

    def task_ids(self, place: Place) -> Mapping[TaskKey, str]:
        self._fail()
        self.swept += 1
        return {key: id_ for key, id_ in self.tasks.items() if self.lies_in[key] == place}

    def refresh(self, place: Place, tasks: Mapping[str, Task]) -> Iterator[Collection[TaskKey]]:
        for task_id, task in tasks.items():
            self._fail()
            assert self.tasks[task.key] == task_id
            if task.key not in self.drafts and not self._answers(task.key):
                self.refreshed.append(task)
                self.showing[task.key] = task
                self.changed_at[task.key] = self.now()
                yield [task.key]

    def _fail(self) -> None:
        if self.failure:
            raise self.failure

    def _answers(self, key: TaskKey) -> list[Annotation]:
        return [row for row in self.annotations.values() if row.key == key]

    def _pulled(self, key: TaskKey) -> PulledTask:
        return PulledTask(self.tasks[key], key, self.changed_at[key], self._answers(key))

    # -- what a test does ----------------------------------------------------------------------

    def now(self) -> str:
        """A moment after all others."""
        self._clock += 1
        return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._clock)).isoformat()

    def key(self, utterance_id: str) -> TaskKey:
        """The newest task about an utterance."""
        return max(key for key in self.tasks if key.utterance_id == utterance_id)

    @property
    def utterances(self) -> set[str]:
        """What anybody was asked about."""
        return {key.utterance_id for key in self.tasks}

    @property
    def unanswered(self) -> list[TaskKey]:
        answered = {row.key for row in self.annotations.values()}
        return [key for key in self.tasks if key not in answered]

    def answer(
        self,
        *asked: str | TaskKey,
        verdict: Verdict | None = None,
        text: str | None = None,
        annotator: str = "annotator-1",
    ) -> None:
        """One more answer to each: what is spoken, or this text, or the verdict.

        asked: a task, or an utterance, whose newest task is meant.
        """
        for name in asked:
            key = self.key(name) if isinstance(name, str) else name
            number, time = str(len(self.annotations) + 1), self.now()
            self.annotations[number] = Annotation(
                id=number,
                task_id=self.tasks[key],
                key=key,
                annotator=annotator,
                text=None if verdict else text or spoken(key.utterance_id),
                verdict=verdict,
                lead_time_s=8.0,
                created_at=time,
                updated_at=time,
                shown=self.showing[key].hypothesis,
            )
            self.changed_at[key] = time

    def edit(self, id_: str, text: str) -> None:
        """Somebody changes an answer; to nothing, which makes it unusable."""
        row, time = self.annotations[id_], self.now()
        self.changed_at[row.key] = time
        if text:
            self.annotations[id_] = replace(row, text=text, updated_at=time)
        else:
            del self.annotations[id_]

    def withdraw(self, id_: str) -> None:
        """Somebody deletes an answer."""
        self.edit(id_, "")

    def lose(self, *keys: TaskKey) -> None:
        """Somebody deletes tasks, with their answers."""
        for key in keys:
            del self.tasks[key]
            self.annotations = {id_: row for id_, row in self.annotations.items() if row.key != key}


class FakeJudge:
    """The latest answer decides, a skip only among skips. wanted: what it wants asked again."""

    def __init__(self) -> None:
        self.wanted: list[FollowUp] = []

    def settle(self, case: Case) -> Label | None:
        deciding, *others = sorted(
            case.annotations,
            key=lambda answer: (answer.verdict != "skipped", answer.updated_at, answer.id),
            reverse=True,
        )
        ids = [deciding.id, *(row.id for row in others)]
        return Label(case.utterance.id, deciding.text, deciding.verdict, ids)

    def follow_ups(self, cases: Sequence[Case]) -> list[FollowUp]:
        known = {case.utterance.id for case in cases}
        return [row for row in self.wanted if row.utterance_id in known]


@dataclass
class World:
    """A store, and all that a loop needs around it."""

    store: Store
    recognizer: FakeRecognizer
    oracle: FakeOracle = field(default_factory=FakeOracle)
    judge: FakeJudge = field(default_factory=FakeJudge)
    speller: FakeSpeller = field(default_factory=FakeSpeller)
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
        return self.loop().advance(close, insist, until)

    def loop(self) -> Loop:
        return Loop(
            self.settings,
            self.store,
            LocalEngine(),
            lambda: self.recognizer,
            lambda: self.oracle,
            self.judge,
            self.said.append,
            self.clock,
            lambda: self.speller,
        )

    def batch(self, round_number: int) -> list[str]:
        """The utterances that a round asks about, most valuable first."""
        return [
            task.key.utterance_id
            for task in self.oracle.asked
            if (task.key.round, task.kind) == (round_number, "query")
        ]

    def reader(self) -> Reader:
        return Reader(self.store.workspace)


def new_store(folder: Path) -> Store:
    """A store in a workspace that is made at `folder`."""
    folder.mkdir()
    (folder / "al_loop.toml").touch()
    return Store(Workspace.open(folder))


def hasty_store(workspace: Workspace) -> Store:
    """A store that does not wait for the disk: processes may end, but not the machine."""
    store = Store(workspace)
    store.db.execute("PRAGMA synchronous = OFF")
    return store


def make_world(store: Store, pool: int = 14, train: int = 4, test: int = 6) -> World:
    """A world whose corpus has so many clips of each split."""
    sources: list[tuple[str, SourceKind, Split, int]] = [
        ("radio", "in_house", "pool", pool),
        ("books", "open_source", "train", train),
        ("held_out", "open_source", "test", test),
    ]
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
    different = {"workspace": {"id"}, "projects": {"high_water"}}
    for table in store.db.tables:
        varying = different.get(table.name, set())
        names = [
            column.name
            for column in table.columns
            if column.name not in varying and not column.name.endswith("_at")
        ]
        if not names:
            continue
        rows = store.db.execute(f"SELECT {', '.join(names)} FROM {table.name}").fetchall()
        tables[table.name] = sorted(rows, key=repr)
    return tables
