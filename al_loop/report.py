"""What the loop says in words: `status`, and the end of a round. Asks the read-only queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from al_loop.closing import closing
from al_loop.errors import WorkspaceError
from al_loop.evidence_lines import lines
from al_loop.progress import standing

if TYPE_CHECKING:
    from al_loop.config import Settings
    from al_loop.records import Evaluation
    from storage.queries import Reader, Status

SPANS = (("seconds", 1, 90), ("minutes", 60, 90), ("hours", 3600, 48))
"""From how many of a unit on the next one is told."""


def percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def with_interval(row: Mapping[str, Any], name: str = "wer") -> str:
    """`24.8 (21.0 to 28.9)`: a rate in percent with its 95% interval."""
    low, high = percent(row[f"{name}_low"]), percent(row[f"{name}_high"])
    return f"{percent(row[name])} ({low} to {high})"


def status_lines(reader: Reader, settings: Settings) -> list[str]:
    """Five lines: round, what it waits for, data, WERs of what is in use, the last failure.

    Below them one a work that is in hand, or was when its process was killed.
    """
    status = reader.status()
    minutes = f"{status.labelled_s / 60:.1f} min"
    return [
        f"round:    {_round(status)}",
        f"waits:    {_waits(status, settings)}",
        f"data:     {status.pool} clips ({status.pool_s / 60:.1f} min) in the pool, "
        f"{status.labelled} labelled ({minutes}), {status.refused} refused"
        f"{_unhearable(reader)}{_waiting(reader, status)}",
        f"WER (%):  {_in_use(reader.checkpoint_in_use())}",
        f"failure:  {_failure(status)}",
        *(f"work:     {work_line(row, datetime.now(UTC))}" for row in reader.work()),
    ]


def work_line(row: Mapping[str, Any], now: datetime) -> str:
    """A row of the table `progress`, as `score: heard 1,200 of 5,000 clips, 35 a second, …`."""
    found = standing(row, now)
    whose = row["stage"] or "a command"
    said = [f"{whose}: {row['what']} {row['done']:,} of {row['total']:,} clips"]
    if found.still_since is not None:
        return f"{said[0]}; it stands still since {at_minute(found.still_since)}"
    if row["workers"] > 1:
        said.append(f"{row['workers']} workers")
    if found.rate is not None and found.left_s is not None:
        said += [pace(found.rate), f"about {span(found.left_s)} left"]
    return ", ".join(said)


def pace(rate: float) -> str:
    return "{} a {}".format(*pace_of(rate))


def pace_of(rate: float) -> tuple[str, str]:
    """A number, and the unit of time in which so many clips are done. rate: clips a second."""
    if rate < 1:
        return f"{60 * rate:.2g}", "minute"
    return (f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"), "second"


def span(seconds: float) -> str:
    return "{} {}".format(*span_of(seconds))


def span_of(seconds: float) -> tuple[str, str]:
    """A number, and its unit."""
    for name, unit_s, most in SPANS:
        if seconds < most * unit_s:
            return f"{max(round(seconds / unit_s), 1)}", name
    return f"{seconds / 86400:,.0f}", "days"


def at_minute(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


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


def gate_lines(reader: Reader, gate: str | None, limit: int) -> list[str]:
    """How much every gate holds back, then some of the clips."""
    counts = reader.gate_counts()
    if not counts:
        return ["no clip is gated"]
    lines = [
        f"{row['gate']}: {row['utterances']} clips, {row['duration_s'] / 60:.1f} min"
        for row in counts
    ]
    for row in reader.gated(limit, gate):
        heard = "not decoded" if row["hypothesis"] is None else f"heard: {row['hypothesis']}"
        released = ", released" if row["released"] else ""
        lines.append(
            f"  {row['utterance_id'][:12]} {row['duration_s']:.1f} s, {row['gate']} "
            f"{row['value']:.3g}, limit {row['limit']:.3g}{released}; {heard}"
        )
    return lines


def evidence_lines(reader: Reader, number: int | None) -> list[str]:
    """What a round's report says, and how its batch was chosen.

    Raises WorkspaceError for a round without a report.
    """
    reports = {row["round"]: row["report"] for row in reader.reports()}
    if not reports:
        return ["no round is recorded yet"]
    number = max(reports) if number is None else number
    if number not in reports:
        raise WorkspaceError(
            f"round {number} is not recorded; recorded are {min(reports)} to {max(reports)}: name "
            "one of these, or none for the newest"
        )
    found = []
    if facts := reader.selection(number):
        found.append(f"round {number}: {facts['reason']}")
    return [*found, *lines(reports[number]), *predictor_lines(reports[number]["predictor"])]


def predictor_lines(quality: Mapping[str, Any] | None) -> list[str]:
    """How well WER is predicted: rank correlations, error, and the calibration table."""
    if quality is None:
        return ["predicted WER: there are too few answers to learn from"]
    own = quality["out_of_fold"]
    found = [
        f"predicted WER ({quality['method']}, {quality['answers']} answers): off by "
        f"{percent(quality['mae'])} points on average, rank correlation {_correlation(own)}"
    ]
    if control := quality["control"]:
        found.append(
            f"  on the control arm ({control['answers']} answers): off by "
            f"{percent(control['mae'])} points, rank correlation "
            f"{_correlation(control['spearman'])}"
        )
    for name, row in quality["statistics"].items():
        found.append(f"  {name}: rank correlation {_correlation(row)}")
    for row in quality["calibration"]:
        found.append(
            f"  {row['answers']} answers predicted at {percent(row['predicted'])}% "
            f"had {percent(row['true'])}%"
        )
    return found


def _correlation(row: Mapping[str, float] | None) -> str:
    if row is None:
        return "unknown"
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


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


def _unhearable(reader: Reader) -> str:
    """Clips of the pool that no worker could work on, by reason."""
    rows = reader.unhearable()
    if not rows:
        return ""
    reasons = ", ".join(f"{row['reason']} {row['utterances']:,}" for row in rows)
    total = sum(row["utterances"] for row in rows)
    return f"; {total:,} could not be worked on ({reasons})"


def _waiting(reader: Reader, status: Status) -> str:
    """How much of the pool the newest selection chose from, where not all of it was scored."""
    facts = {} if status.round is None else reader.selection(status.round)
    if not facts.get("waiting"):
        return ""
    scored = f"{facts['scored']:,} of {facts['pool']:,} clips were scored for round {status.round}"
    return f"; {scored}, the rest waits for later rounds"


def _waits(status: Status, settings: Settings) -> str:
    if status.failed_stage:
        return f"until {status.retry_at}, then it tries {status.failed_stage} again"
    if status.stage == "pull":
        return (
            f"for annotators: {status.answered} of {status.tasks} tasks are answered, "
            f"it goes on at {closing(settings.label_studio, status.tasks, status.pushed_at)}"
        )
    if status.stage is None and status.round is not None and not status.pool:
        return "for audio: the pool is empty, `al-loop ingest` fills it"
    return "for nothing: the next `al-loop round` goes on"


def _failure(status: Status) -> str:
    if not status.error:
        return "none"
    message = " ".join(status.error.split())
    return f"{status.failed_stage} failed {status.failures} times: {message}"
