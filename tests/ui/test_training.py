"""The view of trainings: what a sidecar tells, times, settings, the gate's figures."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from al_loop.config import Settings
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from ui.charts.training import gate_chart, loss_chart, norm_chart
from ui.language import Say
from ui.trainings import MOST_POINTS, epoch_rows, settings_compared, thinned

from .conftest import OpenView, texts
from .workspaces import HOSTILE, record_round, start_round

EPOCHS = [
    {
        "epoch": number,
        "draws": 64,
        "accumulation": accumulation,
        "measured_clips": 64,
        "full_grad_norm": 3.0,
        "measured_norm": 3.5,
        "variance": 128.0,
        "steps": 2,
        "loss": 2.0 / number,
        "mean_grad_norm": 6.0 / number,
        "validation_loss": 1.5 / number,
    }
    for number, accumulation in ((1, 2), (2, 1))
]
SIDECAR: dict[str, Any] = {
    "settings": {"accumulation": "auto", "max_accumulation": 16, "batch_size": 8},
    "batch_size": 4,
    "steps": 4,
    "grad_norm_bound": 5.0,
    "epochs": EPOCHS,
    "log": {
        "loss": [2.5, 1.5, 1.1, 0.9],
        "grad_norm": [8.0, None, 3.5, 2.5],
        "learning_rate": [1e-5, 5e-5, 3e-5, 1e-6],
    },
    "notes": ["epoch 1: loss 2.000"],
    "peak_memory_bytes": {"process": 3 * 2**30, "gpu": None},
}


def put_sidecar(store: Store, number: int, sidecar: dict[str, Any]) -> None:
    store.db.execute(
        "UPDATE checkpoints SET sidecar = ? WHERE id = ?",
        [json.dumps(sidecar), f"checkpoint-{number}"],
    )


def put_stage(store: Store, number: int, stage: str, minutes: float, settings: str) -> None:
    start = f"2026-01-0{number + 1}T10:00:00.000+00:00"
    store.db.execute(
        "INSERT INTO stage_runs (round, stage, settings, started_at, starts, finished_at) "
        "VALUES (?, ?, ?, ?, 0, strftime('%Y-%m-%dT%H:%M:%f+00:00', julianday(?) + ? / 1440.0))",
        [number, stage, settings, start, start, minutes],
    )


def fill(store: Store) -> None:
    record_round(store, 0)
    record_round(store, 1)
    record_round(store, 2, promoted=False, decision="rejected: worse")
    put_sidecar(store, 2, SIDECAR)
    settings = Settings()
    changed = settings.model_dump(mode="json")
    changed["train"]["learning_rate"] = 1e-4
    for number, text in ((1, settings.model_dump_json()), (2, json.dumps(changed))):
        put_stage(store, number, "train", 30.0, text)
        put_stage(store, number, "pull", 2880.0, settings.model_dump_json())
    store.db.execute("DELETE FROM stage_runs WHERE finished_at IS NULL AND round < 3")


def tables(page: Any) -> list[Any]:
    return [table.value for table in page.dataframe]


def said(page: Any) -> str:
    return "\n".join(block.value for block in [*page.markdown, *page.caption])


def metrics(page: Any) -> dict[str, str]:
    return {row.label: row.value for row in page.metric}


def table_with(page: Any, column: str) -> Any:
    (found,) = [table for table in tables(page) if column in table.columns]
    return found


@pytest.mark.parametrize("language", ["en", "ru", "ky"])
def test_no_round(open_view: OpenView, workspace: Workspace, store: Store, language: str) -> None:
    page = open_view("training", workspace.root, language)
    assert page.info
    assert texts(page).endswith("round")


def test_a_round_that_has_not_trained_yet(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    start_round(store, 0)
    store.start_stage(0, "merge", Settings().model_dump_json())
    page = open_view("training", workspace.root)
    assert "has trained no checkpoint" in page.info[0].value
    assert list(table_with(page, "failures")["stage"]) == ["merge"]


def test_a_training_that_failed_says_why(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    start_round(store, 0, "train")
    store.start_stage(0, "train", Settings().model_dump_json())
    store.fail_stage(0, "train", "out of **memory**", "2026-01-01T00:00:00+00:00")
    page = open_view("training", workspace.root)
    assert page.error
    assert "out of **memory**" in [block.value for block in page.code]
    assert f"al-loop -w {workspace.root} round" in [block.value for block in page.code]


def test_a_training_that_failed_comes_before_an_older_one_that_did_not(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    start_round(store, 3, "train")
    store.start_stage(3, "train", Settings().model_dump_json())
    store.fail_stage(3, "train", "out of memory", "2026-01-01T00:00:00+00:00")
    page = open_view("training", workspace.root)
    assert page.selectbox[0].value == 3
    assert "The training failed" in page.error[0].value
    shown = [block.value for block in page.code]
    assert "out of memory" in shown
    assert f"al-loop -w {workspace.root} round" in shown
    assert not page.metric


def test_stages_are_named_in_the_reader_s_words(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("training", workspace.root, "ru")
    assert set(table_with(page, "taken_min")["stage"]) == {"обучение", "ответы"}
    assert list(table_with(page, "setting")["stages"]) == ["обучение"]
    assert "«ответы»" in said(page)
    charts = "".join(str(chart.proto) for chart in page.get("arrow_vega_lite_chart"))
    assert "pull" not in charts
    tabled = [table.proto for table in page.dataframe]
    assert all(table.HasField("placeholder") and not table.placeholder for table in tabled)


def test_a_checkpoint_without_a_record_says_so(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    put_sidecar(store, 1, {"made_from": "elsewhere"})
    page = open_view("training", workspace.root, round=1)
    assert "does not tell" in page.info[0].value
    assert not page.metric


def test_the_newest_training_s_figures(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("training", workspace.root)
    assert metrics(page) == {
        "Steps": "4",
        "Minutes": "30.0",
        "Peak memory, GiB": "3.0",
        "Lowest validation loss": "0.750",
        "Largest mean gradient norm": "6.0",
    }
    assert "above its bound of 5" in page.warning[0].value
    epochs = table_with(page, "epoch")
    assert list(epochs["accumulation"]) == [2, 1]
    # sqrt(9 + 128 / 16) and sqrt(9 + 128 / 8)
    assert list(epochs["expected_norm"]) == pytest.approx([math.sqrt(17), 5])
    assert "by epoch: 2, 1" in said(page)
    assert "Memory ran out with 8 clips" in said(page)
    assert "epoch 1: loss 2.000" in texts(page)


def test_a_gpu_s_memory_comes_first(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    put_sidecar(store, 2, SIDECAR | {"peak_memory_bytes": {"process": 2**30, "gpu": 2**33}})
    assert metrics(open_view("training", workspace.root))["Peak GPU memory, GiB"] == "8.0"


def test_the_gate_s_numbers_are_those_of_the_round(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("training", workspace.root)
    assert "rejected: worse" in [block.value for block in page.code]
    gate = table_with(page, "before").set_index("evaluation_set")
    with Reader(workspace) as reader:
        (expected,) = [row for row in reader.before_and_after(2) if row["language"] == "ky"]
    assert gate["before"]["test"] == pytest.approx(100 * expected["before"])
    assert gate["after"]["test"] == pytest.approx(100 * expected["after"])
    assert "heard words in 3 of them" in said(page)
    checkpoints = table_with(page, "decision").set_index("checkpoint")
    assert list(checkpoints.index) == ["checkpoint-2", "checkpoint-1", "checkpoint-0", "base"]
    assert not checkpoints["promoted"]["checkpoint-2"]
    assert checkpoints["in_use"]["checkpoint-1"]


def test_stages_and_settings_that_differ(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("training", workspace.root)
    stages = table_with(page, "taken_min").set_index("stage")["taken_min"]
    assert stages["train"] == pytest.approx(30)
    assert stages["answers"] == pytest.approx(2880)
    (row,) = table_with(page, "setting").to_dict("records")
    assert row == {
        "setting": "train.learning_rate",
        "value_here": "0.0001",
        "value_there": "5e-05",
        "stages": "train",
    }
    other = open_view("training", workspace.root, round=2, against=0)
    assert "no stage in common" in other.info[0].value


def test_settings_are_compared_stage_by_stage() -> None:
    here = {"merge": {"a": {"b": 1}, "c": [1]}, "train": {"a": {"b": 2}, "c": [1]}, "push": {}}
    there = {"merge": {"a": {"b": 3}, "c": [1]}, "train": {"a": {"b": 3}}, "score": {"a": 1}}
    assert settings_compared(here, there) == [
        {"setting": "a.b", "value_here": "1", "value_there": "3", "stages": "merge"},
        {"setting": "a.b", "value_here": "2", "value_there": "3", "stages": "train"},
        {"setting": "c", "value_here": "[1]", "value_there": "", "stages": "train"},
    ]
    assert settings_compared(here, here) == []


def test_a_long_line_is_thinned_and_keeps_its_peaks() -> None:
    values: list[float | None] = [math.sin(step / 50) for step in range(20_000)]
    values[777], values[15_001], values[5] = 40.0, -40.0, None
    found = thinned(values)
    assert len(found) <= MOST_POINTS
    assert [step for step, _ in found] == sorted({step for step, _ in found})
    assert (778, 40.0) in found
    assert (15_002, -40.0) in found
    assert thinned([1.0, None, math.nan, 2.0]) == [(1, 1.0), (4, 2.0)]
    assert thinned([]) == []


def test_one_sidecar_alone_is_read(workspace: Workspace, store: Store) -> None:
    """Twenty rounds' sidecars hold every step of twenty trainings."""
    fill(store)
    with Reader(workspace) as reader:
        assert all("sidecar" not in row for row in reader.checkpoints(sidecars=False))
        assert reader.training_record(2)["steps"] == 4
        assert reader.training_record(7) == {}


