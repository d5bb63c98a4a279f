"""Two rounds, or two simulations, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from al_loop.simulation.point import Point
from al_loop.simulation.results import results
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from ui.charts.compare import curves_chart, rates_chart
from ui.charts.style import as_svg
from ui.comparison import clips_of, compared_sets, compared_simulations, finding
from ui.language import Say

from .clips import clip_id, fill
from .conftest import OpenView, texts
from .workspaces import HOSTILE, record_round

WORDS = (2, 2, 2)
"""Of the evaluation set in `clips`."""


def simulate(
    store: Store,
    name: str,
    errors: dict[str, Sequence[Sequence[int]]],
    seeds: int = 2,
    words: Sequence[int] = WORDS,
) -> None:
    """Points of a simulation. errors: by strategy, of each round's clips."""
    store.start_simulation(name, {})
    for strategy, rounds in errors.items():
        for seed in range(seeds):
            for number, wrong in enumerate(rounds):
                store.put_simulation_point(
                    name,
                    {
                        "strategy": strategy,
                        "seed": seed,
                        "round": number,
                        "labelled_s": 60.0,
                        "annotator_s": 300.0 * number,
                        "chosen_s": 60.0 * number,
                        "junk_s": 0.0,
                        "tasks": 10,
                        "junk_tasks": 1,
                        "wer": sum(wrong) / sum(words),
                        "words": sum(words),
                        "errors": sum(wrong),
                        "utterance_errors": json.dumps(list(zip(wrong, words, strict=True))),
                        "spearman": None,
                        "spearman_low": None,
                        "spearman_high": None,
                    },
                )


def table(page: AppTest, column: str) -> pd.DataFrame:
    found = [row.value for row in page.dataframe if column in row.value.columns]
    assert len(found) == 1
    return cast(pd.DataFrame, found[0])


# -- two rounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [0, 1])
def test_two_rounds_are_needed(
    open_view: OpenView, workspace: Workspace, store: Store, rounds: int
) -> None:
    for number in range(rounds):
        record_round(store, number)
    page = open_view("compare", workspace.root)
    assert f"there are {rounds}" in page.info[0].value
    assert f"al-loop -w {workspace.root} round" in texts(page)


def test_two_rounds_side_by_side(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill(store)
    page = open_view("compare", workspace.root)
    with Reader(workspace) as reader:
        rates = {row["round"]: row["wer"] for row in reader.error_rates()}
    row = table(page, "wer_change").iloc[0]
    assert (row["wer_from"], row["wer_to"]) == (100 * rates[0], 100 * rates[1])
    # one word of six got better, another got worse
    assert (row["wer_change"], row["finding"]) == (0, "No sure difference")
    assert row["change_low"] < 0 < row["change_high"]
    assert (row["both_heard"], row["got_better"], row["got_worse"]) == (3, 1, 1)
    assert "No sure difference: test" in texts(page)
    # labels to train on leave the interval of two checkpoints as wide as it is
    (advice,) = [row.value for row in page.caption if "holds zero" in row.value]
    assert "a larger evaluation set narrows it" in advice
    assert "label more" not in advice
    assert "(training?round=1&against=0)" in page.markdown[-1].value


def test_clips_that_got_worse_or_better(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)

    def shown(**query: object) -> list[list[object]]:
        page = open_view("compare", workspace.root, **query)
        columns = ["clip", "errors_from", "errors_to", "errors_change"]
        found: list[list[object]] = table(page, "heard_from")[columns].to_numpy().tolist()
        return found

    worse, better = clip_id("t1")[:12], clip_id("t0")[:12]
    assert shown() == [[worse, 0, 1, 1]]
    assert shown(which="better") == [[better, 1, 0, -1]]
    assert shown(to=0, **{"from": 1}) == [[better, 0, 1, 1]]
    assert len(shown(which="all")) == 3
    assert shown(which="all")[0][0] == worse
    assert shown(set="test") == shown()


def test_a_clip_is_heard_by_both(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill(store)
    page = open_view("compare", workspace.root, clip=clip_id("t1")[:8])
    assert len(page.get("audio")) == 1
    headings = [block.value for block in page.markdown if block.value.startswith("**")]
    assert headings == ["**First: ` first `** · WER 0.0%", "**Second: ` second `** · WER 50.0%"]
    assert "мектепке</bdi></ins>" in page.get("html")[-1].body


def test_the_same_checkpoint_after_both(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1, promoted=False, decision="rejected: worse")
    page = open_view("compare", workspace.root)
    assert "same checkpoint" in page.info[0].value
    record_round(store, 2, promoted=False, decision="rejected: worse")
    record_round(store, 3)
    page = open_view("compare", workspace.root)
    assert [row.value for row in page.selectbox[:2]] == [2, 3]
    assert not page.info


def test_without_transcripts_the_rates_stand_alone(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    page = open_view("compare", workspace.root)
    rows = table(page, "wer_change")
    assert list(rows["evaluation_set"]) == ["russian", "test"]
    assert rows["wer_change"].isna().all()
    assert set(rows["finding"]) == {"Too few clips that both heard"}


def test_rounds_whose_checkpoint_was_put_in_use_by_hand(workspace: Workspace, store: Store) -> None:
    fill(store)
    (workspace.checkpoints / "first").mkdir(parents=True)
    store.promote("first", "too slow")
    with Reader(workspace) as reader:
        # what was in use after a round does not depend on what happened later
        (row,) = compared_sets(reader, 0, 1, 100)
    assert row["both_heard"] == 3


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-2, -1, "better"), (1, 2, "worse"), (-1, 1, "unsure"), (0, 1, "unsure"), (0, 0, "unsure")],
)
def test_what_an_interval_says(low: float, high: float, said: str) -> None:
    assert finding(low, high) == said


