"""The view of the annotators: the figures of `al-loop annotators`, the queue, hidden names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from al_loop.annotators import Answered, by_round, from_row
from al_loop.annotators import annotators as figures_of
from al_loop.config import DashboardSettings
from al_loop.records import (
    Annotation,
    Choice,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    Selection,
    Source,
    TaskKey,
    TaskKind,
    Utterance,
)
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from ui.charts.annotators import days_chart, figure_chart, rounds_chart
from ui.language import Say
from ui.names import shown_name
from ui.pace import by_day, pace, waits

from .conftest import OpenView, texts
from .workspaces import HOSTILE, record_round, start_round

NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)
HIDDEN = DashboardSettings(hide_annotators=True)
TEN = "бир эки үч төрт беш алты жети сегиз тогуз он"


def answer(
    who: str, clip: str, text: str | None, *, number: int = 1, copy: int = 0, **more: Any
) -> Annotation:
    at = "2026-05-01T10:00:00+00:00"
    values = {"lead_time_s": 30.0, "created_at": at, "updated_at": at} | more
    key = TaskKey(clip, number, copy)
    verdict = "bad_audio" if text is None else None
    return Annotation(f"{who}-{clip}-{copy}", "7", key, who, text, verdict, **values)


def fill(store: Store, *names: str) -> None:
    """Round 1 asks about four clips, of which two annotators answer three, and gold once."""
    one, other = names or ("11", "2")
    record_round(store, 0)
    store.start_round(1, 1, "pull", "checkpoint-0")
    store.put_source(Source("pool", "open_source", "ky"))
    ids = [f"clip-{n}" for n in range(4)]
    store.add([Utterance(key, key, f"audio/{key}", 9.0, "pool", "ky", "pool") for key in ids], [])
    known = Utterance("gold", "gold", "audio/gold", 9.0, "pool", "ky", "train", TEN)
    store.add([known], [])
    choices = [Choice(key, rank, 1.0, "acquired") for rank, key in enumerate(ids)]
    store.put_selection(1, Selection(choices, [], {}))
    planned: list[tuple[str, TaskKind, int]] = [
        *((key, "query", 0) for key in ids),
        *((key, "adjudication", 1) for key in ids[:3]),
        ("gold", "gold", 0),
    ]
    store.add_tasks(
        PlannedTask(TaskKey(key, 1, copy), kind, rank)
        for rank, (key, kind, copy) in enumerate(planned)
    )
    wrong = TEN.replace("он", "эмес")
    given = [
        answer(one, "clip-0", TEN, shown=TEN),
        answer(other, "clip-0", wrong, copy=1, shown=TEN, lead_time_s=9000.0),
        answer(one, "clip-1", TEN, shown=TEN),
        answer(other, "clip-1", TEN, copy=1, shown=wrong),
        answer(one, "clip-2", None),
        answer(other, "gold", wrong),
    ]
    store.take(
        Place("http://label.studio.test", 1),
        Pulled([PulledTask("7", row.key, row.updated_at, [row]) for row in given], (), None),
    )
    store.set_pushed_at(1)


def tables(page: Any) -> list[Any]:
    return [table.value for table in page.dataframe]


def said(page: Any) -> str:
    return "\n".join(block.value for block in page.markdown)


def test_nobody_has_answered(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    start_round(store, 0)
    for language in ("en", "ru", "ky"):
        page = open_view("annotators", workspace.root, language)
        assert page.info
        assert texts(page).endswith("sync")
        assert not page.dataframe


def test_the_figures_are_those_of_the_command(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("annotators", workspace.root)
    queue, table, intervals, rounds, days = tables(page)
    with Reader(workspace) as reader:
        rows = [from_row(row) for row in reader.annotator_answers()]
    expected = figures_of(rows, "ky", 600.0)
    assert list(table["annotator"]) == [row.name for row in expected] == ["2", "11"]
    assert list(table["answers"]) == [3, 3]
    assert list(table["minutes"]) == [row.minutes for row in expected] == [11, 1.5]
    assert list(table["agreement"]) == [95, 95]
    assert table["gold"][0] == pytest.approx(90)
    assert list(table["unchanged"]) == [0, 100]
    assert table["unusable"][1] == pytest.approx(100 / 3)
    agreed = expected[0].agreement
    assert agreed is not None
    row = intervals[intervals["figure"] == "Agreement %"].iloc[0]
    assert (row["share_low"], row["counted"]) == (pytest.approx(100 * agreed.low), agreed.count)
    (together,) = by_round(rows, "ky")
    assert together.unchanged is not None
    shown = rounds[rounds["figure"] == "Unchanged %"].iloc[0]
    assert (shown["round"], shown["share"]) == (1, 100 * together.unchanged.value)
    assert list(days["answers"]) == [3, 3]
    assert queue.to_dict("records")[0]["tasks"] == 1  # adjudication of clip-2


def test_any_figure_can_be_looked_at(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    for figure in ("gold", "unchanged", "edited", "consistency", "unusable", "unsure"):
        page = open_view("annotators", workspace.root, figure=figure)
        assert page.selectbox[0].value == figure
        nothing = figure == "consistency"  # nothing was asked again
        assert bool(page.info) is nothing


def test_the_queue_is_what_waits_and_how_long_it_lasts(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    store.db.execute(
        "UPDATE rounds SET pushed_at = ? WHERE number = 1",
        [(datetime.now(UTC) - timedelta(days=3)).isoformat()],
    )
    page = open_view("annotators", workspace.root)
    queue = tables(page)[0]
    assert {row["task_kind"]: row["missing"] for row in queue.to_dict("records")} == {
        "of the batch": 1,
        "adjudication": 1,
    }
    shown = [table.proto for table in page.dataframe]
    assert all(table.HasField("placeholder") and not table.placeholder for table in shown)
    assert list(queue["age_days"]) == [pytest.approx(3, abs=0.1)] * 2
    assert "Nobody answered in the last 7 days" in said(page)
    recent = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    store.db.execute("UPDATE annotations SET created_at = ?", [recent])
    # 6 answers in less than a day are 6 a day, and 2 are awaited
    assert "**6** a day" in said(open_view("annotators", workspace.root))
    assert "**0.3** days" in said(open_view("annotators", workspace.root))


def test_evaluation_sets_have_a_queue_of_their_own(workspace: Workspace, store: Store) -> None:
    fill(store)
    store.add([Utterance("e", "e", "audio/e", 9.0, "pool", "ky", "reserved")], [])
    store.add_tasks([PlannedTask(TaskKey("e", 0, 0), "evaluation", 0)])
    with Reader(workspace) as reader:
        tasks = reader.open_tasks()
    (row,) = [row for row in tasks if row["kind"] == "evaluation"]
    assert (row["missing"], row["unpushed"], row["pushed_at"]) == (2, 1, None)
    assert waits(tasks) == 2


def test_names_are_hidden_and_their_order_with_them(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    names = ("a-aida", "b-bakyt")
    fill(store, *names)
    workspace.config.write_text("[dashboard]\nhide_annotators = true\n", encoding="utf-8")
    found = tables(open_view("annotators", workspace.root))
    cells = [str(cell) for table in found for cell in table.to_numpy().ravel()]
    assert not set(names) & set(cells)
    shown = list(found[1]["annotator"])
    assert shown == sorted(shown)
    assert set(shown) == {shown_name(name, HIDDEN, store.workspace_id) for name in names}


def test_a_hidden_name_is_six_digits_of_this_workspace_alone() -> None:
    people = [str(number) for number in range(1, 200)]
    here = [shown_name(name, HIDDEN, "here") for name in people]
    assert all(len(name) == 6 and name.isdecimal() for name in here)
    assert here == [shown_name(name, HIDDEN, "here") for name in people]
    assert here != sorted(here)
    assert not set(zip(people, here, strict=True)) & {
        (name, shown_name(name, HIDDEN, "there")) for name in people
    }
    assert shown_name("unknown", HIDDEN, "here") == "unknown"
    assert shown_name("7", DashboardSettings(), "here") == "7"


def test_pace() -> None:
    times = [(NOW - timedelta(days=days)).isoformat() for days in (0.5, 1, 3, 6, 8, 30)]
    found = pace(times, 8, NOW)
    assert found.answers_a_day == pytest.approx(4 / 7)
    assert found.days == pytest.approx(14)
    assert found.dry_at == NOW + timedelta(days=14)
    assert pace(times, 0, NOW).days is None
    assert pace(times[4:], 8, NOW).answers_a_day == 0
    assert pace([], 8, NOW).dry_at is None
    begun = [(NOW - timedelta(days=days)).isoformat() for days in (1, 2)]
    assert pace(begun, 1, NOW).answers_a_day == 1  # two in two days


def test_a_day_is_one_of_utc_and_breaks_count_for_the_longest_answer() -> None:
    late = "2026-05-01T23:59:00.000000Z"
    rows = [
        Answered(answer("1", "a", "бир", created_at=late, lead_time_s=6000.0), "query"),
        Answered(answer("1", "b", "бир", created_at=late, lead_time_s=None), "query"),
        Answered(answer("1", "c", "бир", created_at="2026-05-02T00:01:00.000000Z"), "query"),
    ]
    assert by_day(rows, 600.0) == [
        {"day": "2026-05-01", "annotator": "1", "answers": 2, "minutes": 10.0},
        {"day": "2026-05-02", "annotator": "1", "answers": 1, "minutes": 0.5},
    ]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_names_are_shown_as_they_are(
    open_view: OpenView, workspace: Workspace, store: Store, text: str
) -> None:
    fill(store, text, "b")
    page = open_view("annotators", workspace.root)
    assert text in list(tables(page)[1]["annotator"])
    assert not page.get("html")
    assert text not in said(page)


def test_charts_carry_the_numbers() -> None:
    say = Say("en")
    figure = {"share": 0.9, "share_low": 0.8, "share_high": 0.95, "counted": 12}
    drawn = [
        figure_chart([{"annotator": "1", **figure}], "Agreement %", say),
        rounds_chart([{"round": 1, "figure": "Agreement %", **figure}], say),
        days_chart([{"annotator": "1", "day": "2026-05-01", "answers": 7, "minutes": 3.0}], say),
    ]
    values = [
        value
        for chart in drawn
        for rows in chart.to_dict()["datasets"].values()
        for row in rows
        for value in row.values()
    ]
    for expected in (0.9, 0.8, 0.95, 12, 7):
        assert expected in values
