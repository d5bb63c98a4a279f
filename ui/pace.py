"""How fast annotators work, day by day, and how long what is asked will last. Pure.

A day is one of UTC. Knows neither what an answer is worth nor where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from al_loop.annotators import Answered

LATELY = timedelta(days=7)
"""What counts as the present pace: a whole week, for weekends are slower. Ours."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """answers_a_day: of the last week. days: that the queue lasts, and dry_at when it ends; None
    where nobody answered in that week, or nothing waits."""

    answers_a_day: float
    days: float | None
    dry_at: datetime | None


def by_day(rows: Iterable[Answered], longest_answer_s: float) -> list[dict[str, Any]]:
    """One row an annotator and day with answers: `annotator`, `day`, `answers`, `minutes`.

    Skips count, here as in the annotators' figures; so does a page that was left open, for
    `longest_answer_s` at most.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        taken_s = row.answer.lead_time_s or 0.0
        key = row.answer.created_at[:10], row.answer.annotator
        found.setdefault(key, []).append(min(taken_s, longest_answer_s))
    return [
        {"day": day, "annotator": name, "answers": len(times), "minutes": sum(times) / 60}
        for (day, name), times in sorted(found.items())
    ]


def waits(tasks: Sequence[Mapping[str, Any]]) -> int:
    """Answers that are awaited in the batches. tasks: rows of `Reader.open_tasks`.

    Evaluation sets have annotators and a project of their own.
    """
    return sum(row["missing"] for row in tasks if row["kind"] != "evaluation")


def pace(answered_at: Iterable[str], missing: int, now: datetime) -> Pace:
    """How long `missing` answers last at the pace of the last week.

    answered_at: ISO 8601 times. Where the first answer is younger than a week, the days since then
    are what counts, one at least.
    """
    times = sorted(map(datetime.fromisoformat, answered_at))
    lately = [time for time in times if now - LATELY < time <= now]
    if not lately:
        return Pace(0.0, None, None)
    over = min(max(now - times[0], DAY), LATELY)
    a_day = len(lately) / (over / DAY)
    if not missing:
        return Pace(a_day, None, None)
    days = missing / a_day
    return Pace(a_day, days, now + timedelta(days=days))
