"""One round's view: the batch, a clip to hear and to read, mistakes, and what is held back."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from al_loop.records import Label
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from ui.batch import answer, batch_table, filtered
from ui.clip import EMPTY, KEY, _choose_row

from .clips import AFTER, BEFORE, REASON, SAID, clip_id, fill
from .conftest import OpenView, texts
from .workspaces import HOSTILE, start_round

A, B, C, D, E = (clip_id(name)[:12] for name in "abcde")


def captions(page: AppTest) -> str:
    return "\n".join(row.value for row in page.caption)


def table(page: AppTest, column: str) -> pd.DataFrame:
    """The only table with this column."""
    found = [row.value for row in page.dataframe if column in row.value.columns]
    assert len(found) == 1, [list(row.value.columns) for row in page.dataframe]
    return cast(pd.DataFrame, found[0])


def html(page: AppTest) -> list[str]:
    return [str(block.body) for block in page.get("html")]


# -- what is missing -------------------------------------------------------------------------------


def test_no_round_yet(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    page = open_view("round", workspace.root)
    assert "No round yet" in page.info[0].value
    assert f"al-loop -w {workspace.root} round" in texts(page)
    assert not page.dataframe


@pytest.mark.parametrize("language", ["en", "ru", "ky"])
@pytest.mark.parametrize("section", ["batch", "mistakes", "held_back"])
def test_a_round_without_a_batch(
    open_view: OpenView, workspace: Workspace, store: Store, section: str, language: str
) -> None:
    start_round(store, 0)
    page = open_view("round", workspace.root, language, section=section)
    assert len(page.info) == 1
    assert not page.dataframe


@pytest.mark.parametrize("section", ["batch", "mistakes", "held_back"])
def test_a_round_that_is_half_done(
    open_view: OpenView, workspace: Workspace, store: Store, section: str
) -> None:
    start_round(store, 0)
    with store.finishing(0, "record", None):
        pass
    start_round(store, 1, "pull")
    page = open_view("round", workspace.root, section=section, clip="1-0")
    assert page.selectbox[0].value == 1
    # its sound is not there, and there is no candidate yet
    assert "cannot be played" in page.warning[0].value
    assert "is not in the workspace" in texts(page)
    assert "a1-0" in list(table(page, "annotation")["annotation"])


# -- the batch -------------------------------------------------------------------------------------


def test_the_batch_is_that_of_the_database(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("round", workspace.root)
    rows = table(page, "rank")
    assert list(rows["clip"]) == [A, B, C]
    assert list(rows["rank"]) == [1, 2, 3]
    assert list(rows["arm"]) == ["acquired", "control", "explored"]
    assert list(rows["answer"]) == ["labelled", "no words can be made out", "not answered"]
    assert rows["hypothesis_wer"][0] == pytest.approx(40)
    assert rows["after_wer"][0] == 0
    assert rows["hypothesis_wer"].isna().tolist() == [False, True, True]
    assert rows["flags"][0] == "digits: has 12"
    assert "mean_token_entropy" in rows["why"][0]
    assert "too quiet" in rows["why"][2]
    assert f"How the batch was chosen: {REASON}" in texts(page)
    assert "Decision: promoted: round 1" in texts(page)
    with Reader(workspace) as reader:
        row = reader.rounds()[1]
    facts = page.markdown[0].value
    assert f"clips asked about: {row['tasks']} · answered: {row['answered']}" in facts
    assert f"labelled: {row['labelled']}, {row['labelled_min']:.1f} min" in facts


def test_the_address_filters_and_sorts(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)

    def shown(**query: object) -> list[str]:
        page = open_view("round", workspace.root, round=1, **query)
        return list(table(page, "rank")["clip"])

    assert shown(arm="control") == [B]
    assert shown(answer="bad_audio") == [B]
    assert shown(answer="open") == [C]
    assert shown(answer="labelled", arm="control") == []
    assert shown(source="radio") == [A, B, C]
    assert shown(contains="ТӨРТ") == [A]
    assert shown(contains=B) == [B]
    assert shown(contains="(") == []
    assert shown(order="score")[0] == A
    assert shown(order="worst")[0] == A
    assert shown(arm="nonsense", order="nonsense") == [A, B, C]


def test_orders_put_what_is_not_known_last() -> None:
    frame = pd.DataFrame(
        {
            "utterance_id": ["1", "2", "3"],
            "gain": [None, 0.5, -0.5],
            "speaker": None,
            "hypothesis": "",
            "heard_after": "",
            "label": "",
        }
    )
    assert list(filtered(frame, order="gain")["utterance_id"]) == ["2", "3", "1"]
    assert list(filtered(frame, order="loss")["utterance_id"]) == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("settled", "label", "verdict", "answered", "expected"),
    [
        (None, None, None, 0, "open"),
        (None, None, None, None, "open"),
        (None, None, None, 1, "answered"),
        ("single", "ооба", None, 1, "labelled"),
        ("single", None, "skipped", 1, "skipped"),
        ("disputed", "ооба", None, 1, "disputed"),
    ],
)
def test_what_has_come_of_a_task(
    settled: str | None, label: str | None, verdict: str | None, answered: int, expected: str
) -> None:
    row = {"settled": settled, "label": label, "verdict": verdict, "answered": answered}
    assert answer(row) == expected


# -- one clip --------------------------------------------------------------------------------------


def test_a_clip_from_the_address_is_heard_and_read(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("round", workspace.root, clip=A[:6])
    assert A in page.subheader[-2].value
    assert not page.warning
    assert len(page.get("audio")) == 1
    headings = [block.value for block in page.markdown]
    assert "**Before training, ` first `** · WER 40.0%" in headings
    assert "**After training, ` second `** · WER 0.0%" in headings
    _, before, after = html(page)
    assert "ики</bdi></del>" in before
    assert "эки</bdi></ins>" in before
    assert "<del" not in after
    line = texts(page)
    assert "source radio (open_source), pool, from /corpus/a.wav" in line
    assert "asked about in round 1: rank 1, arm acquired, score 1.5" in line
    assert "label: one answer, from annotations 7, quality 0.80" in line
    answers = table(page, "annotation")
    assert answers[["annotator", "text", "shown"]].to_numpy().tolist() == [["Бакыт", SAID, BEFORE]]
    assert list(table(page, "made_in")["hypothesis"]) == [BEFORE, AFTER]


def test_annotators_are_hidden_by_a_setting(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    workspace.config.write_text("[dashboard]\nhide_annotators = true\n", encoding="utf-8")
    page = open_view("round", workspace.root, clip=A)
    (name,) = table(page, "annotation")["annotator"]
    assert name.isdecimal()
    assert "Бакыт" not in str(page)


def test_a_clip_of_the_evaluation_set_and_one_that_nobody_labelled(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("round", workspace.root, clip=clip_id("t0"))
    assert [block.value for block in page.markdown if block.value.startswith("**")] == [
        "**Before training, ` first `** · WER 50.0%",
        "**After training, ` second `** · WER 0.0%",
    ]
    page = open_view("round", workspace.root, clip=B)
    assert "no words can be made out" in captions(page)
    page = open_view("round", workspace.root, clip=C)
    assert "Nobody has written yet what is said" in captions(page)
    assert "has not heard the clip" in captions(page)
    assert not html(page)


def test_a_disputed_label_is_shown_and_nothing_is_compared_with_it(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    store.put_labels([Label(clip_id("a"), SAID, None, ["7"], "disputed", 0.1)])
    page = open_view("round", workspace.root, clip=A)
    (row,) = table(page, "rank").query("clip == @A").to_dict("records")
    assert (row["answer"], row["label"]) == ("disputed", SAID)
    assert pd.isna(row["hypothesis_wer"])
    assert pd.isna(row["after_wer"])
    assert not html(page)
    assert not any("WER" in block.value for block in page.markdown)
    assert "Annotators dispute what is said" in captions(page)
    assert "Nobody has written" not in captions(page)
    assert {SAID, BEFORE, AFTER} <= {block.value for block in page.code}
    for of in ("shown", "after"):
        page = open_view("round", workspace.root, section="mistakes", of=of)
        assert len(page.info) == 1
        assert not page.dataframe


def test_a_clip_of_the_evaluation_set_is_compared_with_its_reference(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    store.put_labels([Label(clip_id("t0"), "башка сөз", None, ["9"])])
    page = open_view("round", workspace.root, clip=clip_id("t0"))
    assert "**After training, ` second `** · WER 0.0%" in [row.value for row in page.markdown]


def test_which_stage_a_round_is_at_in_the_reader_s_words(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    start_round(store, 0)
    start_round(store, 1, "pull")
    assert "Stage: answers" in open_view("round", workspace.root).markdown[0].value
    assert "Этап: ответы" in open_view("round", workspace.root, "ru").markdown[0].value


@pytest.mark.parametrize(
    "wanted", ["zz", "../../etc/passwd", "/etc/passwd", "%", "<script>alert(1)</script>"]
)
def test_what_is_no_clip(
    open_view: OpenView, workspace: Workspace, store: Store, wanted: str
) -> None:
    fill(store)
    page = open_view("round", workspace.root, clip=wanted)
    assert "No clip of this workspace" in page.info[0].value
    assert wanted in texts(page)
    assert not page.get("audio")
    assert not html(page)


def test_a_beginning_that_several_ids_share(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    start_round(store, 0)
    start_round(store, 1, "pull")
    page = open_view("round", workspace.root, clip="1-")
    assert "Several clips" in page.info[0].value


def test_one_goes_through_the_table_without_a_mouse(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("round", workspace.root, order="score")
    seen = []
    for _ in range(3):
        page.button(key="next_clip").click().run()
        seen.append(page.text_input(key=KEY).value)
    assert seen == [A, B, C]
    assert page.button(key="next_clip").disabled
    page.button(key="previous_clip").click().run()
    assert page.text_input(key=KEY).value == B
    assert page.session_state["batch"]["selection"]["rows"] == [1]


def test_a_row_of_a_table_chooses_its_clip() -> None:
    st.session_state["table"] = {"selection": {**EMPTY["selection"], "rows": [1]}}
    _choose_row("table", [clip_id("a"), clip_id("b")])
    assert st.session_state[KEY] == B
    st.session_state["table"] = EMPTY
    _choose_row("table", [clip_id("a")])
    assert st.session_state[KEY] == ""


def test_a_path_that_leads_outside_is_not_opened(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    secret = workspace.root.parent / "secret.flac"
    sound = workspace.root / f"audio/{clip_id('a')[:2]}/{clip_id('a')}.flac"
    sound.rename(secret)
    with store.transaction():
        store.db.execute("UPDATE utterances SET audio = ?", [str(secret)])
    page = open_view("round", workspace.root, clip=A)
    assert "cannot be played" in page.warning[0].value
    assert "it is not opened" in texts(page)
    assert not page.get("audio")


def test_a_broken_file_says_so(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill(store)
    sound = workspace.root / f"audio/{clip_id('a')[:2]}/{clip_id('a')}.flac"
    for content, said in (
        (b"", "empty_file"),
        (b"no sound at all", "no_samples"),
        (b"RIFFxxxxWAVE" * 9, "truncated"),
    ):
        sound.write_bytes(content)
        page = open_view("round", workspace.root, clip=A)
        assert "cannot be played" in page.warning[0].value
        assert said in texts(page)


# -- mistakes --------------------------------------------------------------------------------------


def test_the_mistakes_in_the_batch(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill(store)
    page = open_view("round", workspace.root, section="mistakes")
    assert "WER **40.0%**: 2 errors in 5 words of 1 clips" in page.markdown[1].value
    words, letters = (
        row.value[["said", "heard"]].to_numpy().tolist()
        for row in page.dataframe
        if "times_said" in row.value.columns
    )
    assert sorted(words) == [["беш", ""], ["эки", "ики"]]
    assert letters == [["э", "и"]]
    assert list(table(page, "said_text")["clip"]) == [A]
    assert "none" not in captions(page)
    page = open_view("round", workspace.root, section="mistakes", of="after")
    assert "WER **0.0%**" in page.markdown[1].value


def test_mistakes_are_those_of_what_annotators_were_shown(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    """Open tasks are offered what a newer checkpoint hears; the batch was chosen by an older."""
    fill(store)
    with store.transaction():
        store.db.execute("UPDATE tasks SET hypothesis = ?", [SAID.replace("беш", "бешик")])
    page = open_view("round", workspace.root, section="mistakes")
    assert "WER **20.0%**" in page.markdown[1].value
    rows = table(open_view("round", workspace.root), "rank")
    assert rows["hypothesis_wer"][0] == pytest.approx(40)


def test_a_chosen_mistake_lists_its_clips(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store, before="бир эки үч төрт беш")
    page = open_view("round", workspace.root, section="mistakes", of="tests", round=0)
    assert list(table(page, "said_text")["said_text"]) == ["көңүл ачык"]
    page.session_state["mistakes_letters"] = {"selection": {**EMPTY["selection"], "rows": [0]}}
    page.run()
    assert list(table(page, "said_text")["heard_text"]) == ["конул ачык"]


def test_mistakes_of_one_source_or_speaker(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    page = open_view("round", workspace.root, section="mistakes", **{"in": "radio", "by": "Айгүл"})
    assert "WER **40.0%**" in page.markdown[1].value
    page = open_view("round", workspace.root, section="mistakes", **{"in": "nowhere"})
    assert page.selectbox(key="in").value is None
    # what is chosen in the batch is no source of the evaluation sets
    page.selectbox(key="in").select("radio").run()
    page.selectbox(key="of").select("tests").run()
    assert not page.exception
    assert page.selectbox(key="in").value is None
    assert "in 6 words of 3 clips" in page.markdown[1].value


# -- held back -------------------------------------------------------------------------------------


def test_what_is_held_back_and_why(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    fill(store)
    page = open_view("round", workspace.root, section="held_back")
    gates = table(page, "gate_finds")
    assert dict(zip(gates["gate"], gates["utterances"], strict=True)) == {"looping": 1, "quiet": 1}
    assert dict(zip(gates["gate"], gates["gate_limit"], strict=True))["quiet"] == -50
    # c is asked about in spite of its gate
    held = table(page, "released")
    assert sorted(held["clip"]) == sorted([D, E])
    assert not held["released"].any()
    page = open_view("round", workspace.root, section="held_back", gate="quiet", clip=D)
    assert list(table(page, "released")["clip"]) == [D]
    assert f"al-loop -w {workspace.root} gates release {D}" in texts(page)


def test_what_is_released_needs_no_command(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill(store)
    store.release(clip_id("d"), "it is speech")
    page = open_view("round", workspace.root, section="held_back", clip=D)
    held = table(page, "released")
    assert list(held["released"]) == [clip == D for clip in held["clip"]]
    assert "gates release" not in texts(page)


def test_nothing_is_held_back(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    start_round(store, 0)
    start_round(store, 1)
    page = open_view("round", workspace.root, section="held_back")
    assert "the gates held no clip back" in page.info[0].value


# -- foreign text ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_is_shown_as_it_is(
    open_view: OpenView, workspace: Workspace, store: Store, text: str
) -> None:
    fill(store, said=text, before=text, after=text + " ооба")
    with store.transaction():
        store.db.execute("UPDATE rounds SET decision = ?", [text])
        store.db.execute("UPDATE utterances SET origin = ?, speaker = ?", [text, text])
        store.db.execute("UPDATE annotations SET annotator = ?", [text])
        store.db.execute("UPDATE checkpoints SET path = ?", [text])
    for section in ("batch", "mistakes", "held_back"):
        page = open_view("round", workspace.root, section=section, clip=A)
        assert text in texts(page)
        for block in html(page):
            _only_ours(block)
        for block in page.markdown:
            assert text not in _without_code(block.value)
        marked = [*page.caption, *page.info, *page.warning, *page.subheader]
        assert not any(text in block.value for block in marked)


def _only_ours(block: str) -> None:
    for tag in ("script", "img", "a", "b"):
        assert f"<{tag}>" not in block
        assert f"<{tag} " not in block


def _without_code(markdown: str) -> str:
    """What is left of Markdown once its code spans are gone."""
    kept: list[Any] = []
    inside = ""
    for piece in markdown.replace("**", "").split(" "):
        if not inside and piece and set(piece) == {"`"}:
            inside = piece
        elif inside == piece:
            inside = ""
        elif not inside:
            kept.append(piece)
    return " ".join(kept)


def test_the_table_of_a_batch_without_rows(workspace: Workspace, store: Store) -> None:
    with Reader(workspace) as reader:
        assert batch_table(reader, 7).empty


@pytest.mark.parametrize("language", ["ru", "ky"])
@pytest.mark.parametrize("section", ["batch", "mistakes", "held_back"])
def test_every_language_has_all_the_words(
    open_view: OpenView, workspace: Workspace, store: Store, section: str, language: str
) -> None:
    fill(store)
    page = open_view("round", workspace.root, language, section=section, clip=D)
    told = [*page.caption, *page.markdown, *page.subheader]
    ours = " ".join(block.value for block in told)
    assert "clip" not in ours.lower()
    assert len(page.get("audio")) == 1
