"""How each annotator works, in figures with their intervals. Pure; asks no database.

- Time is an estimate: a page stays open through breaks, so an answer counts for
  `labels.longest_answer_s` at most, and the median stands beside the sum.
- Edits are counted in normalised words between the draft that was shown and the answer.
- Agreement compares an annotator's texts with those of all others about the same clips, words
  alike over words of the longer text (`al_loop.agreement`); of several answers about a clip the
  latest counts. Gold score is 1 - WER on tasks whose text is known; a verdict there misses every
  word. Consistency compares an answer to a blind repeat with the one before it.
- Whoever was deleted on the server is `unknown` there. These answers have a line of their own,
  with time, edits and shares; but as they may be of several people, they take no part in
  agreement, consistency and gold scores, neither their own nor others'.
- Skips count as such and for time, nowhere else. Answers to gold tasks count everywhere but in
  agreement and consistency.

Intervals are of 95%. Of shares of answers they are Wilson's. Of shares of words they are
bootstraps over clips, as for any WER, widened to Wilson's over words: with few clips, or without
an error, resampling has nothing to vary (to take both is ours).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from al_loop.agreement import Disagreement, between, compare, pooled
from al_loop.metrics import count_errors, error_rate, wilson
from al_loop.records import UNKNOWN_ANNOTATOR, Annotation, TaskKey, TaskKind
from al_loop.text import normalise

SAMPLES = 1000
SEED = 0

FEWEST_GOLD = 10
"""Gold tasks before their score says something of an annotator. Ours."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer with its task. truth: of a gold task, what is said in the clip."""

    answer: Annotation
    kind: TaskKind
    truth: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A share with its 95% interval, and of how many clips or answers it is."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Annotator:
    """One annotator's figures; None where there is nothing to tell from.

    answers: skips included. minutes: of the `timed` answers whose time is known. median_s: seconds
    an answer. edits: words changed in a draft, on average. edited: the share of words that were.
    unchanged: of the drafts, whose words were all left. unusable: of the answers but skips, the
    verdicts. unsure: of the texts.
    """

    name: str
    answers: int
    skips: int
    timed: int
    minutes: float
    median_s: float | None
    edits: float | None
    edited: Figure | None
    unchanged: Figure | None
    agreement: Figure | None
    gold: Figure | None
    consistency: Figure | None
    unusable: Figure | None
    unsure: Figure | None


@dataclass(frozen=True, slots=True)
class Together:
    """All annotators in one round; figures as those of `Annotator`."""

    round: int
    unchanged: Figure | None
    agreement: Figure | None


def annotators(rows: Sequence[Answered], language: str, longest_answer_s: float) -> list[Annotator]:
    """The figures of everybody who answered; names that are numbers in their order.

    The order of `rows` does not matter.
    """
    by_name: dict[str, list[Answered]] = {}
    for row in sorted(rows, key=_time):
        by_name.setdefault(row.answer.annotator, []).append(row)
    pairs = _apart(by_name, language)
    return [
        _figures(
            name,
            own,
            [row for pair, found in pairs.items() if name in pair for row in found],
            language,
            longest_answer_s,
        )
        for name, own in sorted(by_name.items(), key=lambda item: (len(item[0]), item[0]))
    ]


def by_round(rows: Sequence[Answered], language: str) -> list[Together]:
    """The figures of all annotators together in each round, evaluation sets left out."""
    rounds: dict[int, dict[str, list[Answered]]] = {}
    for row in sorted(rows, key=_time):
        if row.kind != "evaluation":
            by_name = rounds.setdefault(row.answer.key.round, {})
            by_name.setdefault(row.answer.annotator, []).append(row)
    found = []
    for number, by_name in sorted(rounds.items()):
        own = [row for some in by_name.values() for row in some]
        apart = [row for pair in _apart(by_name, language).values() for row in pair]
        found.append(Together(number, _unchanged(_edits(own, language)), _alike(apart)))
    return found


def gold_scores(rows: Sequence[Answered], language: str) -> dict[str, float]:
    """1 - WER on gold tasks by known annotator, of those who answered `FEWEST_GOLD` of them.

    In steps of 0.05: every label of an annotator depends on it, and every change of a label makes
    another training set.
    """
    by_name: dict[str, list[Answered]] = {}
    for row in rows:
        if row.answer.annotator != UNKNOWN_ANNOTATOR:
            by_name.setdefault(row.answer.annotator, []).append(row)
    found = {}
    for name, own in by_name.items():
        counts = _gold_errors(own, language)
        words = sum(words for _, words in counts)
        if len(counts) >= FEWEST_GOLD and words:
            score = 1 - sum(errors for errors, _ in counts) / words
            found[name] = max(round(20 * score) / 20, 0.0)
    return found


def from_row(row: Mapping[str, Any]) -> Answered:
    """One row of the read-only query `annotator_answers`, which has a column for each field."""
    key = TaskKey(row["utterance_id"], row["round"], row["copy"])
    same = ("id", "task_id", "annotator", "text", "verdict", "lead_time_s")
    answer = Annotation(
        **{name: row[name] for name in (*same, "created_at", "updated_at", "shown")},
        key=key,
        unsure=bool(row["unsure"]),
    )
    return Answered(answer, row["kind"], row["truth"])


