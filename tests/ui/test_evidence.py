"""The dashboard's sections on acquisition, on workspaces that a real Store has filled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

import ui
from al_loop.acquisition.predictor import fit
from al_loop.evidence import round_report
from al_loop.evidence_lines import curve_lines, lines
from al_loop.records import (
    Answer,
    Arm,
    Checkpoint,
    Choice,
    CurvePoint,
    Gated,
    Hypothesis,
    Selection,
    Source,
    Utterance,
)
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from ui.charts import learning_curve_chart

PAGE = Path(ui.__file__).with_name("dashboard.py")
TIMEOUT_S = 30
HOSTILE = "<script>alert(1)</script> **b** $e$ [a](https://example.org)"
WORDS = ["бир", "эки", "үч", "төрт", "беш", "алты", "жети", "сегиз", "тогуз", "он"]
BASE = Checkpoint("base", "checkpoints/base", None, {})
REASON = "predicted_wer ranks: it orders answers better than mean_token_entropy"
LIMITS = {"quiet": -50.0, "looping": 2.4}

Open = Callable[[Path], AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Runs the page on a folder, and fails where it raised."""

    def run(folder: Path) -> AppTest:
        monkeypatch.setenv("AL_LOOP_WORKSPACE", str(folder))
        page = AppTest.from_file(PAGE, default_timeout=TIMEOUT_S).run()
        assert not page.exception
        return page

    return run


def answer(name: str, arm: Arm, errors: int, number: int = 1) -> Answer:
    """A label of ten words, of which so many were heard wrongly; entropies rise with them."""
    doubt = errors / 10
    text = " ".join(["жок"] * errors + WORDS[errors:])
    heard = Hypothesis(name, text, 10, -doubt, doubt, doubt, doubt, doubt, 1 - doubt, 0.0, 1.0)
    return Answer(name, number, arm, "ky", 4.0, " ".join(WORDS), None, heard, None, 30.0)


ANSWERS = [
    *(answer(f"a{place}", "acquired", errors) for place, errors in enumerate((4, 5, 6, 5, 7, 6))),
    *(answer(f"c{place}", "control", errors) for place, errors in enumerate((2, 1, 3, 2, 2, 0))),
    replace(answer("junk", "control", 0), text=None, verdict="bad_audio"),
]
FALLING = [
    CurvePoint(number, "test", "ky", 1000, 3600.0 * number, 0.0, wer, wer - 0.02, wer + 0.02)
    for number, wer in enumerate((0.6, 0.5, 0.45, 0.42))
]


def report(
    answers: list[Answer] = ANSWERS, number: int = 1, points: list[CurvePoint] = FALLING
) -> dict[str, Any]:
    """As the record stage makes it."""
    rng = np.random.default_rng(0)
    found = round_report(answers, number, points, "ky", rng, 50, 1800.0)
    predictor = fit(answers, "mean_token_entropy", rng)
    return found | {"predictor": predictor and dict(predictor.quality)}


def choose(store: Store, number: int, gated: list[Gated], facts: dict[str, Any]) -> None:
    """Open a round and keep a selection of one clip."""
    if number == 1:
        store.put_checkpoint(BASE)
        store.put_source(Source("pool", "open_source", "ky"))
    store.start_round(number, number, "select", "base")
    names = [f"chosen-{number}", *(row.utterance_id for row in gated)]
    store.add(
        [Utterance(key, key, f"audio/{key}", 60.0, "pool", "ky", "pool") for key in names], []
    )
    store.put_selection(number, Selection([Choice(names[0], 0, 1.0, "acquired")], gated, facts))


def record(store: Store, number: int, found: dict[str, Any]) -> None:
    with store.finishing(number, "record", None):
        store.put_report(number, found)


def texts(page: AppTest) -> str:
    return "\n".join(block.value for block in page.code)


def captions(page: AppTest) -> str:
    return "\n".join(row.value for row in page.caption)


def table(page: AppTest, column: str) -> pd.DataFrame:
    """The only table with this column."""
    found = [row.value for row in page.dataframe if column in row.value.columns]
    assert len(found) == 1, [list(row.value.columns) for row in page.dataframe]
    return cast(pd.DataFrame, found[0])


