"""Every example leads back to where it comes from: file, place, text, and the models behind it."""

from __future__ import annotations

import pytest

from al_loop.records import Example, Label, Manifest, MixtureRow
from storage.store import Store
from storage.workspace import Workspace
from ui.makers import maker_rows, makers_of
from ui.provenance import clock

from .clips import clip_id
from .clips import fill as fill_clips
from .conftest import OpenView, texts
from .test_data import said, tables
from .workspaces import HOSTILE, put_made, start_round

NC = "CC-BY-NC-4.0"


def facts(page: object) -> dict[str, str]:
    found: dict[str, str] = tables(page)[0].set_index("fact")["value"].to_dict()
    return found


@pytest.fixture
def made(store: Store) -> Store:
    start_round(store, 0)
    start_round(store, 1)
    put_made(store)
    return store


def test_a_clip_cut_from_a_book(open_view: OpenView, workspace: Workspace, made: Store) -> None:
    page = open_view("data", workspace.root, label="book-1")
    found = facts(page)
    assert found["Taken from"] == "book.mp3#723.40-727.90"
    assert found["Place in that recording (min:s)"] == "12:03.4 to 12:07.9"
    assert found["Text taken from"] == "book.txt"
    assert found["Made by the model"] == "ctc-1 (licence: Apache-2.0)"
    assert found["Part of the data"] == "training data"
    assert "the text that it came with is used" in page.info[0].value
    assert "китеп окуйм" in texts(page)
    assert "(round?clip=book-1)" in said(page)


def test_a_spoken_clip_is_found_by_the_beginning_of_its_id(
    open_view: OpenView, workspace: Workspace, made: Store
) -> None:
    examples = [Example("voice-1", "audio/voice-1", 3.0, "voice", "ky", "салам дүйнө")]
    mixture = [MixtureRow("voice", "synthetic", "ky", 1.0, 1, 3.0, 1.0, 1.0, 1, 1)]
    made.put_manifest(1, Manifest("with-voices", examples, mixture))
    page = open_view("data", workspace.root, label="voice")
    found = facts(page)
    assert found["Source"] == "voice"
    assert found["Kind of source"] == "synthetic"
    assert found["Made by the model"] == f"facebook/mms-tts-kir (licence: {NC})"
    assert "Place in that recording (min:s)" not in found
    (uses,) = [table for table in tables(page) if "quality" in table]
    assert uses[["round", "source", "text"]].to_numpy().tolist() == [[1, "voice", "салам дүйнө"]]


def test_who_translated_a_text(open_view: OpenView, workspace: Workspace, made: Store) -> None:
    origin = "lines.txt:1, translated by nllb"
    made.db.execute("UPDATE utterances SET text_origin = ? WHERE id = 'voice-1'", [origin])
    made.db.table("makers").insert({"name": "nllb", "licence": "CC-BY-NC-4.0"})
    found = facts(open_view("data", workspace.root, label="voice-1"))
    assert found["Translated by the model"] == "nllb (licence: CC-BY-NC-4.0)"
    page = open_view("data", workspace.root)
    (makers,) = [table for table in tables(page) if "maker" in table]
    assert ["voice", "nllb", True] in makers[
        ["source", "maker", "non_commercial"]
    ].to_numpy().tolist()
    assert "` nllb `" in page.warning[0].value


@pytest.mark.parametrize("language", ["en", "ru", "ky"])
def test_a_pseudo_label_tells_its_confidence_and_its_makers(
    open_view: OpenView, workspace: Workspace, made: Store, language: str
) -> None:
    page = open_view("data", workspace.root, language, label="1-2")
    assert "саламатсызбы" in texts(page)
    assert "81.5%" in said(page)
    (makers,) = [table for table in tables(page) if "maker" in table]
    assert list(makers["maker"]) == ["checkpoint-base", "spelling"]
    if language == "en":
        assert list(makers["licence"]) == ["unknown", "Apache-2.0"]
        assert "Recognisers agree on a text" in page.info[0].value