def _figures(
    name: str,
    own: Sequence[Answered],
    apart: Sequence[Disagreement],
    language: str,
    longest_answer_s: float,
) -> Annotator:
    """own: by time."""
    answers = [row.answer for row in own]
    seconds = [row.lead_time_s for row in answers if row.lead_time_s is not None]
    said = [row for row in answers if row.verdict != "skipped"]
    texts = [row for row in said if row.text is not None]
    edits = _edits(own, language)
    is_one = name != UNKNOWN_ANNOTATOR
    return Annotator(
        name=name,
        answers=len(answers),
        skips=len(answers) - len(said),
        timed=len(seconds),
        minutes=sum(min(taken_s, longest_answer_s) for taken_s in seconds) / 60,
        median_s=median(seconds) if seconds else None,
        edits=pooled(edits).word_edits / len(edits) if edits else None,
        edited=_edited(edits),
        unchanged=_unchanged(edits),
        agreement=_alike(apart),
        gold=_right(_gold_errors(own, language)) if is_one else None,
        consistency=_alike(_repeated(own, language)) if is_one else None,
        unusable=_of_answers(len(said) - len(texts), len(said)),
        unsure=_of_answers(sum(row.unsure for row in texts), len(texts)),
    )


def _edits(own: Sequence[Answered], language: str) -> list[Disagreement]:
    """How far each text is from the draft that was shown, where one was."""
    return [
        compare(row.answer.shown, row.answer.text, language)
        for row in own
        if row.answer.text is not None and row.answer.shown and row.answer.shown.strip()
    ]


def _edited(edits: Sequence[Disagreement]) -> Figure | None:
    return _of_words([(row.word_edits, row.words) for row in edits])


def _unchanged(edits: Sequence[Disagreement]) -> Figure | None:
    return _of_answers(sum(not row.character_edits for row in edits), len(edits))


def _apart(
    by_name: Mapping[str, Sequence[Answered]], language: str
) -> dict[tuple[str, str], list[Disagreement]]:
    """How far each two annotators differ. Of several answers about a clip the latest counts."""
    texts = {
        name: {row.answer.utterance_id: row.answer.text for row in _no_gold(own) if row.answer.text}
        for name, own in by_name.items()
        if name != UNKNOWN_ANNOTATOR
    }
    return between(texts, language)


def _gold_errors(own: Sequence[Answered], language: str) -> list[tuple[int, int]]:
    """(errors, words of the truth) of the answers to gold tasks."""
    found = []
    for row in own:
        truth = row.truth if row.kind == "gold" else None
        if truth is None or not normalise(truth, language) or row.answer.verdict == "skipped":
            continue
        errors = count_errors(truth, row.answer.text or "", language)
        found.append((errors.word_errors, errors.words))
    return found


def _repeated(own: Sequence[Answered], language: str) -> list[Disagreement]:
    """How far answers to repeats are from what the same annotator wrote before. own: by time."""
    before: dict[str, tuple[TaskKey, str]] = {}
    found = []
    for row in _no_gold(own):
        answer = row.answer
        if answer.text is None:
            continue
        key, text = before.get(answer.utterance_id, (answer.key, ""))
        if row.kind == "repeat" and key != answer.key:
            found.append(compare(text, answer.text, language))
        before[answer.utterance_id] = (answer.key, answer.text)
    return found


def _no_gold(own: Sequence[Answered]) -> list[Answered]:
    return [row for row in own if row.kind != "gold"]


def _time(row: Answered) -> tuple[str, str, str, TaskKey]:
    return row.answer.updated_at, row.answer.created_at, row.answer.id, row.answer.key


def _of_answers(hits: int, total: int) -> Figure | None:
    if not total:
        return None
    found = wilson(hits, total)
    return Figure(found.value, found.low, found.high, total)


def _alike(apart: Sequence[Disagreement]) -> Figure | None:
    return _right([(row.word_edits, row.words) for row in apart])


def _right(rows: Sequence[tuple[int, int]]) -> Figure | None:
    """1 - the error rate; 0 where there are more errors than words."""
    wrong = _of_words(rows)
    if wrong is None:
        return None
    low, high = max(1 - wrong.high, 0.0), max(1 - wrong.low, 0.0)
    return Figure(max(1 - wrong.value, 0.0), low, high, wrong.count)


def _of_words(rows: Sequence[tuple[int, int]]) -> Figure | None:
    """The rate of (errors, words), summed over clips; `count` is of clips."""
    errors, words = (np.array([row[side] for row in rows if row[1]]) for side in (0, 1))
    if not len(words):
        return None
    sampled = error_rate(errors, words, np.random.default_rng(SEED), SAMPLES)
    total = int(words.sum())
    counted = wilson(min(int(errors.sum()), total), total)
    low, high = min(sampled.low, counted.low), max(sampled.high, counted.high)
    return Figure(sampled.value, low, high, len(words))
