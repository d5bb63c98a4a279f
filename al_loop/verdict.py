"""Whether the loop works, how sure that is, and what to do next: codes with numbers, not words.

Asks the read-only queries; `al_loop.overview` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from al_loop.closing import closing
from al_loop.paired import Difference, by_intervals, paired

if TYPE_CHECKING:
    from al_loop.config import Settings
    from storage.queries import Reader, Status

Judgement = Literal["unmeasured", "start", "unmatched", "better", "worse", "noise"]
"""Of the checkpoint in use: not measured on the target language; the one that the loop began with;
not measured on what that was measured on; better or worse beyond noise, or within it."""
Advised = Literal[
    "no_report", "too_early", "keep_labelling", "consider_stopping", "look_at_the_data"
]
"""What `al_loop.stopping` advises."""
Next = Literal[
    "ingest", "failed", "first_round", "annotators", "go_on", "ingest_test", "ingest_pool", "round"
]
COMMANDS: Mapping[Next, str | None] = {
    "ingest": "ingest FOLDER --source NAME",
    "failed": "round",
    "first_round": "round",
    "annotators": None,
    "go_on": "round",
    "ingest_test": "ingest MANIFEST --source NAME --split test",
    "ingest_pool": "ingest FOLDER --source NAME",
    "round": "round",
}


@dataclass(frozen=True, slots=True)
class Outlook:
    """Whether more labels pay. gain, low, high: WER points a labelled hour; None: not known yet.

    sureness: the probability of what is advised, where it has one.
    """

    advised: Advised
    gain: float | None
    low: float | None
    high: float | None
    sureness: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Better or not, and how sure; whether more labels pay; what is to be done.

    difference: from the start to the checkpoint in use, on all sets of the target language; None
    where `judgement` says why. arguments: of the `al-loop` command that is next; None: it is for
    the annotators to act.
    """

    judgement: Judgement
    difference: Difference | None
    outlook: Outlook
    next: Next
    arguments: str | None


def verdict(
    reader: Reader,
    settings: Settings,
    status: Status,
    in_use: Mapping[str, Any],
    start: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
    report: Mapping[str, Any],
    now: datetime,
) -> Verdict:
    """in_use, start: checkpoints. before: evaluations of `start`. report: the newest, if any.

    now: with a time zone.
    """
    judgement, difference = _judge(reader, settings, in_use, start, before)
    following = _next(reader, settings, status, in_use, now)
    outlook = look_ahead(report.get("curve"))
    return Verdict(judgement, difference, outlook, following, COMMANDS[following])


def look_ahead(curve: Mapping[str, Any] | None) -> Outlook:
    """What the curve of a round's report advises. The gain is that of the last rounds, or of the
    next one where only the curve promises any."""
    if curve is None:
        return Outlook("no_report", None, None, None, None)
    advice, lately, ahead = curve["advice"], curve["recent"], curve["marginal"]
    by_the_curve = advice["verdict"] == "keep_labelling" and lately and lately["low"] <= 0
    gain = (ahead if by_the_curve else lately) or {}
    return Outlook(
        advice["verdict"],
        gain.get("points_per_h"),
        gain.get("low"),
        gain.get("high"),
        advice["sureness"],
    )


def _judge(
    reader: Reader,
    settings: Settings,
    in_use: Mapping[str, Any],
    start: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
) -> tuple[Judgement, Difference | None]:
    language = settings.model.language
    after, earlier = (
        [row for row in rows if row["language"] == language]
        for rows in (in_use.get("rates", []), before)
    )
    if not after:
        return "unmeasured", None
    if in_use["id"] == start["id"]:
        return "start", None
    heard = reader.heard_by_both(start["id"], in_use["id"], language)
    found = paired(heard, language, settings.evaluate.bootstrap_samples)
    found = found or by_intervals(earlier, after)
    if found is None:
        return "unmatched", None
    if found.low <= 0 <= found.high:
        return "noise", found
    return "better" if found.change < 0 else "worse", found


def _next(
    reader: Reader,
    settings: Settings,
    status: Status,
    in_use: Mapping[str, Any],
    now: datetime,
) -> Next:
    """What to do, the most urgent first."""
    rule = closing(settings.label_studio, status.tasks, status.pushed_at)
    waits = rule.waits(status.answered, now)
    cases: list[tuple[bool, Next]] = [
        (status.failed_stage is not None, "failed"),
        (not reader.holds_audio(), "ingest"),
        (status.round is None, "first_round"),
        (status.stage == "pull" and waits, "annotators"),
        (status.stage is not None, "go_on"),
        (not in_use.get("rates"), "ingest_test"),
        (not status.pool, "ingest_pool"),
    ]
    return next((found for applies, found in cases if applies), "round")
