"""Who answers in a replay: the references, at once. Knows neither rounds nor Label Studio."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from al_loop.metrics import count_errors
from al_loop.records import Annotation, Pulled, Task, Verdict

ANNOTATOR = "reference"
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
    """The tasks that a replay's oracle was asked, as they were written; each utterance once.

    A line that a kill cut short is passed over: the task was asked again.
    """
    if not path.exists():
        return []
    asked: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        asked.setdefault(row["utterance_id"], row)
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

    def push(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, str]]:
        with self.asked.open("a", encoding="utf-8") as file:
            # a line break first: a kill may have cut the last line short
            file.writelines(f"\n{json.dumps(asdict(task))}" for task in tasks)
            file.flush()
            os.fsync(file.fileno())
        yield {task.utterance_id: task.utterance_id for task in tasks}

    def pull(self, since: str | None) -> Pulled:
        """Every answer, each time: the loop keeps one of each."""
        return Pulled([self._answer(task) for task in self._tasks()], (), None)

    def _tasks(self) -> list[Task]:
        """What was asked, each utterance once."""
        return [Task(**row) for row in read_asked(self.asked)]

    def _answer(self, task: Task) -> Annotation:
        text = self.replies.texts.get(task.utterance_id)
        time = (FIRST_ANSWER + timedelta(days=task.round, minutes=task.rank)).isoformat()
        return Annotation(
            id=task.utterance_id,
            task_id=task.utterance_id,
            utterance_id=task.utterance_id,
            annotator=ANNOTATOR,
            text=text,
            verdict=None if text is not None else self.replies.verdicts[task.utterance_id],
            lead_time_s=lead_time_s(task, text, self.language),
            created_at=time,
            updated_at=time,
        )


def lead_time_s(task: Task, text: str | None, language: str) -> float:
    """How long an annotator needs who hears `text`, or None where the clip is unusable."""
    if text is None:
        return OPENING_S + JUDGING * task.duration_s
    wrong = count_errors(text, task.hypothesis, language).word_errors
    return OPENING_S + LISTENING * task.duration_s + CORRECTING_S * wrong
