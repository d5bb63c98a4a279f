"""Pseudo-labels as they are kept, what gives way to what, and what they may be made from."""

from __future__ import annotations

import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import (
    Example,
    Gated,
    Hypothesis,
    Label,
    Manifest,
    PseudoLabel,
    Selection,
    Source,
    TaskKey,
)
from storage.store import Store

from .rows import PLACE, annotation, hypothesis, ids, page, task, utterance


def pseudo(name: str, text: str = "бир", confidence: float = 0.75) -> PseudoLabel:
    return PseudoLabel(name, text, confidence, "one + other")


def heard(store: Store, *names: str) -> None:
    rows: list[Hypothesis] = [hypothesis(name) for name in names]
    store.add_hypotheses("base", rows)


def test_texts_are_replaced_as_a_whole_and_reports_are_appended(filled: Store) -> None:
    assert filled.last_pseudo_label_run() is None
    filled.put_pseudo_labels(1, [pseudo("a"), pseudo("b")], {"threshold": 0.5})
    filled.put_pseudo_labels(None, [pseudo("b", "эки", 0.5)], {"threshold": float("nan")})
    assert filled.pseudo_labels() == [pseudo("b", "эки", 0.5)]
    last = filled.last_pseudo_label_run()
    assert last is not None
    assert (last["threshold"], last["round"]) == (None, None)
    assert filled.db.table("pseudo_label_runs").count == 2


def test_a_text_that_cannot_be_kept_leaves_those_before(filled: Store) -> None:
    filled.put_pseudo_labels(1, [pseudo("a")], {})
    with pytest.raises(Exception, match="FOREIGN KEY"):
        filled.put_pseudo_labels(1, [pseudo("nowhere")], {})
    assert filled.pseudo_labels() == [pseudo("a")]
    assert filled.db.table("pseudo_label_runs").count == 1


def test_they_give_way_to_labels_verdicts_and_every_other_use(filled: Store) -> None:
    filled.add([utterance(name) for name in "def"], [])
    filled.put_pseudo_labels(1, [pseudo(name) for name in "abcdef"], {})
    filled.put_labels(
        [
            Label("a", "эки", None, ["1"]),
            Label("b", None, "bad_audio", ["2"]),
            Label("c", "үч", None, ["3", "4"], "disputed"),
        ]
    )
    filled.db.execute("UPDATE utterances SET split = 'reserved' WHERE id = 'd'")
    filled.db.execute("UPDATE utterances SET split = 'test', text = 'он' WHERE id = 'e'")
    assert filled.pseudo_examples("pseudo_label") == [
        Example("f", "audio/f.flac", 2.0, "pseudo_label", "ky", "бир", 0.75)
    ]
    in_house = Example("a", "audio/a.flac", 2.0, "in_house", "ky", "эки")
    assert filled.training_examples("in_house") == [in_house]


def test_candidates_are_neither_labelled_asked_about_nor_held_back(filled: Store) -> None:
    filled.add([utterance(name) for name in "defgh"], [])
    filled.add([utterance("i", language="ru"), utterance("j", split="train", text="он")], [])
    heard(filled, "h")
    filled.put_labels([Label("a", None, "bad_audio", ["1"])])
    filled.put_place("all", PLACE)
    filled.add_tasks([task("b"), task("c")])
    filled.mark_pushed(PLACE, {TaskKey(name, 1, 0): f"{name}0" for name in "bc"})
    filled.put_selection(1, Selection([], [Gated(name, "quiet", -90, -45) for name in "de"], {}))
    filled.release("e", "I listened")
    assert ids(filled.pseudo_candidates("base", "ky", 10)) == "efgh"
    # what was heard comes first
    assert ids(filled.pseudo_candidates("base", "ky", 2)) == "eh"
    filled.take(PLACE, page(annotation(1, "b")))
    # an answer that is not settled yet, and one that is withdrawn
    assert ids(filled.pseudo_candidates("base", "ky", 10)) == "efgh"
    filled.db.execute("UPDATE annotations SET deleted_at = updated_at")
    assert ids(filled.pseudo_candidates("base", "ky", 10)) == "befgh"


def test_what_annotators_are_asked_about_or_answered_is_no_example(filled: Store) -> None:
    filled.put_pseudo_labels(1, [pseudo(name) for name in "abc"], {})
    filled.put_place("all", PLACE)
    filled.add_tasks([task("b"), task("c")])
    filled.mark_pushed(PLACE, {TaskKey(name, 1, 0): f"{name}0" for name in "bc"})
    assert [row.utterance_id for row in filled.pseudo_examples("pseudo_label")] == ["a"]
    filled.take(PLACE, page(annotation(1, "b")))
    assert [row.utterance_id for row in filled.pseudo_examples("pseudo_label")] == ["a"]
    filled.db.execute("UPDATE annotations SET deleted_at = updated_at")
    assert [row.utterance_id for row in filled.pseudo_examples("pseudo_label")] == ["a", "b"]


