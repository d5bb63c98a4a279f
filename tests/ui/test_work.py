"""What is in hand, as the overview shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from al_loop.progress import Standing, standing, this_process
from al_loop.report import work_line
from storage.store import Store
from tests.ui.conftest import OpenView
from tests.ui.workspaces import HOSTILE, start_round
from ui.elements import as_code
from ui.language import LANGUAGES, Language, Say
from ui.work import work_sentence

ROW = {"stage": "score", "what": "heard", "done": 12_400, "total": 100_000, "workers": 4}
GOING = Standing(35.2, 2520.0, None)


def sentence(found: Standing, language: Language = "en", **changes: Any) -> str:
    return work_sentence(ROW | changes, found, Say(language), as_code)


def bars(page: AppTest) -> list[tuple[int, str]]:
    """Percent and text of each."""
    return [(bar.proto.value, bar.proto.text) for bar in page.get("progress")]


@pytest.mark.parametrize("rate", [0.5, 1.4, 35.2])
@pytest.mark.parametrize("went_s", [1, 60, 86_400])
def test_the_sentence_says_what_the_status_says(rate: float, went_s: int) -> None:
    ended = datetime(2026, 1, 31, tzinfo=UTC)
    done = max(round(rate * went_s), 1)
    times = {
        "started_at": (ended - timedelta(seconds=went_s)).isoformat(),
        "updated_at": ended.isoformat(),
    }
    row = ROW | times | {"process": this_process(), "done": done, "total": 4 * done}
    said = work_sentence(row, standing(row, ended), Say("en"), as_code)
    assert said == work_line(row, ended)
    assert " left" in said


def test_the_sentence_says_whose_work_it_is_and_that_it_stands_still() -> None:
    still = Standing(None, None, "2026-01-31T08:01:00.000+00:00")
    assert sentence(still) == (
        "score: heard 12,400 of 100,000 clips; it stands still since 2026-01-31 08:01 UTC"
    )
    assert sentence(Standing(None, None, None), stage=None, what="spelled", workers=1) == (
        "a command: worked on 12,400 of 100,000 clips"
    )
    assert sentence(GOING, stage="ablate").startswith("` ablate `: heard")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("what", ["heard", "profiled", "doubted", "weighed", "spelled"])
def test_it_is_said_in_every_language(language: Language, what: str) -> None:
    said = sentence(GOING, language, what=what)
    assert "12,400" in said
    assert "42" in said


def test_a_bar_shows_how_far_it_is(open_view: OpenView, store: Store) -> None:
    start_round(store, 0)
    store.start_progress(this_process(), "heard", 200, 2, 0, "evaluate")
    store.put_progress(this_process(), 50)
    ((value, text),) = bars(open_view("overview", store.workspace.root))
    assert value == 25
    assert text.startswith("evaluate: heard 50 of 200 clips, 2 workers")


def test_a_bar_stands_still_where_the_process_was_killed(open_view: OpenView, store: Store) -> None:
    start_round(store, 0)
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = this_process().replace(str(os.getpid()), str(child.pid), 1)
    store.start_progress(process, "heard", 200, 2, 0, "evaluate")
    child.wait()
    ((value, text),) = bars(open_view("overview", store.workspace.root))
    assert value == 0
    assert "it stands still since 20" in text


def test_nothing_in_hand_is_no_bar(open_view: OpenView, store: Store) -> None:
    start_round(store, 0)
    page = open_view("overview", store.workspace.root)
    assert bars(page) == []
    assert not [row for row in page.caption if "could not be worked on" in row.value]


def test_what_could_not_be_worked_on_is_shown_by_reason(open_view: OpenView, store: Store) -> None:
    start_round(store, 0)
    start_round(store, 1, "score")
    hostile = HOSTILE["markdown"]
    store.put_unhearable([("1-0", "worker_died", "…"), ("1-1", hostile, "…")])
    page = open_view("overview", store.workspace.root)
    (said,) = [row.value for row in page.caption if "could not be worked on" in row.value]
    assert "` worker_died ` 1" in said
    assert f"{as_code(hostile)} 1" in said