def test_charts_carry_the_numbers() -> None:
    say = Say("en")
    rows = epoch_rows(SIDECAR)
    assert [row["last_step"] for row in rows] == [2, 4]
    drawn = [
        loss_chart(SIDECAR["log"]["loss"], rows, say),
        norm_chart(SIDECAR["log"]["grad_norm"], 5.0, say),
    ]
    values = {
        row.get("value")
        for chart in drawn
        for rows in chart.to_dict()["datasets"].values()
        for row in rows
    }
    assert values >= {2.5, 0.9, 1.5, 0.75, 8.0, 5.0}
    sides = {f"{side}{end}": 0.2 for side in ("before", "after") for end in ("", "_low", "_high")}
    gate = gate_chart([{"evaluation_set": "test", "language": "ky", **sides}], say).to_dict()
    (data,) = gate["datasets"].values()
    assert [row["which"] for row in data] == ["then in use", "candidate"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_is_shown_as_it_is(
    open_view: OpenView, workspace: Workspace, store: Store, text: str
) -> None:
    record_round(store, 0, decision=text, evaluation_set=text)
    put_sidecar(store, 0, SIDECAR | {"notes": [text]})
    store.start_stage(1, "open", json.dumps({"label_studio": {"project": text}}))
    store.start_stage(0, "open", json.dumps({"label_studio": {"project": ""}}))
    page = open_view("training", workspace.root, round=0)
    code = [block.value for block in page.code]
    assert code.count(text) == 2  # the decision, the note
    cells = [str(cell) for table in tables(page) for cell in table.to_numpy().ravel()]
    assert cells.count(text) == 3  # decision, evaluation set, setting
    assert not page.get("html")
    assert text not in said(page)
