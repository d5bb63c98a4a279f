"""The view of the data: its figures are the database's, and any label leads back to its answers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from al_loop.records import (
    IN_HOUSE,
    Example,
    Label,
    Leak,
    Manifest,
    MixtureRow,
    Refusal,
    Source,
    Utterance,
)
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from ui.charts.sources import growth_chart, shares_chart
from ui.language import Say

from .conftest import OpenView, texts
from .workspaces import HOSTILE, ask, record_round, start_round

ALIKE = "abc0", "abc1"


def fill(store: Store, text: str = "бир эки", origin: str = "clips.csv:1") -> None:
    """Two rounds, of which the second has labels, leaks, refusals, and speakers."""
    record_round(store, 0)
    record_round(store, 1)
    store.put_source(Source("radio", "open_source", "ky", 2.0))
    rows = [
        ("abc0", 4.0, "train", "aida"),
        ("abc1", 5.5, "train", "aida"),
        ("def0", 61.0, "train", None),
        ("test", 3.0, "test", "aida"),
    ]
    store.add(
        [
            Utterance(key, key, f"audio/{key}", seconds, "radio", "ky", split, text, who, origin)  # type: ignore[arg-type]
            for key, seconds, split, who in rows
        ],
        [Refusal(f"bad-{n}.wav", "silent", "0.0 s of speech") for n in range(3)],
    )
    mixture = [
        MixtureRow("radio", "open_source", "ky", 2.0, 3, 70.5, 0.4, 0.5, 1, 6),
        MixtureRow(IN_HOUSE, "in_house", "ky", 3.0, 1, 60.0, 0.6, 0.5, 6, 6),
    ]
    examples = [Example("1-0", "audio/1-0", 60.0, IN_HOUSE, "ky", "салам")]
    store.put_manifest(1, Manifest("of-round-1", examples, mixture))
    store.put_leaks("of-round-1", [Leak("abc0", "radio", text, "test", "text")])


def tables(page: Any) -> list[Any]:
    return [table.value for table in page.dataframe]


def said(page: Any) -> str:
    return "\n".join(block.value for block in [*page.markdown, *page.caption])


def test_nothing_was_taken_in(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    for part in ("sources", "clips", "left_out", "pseudo", "label"):
        page = open_view("data", workspace.root, part=part)
        assert page.info or page.success
        assert not page.dataframe
    assert "ingest FOLDER" in texts(open_view("data", workspace.root))


@pytest.mark.parametrize("language", ["en", "ru", "ky"])
def test_sources_are_shown_before_there_is_a_training_set(
    open_view: OpenView, workspace: Workspace, store: Store, language: str
) -> None:
    start_round(store, 0)
    start_round(store, 1)
    page = open_view("data", workspace.root, language)
    assert texts(page).endswith("round")
    (table,) = tables(page)
    assert list(table["source"]) == ["pool"]
    assert list(table["hours"]) == [0.05]


def test_shares_are_those_of_the_newest_manifest_or_of_a_chosen_one(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    mixture, growth, sources = tables(open_view("data", workspace.root))
    assert list(mixture["source"]) == [IN_HOUSE, "radio"]
    assert list(mixture["target_share"]) == [60, 40]
    assert list(mixture["realised_share"]) == [50, 50]
    assert mixture["hours"].sum() == pytest.approx(130.5 / 3600)
    page = open_view("data", workspace.root, round=0)
    assert list(tables(page)[0]["source"]) == [IN_HOUSE, "seed"]
    assert growth.groupby("round")["minutes"].sum().to_dict() == {0: 2.0, 1: 130.5 / 60}
    radio = sources[sources["source"] == "radio"].set_index("split")["hours"]
    assert radio["training data"] * 3600 == pytest.approx(70.5)
    assert radio["evaluation set"] * 3600 == pytest.approx(3)


def test_what_falls_short_of_its_target_is_named(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    shown = said(open_view("data", workspace.root))
    assert "` in_house `" in shown
    assert "` radio `" not in shown  # which has more than its target
    shown = said(open_view("data", workspace.root, round=0))
    assert "max_repeats" not in shown


def test_durations_and_speakers(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill(store)
    page = open_view("data", workspace.root, part="clips")
    limits, speakers = tables(page)
    train = limits.set_index("split").loc["training data"]
    assert (train["shortest"], train["longest"], train["utterances"]) == (4, 61, 3)
    assert list(speakers["speaker"]) == ["aida"]
    assert list(speakers["utterances"]) == [3]
    assert speakers["minutes"][0] * 60 == pytest.approx(12.5)
    assert speakers["test_minutes"][0] * 60 == pytest.approx(3)
    whole = ask(workspace, "SELECT sum(duration_s) FROM utterances")
    assert f"**{1 - 12.5 / whole:.0%}**" in said(page)
    assert "0.1 minutes" in page.warning[0].value  # the test's 3 s are of a speaker in training


def test_durations_are_binned_and_the_last_bin_has_no_end(
    workspace: Workspace, store: Store
) -> None:
    fill(store)
    with Reader(workspace) as reader:
        rows = [row for row in reader.durations(1.0, 30.0) if row["split"] == "train"]
        assert {row["from_s"]: row["utterances"] for row in rows} == {4.0: 1, 5.0: 1, 30.0: 1}
        assert sum(row["duration_s"] for row in rows) == 70.5


def test_what_is_asked_of_all_utterances_reads_an_index_alone(
    workspace: Workspace, store: Store
) -> None:
    """With a million of them, the table itself is half a gigabyte."""
    steps: list[str] = []
    with Reader(workspace) as reader:
        reader.connection.set_trace_callback(steps.append)
        reader.sources()
        reader.durations(1.0, 30.0)
        reader.duration_limits()
        reader.connection.set_trace_callback(None)
        plans = [
            row["detail"]
            for sql in steps
            if sql.startswith("SELECT")
            for row in reader.connection.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]
    scans = [plan for plan in plans if plan.startswith("SCAN utterances")]
    assert len(scans) == 3
    assert all("COVERING INDEX utterances_by_split" in plan for plan in scans)


def test_leaks_and_refusals(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill(store)
    page = open_view("data", workspace.root, part="left_out")
    leaks, counts, examples = tables(page)
    assert leaks.to_dict("records") == [
        {
            "source": "radio",
            "leak_reason": "text",
            "text": "бир эки",
            "evaluation_set": "radio",
            "utterance_id": "abc0",
        }
    ]
    assert counts[["reason", "refusals"]].to_dict("records") == [
        {"reason": "silent", "refusals": 3}
    ]
    assert sorted(examples["origin"]) == ["bad-0.wav", "bad-1.wav", "bad-2.wav"]
    nothing = open_view("data", workspace.root, part="left_out", round=0)
    assert "Round 0 left nothing out" in nothing.success[0].value


def test_a_label_leads_back_to_its_answers(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("data", workspace.root, label="1-0")
    shown = texts(page)
    assert "салам" in shown
    assert "1-0" in shown
    facts, answers, tasks, uses = tables(page)
    assert facts.set_index("fact")["value"]["Source"] == "pool"
    (answer,) = answers.to_dict("records")
    assert (answer["annotator"], answer["text"], answer["weighed"]) == (
        "annotator-1",
        "салам",
        True,
    )
    assert answer["lead_time_s"] == 9.0
    assert answer["answered_at"] == "2026-01-01 00:00"
    assert list(tasks["task_kind"]) == ["of the batch"]
    assert (answer["annotation"], answer["task_kind"]) == ("a1-0", "of the batch")
    assert facts.set_index("fact")["value"]["Part of the data"] == "pool"
    assert list(uses["round"]) == [1]
    assert list(uses["checkpoint"]) == ["checkpoint-1"]


def test_withdrawn_answers_are_shown_as_such(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    store.db.execute(
        "UPDATE annotations SET deleted_at = '2026-02-01T10:00:00+00:00' WHERE utterance_id = '1-0'"
    )
    answers = tables(open_view("data", workspace.root, label="1-0"))[1]
    assert list(answers["withdrawn_at"]) == ["2026-02-01 10:00"]
    assert not answers["weighed"].any()


def test_both_views_tell_the_same_of_a_label(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    by_data = tables(open_view("data", workspace.root, label="1-0"))
    by_round = tables(open_view("round", workspace.root, clip="1-0"))
    (answers,) = [table for table in by_data if "annotation" in table.columns]
    (others,) = [table for table in by_round if "annotation" in table.columns]
    pd.testing.assert_frame_equal(answers, others)
    chosen = by_data[0].set_index("fact")["value"]["Chosen for annotators"]
    assert chosen in texts(open_view("round", workspace.root, clip="1-0"))
    chosen = tables(open_view("data", workspace.root, "ru", label="1-0"))[0]["value"]
    assert any("группа по оценке" in value for value in chosen)


def test_empty_cells_are_empty(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill(store)
    pages = [open_view("data", workspace.root, part=part) for part in ("sources", "clips")]
    pages += [open_view("data", workspace.root, part="left_out")]
    pages += [open_view("data", workspace.root, label=label) for label in ("1-0", "")]
    shown = [table.proto for page in pages for table in page.dataframe]
    assert len(shown) >= 9
    assert all(table.HasField("placeholder") and not table.placeholder for table in shown)


def test_a_verdict_and_what_is_odd_about_a_label(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    assert "skipped" in said(open_view("data", workspace.root, label="1-1"))
    flags = ["dissent: 1 of 2 annotators say otherwise"]
    store.put_labels([Label("1-0", "салам", None, ["a1-0"], "disputed", 0.1, flags)])
    page = open_view("data", workspace.root, label="1-0")
    assert "Disputed" in said(page)
    assert flags[0] in texts(page)


def test_what_else_is_known_of_an_utterance(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    store.db.execute("INSERT INTO gated VALUES ('def0', 1, 'no_speech', 0.9, 0.5)")
    store.db.execute(
        "INSERT INTO evaluation_draws VALUES ('phone', 'def0', 'def0', 'clip', '2026-01-01')"
    )
    store.db.execute("UPDATE utterances SET made_by = 'tts-1', start_s = 2.5 WHERE id = 'def0'")
    facts = tables(open_view("data", workspace.root, label="def0"))[0]
    found = facts.set_index("fact")["value"].to_dict()
    assert found["Held back by the gate"].startswith("no speech (")
    assert found["Drawn for the evaluation set"] == "phone"
    assert found["Made by the model"] == "tts-1 (licence: unknown)"
    assert found["Place in that recording (min:s)"] == "00:02.5 to 01:03.5"
    assert found["Text taken from"] == "the same place as the clip"
    assert found["Taken from"] == "clips.csv:1"
    chosen = tables(open_view("data", workspace.root, label="1-0"))[0].set_index("fact")["value"]
    assert (
        chosen["Chosen for annotators"] == "asked about in round 1: rank 1, arm acquired, score 1"
    )


def test_another_part_leaves_the_label_behind(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("data", workspace.root, label="1-0")
    (parts,) = page.get("button_group")
    parts.set_value("sources").run()
    assert not page.exception
    assert not page.query_params
    assert not page.text_input


def test_ambiguous_and_unknown_beginnings_are_answered_in_words(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("data", workspace.root, label="abc")
    assert texts(page) == "\n".join(ALIKE)
    assert "Several utterances" in page.info[0].value
    unknown = open_view("data", workspace.root, label="zzz")
    assert "No utterance" in unknown.warning[0].value
    left_out = open_view("data", workspace.root, label="abc0")
    assert "Round 1 left it out" in left_out.warning[0].value
    assert "no label" in left_out.info[0].value


@pytest.mark.parametrize("beginning", ["%", "_", "' OR 1=1 --", "../../etc", "\u202e", "abc*"])
def test_a_beginning_is_no_pattern_and_no_sql(
    open_view: OpenView, workspace: Workspace, store: Store, beginning: str
) -> None:
    fill(store)
    page = open_view("data", workspace.root, label=beginning)
    assert "No utterance" in page.warning[0].value


def test_names_are_hidden_by_the_setting(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    workspace.config.write_text("[dashboard]\nhide_annotators = true\n", encoding="utf-8")
    answers = tables(open_view("data", workspace.root, label="1-0"))[1]
    (name,) = answers["annotator"]
    assert len(name) == 6
    assert name.isdecimal()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_is_shown_as_it_is(
    open_view: OpenView, workspace: Workspace, store: Store, text: str
) -> None:
    fill(store, text, text)
    store.put_source(Source(text, "open_source", "ky"))
    store.add([], [Refusal(text, text, text)])
    store.put_labels([Label("1-0", text, None, ["a1-0"], "single", 0.5, [text])])
    mixture = [MixtureRow(text, "open_source", "ky", 1.0, 3, 70.5, 0.4, 1.0, 1, 6)]
    store.put_manifest(0, Manifest("hostile", [], mixture))
    pages = [
        open_view("data", workspace.root, round=0),
        open_view("data", workspace.root, part="left_out"),
        open_view("data", workspace.root, label="1-0"),
        open_view("data", workspace.root, label="abc0"),
    ]
    for page in pages:
        assert not page.get("html")
        for block in page.markdown:
            assert text not in block.value
    cells = [
        str(cell) for page in pages for table in tables(page) for cell in table.to_numpy().ravel()
    ]
    assert cells.count(text) >= 5
    assert text in [block.value for block in pages[2].code]


def test_charts_carry_the_numbers_and_many_sources_become_others() -> None:
    say = Say("en")
    rows = [
        {"source": name, "target_share": 0.25, "realised_share": share}
        for name, share in zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True)
    ]
    shares = shares_chart(rows, say).to_dict()
    points = [row for data in shares["datasets"].values() for row in data if "which" in row]
    assert sorted(row["share"] for row in points if row["which"] == "realised") == [
        0.1,
        0.2,
        0.3,
        0.4,
    ]
    growth = [
        {"round": 0, "source": name, "duration_s": 60.0 * place}
        for place, name in enumerate("abcdef", 1)
    ]
    drawn = growth_chart(growth, say).to_dict()
    (data,) = drawn["datasets"].values()
    assert {row["source"]: row["minutes"] for row in data} == {
        "f": 6,
        "e": 5,
        "d": 4,
        "other sources": 6,
    }
