"""What the loop says in words: `status`, and the end of a round. Asks the read-only queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from al_loop.config import Settings
    from al_loop.records import Evaluation
    from storage.queries import Reader, Status


def percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def with_interval(row: Mapping[str, Any], name: str = "wer") -> str:
    """`24.8 (21.0 to 28.9)`: a rate in percent with its 95% interval."""
    low, high = percent(row[f"{name}_low"]), percent(row[f"{name}_high"])
    return f"{percent(row[name])} ({low} to {high})"


def status_lines(reader: Reader, settings: Settings) -> list[str]:
    """Five lines: round, what it waits for, data, WERs of what is in use, the last failure."""
    status = reader.status()
    minutes = f"{status.labelled_s / 60:.1f} min"
    return [
        f"round:    {_round(status)}",
        f"waits:    {_waits(status, settings.label_studio.close_share)}",
        f"data:     {status.pool} clips ({status.pool_s / 60:.1f} min) in the pool, "
        f"{status.labelled} labelled ({minutes}), {status.refused} refused",
        f"WER (%):  {_in_use(reader.checkpoint_in_use())}",
        f"failure:  {_failure(status)}",
    ]


def round_lines(reader: Reader, round_number: int) -> list[str]:
    """What a round ended with: the decision, and before and after on every evaluation set.

    What is said below a set's WER is of the candidate, where there is one.
    """
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
        lines.append(f"    {details(rates)}")
    if silence := reader.silence_before_and_after(round_number):
        line = f"  silence: words heard in {silence['before']} of {silence['clips_before']} clips"
        if silence["clips_after"] is not None:
            line += f" before, {silence['after']} of {silence['clips_after']} after"
        lines.append(line)
    return lines


def measured_lines(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """One checkpoint on every evaluation set."""
    for row in map(asdict, evaluations):
        yield f"  {row['evaluation_set']} ({row['language']}): WER % {with_interval(row)}"
        yield f"    {details(row)}"


def details(row: Mapping[str, Any]) -> str:
    """What lies behind a WER: CER, WER of the text as written, kinds of errors, foreign letters."""
    foreign = ""
    if row["foreign_share"] is not None:
        foreign = f"; {percent(row['foreign_share'])}% of the words heard have foreign letters"
    return (
        f"CER % {with_interval(row, 'cer')}, as written WER % {percent(row['raw_wer'])}; "
        f"in {row['words']} words {row['substitutions']} substituted, {row['deletions']} deleted, "
        f"{row['insertions']} inserted{foreign}"
    )


def checkpoint_lines(reader: Reader) -> list[str]:
    """Every checkpoint, newest last: its name, what made it, its WERs, what became of it."""
    lines = []
    for row in reader.checkpoints():
        standing = ["in use"] if row["in_use"] else []
        if row["promoted_by"] in ("hand", "rollback"):
            standing.append(f"was put in use by hand ({row['reason']})")
        if row["pruned_at"]:
            standing.append(f"weights deleted on {row['pruned_at'][:10]}")
        lines.append(": ".join([row["name"], *filter(None, [", ".join(standing)])]))
        if row["parent"] is not None:
            lines.append(f"  made from {row['parent']} in round {row['round']}")
            lines.append(f"  {row['decision'] or 'not judged yet'}")
        rates = reader.evaluations(row["id"])
        if rates:
            lines.append(f"  WER %: {_listed(rates)}")
    return lines


def _listed(rates: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{row['evaluation_set']} {with_interval(row)}" for row in rates)


def _in_use(checkpoint: Mapping[str, Any]) -> str:
    if not checkpoint:
        return "none yet"
    return f"{_listed(checkpoint['rates']) or 'none yet'}, of {checkpoint['name']}"


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