def test_what_a_manifest_holds_keeps_its_text_and_is_no_candidate(filled: Store) -> None:
    filled.add([utterance("d"), utterance("e"), utterance("f")], [])
    filled.put_pseudo_labels(1, [pseudo(name) for name in "abcde"], {})
    filled.put_source(Source("pseudo_label", "pseudo_label", "ky"))
    examples = filled.pseudo_examples("pseudo_label")
    filled.put_manifest(1, Manifest("m", [row for row in examples if row.utterance_id != "e"], []))
    assert ids(filled.pseudo_candidates("base", "ky", 10)) == "ef"
    assert filled.believed("ky") == [pseudo(name) for name in "abcd"]
    assert filled.believed("ru") == []
    filled.put_labels([Label("a", None, "bad_audio", ["1"])])
    filled.add_tasks([task("b")])
    filled.put_selection(1, Selection([], [Gated("c", "quiet", -90, -45)], {}))
    assert filled.believed("ky") == [pseudo("d")]


def test_junk_of_which_no_manifest_knows_yet_has_no_known_words(filled: Store) -> None:
    filled.add([utterance("d")], [])
    filled.put_labels([Label("a", None, "bad_audio", ["1"]), Label("b", None, "skipped", ["2"])])
    assert [(row.id, row.text) for row in filled.calibration("ky", 10)] == [("a", None)]
    filled.put_manifest(1, Manifest("m", [], []))
    filled.put_labels([Label("c", None, "other_language", ["3"])])
    filled.put_labels([Label("d", None, "several_speakers", ["4", "5"], "disputed")])
    filled.db.execute("UPDATE labels SET settled_at = '2026' WHERE utterance_id = 'a'")
    filled.db.execute("UPDATE manifests SET created_at = '2027'")
    filled.db.execute("UPDATE labels SET settled_at = '2028' WHERE utterance_id IN ('b', 'c', 'd')")
    assert [(row.id, row.text) for row in filled.calibration("ky", 10)] == [("c", None)]


def test_known_words_are_of_validation_and_of_labels_that_nobody_has_learned(
    filled: Store,
) -> None:
    filled.put_source(Source("books", "open_source", "ky"))
    said = [("v", "validation"), ("w", "validation"), ("t", "train"), ("x", "test")]
    filled.add(
        [utterance(name, source="books", split=split, text="беш") for name, split in said], []
    )
    filled.add([utterance("y", language="ru", split="validation", text="пять")], [])
    filled.add([utterance(name) for name in "def"], [])
    filled.put_labels(
        [
            Label("a", "бир", None, ["1"]),
            Label("b", "эки", None, ["2"]),
            Label("c", "үч", None, ["3", "4"], "disputed"),
            Label("d", None, "skipped", ["5"]),
            Label("e", "төрт", None, ["6"]),
        ]
    )
    example = Example("b", "audio/b.flac", 2.0, "in_house", "ky", "эки")
    filled.put_manifest(1, Manifest("m", [example], []))
    filled.db.table("learned_examples").insert_all(
        {"learner": "spelling", "utterance_id": name, "text": "?"} for name in "ew"
    )
    found = filled.calibration("ky", 10)
    assert [(row.id, row.text) for row in found] == [("a", "бир"), ("v", "беш")]
    assert ids(filled.calibration("ky", 1)) == "a"


def test_a_set_is_not_drawn_of_what_was_learned_with_a_pseudo_label(filled: Store) -> None:
    filled.put_pseudo_labels(1, [pseudo("a")], {})
    assert [row[4] for row in filled.drawable("ky")] == ["free"] * 3
    example = filled.pseudo_examples("pseudo_label")[0]
    filled.put_source(Source("pseudo_label", "pseudo_label", "ky"))
    filled.put_manifest(1, Manifest("m", [example], []))
    assert [row[4] for row in filled.drawable("ky")] == ["learned", "free", "free"]
    with pytest.raises(WorkspaceError, match="1 of 2 clips have left the pool"):
        filled.put_draw("set", {"a": "x", "b": "y"}, [], [], "clip", "ky")
    with pytest.raises(WorkspaceError, match="kept for a source"):
        filled.check_free("pseudo_label")
    # nor does it become a test in any other way
    assert filled.add([utterance("a", split="test", text="бир")], []) == {"a"}


def test_the_folder_of_readings_is_there(filled: Store) -> None:
    assert filled.pseudo_label_folder().is_dir()
    assert filled.pseudo_label_folder() == filled.workspace.root / "pseudo_labels"
