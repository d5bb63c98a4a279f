"""The state of the loop in one value: key figures, a verdict, alarms. The dashboard and `report`
put it in words.

Everything comes from the read-only queries, those that `status` asks where it says the same. What
is judged is a code with its numbers, for the words are in three languages. Knows no word, and
neither the page nor the file that shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from al_loop import alarms
from al_loop.alarms import Alarm, Unchecked
from al_loop.closing import closing
from al_loop.hours import HOUR_S, measured_hours
from al_loop.paired import Difference, alike, by_intervals, paired
from al_loop.records import STAGES, Stage
from al_loop.verdict import Verdict, verdict

if TYPE_CHECKING:
    from al_loop.config import Settings
    from storage.queries import Reader, Status

State = Literal["done", "failed", "here", "ahead"]
FIRST_ROUND_STAGES: tuple[Stage, ...] = STAGES[STAGES.index("merge") :]
"""Round 0 asks nobody."""


@dataclass(frozen=True, slots=True)
class Rate:
    """WER of the checkpoint in use on one evaluation set, with its 95% interval, as fractions.

    start, start_low, start_high: of the checkpoint that the loop began with; None where that was
    not measured on the same set.
    """

    evaluation_set: str
    language: str
    wer: float
    wer_low: float
    wer_high: float
    utterances: int
    words: int
    start: float | None
    start_low: float | None
    start_high: float | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the next round should bring by the learning curve, and cost by the last one's hours.

    wer, low, high, gained: fractions. annotator_h, cost: None where no time was measured, or an
    hour has no price.
    """

    round: int
    wer: float
    wer_low: float
    wer_high: float
    gained: float
    labelled_h: float
    annotator_h: float | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the first page shows, but its charts and the table of rounds.

    checkpoint, start: names of the checkpoint in use and of the first; None before there is one.
    needed, closes_at: the round that waits goes on at so many answers, or then; ISO 8601.
    unchecked: alarms that there is too little for. round, stage: as in `Status`; progress: the open
    round's stages, empty when it is recorded.
    without_time: answers whose time is not known. cost: None where an hour has no price.
    """

    language: str
    checkpoint: str | None
    start: str | None
    rates: tuple[Rate, ...]
    labelled: int
    labelled_s: float
    answers: int
    annotator_s: float
    without_time: int
    cost: float | None
    currency: str
    pool: int
    pool_s: float
    refused: int
    round: int | None
    stage: str | None
    progress: tuple[tuple[Stage, State], ...]
    tasks: int
    answered: int
    needed: int
    closes_at: str | None
    retry_at: str | None
    verdict: Verdict
    expected: Expected | None
    alarms: tuple[Alarm, ...]
    unchecked: tuple[Unchecked, ...]


def overview(reader: Reader, settings: Settings, now: datetime) -> Overview:
    """now: with a time zone; from it is told how long tasks have waited."""
    status = reader.status()
    in_use, start = reader.checkpoint_in_use(), reader.first_checkpoint()
    before = reader.evaluations(start["id"]) if start else []
    costs = reader.costs(settings.labels.longest_answer_s)
    annotator_s = float(sum(row["annotator_s"] for row in costs))
    report = reader.newest_report()
    rule = closing(settings.label_studio, status.tasks, status.pushed_at)
    raised, unchecked = _alarms(reader, settings, status, in_use, start, now)
    return Overview(
        language=settings.model.language,
        checkpoint=in_use.get("name"),
        start=start.get("name"),
        rates=_rates(in_use.get("rates", []), before),
        labelled=status.labelled,
        labelled_s=status.labelled_s,
        answers=sum(row["answers"] for row in costs),
        annotator_s=annotator_s,
        without_time=sum(row["without_time"] for row in costs),
        cost=price(annotator_s / HOUR_S, settings),
        currency=settings.dashboard.currency,
        pool=status.pool,
        pool_s=status.pool_s,
        refused=status.refused,
        round=status.round,
        stage=status.stage,
        progress=_progress(status),
        tasks=status.tasks,
        answered=status.answered,
        needed=rule.needed,
        closes_at=None if rule.at is None else rule.at.isoformat(),
        retry_at=status.retry_at,
        verdict=verdict(reader, settings, status, in_use, start, before, report, now),
        expected=_expected(reader, settings, report),
        alarms=raised,
        unchecked=unchecked,
    )


def price(hours: float, settings: Settings) -> float | None:
    """What so many hours of annotators cost; None where the settings name no price."""
    each = settings.dashboard.hour_cost
    return hours * each if each else None


def _rates(
    rates: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]
) -> tuple[Rate, ...]:
    first = {row["evaluation_set"]: row for row in before}
    names = ("evaluation_set", "language", "wer", "wer_low", "wer_high", "utterances", "words")
    found = []
    for row in rates:
        start: Mapping[str, Any] = first.get(row["evaluation_set"], {})
        if start and not alike(start, row):
            start = {}
        began = (start.get(name) for name in ("wer", "wer_low", "wer_high"))
        found.append(Rate(*(row[name] for name in names), *began))
    return tuple(found)


def _progress(status: Status) -> tuple[tuple[Stage, State], ...]:
    if status.stage is None:
        return ()
    stages = STAGES if status.round else FIRST_ROUND_STAGES
    here = stages.index(status.stage) if status.stage in stages else 0

    def state(place: int) -> State:
        if place == here:
            return "failed" if status.failed_stage == status.stage else "here"
        return "done" if place < here else "ahead"

    return tuple((stage, state(place)) for place, stage in enumerate(stages))


def expected(reader: Reader, settings: Settings, round_number: int) -> Expected | None:
    """What a round's report lets expect of the next; None without a forecast, or a report."""
    return _expected(reader, settings, reader.report(round_number))


