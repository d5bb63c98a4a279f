"""The overview, run by Streamlit's AppTest on workspaces that a real Store has filled."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from streamlit.testing.v1 import AppTest

import ui
from al_loop import alarms
from al_loop.config import Settings
from al_loop.overview import overview
from al_loop.paired import Difference
from al_loop.records import Leak, Source, Stage, Utterance
from al_loop.report import status_lines
from al_loop.verdict import Advised, Judgement, Next
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from tests.ui.conftest import TIMEOUT_S, OpenView, texts
from tests.ui.reports import answer_drafts
from tests.ui.workspaces import HOSTILE, ask, record_round, start_round
from ui.charts.rates import (
    error_rate_chart,
    minutes_chart,
    minutes_described,
    rates_described,
    short_names,
)
from ui.language import LANGUAGES, Language, Say
from ui.rounds_table import rounds_with_costs
from ui.sentences import (
    ALARM_COMMANDS,
    alarm_sentence,
    key_figures,
    no_alarm,
    sentences,
    stage,
)

DASHBOARD = Path(ui.__file__).with_name("dashboard.py")


def figures(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def said(page: AppTest) -> str:
    """All that the view says in Markdown, captions and alarms."""
    blocks = (*page.markdown, *page.caption, *page.warning, *page.error, *page.info)
    return "\n".join(block.value for block in blocks)


def table(page: AppTest) -> Any:
    """That of the rounds, which comes first."""
    return page.dataframe[0].value


# -- what is missing -------------------------------------------------------------------------------


def test_no_round_yet(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    page = open_view("overview", workspace.root)
    assert "No round yet" in page.info[0].value
    assert f"al-loop -w {workspace.root} ingest FOLDER --source NAME" in texts(page)
    assert not page.dataframe
    store.put_source(Source("s", "open_source", "ky"))
    store.add([Utterance("u", "u", "audio/u", 1.0, "s", "ky", "train", "ооба")], [])
    assert f"al-loop -w {workspace.root} round" in texts(open_view("overview", workspace.root))


def test_no_database(open_view: OpenView, workspace: Workspace) -> None:
    assert "al-loop ingest" in texts(open_view("overview", workspace.root))
    assert not workspace.database.exists()


def test_round_0_under_way(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    store.put_source(Source("s", "open_source", "ky"))
    store.add([Utterance("u", "u", "audio/u", 1.0, "s", "ky", "train", "ооба")], [])
    start_round(store, 0)
    page = open_view("overview", workspace.root)
    assert "Better or not is unknown" in said(page)
    assert "let round 0 go on; its stage is “merge”" in said(page)
    assert "▶ merge: here" in said(page)
    assert "score" not in said(page)  # round 0 asks nobody
    assert figures(page)["WER % (` ky `), ?"] == "–"
    assert len(page.dataframe) == 1


def test_without_an_evaluation_set(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    start_round(store, 0)
    start_round(store, 1, "push")
    with store.finishing(1, "record", None):
        pass
    page = open_view("overview", workspace.root)
    assert "bring in an evaluation set" in said(page)
    assert "ingest MANIFEST --source NAME --split test" in texts(page)


# -- what is there ---------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_database(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    record_round(store, 2, promoted=False, decision="rejected: worse")
    start_round(store, 3, "pull")

    page = open_view("overview", workspace.root)

    in_use = "e.round = 2 AND e.checkpoint_id = 'checkpoint-1'"
    wer, low, high = (
        ask(workspace, f"SELECT {name} FROM evaluations e WHERE {in_use} AND e.language = 'ky'")
        for name in ("wer", "wer_low", "wer_high")
    )
    labelled_s = ask(
        workspace,
        "SELECT sum(duration_s) FROM utterances WHERE id IN "
        "(SELECT utterance_id FROM labels WHERE text IS NOT NULL)",
    )
    annotator_s = ask(workspace, "SELECT sum(min(lead_time_s, 600)) FROM annotations")
    assert figures(page) == {
        "WER % (` ky `), ` test `": f"{100 * wer:.1f}",
        "WER % (` ru `), ` russian `": "20.0",
        "Labelled minutes": f"{labelled_s / 60:.1f}",
        "Annotators' hours": f"{annotator_s / 3600:.1f}",
        "Answered in round 3": "2 of 3",
        "Utterances left in the pool": "0",
    }
    target = page.metric[0]
    assert target.delta == "-40.0"
    assert f"interval {100 * low:.1f} to {100 * high:.1f}" in target.proto.delta_description
    assert "` checkpoint-1 `" in target.help

    rounds = table(page)
    assert list(rounds["round"]) == [3, 2, 1, 0]
    assert list(rounds["stage"]) == ["answers", "recorded", "recorded", "recorded"]
    assert list(rounds["answered"]) == [2, 2, 2, 0]
    assert list(rounds["labelled_min"]) == [0, 1, 1, 0]
    assert list(rounds["annotator_min"]) == pytest.approx([0.2, 0.2, 0.2, 0])
    assert list(rounds["hallucinated_share"].dropna()) == [12.5] * 3
    assert "cost" not in rounds
    rates = page.dataframe[1].value
    assert list(rates["round"]) == [2, 2, 1, 1, 0, 0]
    assert list(rates.query("language == 'ky'")["wer"]) == pytest.approx([50, 50, 60])
    assert list(rates["foreign_share"]) == pytest.approx([4] * 6)


def test_three_sentences_in_every_language(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    start_round(store, 2, "pull")
    english = said(open_view("overview", workspace.root))
    assert "WER in ` ky ` fell from 90.0% at the start to 50.0%, by 40.0 points." in english
    assert "How sure that it is better: >99%." in english
    assert "By the intervals of the evaluation sets alone" in english
    assert "Whether more labels pay is told once a round is recorded." in english
    assert "2 of 3 tasks are answered, and the round goes on at 3, or on" in english
    assert len({english, *(said(open_view("overview", workspace.root, language))
                           for language in LANGUAGES)}) == 3  # fmt: skip


def test_the_open_round_s_stages_say_where_it_is(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    start_round(store, 1, "train")
    shown = said(open_view("overview", workspace.root))
    assert "✓ merge: done" in shown
    assert "▶ train: here" in shown
    assert "○ evaluate: to come" in shown
    record_round(store, 2)
    store.db.execute("UPDATE rounds SET stage = NULL")
    assert "no round is open" in said(open_view("overview", workspace.root))


def test_what_an_hour_costs(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    workspace.config.write_text('dashboard.hour_cost = 3000\ndashboard.currency = "$KGS"\n')
    record_round(store, 0)
    record_round(store, 1)
    page = open_view("overview", workspace.root)
    assert figures(page)["Cost, ` $KGS `"] == "10"  # twelve seconds
    assert list(table(page)["cost"]) == pytest.approx([10, 0])
    assert "An hour costs 3000 ` $KGS `" in said(page)


def test_what_was_put_in_use_by_hand_is_the_key_figure(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    page = open_view("overview", workspace.root)
    assert figures(page)["WER % (` ky `), ` test `"] == "50.0"
    (workspace.checkpoints / "checkpoint-0").mkdir()
    store.rollback("too slow")
    page = open_view("overview", workspace.root)
    assert figures(page)["WER % (` ky `), ` test `"] == "60.0"
    assert "` checkpoint-0 `" in page.metric[0].help
    assert list(table(page)["by_hand"].fillna("")) == ["checkpoint-0: too slow", ""]


def test_the_numbers_are_those_of_status(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    start_round(store, 2, "pull")
    page = open_view("overview", workspace.root)
    with Reader(workspace) as reader:
        lines = "\n".join(status_lines(reader, Settings()))
    shown = figures(page)
    assert f"test {shown['WER % (` ky `), ` test `']} (45.0 to 55.0)" in lines
    assert f"({shown['Labelled minutes']} min)" in lines
    assert f"{shown['Utterances left in the pool']} clips" in lines
    assert f"{shown['Answered in round 2']} tasks are answered" in lines


# -- alarms ----------------------------------------------------------------------------------------


def test_a_failed_stage(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    start_round(store, 0)
    store.start_stage(0, "merge", "{}")
    store.fail_stage(0, "merge", "the **disk** is full", "2026-01-01T00:00:00+00:00")
    page = open_view("overview", workspace.root)
    assert "The loop failed at “merge” (times: 1); it tries again at 2026-01-01 00:00 UTC" in (
        page.error[0].value
    )
    assert "the **disk** is full" in [block.value for block in page.code]
    assert texts(page).count(f"al-loop -w {workspace.root} round") == 1
    assert "✗ merge: failed" in said(page)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_is_shown_as_it_is(
    open_view: OpenView, workspace: Workspace, store: Store, text: str
) -> None:
    record_round(store, 0, decision=text, evaluation_set=text, source=text)
    start_round(store, 1, "push")
    store.start_stage(1, "push", "{}")
    store.fail_stage(1, "push", text, "2026-01-01T00:00:00+00:00")

    page = open_view("overview", workspace.root)

    assert list(table(page)["decision"])[1] == text
    assert text in [block.value for block in page.code]
    assert text not in said(page)
    assert not page.get("html")
    span = page.metric[0].label.removeprefix("WER % (` ky `), ")
    fence = span[: len(span) - len(span.lstrip("`"))]
    assert span == f"{fence} {' '.join(text.split())} {fence}"
    assert fence not in text


@pytest.mark.parametrize("hidden", [False, True])
def test_whoever_leaves_drafts_is_named_unless_names_are_hidden(
    open_view: OpenView, workspace: Workspace, store: Store, hidden: bool
) -> None:
    workspace.config.write_text(f"dashboard.hide_annotators = {str(hidden).lower()}\n")
    record_round(store, 0)
    start_round(store, 1, "pull")
    answer_drafts(store, 1, {"aigul <b>@example.org": 1.0, "bakyt": 0.5})
    page = open_view("overview", workspace.root)
    (warning,) = page.warning
    assert (
        "leaves more drafts as they are than are right: 100% (91% to 100%) of 40" in warning.value
    )
    assert ("` aigul <b>@example.org `" in warning.value) is not hidden
    assert "bakyt" not in said(page)
    assert f"al-loop -w {workspace.root} annotators" in texts(page)


def test_only_a_round_that_waits_promises_to_go_on(workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    start_round(store, 1, "pull")
    store.set_pushed_at(1)

    def explained() -> str:
        with Reader(workspace) as reader:
            found = overview(reader, Settings(), datetime(2026, 1, 10, tzinfo=UTC))
        figures = key_figures(found, Say("en"), str, 600.0)
        (figure,) = [row for row in figures if row.label == "Answered in round 1"]
        assert figure.value == "2 of 3"
        return figure.explained

    assert "the round goes on at 3 answers, or on 20" in explained()
    for stage_of in ("'train'", "NULL"):
        store.db.execute(f"UPDATE rounds SET stage = {stage_of} WHERE number = 1")
        assert "goes on" not in explained()


def test_without_alarms_the_page_says_what_it_cannot_tell(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    shown = said(open_view("overview", workspace.root))
    assert "No alarm. Could not be checked yet: whether annotators read their drafts" in shown
    assert "answers look honest" not in shown


def test_what_was_left_out_is_one_click_away(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    record_round(store, 1)
    store.put_leaks("manifest-1", [Leak("1-0", "radio", "бир", "1-1", "audio")])
    page = open_view("overview", workspace.root, "ky")
    assert "` radio `" in page.warning[0].value
    assert "(data?part=left_out&language=ky)" in said(page)


# -- the page as a whole ---------------------------------------------------------------------------


def test_the_view_writes_nothing(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    store.close()
    before = workspace.database.read_bytes()
    open_view("overview", workspace.root)
    assert workspace.database.read_bytes() == before
    with (
        Reader(workspace) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.connection.execute("DELETE FROM rounds")


def test_news_is_seen_when_the_database_changes(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    page = open_view("overview", workspace.root)
    assert figures(page)["WER % (` ky `), ` test `"] == "60.0"
    record_round(store, 1)
    assert figures(page.run())["WER % (` ky `), ` test `"] == "50.0"


def _look_later(folder: str) -> None:
    """What a browser does that has the page open: the fragment runs alone, then maybe the page."""
    from pathlib import Path

    import streamlit as st

    from al_loop.config import Settings
    from storage.workspace import Workspace
    from ui.language import Say
    from ui.view import View
    from ui.views.overview import show

    if st.session_state.get("ran"):
        st.write("the whole page ran")
        st.stop()
    st.session_state["ran"] = True
    show(View(Workspace.open(Path(folder)), Settings(), Say("en"), ()))


@pytest.mark.parametrize("how", ['"open"', '"password"', '"oidc"\nallowed = ["@example.org"]'])
def test_whoever_may_look_no_longer_gets_no_news(
    workspace: Workspace, store: Store, how: str
) -> None:
    record_round(store, 0)
    workspace.config.write_text(f"[dashboard]\naccess = {how}\n", encoding="utf-8")
    folder = {"folder": str(workspace.root)}
    page = AppTest.from_function(_look_later, kwargs=folder, default_timeout=TIMEOUT_S).run()
    assert not page.exception
    may_look = how == '"open"'
    assert bool(page.metric) is may_look
    assert ("the whole page ran" in said(page)) is not may_look


# -- the dashboard, which opens with it ------------------------------------------------------------


@pytest.fixture
def open_dashboard(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], AppTest]:
    """Runs the dashboard on a folder, as `al-loop ui` does, and fails where it raised."""

    def run(folder: Path) -> AppTest:
        monkeypatch.setenv("AL_LOOP_WORKSPACE", str(folder))
        page = AppTest.from_file(DASHBOARD, default_timeout=TIMEOUT_S).run()
        assert not page.exception, page.exception[0].message
        return page

    return run


def test_the_dashboard_opens_with_the_overview(
    open_dashboard: Callable[[Path], AppTest], workspace: Workspace, store: Store
) -> None:
    record_round(store, 0)
    page = open_dashboard(workspace.root)
    assert page.title[0].value == "Overview"
    assert figures(page)["WER % (` ky `), ` test `"] == "60.0"


def test_a_folder_that_is_no_workspace(
    open_dashboard: Callable[[Path], AppTest], tmp_path: Path
) -> None:
    page = open_dashboard(tmp_path)
    assert "cannot be shown" in page.warning[0].value
    assert "al-loop init" in texts(page)


def test_wrong_settings_name_the_key(
    open_dashboard: Callable[[Path], AppTest], workspace: Workspace
) -> None:
    workspace.config.write_text("sead = 1\n", encoding="utf-8")
    assert "sead" in texts(open_dashboard(workspace.root))


def test_a_database_that_is_none(
    open_dashboard: Callable[[Path], AppTest], workspace: Workspace
) -> None:
    workspace.database.write_text("not SQLite at all, but long enough to be read" * 20)
    assert "cannot be read" in texts(open_dashboard(workspace.root))


def test_a_folder_s_name_is_no_markup(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    folder = workspace.root.rename(workspace.root.with_name("a `b` *c* <i>"))
    page = open_view("overview", folder)
    assert page.caption[0].value == "Workspace `` a `b` *c* <i> ``"


def test_one_reader_sees_one_snapshot(workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    with Reader(workspace) as reader:
        assert len(reader.rounds()) == 1
        record_round(store, 1)
        assert len(reader.rounds()) == 1
    with Reader(workspace) as reader:
        assert len(reader.rounds()) == 2


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_words(workspace: Workspace, store: Store, language: Language) -> None:
    record_round(store, 0)
    record_round(store, 1)
    with Reader(workspace) as reader:
        found = overview(reader, Settings(), datetime(2026, 1, 10, tzinfo=UTC))
    say = Say(language)

    def put(**values: Any) -> list[str]:
        return sentences(replace(found, verdict=replace(found.verdict, **values)), say, str)

    outlook, change = found.verdict.outlook, found.verdict.difference
    told = {"better": change, "worse": change, "noise": change}
    judged = [put(judgement=code, difference=told.get(code)) for code in get_args(Judgement)]
    assert len({words[0] for words in judged}) == 6
    assert len({words[1] for words in judged}) == 4
    assert len({put(next=code)[2] for code in get_args(Next)}) == 8
    advised = [replace(outlook, advised=code, sureness=0.5) for code in get_args(Advised)]
    assert len({put(outlook=row)[2] for row in advised}) == 5
    assert "50%" in put(outlook=advised[-1])[2]
    assert ">99%" in put(judgement="better")[1]
    assert "<1%" in put(judgement="worse")[1]
    for name in get_args(Stage):
        assert stage(name, say) == say(f"overview.stage_{name}")
    assert stage(None, say) == say("overview.recorded")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_alarm_has_words(workspace: Workspace, store: Store, language: Language) -> None:
    record_round(store, 0)
    with Reader(workspace) as reader:
        found = overview(reader, Settings(), datetime(2026, 1, 10, tzinfo=UTC))
    lost = {"base": Difference(0.1, 0.2, 0.1, 0.05, 0.15, 9)}
    drafts = [
        {"annotator": name, "round": 1, "text": text, "shown": "бир", "word_probs": "[]"}
        for name, text in (("a", "бир"), ("b", "эки"))
    ] * 40
    pairs = [*([("бир", "бир")] * 60), *([("бир", "эки")] * 30)]
    raised = [
        *alarms.failed("open", 1, "why"),
        *alarms.waiting(
            {"tasks": 3, "pushed_at": "2026-01-01T00:00:00Z", "answered_at": None},
            datetime(2026, 1, 10, tzinfo=UTC),
        ),
        *alarms.waiting(
            {"tasks": 3, "pushed_at": "2026-01-01T00:00:00Z", "answered_at": None}
            | {"evaluation_set": "set"},
            datetime(2026, 1, 10, tzinfo=UTC),
        ),
        *alarms.retention("set", "ru", lost, 2.0),
        *alarms.leakage(
            {"round": 1, "examples": 10, "known": 0, "audio": 1, "text": 1, "sources": ["radio"]}
        ),
        *alarms.rubber_stamping(drafts, "ky"),
        *alarms.agreement([{"one": one, "other": other} for one, other in pairs], "ky"),
    ]
    assert {row.code for row in raised} == set(ALARM_COMMANDS) == set(get_args(alarms.Code))
    said = [alarm_sentence(row, found, Say(language), "<{}>".format, str.upper) for row in raised]
    assert len(set(said)) == 7
    assert any("<radio>" in sentence and "/data?part=left_out" in sentence for sentence in said)
    unknown = [no_alarm(replace(found, unchecked=(code,)), Say(language))[1]
               for code in get_args(alarms.Unchecked)]  # fmt: skip
    assert len(set(unknown)) == 4
    assert len(no_alarm(replace(found, unchecked=()), Say(language))) == 1
    assert any("<A>" in sentence for sentence in said)
    assert any("<set>" in sentence and "<base>" in sentence for sentence in said)


# -- charts ----------------------------------------------------------------------------------------


def test_colour_and_shape_are_one_legend(workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    with Reader(workspace) as reader:
        rows = reader.error_rates()
    chart = error_rate_chart(rows, [], Say("en")).to_dict()
    encodings = [layer["encoding"] for layer in chart["layer"]]
    scales = [row[name] for row in encodings for name in ("color", "shape") if name in row]
    assert len({str(scale["scale"]["domain"]) for scale in scales}) == 1


def test_charts_carry_every_number(workspace: Workspace, store: Store) -> None:
    record_round(store, 0)
    record_round(store, 1)
    with Reader(workspace) as reader:
        rows = reader.error_rates()
        rounds = rounds_with_costs(reader, Settings())
    for language in LANGUAGES:
        say = Say(language)
        chart = error_rate_chart(rows, [], say).to_dict()
        points = [point for data in chart["datasets"].values() for point in data]
        assert {point["numbers"] for point in points} == {
            "60.0\n55.0–65.0",
            "50.0\n45.0–55.0",
            "20.0\n15.0–25.0",
        }
        assert [point["above"] for point in points] == [
            point["evaluation_set"] == "test" for point in points
        ]
        assert "50.0%" in rates_described(rows, say)
        minutes = minutes_chart(rounds, say).to_dict()
        drawn = [row["minutes"] for data in minutes["datasets"].values() for row in data]
        assert drawn == pytest.approx([0, 0, 1, 0.2])
        assert "0.2" in minutes_described(rounds, say)


def test_many_rounds_bear_their_last_numbers_alone() -> None:
    row = {"evaluation_set": "test", "language": "ky", "utterances": 1, "words": 1}
    rates = {f"{name}{end}": 0.5 for name in ("wer", "cer") for end in ("", "_low", "_high")}
    rows = [{**row, **rates, "round": number} for number in range(20)]
    chart = error_rate_chart(rows, [], Say("en")).to_dict()
    points = [point for data in chart["datasets"].values() for point in data]
    assert [point["round"] for point in points if point["numbers"]] == [19]


def test_long_names_are_cut_and_stay_apart() -> None:
    same = "a" * 40
    names = ["test", "test2", f"{same}b", f"{same}c", "te"]
    assert list(short_names([*names, "test"]).values()) == [
        *("test", "test2", f"{same}…", f"{same}… (2)", "te"),
    ]