def test_the_arms_are_those_of_the_report(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    choose(store, 1, [], {"reason": REASON})
    found = report()
    record(store, 1, found)
    page = open_page(workspace.root)

    arms = table(page, "edits_per_minute")
    acquired, control = (found["round"]["arms"][name] for name in ("acquired", "control"))
    assert list(arms["arm"]) == ["acquired", "control"]
    assert list(arms["of"]) == ["round 1", "round 1"]
    assert list(arms["tasks"]) == [6, 7]
    assert list(arms["labelled"]) == [6, 6]
    assert list(arms["junk_share"]) == pytest.approx([0, 100 / 7])
    assert list(arms["wer"]) == pytest.approx([55, 100 / 6])
    assert list(arms["wer_low"]) == pytest.approx(
        [100 * acquired["wer_low"], 100 * control["wer_low"]]
    )
    assert list(arms["edits_per_minute"]) == pytest.approx([11, 10 / 3.5])
    assert list(arms["edits_per_minute_high"]) == pytest.approx(
        [acquired["edits_per_minute_high"], control["edits_per_minute_high"]]
    )
    assert list(arms["annotator_min"]) == pytest.approx([3, 3.5])

    shown = texts(page)
    assert f"round 1: {REASON}" in shown
    for line in (*lines(found), *curve_lines(found["curve"])):
        assert shown.count(line) == (0 if line.startswith(("  acquired: ", "  control: ")) else 1)
    assert "were saved against random choice" in shown
    assert "estimated by equal errors found" in shown
    assert "advice: " in shown


def test_the_predictor_s_correlations_and_calibration(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    choose(store, 1, [], {})
    found = report()
    record(store, 1, found)
    page = open_page(workspace.root)
    quality = found["predictor"]

    correlations = table(page, "statistic").set_index("statistic")
    assert set(correlations.index) == {"predicted WER", *quality["statistics"]}
    entropy = quality["statistics"]["mean_token_entropy"]
    assert list(correlations.loc["mean_token_entropy"]) == pytest.approx(list(entropy.values()))
    assert correlations["value"].dropna().is_monotonic_decreasing
    assert pd.isna(correlations.loc["no_speech_prob", "value"])  # it never varies

    calibration = table(page, "predicted")
    assert list(calibration["answers"]) == [row["answers"] for row in quality["calibration"]]
    assert list(calibration["true"]) == pytest.approx(
        [100 * row["true"] for row in quality["calibration"]]
    )
    shown = texts(page)
    assert "predicted WER (weighted doubts, 12 answers)" in shown
    assert "on the control arm (6 answers)" in shown
    assert "mean_token_entropy: rank" not in shown  # the table says it


def test_all_rounds_stand_below_the_round_and_an_older_one_can_be_chosen(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    choose(store, 1, [], {"reason": "cold start"})
    record(store, 1, report())
    choose(store, 2, [], {"reason": REASON})
    both = [
        *ANSWERS,
        *(replace(row, round=2, utterance_id=f"2{row.utterance_id}") for row in ANSWERS),
    ]
    record(store, 2, report(both, 2))
    choose(store, 3, [], {"reason": "in work"})

    page = open_page(workspace.root)
    assert f"round 2: {REASON}" in texts(page)
    assert list(table(page, "edits_per_minute")["of"]) == ["round 2"] * 2 + ["all rounds"] * 2

    (rounds,) = page.selectbox
    assert rounds.options == ["3", "2", "1"]
    page = rounds.select(1).run()
    assert "round 1: cold start" in texts(page)
    assert list(table(page, "edits_per_minute")["of"]) == ["round 1"] * 2

    page = page.selectbox[0].select(3).run()
    assert "round 3: in work" in texts(page)
    assert "There is no report: round 3 gets it when it is recorded." in captions(page)
    assert not [row for row in page.dataframe if "edits_per_minute" in row.value]


def test_a_round_without_answers_says_what_is_missing(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    choose(store, 1, [], {})
    record(store, 1, report([], points=[]))
    page = open_page(workspace.root)
    shown = texts(page)
    assert "no answers, so nothing to compare" in shown
    assert "too few answers to learn from" in shown
    assert "too early to tell" in shown
    assert not [row for row in page.dataframe if "arm" in row.value or "statistic" in row.value]
    assert len(page.get("vega_lite_chart")) == 1  # that of labelled minutes


def test_a_round_that_was_recorded_without_a_report(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    choose(store, 1, [], {})
    with store.finishing(1, "record", None):
        pass
    assert "round 1 was recorded without one" in captions(open_page(workspace.root))


def test_a_workspace_without_rounds_has_none_of_it(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    assert not open_page(workspace.root).subheader


# -- held back -------------------------------------------------------------------------------------


def test_what_is_held_back_and_why(open_page: Open, workspace: Workspace, store: Store) -> None:
    gated = [
        Gated("long-id-of-a-quiet-clip", "quiet", -61.5, -50.0),
        Gated("m-loop", "looping", 3.25, 2.4),
        Gated("n-loop", "looping", 2.75, 2.4),
    ]
    choose(store, 1, gated, {"limits": LIMITS})
    heard = Hypothesis("m-loop", HOSTILE, 3, -0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0, 3.25)
    store.add_hypotheses("base", [heard])
    page = open_page(workspace.root)

    counts = table(page, "utterances")
    assert list(counts["gate"]) == ["looping", "quiet"]
    assert list(counts["utterances"]) == [2, 1]
    assert list(counts["minutes"]) == [2, 1]
    assert list(counts["limit"]) == [2.4, -50]
    clips = table(page, "clip")
    assert list(clips["clip"]) == ["long-id-of-a", "m-loop", "n-loop"]
    assert list(clips["gate"]) == ["quiet", "looping", "looping"]
    assert list(clips["value"]) == [-61.5, 3.25, 2.75]
    assert clips["hypothesis"].isna().tolist() == [True, False, True]
    assert clips["hypothesis"][1] == HOSTILE
    assert not page.markdown
    assert not page.get("html")
    assert f"al-loop -w {workspace.root} gates release long-id-of-a" in texts(page)

    page = page.selectbox[1].select("looping").run()
    assert list(table(page, "clip")["gate"]) == ["looping", "looping"]
    assert "gates release m-loop" in texts(page)


def test_what_is_released_is_marked_and_no_example(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    choose(store, 1, [Gated(name, "quiet", -61.0, -50.0) for name in ("one", "two")], {})
    store.release("one", "it is speech")
    page = open_page(workspace.root)
    assert list(table(page, "clip")["released"]) == [True, False]
    assert "gates release two" in texts(page)
    assert pd.isna(table(page, "utterances")["limit"][0])  # facts of long ago hold no limits


def test_counts_follow_the_newest_selection(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    choose(store, 1, [Gated("one", "quiet", -61.0, -50.0)], {"limits": LIMITS})
    assert list(table(open_page(workspace.root), "utterances")["utterances"]) == [1]
    record(store, 1, report())
    choose(store, 2, [Gated(name, "quiet", -61.0, -50.0) for name in ("two", "three")], {})
    assert list(table(open_page(workspace.root), "utterances")["utterances"]) == [2]
    record(store, 2, report(number=2))
    choose(store, 3, [], {})
    assert "in round 3 the gates held no clip back" in captions(open_page(workspace.root))


def test_before_the_first_selection(open_page: Open, workspace: Workspace, store: Store) -> None:
    store.put_checkpoint(BASE)
    store.start_round(0, 0, "merge", "base")
    said = captions(open_page(workspace.root))
    assert "the gates work when a round chooses" in said
    assert "round 0 gets it when it is recorded" in said


# -- simulations -----------------------------------------------------------------------------------


def test_strategies_of_a_simulation_are_means_over_seeds(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    assert not open_page(workspace.root).dataframe
    store.start_simulation("field", {})
    for strategy, gain in (("random", 0.1), ("default", 0.2)):
        for seed in (0, 1):
            for number in (0, 1):
                store.put_simulation_point("field", point(strategy, seed, number, gain))
    page = open_page(workspace.root)
    rows = table(page, "strategy").set_index("strategy")
    assert list(rows["round 0"]) == pytest.approx([55, 55])
    assert rows.loc["random", "round 1"] == pytest.approx(45)
    assert rows.loc["default", "round 1"] == pytest.approx(35)
    assert list(rows["seeds"]) == [2, 2]
    assert list(rows["minutes"]) == [10, 10]
    assert list(rows["junk_share"]) == [25, 25]
    assert list(rows["state"]) == ["may go on"] * 2
    store.finish_simulation("field")
    assert list(table(open_page(workspace.root), "strategy")["state"]) == ["finished"] * 2


def point(strategy: str, seed: int, number: int, gain: float) -> dict[str, Any]:
    wer = 0.5 + 0.1 * seed - gain * number
    return {
        **{"strategy": strategy, "seed": seed, "round": number, "wer": wer},
        **{"labelled_s": 450.0 * number, "annotator_s": 900.0, "chosen_s": 600.0 * number},
        **{"junk_s": 150.0, "tasks": 40 * number, "junk_tasks": 10 * number},
        **{"words": 100, "errors": 50, "utterance_errors": "[[50, 100]]"},
        **{"spearman": None, "spearman_low": None, "spearman_high": None},
    }


# -- the learning curve ----------------------------------------------------------------------------


def test_the_learning_curve_has_points_line_band_and_forecast() -> None:
    curve = report(number=3)["curve"]
    assert curve["line"]
    drawn = learning_curve_chart(curve).to_dict()
    assert [row["mark"]["type"] for row in drawn["layer"]] == [
        *("area", "line", "point", "rule", "point", "text")
    ]
    held = [row for data in drawn["datasets"].values() for row in data]
    assert {row["WER %"] for row in held if row.get("round") == 0} == {"60.0 (58.0 to 62.0)"}
    assert {row["round"] for row in held if "round" in row} == set(range(7))
    band = drawn["layer"][0]["encoding"]
    assert (band["y"]["field"], band["y2"]["field"]) == ("wer_low", "wer_high")
    assert drawn["description"]


def test_without_a_fit_the_learning_curve_is_points_alone() -> None:
    curve = report(number=1)["curve"]
    assert not curve["line"]
    drawn = learning_curve_chart(curve).to_dict()
    assert [row["mark"]["type"] for row in drawn["layer"]] == ["rule", "point", "text"]


def test_the_page_draws_the_curve_of_its_report(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    choose(store, 1, [], {})
    record(store, 1, report())
    with Reader(workspace) as reader:
        assert len(reader.report(1)["curve"]["points"]) == 2
    assert len(open_page(workspace.root).get("vega_lite_chart")) == 2
