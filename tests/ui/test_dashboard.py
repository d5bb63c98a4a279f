"""The dashboard's page, run by Streamlit's AppTest on workspaces that a real Store has filled."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import ui
from al_loop.config import Settings
from al_loop.records import (
    IN_HOUSE,
    Annotation,
    Checkpoint,
    Choice,
    Evaluation,
    Label,
    Leak,
    Manifest,
    MixtureRow,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    Selection,
    SilenceEvaluation,
    Source,
    Stage,
    TaskKey,
    Utterance,
)
from al_loop.report import round_lines, status_lines
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from ui.charts import error_rate_chart, minutes_chart

PAGE = Path(ui.__file__).with_name("dashboard.py")
TIMEOUT_S = 30
HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "markdown": "[a](https://example.org) **b** `c` ``d`` $e$ :red[f] :smile:",
    "right to left": "\u202eright to left \u0642\u064a\u0631\u063a\u064a\u0632",
    "very long": "long " * 2000 + "end",
}

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


def start_round(store: Store, number: int, stage: Stage = "merge") -> None:
    """Open a round with a batch of three tasks, of which two are answered."""
    if number == 0:
        store.put_checkpoint(Checkpoint("checkpoint-base", "checkpoints/base", None, {}))
    current = store.current_checkpoint_id() or "checkpoint-base"
    store.start_round(number, number, stage, current)
    if number == 0:
        return
    store.put_source(Source("pool", "open_source", "ky"))
    ids = [f"{number}-{rank}" for rank in range(3)]
    store.add([Utterance(key, key, f"audio/{key}", 60.0, "pool", "ky", "pool") for key in ids], [])
    choices = [Choice(key, rank, 1.0, "acquired") for rank, key in enumerate(ids)]
    store.put_selection(number, Selection(choices, [], {}))
    keys = [TaskKey(key, number, 0) for key in ids]
    store.add_tasks(PlannedTask(key, "query", rank) for rank, key in enumerate(keys))
    at = f"2026-01-0{number}T00:00:00+00:00"
    answers = [
        Annotation(f"a{ids[0]}", "1", keys[0], "annotator-1", "салам", None, 9.0, at, at),
        Annotation(f"a{ids[1]}", "2", keys[1], "annotator-1", None, "skipped", 3.0, at, at),
    ]
    tasks = [PulledTask(row.task_id, row.key, at, [row]) for row in answers]
    store.take(Place("http://label.studio.test", 1), Pulled(tasks, (), None))


def record_round(
    store: Store,
    number: int,
    promoted: bool = True,
    decision: str = "promoted: better",
    evaluation_set: str = "test",
    source: str = "seed",
) -> None:
    """A whole round. The WER of its candidate is 60% less ten points for each round."""
    start_round(store, number)
    current = store.current_checkpoint_id() or "checkpoint-base"
    candidate = f"checkpoint-{number}"
    if number:
        store.put_labels(
            [
                Label(f"{number}-0", "салам", None, [f"a{number}-0"]),
                Label(f"{number}-1", None, "skipped", [f"a{number}-1"]),
            ]
        )
    mixture = [
        MixtureRow(source, "open_source", "ky", 1.0, 10, 90.0, 0.25, 0.24, 1, 6),
        MixtureRow(IN_HOUSE, "in_house", "ky", 3.0, 10, 30.0, 0.75, 0.76, 2, 19),
    ]
    store.put_manifest(number, Manifest(f"manifest-{number}", [], mixture))
    store.put_checkpoint(Checkpoint(candidate, f"checkpoints/{candidate}", current, {}))
    store.set_candidate(number, candidate)
    for checkpoint_id in (current, candidate):
        done = checkpoint_id.removeprefix("checkpoint-")
        wer = 0.6 - 0.1 * int(done) if done.isdecimal() else 0.9
        store.put_evaluations(
            number,
            checkpoint_id,
            [rates(evaluation_set, "ky", wer), rates("russian", "ru", 0.2)],
            SilenceEvaluation(24, 3),
        )
    store.decide(number, promoted, decision)
    with store.finishing(number, "record", None):
        pass


def rates(evaluation_set: str, language: str, wer: float) -> Evaluation:
    cer = wer / 3
    return Evaluation(
        evaluation_set, language, 40, 200,
        wer, wer - 0.05, wer + 0.05, cer, cer - 0.02, cer + 0.02,
        wer, wer - 0.05, wer + 0.05, cer, cer - 0.02, cer + 0.02, 30, 20, 10, 0.04, "2",
    )  # fmt: skip


def ask(workspace: Workspace, sql: str) -> Any:
    with sqlite3.connect(workspace.database) as connection:
        return connection.execute(sql).fetchone()[0]


def texts(page: AppTest) -> str:
    """All that the page shows as plain text."""
    return "\n".join(block.value for block in page.code)


def figures(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def cells(page: AppTest) -> list[Any]:
    return [cell for table in page.dataframe for cell in table.value.to_numpy().ravel()]


def test_a_folder_that_is_no_workspace(open_page: Open, tmp_path: Path) -> None:
    page = open_page(tmp_path)
    assert "cannot be shown" in page.warning[0].value
    assert "al-loop init" in texts(page)


def test_no_database(open_page: Open, workspace: Workspace) -> None:
    page = open_page(workspace.root)
    assert "al-loop ingest" in texts(page)
    assert not workspace.database.exists()


def test_wrong_settings_name_the_key(open_page: Open, workspace: Workspace) -> None:
    workspace.config.write_text("sead = 1\n", encoding="utf-8")
    assert "sead" in texts(open_page(workspace.root))


def test_a_database_that_is_none(open_page: Open, workspace: Workspace) -> None:
    workspace.database.write_text("not SQLite at all, but long enough to be read" * 20)
    assert "cannot be read" in texts(open_page(workspace.root))


def test_no_round_yet(open_page: Open, workspace: Workspace, store: Store) -> None:
    page = open_page(workspace.root)
    assert "No round yet" in page.info[0].value
    assert f"al-loop -w {workspace.root} round" in texts(page)
    assert not page.dataframe


def test_round_0_under_way(open_page: Open, workspace: Workspace, store: Store) -> None:
    start_round(store, 0)
    page = open_page(workspace.root)
    assert "Round 0 is not finished" in page.info[0].value
    assert "round:    0, at merge" in texts(page)
    assert figures(page)["WER % (ky)"] == "—"
    assert len(page.dataframe) == 1


def test_the_figures_are_those_of_the_database(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    record_round(store, 2, promoted=False, decision="rejected: worse")
    start_round(store, 3, "pull")

    page = open_page(workspace.root)

    in_use = "e.round = 2 AND e.checkpoint_id = 'checkpoint-1' AND e.language = 'ky'"
    wer = ask(workspace, f"SELECT e.wer FROM evaluations e WHERE {in_use}")
    labelled_s = ask(
        workspace,
        "SELECT sum(duration_s) FROM utterances WHERE id IN "
        "(SELECT utterance_id FROM labels WHERE text IS NOT NULL)",
    )
    assert figures(page) == {
        "WER % (ky), ` test `": f"{100 * wer:.1f}",
        "Labelled minutes": f"{labelled_s / 60:.1f}",
        "Tasks answered in this round": "2 of 3",
        "Utterances left in the pool": "0",
    }
    assert page.metric[0].delta == "-10.0"

    mixture, rounds, error_rates = (table.value for table in page.dataframe)
    assert list(error_rates["round"]) == [0, 0, 1, 1, 2, 2]
    assert list(error_rates.query("language == 'ky'")["wer"]) == pytest.approx([60, 50, 50])
    assert list(rounds["round"]) == [3, 2, 1, 0]
    assert list(rounds["stage"]) == ["pull", "recorded", "recorded", "recorded"]
    assert list(rounds["answered"]) == [2, 2, 2, 0]
    assert list(rounds["labelled_min"]) == [0, 1, 1, 0]
    assert list(mixture["target_share"]) == [75, 25]
    assert list(mixture["minutes"]) == [0.5, 1.5]
    assert {title.value for title in page.subheader} >= {"Mixture of round 2"}
    assert "The pool is empty" in page.info[0].value


def test_silence_and_the_kinds_of_errors(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    _, rounds, error_rates = (table.value for table in open_page(workspace.root).dataframe)
    assert list(rounds["hallucinated_share"]) == [12.5]
    assert list(error_rates["insertions"]) == [10, 10]
    assert list(error_rates["foreign_share"]) == [4, 4]


def test_what_was_put_in_use_by_hand_stands_beside_the_decision(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    (workspace.checkpoints / "base").mkdir()
    store.promote("checkpoint-base", "too slow")
    _, rounds, *_ = (table.value for table in open_page(workspace.root).dataframe)
    assert list(rounds["by_hand"]) == ["base: too slow", ""]


def test_the_key_figure_is_that_of_what_was_put_in_use_by_hand(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    assert figures(open_page(workspace.root))["WER % (ky), ` test `"] == "50.0"
    (workspace.checkpoints / "checkpoint-0").mkdir()
    store.rollback("too slow")
    page = open_page(workspace.root)
    assert figures(page)["WER % (ky), ` test `"] == "60.0"
    assert page.metric[0].delta == "0.0"
    assert "` checkpoint-0 `" in page.metric[0].help
    *_, error_rates = (table.value for table in page.dataframe)
    assert list(error_rates.query("language == 'ky'")["wer"]) == pytest.approx([60, 50])


def test_leaks_and_epochs_are_shown_where_there_are_some(
    open_page: Open, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    assert len(open_page(workspace.root).dataframe) == 3
    store.put_source(Source("pool", "open_source", "ky"))
    store.add([Utterance("t", "t", "audio/t", 1.0, "pool", "ky", "test", "ооба")], [])
    store.put_leaks("manifest-0", [Leak("t", "seed", "*ооба*", "t", "text")])
    epoch = {"epoch": 1, "draws": 8, "steps": 1, "accumulation": 2, "loss": 1.5}
    norms = {"mean_grad_norm": 4.0, "full_grad_norm": 2.0, "validation_loss": None}
    sidecar = json.dumps({"epochs": [epoch | norms], "grad_norm_bound": 5.0})
    store.db.execute("UPDATE checkpoints SET sidecar = ? WHERE id = 'checkpoint-0'", [sidecar])
    page = open_page(workspace.root)
    _, leaks, training, *_ = (table.value for table in page.dataframe)
    assert list(leaks["text"]) == ["*ооба*"]
    assert list(training["mean_grad_norm"]) == [4]
    assert "Training of round 0" in {title.value for title in page.subheader}


def test_the_words_are_those_of_status(open_page: Open, workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    start_round(store, 1, "pull")
    shown = texts(open_page(workspace.root))
    with Reader(workspace) as reader:
        for line in [*status_lines(reader, Settings())[:2], *round_lines(reader, 0)]:
            assert line in shown


def test_a_failed_stage(open_page: Open, workspace: Workspace, store: Store) -> None:
    start_round(store, 0)
    store.start_stage(0, "merge", "{}")
    store.fail_stage(0, "merge", "the **disk** is full", "2026-01-01T00:00:00+00:00")
    page = open_page(workspace.root)
    assert "The loop failed at merge." in page.error[0].value
    assert "the **disk** is full" in [block.value for block in page.code]
    assert f"al-loop -w {workspace.root} round" in [block.value for block in page.code]
    assert not page.info


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_is_shown_as_it_is(
    open_page: Open, workspace: Workspace, store: Store, text: str
) -> None:
    record_round(store, 0, decision=text, evaluation_set=text, source=text)
    start_round(store, 1, "push")
    store.start_stage(1, "push", "{}")
    store.fail_stage(1, "push", text, "2026-01-01T00:00:00+00:00")

    page = open_page(workspace.root)

    assert cells(page).count(text) == 3
    assert text in [block.value for block in page.code]
    assert text not in page.error[0].value
    assert not page.markdown
    assert not page.get("html")
    span = page.metric[0].label.removeprefix("WER % (ky), ")
    fence = span[: len(span) - len(span.lstrip("`"))]
    assert span == f"{fence} {' '.join(text.split())} {fence}"
    assert fence not in text


def test_a_folder_s_name_is_no_markup(open_page: Open, tmp_path: Path) -> None:
    page = open_page(tmp_path / "a `b` *c* <i>")
    assert page.title[0].value == "Workspace `` a `b` *c* <i> ``"


def test_the_page_writes_nothing(open_page: Open, workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    store.close()
    before = workspace.database.read_bytes()
    open_page(workspace.root)
    assert workspace.database.read_bytes() == before
    with (
        Reader(workspace) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.connection.execute("DELETE FROM rounds")


def test_one_reader_sees_one_snapshot(workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    with Reader(workspace) as reader:
        assert len(reader.rounds()) == 1
        record_round(store, 1)
        assert len(reader.rounds()) == 1
    with Reader(workspace) as reader:
        assert len(reader.rounds()) == 2


def test_charts_carry_every_number(workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    record_round(store, 1)
    with Reader(workspace) as reader:
        rows, rounds = reader.error_rates(), reader.rounds()
    chart = error_rate_chart(rows).to_dict()
    points = [point for data in chart["datasets"].values() for point in data]
    assert {point["numbers"] for point in points} == {
        "60.0\n55.0 to 65.0",
        "50.0\n45.0 to 55.0",
        "20.0\n15.0 to 25.0",
    }
    assert [point["above"] for point in points] == [
        point["evaluation_set"] == "test" for point in points
    ]
    for drawn in (chart, minutes_chart(rounds).to_dict()):
        assert drawn["description"]
        assert drawn["layer"][0]["encoding"]["x"]["type"] == "ordinal"
