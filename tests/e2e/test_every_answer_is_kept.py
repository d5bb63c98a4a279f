"""`make bench-labelstudio` with 300 tasks: a real server, three annotators, a restart and kills."""

from pathlib import Path

import pytest

from benchmarks.labelstudio import measure
from benchmarks.labelstudio_run import Plan

pytestmark = pytest.mark.e2e

PLAN = Plan(tasks=300, annotators=3, restarts=1, kills=4, every_s=0.5, seed=1)


def test_every_answer_is_kept_once_whatever_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL_LOOP_DATA_DIR", "")  # put back in the end
    found = measure(tmp_path / "labelstudio", PLAN)
    assert found.findings.tasks >= PLAN.tasks
    assert found.findings.annotations >= PLAN.tasks
    assert found.findings.faults == 0, found.findings
    assert (found.kills, found.restarts) == (PLAN.kills, PLAN.restarts)
