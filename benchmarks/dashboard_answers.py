"""The annotators of the dashboard's workspace: what they are asked, and what they answer.

Four, of whom the last one mostly leaves drafts as they are. Labels are what the loop's own judge
settles on, and so are the adjudications that it asks for. Knows no training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import TypeVar

import numpy as np

from al_loop.asking_plan import interleaved, wrong_draft
from al_loop.config import Settings
from al_loop.records import (
    MAIN_PROJECT,
    Annotation,
    Choice,
    Hypothesis,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    Task,
    TaskKey,
    Verdict,
    WordConfidence,
)
from benchmarks.dashboard_clips import Clip, Clips
from benchmarks.dashboard_speech import like
from labeling.quality import LabelJudge
from storage.store import Store

T = TypeVar("T")
PLACE = Place("2026-01-01T00:00:00.000000Z", 1)
OVERLAP, GOLD, REPEATED = 0.12, 0.02, 0.02
"""Shares of a batch: answered by two, known, asked again."""
VERDICTS: Mapping[str, Verdict] = {
    "quiet": "bad_audio",
    "no_speech": "bad_audio",
    "other_language": "other_language",
    "looping": "several_speakers",
}


@dataclass(frozen=True, slots=True)
class Person:
    """work: share of all answers. typos: of words. careless: share of drafts left as they are."""

    name: str
    work: float
    typos: float
    careless: float


PEOPLE = (
    Person("annotator-1", 0.4, 0.004, 0.0),
    Person("annotator-2", 0.3, 0.01, 0.02),
    Person("annotator-3", 0.2, 0.02, 0.02),
    Person("annotator-4", 0.1, 0.02, 0.75),
)


class Annotators:
    """They answer what is pushed, and what they answered becomes labels."""

    def __init__(
        self, store: Store, settings: Settings, clips: Clips, rng: np.random.Generator
    ) -> None:
        self.store, self.rng = store, rng
        self.clips: dict[str, Clip] = {clip.id: clip for clip in (*clips.asked, *clips.learned)}
        self.known = [clip for clip in clips.learned if clip.utterance.language == "ky"]
        self.judge = LabelJudge(settings.labels, "ky")
        self.numbers = count(1)
        self.ids: dict[TaskKey, str] = {}
        self.waiting: list[Task] = []
        self.answered: list[str] = []
        self.open: list[str] = []
        store.put_place(MAIN_PROJECT, PLACE)

    def plan(
        self, number: int, choices: Sequence[Choice], heard: Mapping[str, Hypothesis]
    ) -> list[PlannedTask]:
        """The batch with gold tasks and repeats among it."""
        queries = [PlannedTask(TaskKey(row.utterance_id, number, 0), "query", 0) for row in choices]
        gold = self._some(self.known, GOLD * len(queries))
        others = [
            PlannedTask(
                TaskKey(clip.id, number, 0),
                "gold",
                0,
                "its answer is known",
                wrong_draft(clip.truth, clip.heard_by("gold", 0.3).text, "ky", self.rng),
            )
            for clip in gold
        ]
        for name in self._some(self.answered, REPEATED * len(queries)):
            shown = self.clips[name].heard_by("repeat", 0.3).text
            reason = "to see whether the answer is the same"
            others.append(PlannedTask(TaskKey(name, number, 0), "repeat", 0, reason, shown))
        return interleaved(queries, others, self.rng)

    def push(self, checkpoint_id: str, number: int, heard: Mapping[str, Hypothesis]) -> None:
        """All of a round that is not pushed, showing what the checkpoint heard."""
        names = {row.id for row in self.store.unshown()}
        texts = {name: heard[name].text for name in names}
        texts |= dict(self.store.unmarked())
        self.store.show(
            checkpoint_id,
            [
                WordConfidence(name, text, self._sureness(text))
                for name, text in sorted(texts.items())
            ],
        )
        self.waiting = self._pushed()

    def answer(
        self,
        number: int,
        batch: Sequence[str],
        most: int,
        start: datetime,
        end: datetime,
        heard: Mapping[str, Hypothesis],
    ) -> None:
        """`most` of the batch, and all else that was pushed up to there, between these times."""
        asked = set(batch)
        tasks = self.waiting
        pulled, answered = [], 0
        for place, task in enumerate(tasks):
            is_query = task.kind == "query"
            if is_query and answered == most:
                continue
            time = start + (end - start) * 0.9 * (place + self.rng.random()) / len(tasks)
            pulled.append(self._answers(task, time, is_query and self.rng.random() < OVERLAP))
            answered += is_query
        self.store.take(PLACE, Pulled(pulled, (), end.isoformat()))
        names = [row.key.utterance_id for row in pulled if row.key.utterance_id in asked]
        self._follow_up(number, names, end, heard)
        again = [row.key.utterance_id for row in pulled if row.key.utterance_id not in asked]
        self.open += [
            *names,
            *(name for name in again if self.clips[name].utterance.split == "pool"),
        ]
        self.answered += [name for name in names if self.clips[name].gated is None]

    def _follow_up(
        self, number: int, names: Sequence[str], time: datetime, heard: Mapping[str, Hypothesis]
    ) -> None:
        """What the judge wants to ask again; the first annotator answers it."""
        wanted = self.judge.follow_ups(self.store.cases(utterance_ids=names))
        rank = self.store.next_rank(number)
        copies = self.store.next_copies([row.utterance_id for row in wanted], number)
        self.store.plan_follow_ups(
            PlannedTask(
                TaskKey(row.utterance_id, number, copies[row.utterance_id]),
                row.kind,
                rank + place,
                row.reason,
                heard[row.utterance_id].text if row.hypothesis is None else row.hypothesis,
            )
            for place, row in enumerate(wanted)
        )
        pulled = [self._answers(task, time, False, PEOPLE[0]) for task in self._pushed()]
        self.store.take(PLACE, Pulled(pulled, (), None))

    def settle(self) -> None:
        """Make labels of what was answered since the last time."""
        cases = self.store.cases(utterance_ids=self.open)
        settled = {case.utterance.id: self.judge.settle(case) for case in cases}
        self.store.put_labels(
            [label for label in settled.values() if label],
            [name for name, label in settled.items() if label is None],
        )
        self.open = []

    def _pushed(self) -> list[Task]:
        """What is pushed by this call, in the order in which it is shown."""
        tasks = self.store.unpushed()
        self.ids |= {row.key: str(next(self.numbers)) for row in tasks}
        self.store.mark_pushed(PLACE, {row.key: self.ids[row.key] for row in tasks})
        return tasks

    def _answers(
        self, task: Task, time: datetime, twice: bool, person: Person | None = None
    ) -> PulledTask:
        first = person or self._somebody()
        people = [first]
        if twice:
            people.append(self._somebody(but=first))
        task_id = self.ids[task.key]
        annotations = [self._answer(task, task_id, one, time) for one in people]
        return PulledTask(task_id, task.key, time.isoformat(), annotations)

    def _answer(self, task: Task, task_id: str, person: Person, time: datetime) -> Annotation:
        clip, rng = self.clips[task.key.utterance_id], self.rng
        text: str | None = None
        verdict: Verdict | None = None
        edits = 0
        if clip.gated is not None:
            verdict = VERDICTS[clip.gated.gate]
        elif rng.random() < 0.01:
            verdict = "skipped"
        elif task.hypothesis and rng.random() < person.careless:
            text = task.hypothesis
        else:
            words = clip.truth.split()
            text = " ".join(like(word) if rng.random() < person.typos else word for word in words)
            edits = sum(
                one != other
                for one, other in zip(text.split(), task.hypothesis.split(), strict=False)
            ) + abs(len(words) - len(task.hypothesis.split()))
        seconds = (4 + 1.3 * task.duration_s + 2.2 * min(edits, 12)) * rng.lognormal(0, 0.35)
        if rng.random() < 0.01:
            seconds += 1500  # a break
        when = time.isoformat(timespec="milliseconds")
        return Annotation(
            str(next(self.numbers)),
            task_id,
            task.key,
            person.name,
            text,
            verdict,
            round(float(seconds), 1),
            when,
            when,
            task.hypothesis,
            bool(text is not None and rng.random() < 0.03),
        )

    def _somebody(self, but: Person | None = None) -> Person:
        people = [row for row in PEOPLE if row is not but]
        work = np.array([row.work for row in people])
        return people[self.rng.choice(len(people), p=work / work.sum())]

    def _some(self, rows: Sequence[T], wanted: float) -> list[T]:
        places = self.rng.permutation(len(rows))[: max(round(wanted), 1)]
        return [rows[place] for place in places]

    def _sureness(self, text: str) -> list[float]:
        """A probability for each word, often high."""
        return self.rng.beta(6, 1, len(text.split())).round(3).tolist()
