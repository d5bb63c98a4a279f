"""The overview in words: three sentences, alarms and key figures, for the page and for the mail.

Text that is not ours goes through `quote`, which makes it harmless where the words are shown. Knows
neither Streamlit nor HTML, and no query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from al_loop.alarms import Alarm, Code
from al_loop.config import Settings
from al_loop.overview import Expected, Overview, Rate
from al_loop.verdict import Outlook
from ui.language import Say

Quote = Callable[[str], str]

ALARM_COMMANDS: Mapping[Code, str | None] = {
    "failed": "round",
    "waiting": "round --close",
    "waiting_set": "evalset status",
    "retention": "checkpoints",
    "leakage": None,
    "rubber_stamping": "annotators",
    "agreement": "annotators",
}
"""The arguments of the `al-loop` command that an alarm's sentence ends with."""
ALARM_VIEWS: Mapping[Code, tuple[str, Mapping[str, str]]] = {
    "leakage": ("data", {"part": "left_out"}),
}
"""The view, and what stands in its address, that shows what an alarm is about."""


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One key figure. change, since: how it moved since the start, and what that was."""

    label: str
    value: str
    explained: str
    change: float | None = None
    since: str | None = None


def sentences(found: Overview, say: Say, quote: Quote) -> list[str]:
    """Better or not, how sure, and what next."""
    return [_better(found, say, quote), _sure(found, say), _next(found, say)]


def _better(found: Overview, say: Say, quote: Quote) -> str:
    verdict = found.verdict
    numbers = {}
    if verdict.difference:
        numbers = {
            "before": 100 * verdict.difference.before,
            "after": 100 * verdict.difference.after,
            "points": 100 * abs(verdict.difference.change),
        }
    return say(f"overview.judgement_{verdict.judgement}", language=quote(found.language), **numbers)


def _sure(found: Overview, say: Say) -> str:
    verdict = found.verdict
    change = verdict.difference
    if change is None:
        return say("overview.sure_unknown")
    probability = 1 - change.sureness if verdict.judgement == "worse" else change.sureness
    points = {name: 100 * getattr(change, name) for name in ("change", "low", "high")}
    by = "sets" if change.clips is None else "clips"
    return " ".join(
        (
            say(f"overview.sure_{verdict.judgement}", sure=sure(probability)),
            say(f"overview.by_{by}", clips=change.clips, **points),
        )
    )


def _next(found: Overview, say: Say) -> str:
    number = 0 if found.round is None else found.round
    step = say(
        f"overview.next_{found.verdict.next}",
        answered=found.answered,
        tasks=found.tasks,
        needed=found.needed,
        closes_at=at_minute(found.closes_at),
        round=number + 1 if found.stage is None and found.round is not None else number,
        stage=stage(found.stage or "open", say),
    )
    return f"{outlook(found.verdict.outlook, say)} {step}"


def outlook(found: Outlook, say: Say) -> str:
    """Whether more labels pay."""
    return say(
        f"overview.outlook_{found.advised}",
        gain=found.gain or 0.0,
        low=found.low or 0.0,
        high=found.high or 0.0,
        sure=sure(found.sureness or 0.0),
    )


def expected_sentence(ahead: Expected, settings: Settings, say: Say, quote: Quote) -> str:
    """What the next round should bring, and what it will cost."""
    said = [
        say(
            "learning.expected",
            round=ahead.round,
            wer=100 * ahead.wer,
            low=100 * ahead.wer_low,
            high=100 * ahead.wer_high,
            gained=100 * ahead.gained,
            labelled_h=ahead.labelled_h,
        )
    ]
    if ahead.annotator_h is not None:
        said.append(say("learning.expected_hours", annotator_h=ahead.annotator_h))
    if ahead.cost is not None:
        currency = quote(settings.dashboard.currency)
        said.append(say("learning.expected_cost", cost=f"{ahead.cost:,.0f}", currency=currency))
    return " ".join(said)


def alarm_sentence(alarm: Alarm, found: Overview, say: Say, quote: Quote, named: Quote) -> str:
    """One alarm. named: an annotator as readers may see them."""
    names = {
        key: quote(named(text) if key == "annotator" else text) for key, text in alarm.names.items()
    }
    return say(
        f"overview.alarm_{alarm.code}",
        **alarm.numbers,
        **names,
        stage=stage(alarm.stage or "open", say),
        retry_at=at_minute(found.retry_at),
    )


def no_alarm(found: Overview, say: Say) -> list[str]:
    """That there is no alarm, and what cannot be told yet; for where there is none."""
    missing = [say(f"overview.unchecked_{code}") for code in found.unchecked]
    if not missing:
        return [say("overview.no_alarm")]
    return [say("overview.no_alarm"), say("overview.unchecked", what="; ".join(missing))]


def stage(name: str | None, say: Say) -> str:
    """A stage of a round, as every view calls it; None: the round is recorded."""
    return say("overview.recorded") if name is None else say(f"overview.stage_{name}")


def sure(probability: float) -> str:
    """Never 100%: an estimate is not a certainty."""
    if probability > 0.99:
        return ">99%"
    return "<1%" if probability < 0.01 else f"{probability:.0%}"


def at_minute(time: str | None) -> str:
    """An ISO 8601 time as `2026-01-31 08:00 UTC`."""
    if time is None:
        return "?"
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def key_figures(
    found: Overview, say: Say, quote: Quote, longest_answer_s: float
) -> list[KeyFigure]:
    """WERs first, those of the target language before others; then what they cost, what is left."""
    rates = sorted(found.rates, key=lambda row: row.language != found.language)
    figures = [_wer(row, found, say, quote) for row in rates]
    if not any(row.language == found.language for row in rates):
        language = quote(found.language)
        label = say("overview.figure_wer", language=language, evaluation_set="?")
        why = say("overview.judgement_unmeasured", language=language)
        figures.insert(0, KeyFigure(label, "–", why))
    figures += [
        KeyFigure(
            say("overview.figure_labelled"),
            f"{found.labelled_s / 60:.1f}",
            say("overview.figure_labelled_help", utterances=found.labelled),
        ),
        KeyFigure(
            say("overview.figure_hours"),
            f"{found.annotator_s / 3600:.1f}",
            say(
                "overview.figure_hours_help",
                answers=found.answers,
                without_time=found.without_time,
                longest_s=longest_answer_s,
            ),
        ),
    ]
    if found.cost is not None:
        figures.append(
            KeyFigure(
                say("overview.figure_cost", currency=quote(found.currency)),
                f"{found.cost:,.0f}",
                say("overview.figure_cost_help"),
            )
        )
    if found.tasks:
        value = say("overview.figure_tasks_value", answered=found.answered, tasks=found.tasks)
        figures.append(
            KeyFigure(say("overview.figure_tasks", round=found.round), value, _waits(found, say))
        )
    pool = say("overview.figure_pool_help", minutes=found.pool_s / 60, refused=found.refused)
    return [*figures, KeyFigure(say("overview.figure_pool"), f"{found.pool:,}", pool)]


def _waits(found: Overview, say: Say) -> str:
    """What the answers to the batch are for: only a round that waits for them promises to go on."""
    if found.stage != "pull":
        return say("overview.figure_tasks_help")
    closes_at = at_minute(found.closes_at)
    return say("overview.figure_tasks_waits", needed=found.needed, closes_at=closes_at)


def _wer(row: Rate, found: Overview, say: Say, quote: Quote) -> KeyFigure:
    interval = say("overview.figure_interval", low=100 * row.wer_low, high=100 * row.wer_high)
    said = say(
        "overview.figure_wer_help", checkpoint=quote(found.checkpoint or "?"), words=row.words
    )
    change = since = None
    if row.start is None:
        said = f"{interval} {said}"
    else:
        change = round(100 * (row.wer - row.start), 1)
        since = " ".join((say("overview.figure_wer_since", start=100 * row.start), interval))
    label = say(
        "overview.figure_wer",
        language=quote(row.language),
        evaluation_set=quote(row.evaluation_set),
    )
    return KeyFigure(label, f"{100 * row.wer:.1f}", said, change, since)


def between(row: Mapping[str, float | None], name: str, factor: float = 1) -> str:
    """A difference with its interval, in signs that all languages read: `+6.2 (+5.1 … +7.3)`.

    An end that has no bound is shown as ∞.
    """
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    lowest = "−∞" if low is None else f"{factor * low:+.1f}"
    highest = "+∞" if high is None else f"{factor * high:+.1f}"
    return f"{factor * (value or 0.0):+.1f} ({lowest} … {highest})"