def _expected(reader: Reader, settings: Settings, report: Mapping[str, Any]) -> Expected | None:
    if not report or not report["curve"]["forecast"]:
        return None
    curve = report["curve"]
    ahead, last = curve["forecast"][0], curve["points"][-1]
    spent = reader.time_spent(settings.labels.longest_answer_s)
    hours = measured_hours(curve["points"], spent)
    annotator_h = curve["step_h"] * hours.ratio if hours else None
    return Expected(
        round=ahead["round"],
        wer=ahead["wer"],
        wer_low=ahead["wer_low"],
        wer_high=ahead["wer_high"],
        gained=last["wer"] - ahead["wer"],
        labelled_h=curve["step_h"],
        annotator_h=annotator_h,
        cost=None if annotator_h is None else price(annotator_h, settings),
    )


# -- alarms ----------------------------------------------------------------------------------------


def _alarms(
    reader: Reader,
    settings: Settings,
    status: Status,
    in_use: Mapping[str, Any],
    start: Mapping[str, Any],
    now: datetime,
) -> tuple[tuple[Alarm, ...], tuple[Unchecked, ...]]:
    """What is raised, and what could not be."""
    language = settings.model.language
    others = [row for row in in_use.get("rates", []) if row["language"] != language]
    lost = (
        alarms.retention(
            row["evaluation_set"],
            row["language"],
            _losses(reader, settings, in_use, start, row),
            settings.promote.max_retention_loss,
        )
        for row in others
    )
    left_out, drafts, pairs = reader.left_out(), reader.drafts(), reader.answered_twice()
    awaited = [reader.awaited(), *reader.awaited_sets()]
    raised = (
        *alarms.failed(status.failed_stage, status.failures, status.error),
        *chain.from_iterable(alarms.waiting(row, now) for row in awaited),
        *chain.from_iterable(lost),
        *alarms.leakage(left_out),
        *alarms.rubber_stamping(drafts, language),
        *alarms.agreement(pairs, language),
    )
    return raised, alarms.unchecked(bool(others), left_out, drafts, pairs, language)


def _losses(
    reader: Reader,
    settings: Settings,
    in_use: Mapping[str, Any],
    start: Mapping[str, Any],
    row: Mapping[str, Any],
) -> dict[str, Difference]:
    """By checkpoint: how much worse the one in use is than the start, and than the best since.

    row: its evaluation on the set. What lost no more than it may is not compared clip by clip.
    """
    measured = [
        (start["name"], known)
        for known in reader.evaluations(start["id"])
        if known["evaluation_set"] == row["evaluation_set"]
    ]
    since = [
        known
        for known in reader.error_rates()
        if known["evaluation_set"] == row["evaluation_set"] and alike(known, row)
    ]
    if since:
        best = min(since, key=lambda known: known["wer"])
        measured.append((reader.in_use_after(best["round"])["name"], best))
    losses = {}
    for name, known in measured:
        lost = 100 * (row["wer"] - known["wer"]) > settings.promote.max_retention_loss
        if not lost or known["checkpoint_id"] == in_use["id"]:
            continue
        heard = [
            clip
            for clip in reader.heard_by_both(known["checkpoint_id"], in_use["id"], row["language"])
            if clip["evaluation_set"] == row["evaluation_set"]
        ]
        samples = settings.evaluate.bootstrap_samples
        found = paired(heard, row["language"], samples) or by_intervals([known], [row])
        if found:
            losses[name] = found
    return losses