def test_no_clips_at_all() -> None:
    frame = pd.DataFrame(columns=["evaluation_set", "errors_change"])
    for which in ("worse", "better", "all"):
        assert clips_of(frame, which, "test").empty


@pytest.mark.parametrize("language", ["en", "ru", "ky"])
def test_charts_carry_both_rounds_in_every_language(language: str) -> None:
    say = Say(language)  # type: ignore[arg-type]
    rates = {"wer_from": 0.3, "wer_from_low": 0.2, "wer_from_high": 0.4}
    rates |= {"wer_to": 0.2, "wer_to_low": 0.1, "wer_to_high": 0.3}
    drawn = rates_chart([{"evaluation_set": "<b>test</b>", **rates}], (1, 3), say).to_dict()
    assert [row["wer"] for row in drawn["data"]["values"]] == [0.3, 0.2]
    svg = as_svg(drawn).decode()
    assert "&lt;b&gt;test" in svg
    assert say("compare.after_round", round=3) in svg
    points = [
        {"compared": name, "minutes": number, "wer": 0.5, "wer_low": 0.4, "wer_high": 0.6}
        for name in ("a: random", "b: default")
        for number in (0, 1)
    ]
    assert "b: default" in as_svg(curves_chart(points, say).to_dict()).decode()


# -- two simulations -------------------------------------------------------------------------------

FALLING = {"random": [(2, 2, 1), (2, 1, 1)], "default": [(2, 2, 1), (0, 0, 0)]}


