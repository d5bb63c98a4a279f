"""When a round stops waiting for its annotators: how many answers it needs, and until when. Pure.

The round goes by it, and `status` and the dashboard say the same. Knows neither the database nor
the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from al_loop.config import LabelStudioSettings


@dataclass(frozen=True, slots=True)
class Closing:
    """needed: answered tasks at which the round goes on. at: when it goes on whatever is answered,
    with a time zone; None before its tasks are pushed."""

    needed: int
    at: datetime | None

    def waits(self, answered: int, now: datetime) -> bool:
        return answered < self.needed and (self.at is None or now < self.at)

    def __str__(self) -> str:
        """`5 or on 2026-01-31 08:00 UTC`: where a round goes on."""
        return (
            str(self.needed)
            if self.at is None
            else f"{self.needed} or on {self.at:%Y-%m-%d %H:%M} UTC"
        )


def closing(rule: LabelStudioSettings, tasks: int, pushed_at: str | None) -> Closing:
    """tasks: that the round waits for. pushed_at: ISO 8601, when they were."""
    needed = math.ceil(round(rule.close_share * tasks, 6))  # 0.55 * 100 is more than 55
    return Closing(needed, None if pushed_at is None else closes_at(rule, pushed_at))


def closes_at(rule: LabelStudioSettings, pushed_at: str) -> datetime:
    return datetime.fromisoformat(pushed_at) + timedelta(days=rule.close_after_days)
