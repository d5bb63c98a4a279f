"""Who answers in a replay: the references, at once. Knows neither rounds nor Label Studio."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from al_loop.metrics import count_errors
from al_loop.records import (
    Annotation,
    Case,
    FollowUp,
    Label,
    Place,
    Pulled,
    PulledTask,
    Task,
    TaskKey,
    Verdict,
)

ANNOTATOR = "reference"
PLACE = Place("references", 1)
FIRST_ANSWER = datetime(2026, 1, 1, tzinfo=UTC)

OPENING_S = 4.0
"""What every clip costs an annotator, however short: to open it and to submit. Ours, as are the
next three; the times are those of somebody who corrects what the model heard."""
LISTENING = 1.5
"""Times the clip's duration, where its text is corrected."""
CORRECTING_S = 2.5
"""For each word that is wrong in what is shown."""
JUDGING = 0.7
"""Times the duration, until a clip is found unusable."""


@dataclass(frozen=True, slots=True)
class Replies:
    """What annotators would answer, by utterance id: a text, or why there is none."""

    texts: Mapping[str, str]
    verdicts: Mapping[str, Verdict]


def write_replies(replies: Replies, path: Path) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(replies), ensure_ascii=False), encoding="utf-8")
    os.replace(unfinished, path)


def read_replies(path: Path) -> Replies:
    return Replies(**json.loads(path.read_text(encoding="utf-8")))


def read_asked(path: Path) -> list[dict[str, Any]]:
    """The tasks that a replay's oracle was asked, as they were written; each once.

    A line that a kill cut short is passed over: the task was asked again.
    """
    if not path.exists():
        return []
    asked: dict[Any, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        asked.setdefault(tuple(row.get(name) for name in TaskKey._fields), row)
    return list(asked.values())


class ReferenceOracle:
    """Implements the port `Oracle`: whatever it is asked, the reference is the answer at once.

    What it was asked lies in the file `asked`, as tasks lie on a server: an answer does not depend
    on which process asked.
    """

    def __init__(self, replies: Replies, asked: Path, language: str) -> None:
        self.replies = replies
        self.asked = asked
        self.language = language

    def place(self, name: str) -> Place:
        """One for all names: there is nobody to keep apart."""
        return PLACE

    def find(self, name: str) -> Place:
        return PLACE

    def push(self, place: Place, tasks: Sequence[Task]) -> Iterator[Mapping[TaskKey, str]]:
        with self.asked.open("a", encoding="utf-8") as file:
            # a line break first: a kill may have cut the last line short
            file.writelines(f"\n{json.dumps(_row(task))}" for task in tasks)
            file.flush()
            os.fsync(file.fileno())
        yield {task.key: _id(task.key) for task in tasks}

    def pull(self, place: Place, since: str | None) -> Iterator[Pulled]:
        """Every answer, each time: the loop keeps one of each."""
        found = []
        for task in self._tasks():
            answer = self._answer(task)
            found.append(PulledTask(answer.task_id, task.key, answer.updated_at, [answer]))
        yield Pulled(found, (), None)

    def task_ids(self, place: Place) -> Mapping[TaskKey, str]:
        return {task.key: _id(task.key) for task in self._tasks()}

    def refresh(self, place: Place, tasks: Mapping[str, Task]) -> Iterator[Collection[TaskKey]]:
        """Nothing waits for an answer here."""
        yield from ()

    def _tasks(self) -> list[Task]:
        """What was asked, each task once."""
        return [_task(row) for row in read_asked(self.asked)]

    def _answer(self, task: Task) -> Annotation:
        key = task.key
        text = self.replies.texts.get(key.utterance_id)
        time = (FIRST_ANSWER + timedelta(days=key.round, minutes=task.rank)).isoformat()
        return Annotation(
            id=_id(key),
            task_id=_id(key),
            key=key,
            annotator=ANNOTATOR,
            text=text,
            verdict=None if text is not None else self.replies.verdicts[key.utterance_id],
            lead_time_s=lead_time_s(task, text, self.language),
            created_at=time,
            updated_at=time,
            shown=task.hypothesis,
        )


class ReferenceJudge:
    """Implements the port `Judge`: a reference is right, whatever it looks like."""

    def settle(self, case: Case) -> Label | None:
        answer = case.annotations[0]
        return Label(case.utterance.id, answer.text, answer.verdict, [answer.id])

    def follow_ups(self, cases: Sequence[Case]) -> list[FollowUp]:
        return []


def _row(task: Task) -> dict[str, Any]:
    """The task as a line of the file has it; its key is not nested."""
    values = asdict(task)
    return dict(zip(TaskKey._fields, values.pop("key"), strict=True)) | values


def _task(row: dict[str, Any]) -> Task:
    key = TaskKey(*(row.pop(name) for name in TaskKey._fields))
    return Task(key, **row)


def _id(key: TaskKey) -> str:
    return f"{key.utterance_id}-{key.round}-{key.copy}"


def lead_time_s(task: Task, text: str | None, language: str) -> float:
    """How long an annotator needs who hears `text`, or None where the clip is unusable."""
    if text is None:
        return OPENING_S + JUDGING * task.duration_s
    wrong = count_errors(text, task.hypothesis, language).word_errors
    return OPENING_S + LISTENING * task.duration_s + CORRECTING_S * wrong
