"""Who says what about an utterance in the end: one opinion for each annotator. Pure.

Answers to gold tasks do not count: they measure whoever gave them. Skips count only where nobody
did more, and a text without a word is a skip. A text that is longer than anybody can speak in the
clip's time (a pasted page, a loop) counts only where there is nothing but skips beside it. Of an
annotator's other answers the latest counts, also where a blind repeat was answered after the first
task. Whoever was deleted on the server is `unknown` there: each such answer is a voice of its own,
for nobody knows whether two are of one person.

Knows nothing of what opinions settle on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from al_loop.agreement import unchanged
from al_loop.records import UNKNOWN_ANNOTATOR, Annotation, AskedTask, Case, TaskKey
from labeling.text_checks import Flag, check

if TYPE_CHECKING:
    from al_loop.config import LabelSettings


@dataclass(frozen=True, slots=True)
class Opinion:
    """An annotator's answer that counts. text: repaired; None for a verdict.

    flags: what is odd about the text. adjudicates: whether the annotator ever answered an
    adjudication. suspect: the predicted WER of a draft whose words were left as they were, where it
    is above `labels.suspect_wer`.
    """

    answer: Annotation
    text: str | None
    flags: tuple[Flag, ...] = ()
    adjudicates: bool = False
    suspect: float | None = None

    @property
    def skips(self) -> bool:
        return self.text is None and self.answer.verdict in (None, "skipped")

    @property
    def impossible(self) -> bool:
        return any(flag.name == "too_long" for flag in self.flags)


def counted(case: Case) -> list[Annotation]:
    """The answers that are weighed, the latest first."""
    gold = {task.key for task in case.tasks if task.kind == "gold"}
    answers = [row for row in case.annotations if row.key not in gold]
    return sorted(answers, key=_time, reverse=True)


def opinions(case: Case, rule: LabelSettings, language: str) -> list[Opinion]:
    """One an annotator, the latest last."""
    tasks = {task.key: task for task in case.tasks}
    read = [_read(row, tasks.get(row.key), case, rule, language) for row in counted(case)[::-1]]
    read = [row for row in read if not row.skips] or read
    read = [row for row in read if not row.impossible] or read
    latest: dict[tuple[str, str], Opinion] = {}
    for row in read:
        voice = _voice(row.answer)
        before = latest.pop(voice, None)
        adjudicates = row.adjudicates or (before is not None and before.adjudicates)
        latest[voice] = replace(row, adjudicates=adjudicates)
    return list(latest.values())


def _voice(answer: Annotation) -> tuple[str, str]:
    """The annotator, and for one who is unknown the answer."""
    return answer.annotator, answer.id if answer.annotator == UNKNOWN_ANNOTATOR else ""


def predicted_wer(word_probs: Sequence[float]) -> float | None:
    """The mean of 1 - p over the words' probabilities: an estimate, as good as they are.

    Words whose probability is not known (nan) are left out; None where no other is left.
    """
    known = [prob for prob in word_probs if math.isfinite(prob)]
    # decimals are not exact, and a limit is meant as it is written
    return round(1 - math.fsum(known) / len(known), 9) if known else None


def _read(
    answer: Annotation, task: AskedTask | None, case: Case, rule: LabelSettings, language: str
) -> Opinion:
    adjudicates = task is not None and task.kind == "adjudication"
    if answer.text is None:
        return Opinion(answer, None, adjudicates=adjudicates)
    found = check(answer.text, case.utterance.duration_s, language, rule.digits)
    if any(flag.name == "empty" for flag in found.flags):
        return Opinion(answer, None, found.flags, adjudicates)
    suspect = _suspect(answer.text, answer.shown, task, rule.suspect_wer, language)
    return Opinion(answer, found.text, found.flags, adjudicates, suspect)


def _suspect(
    text: str, shown: str | None, task: AskedTask | None, limit: float, language: str
) -> float | None:
    """Nothing is said of a draft whose words have no probabilities, or that was not the task's."""
    if task is None or not task.hypothesis:
        return None
    if shown is not None and shown.split() != task.hypothesis.split():
        return None
    expected = predicted_wer(task.word_probs)
    if expected is None or expected <= limit:
        return None
    return expected if unchanged(text, task.hypothesis, language) else None


def _time(answer: Annotation) -> tuple[str, str, str, TaskKey]:
    """What came later sorts later; the rest keeps ties in one order."""
    return answer.updated_at, answer.created_at, answer.id, answer.key
