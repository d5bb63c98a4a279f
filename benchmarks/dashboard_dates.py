"""When everything happened in the dashboard's workspace: weeks, although it is made in a minute.

The store writes the time at which it is called; what it wrote of a round is moved to the round's
own days. Knows no content.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from al_loop.records import STAGES, Stage
from storage.store import Store

GAP, OPEN_FOR = timedelta(days=2, hours=12), timedelta(hours=30)
"""Between the openings of two rounds; how long the open one has been so."""
AFTER: dict[Stage, timedelta] = {
    "score": timedelta(minutes=35),
    "select": timedelta(minutes=38),
    "push": timedelta(minutes=40),
    "pull": timedelta(hours=44),
    "merge": timedelta(hours=44, minutes=1),
    "train": timedelta(hours=46),
    "evaluate": timedelta(hours=46, minutes=20),
    "promote": timedelta(hours=46, minutes=21),
    "record": timedelta(hours=46, minutes=22),
}
"""When each stage ends, after the round was opened."""
BEFORE, LATELY = timedelta(days=1), timedelta(hours=2)
"""How long before the first round data came in; how long ago the last simulation was run."""


def opened_at(number: int, rounds: int, ends_at: datetime) -> datetime:
    """rounds: recorded ones, and so the number of the open one. ends_at: the present."""
    return ends_at - OPEN_FOR - (rounds - number) * GAP


def text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def date_round(
    store: Store, number: int, opened: datetime, candidate_id: str | None, since: str
) -> None:
    """Have all that was written of this round be of its days. since: when writing began."""
    db = store.db
    db.execute(
        "UPDATE rounds SET opened_at = ?, pushed_at = iif(pushed_at IS NULL, NULL, ?), "
        "recorded_at = iif(recorded_at IS NULL, NULL, ?) WHERE number = ?",
        [*map(text, (opened, opened + AFTER["push"], opened + AFTER["record"])), number],
    )
    starts = opened
    for stage in STAGES if number else STAGES[STAGES.index("merge") :]:
        db.execute(
            "UPDATE stage_runs SET started_at = ?, "
            "finished_at = iif(finished_at IS NULL, NULL, ?) WHERE round = ? AND stage = ?",
            [text(starts), text(opened + AFTER[stage]), number, stage],
        )
        starts = opened + AFTER[stage]
    dated: tuple[tuple[str, str, Stage, str, object], ...] = (
        ("checkpoints", "created_at", "train", "id", candidate_id),
        ("promotions", "promoted_at", "promote", "round", number),
        ("reports", "made_at", "record", "round", number),
    )
    for table, column, stage, key, value in dated:
        when = text(opened + AFTER[stage])
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", [when, value])
    merged = text(opened + AFTER["merge"])
    db.execute("UPDATE labels SET settled_at = ? WHERE settled_at >= ?", [merged, since])
    db.execute(
        "UPDATE manifests SET created_at = ? WHERE id = "
        "(SELECT manifest_id FROM rounds WHERE number = ?)",
        [merged, number],
    )


def date_the_rest(store: Store, first_round_at: datetime, ends_at: datetime) -> None:
    """Have what is of no round be of the days before the first one, or after the last."""
    begun, lately = text(first_round_at - BEFORE), text(ends_at - LATELY)
    for table, column, time in (
        ("workspace", "created_at", begun),
        ("refusals", "refused_at", begun),
        ("projects", "found_at", begun),
        ("simulations", "started_at", lately),
        ("simulations", "finished_at", lately),
    ):
        store.db.execute(
            f"UPDATE {table} SET {column} = ? WHERE {column} IS NOT NULL",
            [time],
        )
    store.db.execute("UPDATE checkpoints SET created_at = ? WHERE parent IS NULL", [begun])
    store.db.execute("UPDATE promotions SET promoted_at = ? WHERE promoted_by = 'start'", [begun])
