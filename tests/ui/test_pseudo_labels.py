"""Pseudo-labels on the page: what the last run kept, how right it is, and the least sure texts."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from storage.store import Store
from storage.workspace import Workspace
from ui.charts.pseudo_labels import kept_chart, precision_chart, volume_chart
from ui.charts.style import as_svg
from ui.language import Say
from ui.pseudo_labels import chosen_of, curve_of, figure, recognisers_of, run_row

from .clips import clip_id
from .clips import fill as fill_clips
from .conftest import OpenView, texts
from .test_data import said, tables
from .workspaces import HOSTILE, put_made, put_run, start_round


@pytest.fixture
def made(store: Store) -> Store:
    start_round(store, 0)
    start_round(store, 1)
    put_made(store)
    return store


def shown(page: Any, column: str) -> pd.DataFrame:
    (found,) = [table for table in tables(page) if column in table.columns]
    assert isinstance(found, pd.DataFrame)
    return found


def test_the_command_is_named_before_there_is_any(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    page = open_view("data", workspace.root, part="pseudo")
    assert "No pseudo-labels yet" in page.info[0].value
    assert texts(page) == f"al-loop -w {workspace.root} pseudo-label"


@pytest.mark.parametrize("language", ["en", "ru", "ky"])
def test_the_last_run_in_figures(
    open_view: OpenView, workspace: Workspace, made: Store, language: str
) -> None:
    put_run(made, None, threshold=0.5)
    put_run(made, 1)
    page = open_view("data", workspace.root, language, part="pseudo")
    facts = list(shown(page, "fact")["value"])
    assert facts[:4] == ["96.0% (95.0% … 98.0%)", "95.0%", "0.800", "60"]
    assert facts[4:] == ["3.0", "150", "1", "40", "300"]
    assert not page.warning
    recognisers = shown(page, "recogniser")
    assert recognisers[["maker", "wer"]].to_numpy().tolist() == [
        ["checkpoint-base", 30.0],
        ["ctc-1", 40.0],
    ]
    assert not set(recognisers["recogniser"]) & {"in_use", "spelling"}
    curve = shown(page, "kept_share")
    assert list(curve["kept_share"]) == [25, 50, 75, 100]
    assert list(curve["clips"]) == [30, 60, 90, 120]
    runs = shown(page, "run")
    assert list(runs["run"]) == [1, 2]
    assert runs["round"].isna().tolist() == [True, False]
    assert list(runs["threshold"]) == [0.5, 0.8]


def test_nothing_reached_the_target(open_view: OpenView, workspace: Workspace, made: Store) -> None:
    nothing = {"clips": 0, "texts": 0, "seconds": 0}
    put_run(made, 1, threshold=None, precision=None, volume=nothing)
    page = open_view("data", workspace.root, part="pseudo")
    assert "sure of 95.0%: nothing was kept" in page.warning[0].value
    assert list(shown(page, "kept_share")["kept_share"]) == [25, 50, 75, 100]
    assert list(shown(page, "run")["kept"]) == [0]


def test_why_a_run_made_nothing(open_view: OpenView, workspace: Workspace, made: Store) -> None:
    text = HOSTILE["markdown"]
    row = {"round": 1, "report": json.dumps({"refused": text}), "made_at": "2026-01-05"}
    made.db.table("pseudo_label_runs").insert(row)
    page = open_view("data", workspace.root, part="pseudo")
    assert "made no texts" in page.warning[0].value
    assert text in [block.value for block in page.code]


def test_the_least_sure_texts_come_first(
    open_view: OpenView, workspace: Workspace, made: Store
) -> None:
    put_run(made, 1)
    unsure = shown(open_view("data", workspace.root, part="pseudo"), "confidence")
    assert list(unsure["clip"]) == ["1-2", "1-1", "1-0"]
    assert list(unsure["confidence"]) == pytest.approx([81.5, 86.5, 91.5])
    assert set(unsure["maker"]) == {
        "checkpoint-base (licence: unknown); spelling (licence: Apache-2.0)"
    }


def test_a_text_is_heard(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill_clips(store)
    row = {"utterance_id": clip_id("c"), "text": "жетөө", "confidence": 0.7, "made_by": "one"}
    store.db.table("pseudo_labels").insert(row)
    put_run(store, 1)
    page = open_view("data", workspace.root, part="pseudo", clip=clip_id("c")[:12])
    assert len(page.get("audio")) == 1
    assert "жетөө" in texts(page)
    assert f"(data?label={clip_id('c')[:12]})" in said(page)
    # an address may name any clip, of which recognisers need not have written
    page = open_view("data", workspace.root, part="pseudo", clip=clip_id("a")[:12])
    assert len(page.get("audio")) == 1


ODD: dict[str, Any] = {
    "nothing": {},
    "not a report": {"curve": 3, "recognisers": {"name": "a"}, "volume": "many"},
    "odd rows": {"curve": [None, {"threshold": 0.5}, 7], "recognisers": [{"wer": 0.2}, "x", {}]},
    "no numbers": {"precision": True, "target": [], "volume": {"seconds": float("nan")}},
    "one point": {"curve": [{"threshold": 0.5, "kept_share": 0.2, "precision": 0.9}]},
}


@pytest.mark.parametrize("report", ODD.values(), ids=ODD)
def test_a_report_may_lack_anything(
    open_view: OpenView, workspace: Workspace, store: Store, report: dict[str, Any]
) -> None:
    start_round(store, 0)
    missing = dict.fromkeys(
        ("threshold", "precision", "target", "curve", "volume", "candidates", "calibration",
         "leaked", "recognisers")
    )  # fmt: skip
    put_run(store, None, **missing | report)
    page = open_view("data", workspace.root, part="pseudo")
    assert list(shown(page, "run")["run"]) == [1]
    assert "kept no text" in said(page)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_is_shown_as_it_is(
    open_view: OpenView, workspace: Workspace, made: Store, text: str
) -> None:
    put_run(made, 1, recognisers=[{"name": text, "wer": 0.5}])
    made.db.execute("UPDATE pseudo_labels SET text = ?, made_by = ?", [text, text])
    page = open_view("data", workspace.root, part="pseudo")
    assert not page.get("html")
    assert text in list(shown(page, "recogniser")["recogniser"])
    assert text in list(shown(page, "confidence")["text"])
    for block in page.markdown:
        assert text not in block.value


# -- pure ------------------------------------------------------------------------------------------


def test_the_curve_is_ordered_by_what_is_kept() -> None:
    report = {
        "threshold": 0.52,
        "curve": [
            {"threshold": 0.1, "kept_share": 1.0, "precision": 0.5, "seconds": 7200},
            {"threshold": 0.5, "kept_share": 0.5, "precision": 0.8},
            {"threshold": 0.9, "kept_share": 0.125, "precision": 1.0},
        ],
    }
    curve = curve_of(report)
    assert [row["kept_share"] for row in curve] == [0.125, 0.5, 1.0]
    assert [row["hours"] for row in curve] == [None, None, 2.0]
    chosen = chosen_of(report, curve)
    assert chosen is not None
    assert chosen["threshold"] == 0.5
    assert chosen_of({}, curve) is None
    assert curve_of({}) == []


def test_only_numbers_are_figures() -> None:
    row = {"a": 1, "b": "1", "c": None, "d": True, "e": float("nan"), "f": 0.5}
    assert [figure(row, name) for name in "abcdefg"] == [1.0, None, None, None, None, 0.5, None]
    assert figure({"a": {"b": 2}}, "a", "b") == 2.0
    assert figure({"a": 2}, "a", "b") is None
    assert recognisers_of({"recognisers": [{"name": "a"}]}) == [
        {"recogniser": "a", "maker": None, "wer": None}
    ]


def test_charts_carry_the_numbers() -> None:
    say = Say("en")
    curve = curve_of(
        {
            "curve": [
                {"threshold": t, "kept_share": share, "precision": right}
                for t, share, right in ((0.9, 0.2, 0.99), (0.5, 0.8, 0.8))
            ]
        }
    )
    drawn = volume_chart(curve, curve[0], 0.95, say)
    svg = as_svg(drawn.to_dict()).decode()
    assert "target 95.0%" in svg
    assert "threshold 0.900" in svg
    assert "Share of clips kept" in svg
    known = [row | {"hours": 10 * row["kept_share"]} for row in curve]
    assert "Hours kept" in as_svg(volume_chart(known, known[0], 0.95, say).to_dict()).decode()
    # without a target and a threshold there is neither line
    assert len(volume_chart(curve, None, None, say).layer) == 3
    runs = [
        run_row(place, {"report": report, "round": place, "made_at": "2026-01-01"})
        for place, report in enumerate(
            ({"precision": {"value": 0.9}, "volume": {"texts": 5}}, {}), 1
        )
    ]
    for chart, field in (
        (precision_chart(runs, say), "precision"),
        (kept_chart(runs, say), "kept"),
    ):
        (data,) = chart.to_dict()["datasets"].values()
        assert [row[field] for row in data] == [0.9 if field == "precision" else 5]
        assert as_svg(chart.to_dict())
