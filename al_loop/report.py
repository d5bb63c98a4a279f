"""What the loop says in words: `status`, and the end of a round. Asks the read-only queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from al_loop.config import Settings
    from storage.queries import Reader, Status


def percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def with_interval(row: Mapping[str, Any], name: str = "wer") -> str:
    """`24.8 (21.0 to 28.9)`: a rate in percent with its 95% interval."""
    low, high = percent(row[f"{name}_low"]), percent(row[f"{name}_high"])
    return f"{percent(row[name])} ({low} to {high})"


def status_lines(reader: Reader, settings: Settings) -> list[str]:
    """Five lines: round, what it waits for, data, the newest WERs, the last failure."""
    status = reader.status()
    newest = reader.error_rates()
    last = [row for row in newest if row["round"] == newest[-1]["round"]]
    rates = ", ".join(f"{row['evaluation_set']} {with_interval(row)}" for row in last)
    minutes = f"{status.labelled_s / 60:.1f} min"
    return [
        f"round:    {_round(status)}",
        f"waits:    {_waits(status, settings.label_studio.close_share)}",
        f"data:     {status.pool} clips ({status.pool_s / 60:.1f} min) in the pool, "
        f"{status.labelled} labelled ({minutes}), {status.refused} refused",
        f"WER (%):  {rates or 'none yet'}",
        f"failure:  {_failure(status)}",
    ]


def round_lines(reader: Reader, round_number: int) -> list[str]:
    """What a round ended with: WER before and after on every evaluation set, and the decision."""
    row = next(row for row in reader.rounds() if row["round"] == round_number)
    lines = [f"round {round_number}: {row['decision']}"]
    for rates in reader.before_and_after(round_number):
        after = "no candidate"
        if rates["after"] is not None:
            after = with_interval(rates, "after")
        lines.append(
            f"  {rates['evaluation_set']} ({rates['language']}): WER % "
            f"{with_interval(rates, 'before')} before, {after} after"
        )
    return lines


def _round(status: Status) -> str:
    if status.round is None:
        return "none yet; `al-loop round` opens the first"
    if status.stage is None:
        return f"{status.round} is recorded; `al-loop round` opens the next"
    return f"{status.round}, at {status.stage}"


def _waits(status: Status, close_share: float) -> str:
    if status.failed_stage:
        return f"until {status.retry_at}, then it tries {status.failed_stage} again"
    if status.stage == "pull":
        return (
            f"for annotators: {status.answered} of {status.tasks} tasks are answered, "
            f"it goes on at {close_share:.0%}"
        )
    if status.stage is None and status.round is not None and not status.pool:
        return "for audio: the pool is empty, `al-loop ingest` fills it"
    return "for nothing: the next `al-loop round` goes on"


def _failure(status: Status) -> str:
    if not status.error:
        return "none"
    message = " ".join(status.error.split())
    return f"{status.failed_stage} failed {status.failures} times: {message}"
