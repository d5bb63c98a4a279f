"""What each source brings: the rows of the lecture's table, and what they are compared with."""

from __future__ import annotations

from typing import Any

import pytest

from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from ui.ablations import Part, ablation_tables, worded
from ui.charts.ablations import ablation_chart
from ui.charts.style import as_svg
from ui.language import Say

from .conftest import OpenView, texts
from .test_data import tables
from .workspaces import HOSTILE, put_ablation

SAMPLES = 200
SAY = Say("en")
RADIO, BOTH = [6, 5, 7, 6], [5, 4, 6, 5]
ALL: dict[tuple[str, ...], list[int]] = {
    ("radio",): RADIO,
    ("radio", "book"): BOTH,
    ("radio", "book", "voice"): [5, 4, 6, 6],
    ("radio", "voice"): [6, 6, 7, 6],
    ("book", "voice"): [8, 8, 9, 9],
}


def rows_of(store: Store, part: Part) -> list[dict[str, Any]]:
    with Reader(store.workspace) as reader:
        return worded(ablation_tables(reader, "one", SAMPLES)[part], SAY)


def test_the_command_is_named_before_there_is_any(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    page = open_view("compare", workspace.root, compare="sources")
    assert "has not been measured" in page.info[0].value
    assert texts(page) == f"al-loop -w {workspace.root} ablate"


@pytest.mark.parametrize("language", ["en", "ru", "ky"])
def test_both_tables(
    open_view: OpenView, workspace: Workspace, store: Store, language: str
) -> None:
    put_ablation(store, "one", ALL)
    page = open_view("compare", workspace.root, language, compare="sources")
    added, left_out = tables(page)
    assert list(added["step"]) == ["radio", "+ book", "+ voice"]
    assert list(added["wer"]) == pytest.approx([60, 50, 52.5])
    assert list(added["wer_change"])[1:] == pytest.approx([-10, 2.5])
    assert added["wer_change"].isna().tolist() == [True, False, False]
    assert list(added["hours"]) == [0.5, 1.0, 1.5]
    assert list(left_out["step"])[1:] == ["− radio", "− book", "− voice"]
    assert list(left_out["wer_change"])[1:] == pytest.approx([32.5, 10, -2.5])
    if language == "en":
        assert list(added["finding"])[1:] == ["Better", "No sure difference"]
        assert list(left_out["finding"])[1:] == ["Worse", "Worse", "No sure difference"]
    assert not page.info
    assert any("` russian `" in row.value for row in page.caption)


def test_one_that_is_not_finished_is_shown_as_far_as_it_is(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    put_ablation(store, "older", ALL)
    put_ablation(store, "one", {("radio",): RADIO, ("radio", "book"): BOTH}, finished=False)
    page = open_view("compare", workspace.root, compare="sources", ablation="one")
    assert "not finished" in page.info[0].value
    assert texts(page).endswith(" ablate --name one --by source")  # else it would be refused
    added, left_out = tables(page)
    assert list(added["step"]) == ["radio", "+ book"]
    # what is left without the second source is the first step
    assert list(left_out["step"]) == ["all sources", "− book"]
    put_ablation(store, "begun", {}, finished=False)
    assert not open_view("compare", workspace.root, compare="sources", ablation="begun").dataframe


def test_each_evaluation_set_is_compared_with_itself(store: Store) -> None:
    put_ablation(store, "one", ALL, ("test_a", "test_b"))
    rows = rows_of(store, "added")
    steps = [(row["step"], row["evaluation_set"]) for row in rows[:4]]
    names = ("test_a", "test_b")
    assert steps == [(step, name) for step in ("radio", "+ book") for name in names]
    assert {row["wer_change"] for row in rows if row["step"] == "+ book"} == {-0.1}


def test_a_change_is_paired(store: Store) -> None:
    """Each clip has one error less: the interval of the difference has no width."""
    put_ablation(store, "one", {("radio",): RADIO, ("radio", "book"): BOTH})
    first, second = rows_of(store, "added")
    assert second["change_low"] == second["change_high"] == pytest.approx(-0.1)
    assert first["wer_low"] < first["wer"] < first["wer_high"]


def test_other_clips_are_not_compared(store: Store) -> None:
    put_ablation(store, "one", {("radio",): RADIO, ("radio", "book"): BOTH[:3]})
    second = rows_of(store, "added")[1]
    assert (second["wer_change"], second["finding"]) == (None, None)


def test_what_is_not_measured_is_left_out(store: Store) -> None:
    """The step after it is compared with the last one that was."""
    kept = {part: ALL[part] for part in (("radio",), ("radio", "book", "voice"))}
    put_ablation(store, "one", {(): [10, 9, 10, 10]} | kept)
    rows = rows_of(store, "added")
    assert [row["step"] for row in rows] == ["before any training", "radio", "+ voice"]
    assert rows[2]["wer_change"] == pytest.approx(-0.075)
    assert rows_of(store, "left_out") == []


def test_the_chart_has_a_panel_an_evaluation_set(store: Store) -> None:
    put_ablation(store, "one", ALL, ("test_a", "test_b"))
    svg = as_svg(ablation_chart(rows_of(store, "added"), SAY).to_dict()).decode()
    assert all(text in svg for text in ("test_a", "test_b", "+ book", "52.5%"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_names_are_shown_as_they_are(
    open_view: OpenView, workspace: Workspace, store: Store, text: str
) -> None:
    put_ablation(store, text, {("radio",): RADIO, ("radio", text): BOTH}, (text,), finished=False)
    page = open_view("compare", workspace.root, compare="sources")
    assert not page.get("html")
    assert f"+ {text}" in list(tables(page)[0]["step"])
    for block in [*page.markdown, *page.info]:
        assert text not in block.value
