"""How many deaths end a run, of actors that are none."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from al_loop.engine.backlog import OUT_OF_MEMORY, Backlog, Job
from al_loop.engine.ray_crew import Died, work_off
from al_loop.errors import EngineError


class Doomed:
    """One worker, which dies of whatever it gets."""

    def __init__(self) -> None:
        self.members = [self]
        self.job: Job[Any] | None = None

    def hand_out(self, backlog: Backlog[Any]) -> None:
        self.job = backlog.take(idle=True)

    def is_at_work(self) -> bool:
        return self.job is not None

    def wait(self) -> list[Any]:
        job, self.job = self.job, None
        return [([job], Died(OUT_OF_MEMORY, "its node ran low"))]


def test_convictions_lend_patience_and_not_without_end() -> None:
    refused: list[Any] = []
    blocks = Backlog(([f"clip {number}"] for number in count()), attempts=3)
    crew: Any = Doomed()
    with pytest.raises(EngineError, match="48 workers died and nothing was finished") as caught:
        list(work_off(crew, blocks, lambda *row: refused.append(row), attempts=3))
    assert len(refused) == 16  # three deaths each; 12 without any conviction would be the end
    assert str(caught.value).endswith(
        "its node ran low; lower model.memory_mb, or train.batch_size where it trains"
    )