def test_simulations_are_needed(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    page = open_view("compare", workspace.root, compare="simulations")
    assert f"al-loop -w {workspace.root} simulate" in texts(page)
    simulate(store, "field", {"random": [(1, 1, 1)]})
    page = open_view("compare", workspace.root, compare="simulations")
    assert len(page.info) == 1


def test_two_strategies_with_the_figures_that_simulate_prints(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    simulate(store, "field", FALLING)
    page = open_view("compare", workspace.root, compare="simulations")
    assert [row.value for row in page.selectbox[:2]] == ["field: random", "field: default"]
    points = [
        Point(strategy, seed, number, 60.0, 300.0 * number, 60.0 * number, 0.0, 10, 1, wrong, WORDS)
        for strategy, rounds in FALLING.items()
        for seed in (0, 1)
        for number, wrong in enumerate(rounds)
    ]
    told = {row.strategy: row for row in results(points, np.random.default_rng(0), 1000)}
    rows = table(page, "final_wer").set_index("compared")
    for strategy, row in told.items():
        last = row.steps[-1].wer
        shown = rows.loc[f"field: {strategy}"]
        assert shown["final_wer"] == pytest.approx(100 * last.value)
        assert [shown["wer_low"], shown["wer_high"]] == pytest.approx(
            [100 * last.low, 100 * last.high]
        )
    change = told["default"].final_difference
    assert "The second is better" in page.markdown[0].value
    assert f"{100 * change.value:+.1f} points" in page.markdown[0].value
    assert f"{100 * change.low:+.1f} to {100 * change.high:+.1f}" in page.markdown[0].value


def test_the_clips_of_simulations_and_one_to_listen_to(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    simulate(store, "field", FALLING)
    first = sorted(clip_id(f"t{place}") for place in range(3))[0]
    page = open_view(
        "compare", workspace.root, compare="simulations", which="better", clip=first[:9]
    )
    rows = table(page, "errors_from")
    assert list(rows["errors_change"]) == [-2, -1, -1]
    assert rows["clip"][0] == first[:12]
    assert len(page.get("audio")) == 1


def test_strategies_of_two_simulations(workspace: Workspace, store: Store) -> None:
    fill(store)
    simulate(store, "one", {"random": FALLING["random"]}, seeds=3)
    simulate(store, "two", {"default": [*FALLING["default"], (0, 0, 0)]}, seeds=2)
    simulate(store, "other", {"default": [(1, 1)]}, words=(2, 2))
    simulate(store, "later", {"random": [(2, 2, 2)]}, seeds=0)
    asked = {"a": ("one", "random"), "b": ("two", "default")}
    with Reader(workspace) as reader:
        found = compared_simulations(reader, asked, "ky", 200, 0)
        # the seeds and rounds that both have
        assert (found.seeds, found.missing, len(found.curves)) == (2, "", 4)
        assert found.change["finding"] == "better"
        unlike = compared_simulations(reader, asked | {"b": ("other", "default")}, "ky", 200, 0)
        assert (unlike.missing, unlike.curves) == ("unlike", ())
        store.add([], [])
        with store.transaction():
            store.db.execute("DELETE FROM hypotheses")
            store.db.execute("UPDATE utterances SET split = 'reserved' WHERE split = 'test'")
    with Reader(workspace) as reader:
        found = compared_simulations(reader, asked, "ky", 200, 0)
        assert (found.missing, list(found.clips)) == ("sets_changed", [])
        assert len(found.curves) == 4


def test_simulations_without_a_common_seed(workspace: Workspace, store: Store) -> None:
    simulate(store, "one", {"random": [(1, 1, 1), (1, 1, 1)]}, seeds=1)
    simulate(store, "two", {"default": [(1, 1, 1), (1, 1, 1)]}, seeds=2)
    with store.transaction():
        store.db.execute("DELETE FROM simulation_points WHERE simulation = 'two' AND seed = 0")
    asked = {"a": ("one", "random"), "b": ("two", "default")}
    with Reader(workspace) as reader:
        assert compared_simulations(reader, asked, "ky", 200, 0).missing == "unfinished"


# -- foreign text ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_is_shown_as_it_is(
    open_view: OpenView, workspace: Workspace, store: Store, text: str
) -> None:
    fill(store)
    with store.transaction():
        store.db.execute("UPDATE evaluations SET evaluation_set = ?", [text])
        store.db.execute("UPDATE utterances SET text = ? WHERE split = 'test'", [text])
        store.db.execute("UPDATE hypotheses SET text = ?", [text + " ооба"])
        store.db.execute("UPDATE checkpoints SET path = id || ?", [text])
    simulate(store, text, FALLING)
    for part in ("rounds", "simulations"):
        page = open_view("compare", workspace.root, compare=part, clip=clip_id("t1")[:12])
        marked = [*page.caption, *page.info, *page.warning, *page.subheader]
        assert not any(text in block.value for block in marked)
        for block in page.get("html"):
            assert "<script" not in block.body
            assert "<img" not in block.body
    page = open_view("compare", workspace.root, which="all")
    assert text in list(table(page, "reference")["reference"])
    assert text in list(table(page, "wer_change")["evaluation_set"])


@pytest.mark.parametrize("language", ["ru", "ky"])
@pytest.mark.parametrize("part", ["rounds", "simulations"])
def test_every_language_has_all_the_words(
    open_view: OpenView, workspace: Workspace, store: Store, part: str, language: str
) -> None:
    fill(store)
    simulate(store, "field", FALLING)
    page = open_view("compare", workspace.root, language, compare=part)
    ours = " ".join(block.value for block in [*page.caption, *page.markdown, *page.subheader])
    assert "clip" not in ours.lower()
    assert len(page.get("vega_lite_chart")) == 1