def test_a_label_is_used_in_the_place_of_a_pseudo_label(
    open_view: OpenView, workspace: Workspace, made: Store
) -> None:
    assert "their label is used" not in said(open_view("data", workspace.root, label="1-2"))
    made.put_labels([Label("1-2", "салам", None, [])])
    page = open_view("data", workspace.root, label="1-2")
    assert "their label is used" in said(page)
    assert not page.info


def test_examples_to_look_up(open_view: OpenView, workspace: Workspace, made: Store) -> None:
    (examples,) = tables(open_view("data", workspace.root, part="label"))
    shown = examples[["utterance_id", "source", "maker"]].to_numpy().tolist()
    assert shown == [["book-1", "book", "ctc-1"], ["voice-1", "voice", "facebook/mms-tts-kir"]]


def test_the_round_view_tells_the_same(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    fill_clips(store)
    store.db.execute(
        "UPDATE utterances SET start_s = 65.25, made_by = 'tts' WHERE id = ?", [clip_id("a")]
    )
    store.db.table("makers").insert({"name": "tts", "licence": NC})
    shown = texts(open_view("round", workspace.root, clip=clip_id("a")))
    assert "beginning at 01:05.2 (min:s)" in shown
    assert f"made by tts (licence: {NC})" in shown


def test_sources_name_their_models_and_warn_of_licences(
    open_view: OpenView, workspace: Workspace, made: Store
) -> None:
    page = open_view("data", workspace.root)
    (makers,) = [table for table in tables(page) if "maker" in table]
    shown = makers[["source", "maker", "licence", "non_commercial", "utterances"]]
    assert shown.to_numpy().tolist() == [
        ["book", "ctc-1", "Apache-2.0", False, 1],
        ["voice", "facebook/mms-tts-kir", NC, True, 1],
        ["pseudo_label", "checkpoint-base", "unknown", False, 3],
        ["pseudo_label", "spelling", "Apache-2.0", False, 3],
    ]
    (warning,) = page.warning
    assert "` facebook/mms-tts-kir `" in warning.value
    assert "No licence is on record of: ` checkpoint-base `" in said(page)


def test_no_model_made_anything(open_view: OpenView, workspace: Workspace, store: Store) -> None:
    start_round(store, 0)
    start_round(store, 1)
    page = open_view("data", workspace.root)
    assert not page.warning
    assert "No model spoke" in said(page)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_names_of_models_are_shown_as_they_are(
    open_view: OpenView, workspace: Workspace, made: Store, text: str
) -> None:
    made.db.execute(
        "UPDATE utterances SET made_by = ?, text_origin = ? WHERE id = 'voice-1'", [text, text]
    )
    made.db.table("makers").insert({"name": text, "licence": f"nc {text}"})
    for page in (
        open_view("data", workspace.root),
        open_view("data", workspace.root, label="voice-1"),
        open_view("data", workspace.root, part="label"),
    ):
        assert not page.get("html")
        for block in [*page.markdown, *page.warning]:
            assert text not in block.value.replace(f"` {' '.join(text.split())} `", "")
        assert any(text in str(cell) for row in tables(page) for cell in row.to_numpy().ravel())


# -- pure ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "00:00.0"), (59.96, "01:00.0"), (723.4, "12:03.4"), (3723.45, "1:02:03.4")],
)
def test_a_place_in_a_recording(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_several_models_made_one_thing() -> None:
    licences = {"a": "MIT", "b; c": NC, "d": "unknown"}
    assert makers_of("a; b, c + d", licences) == [("a", "MIT"), *((n, None) for n in "bcd")]
    assert makers_of("b; c", licences) == [("b; c", NC)]
    (row,) = maker_rows(
        [{"source": "s", "kind": "synthetic", "made_by": "a", "utterances": 2}], licences
    )
    assert (row["hours"], row["non_commercial"]) == (None, False)
