"""Evaluation sets of the pool's own audio, as the database keeps them."""

from __future__ import annotations

import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import (
    IN_HOUSE,
    STANDARD_SILENCE,
    Label,
    Place,
    Source,
    WordConfidence,
)
from storage.queries import Reader
from storage.store import Store

from .rows import PLACE, annotation, ask, ids, page, selection, task, utterance


def drawn(store: Store) -> Store:
    """A set of `a`, whose speaker spoke `b` too."""
    store.put_draw(
        "calls", {"a": "speaker one"}, ["b"], [task("a", 0, kind="evaluation")], "speaker", "ky"
    )
    return store


def splits(store: Store) -> dict[str, str]:
    return dict(store.db.execute("SELECT id, split FROM utterances").fetchall())


def test_what_may_be_drawn_says_what_it_is_used_for(filled: Store) -> None:
    filled.add(
        [
            utterance("d", speaker="one", duration_s=5.0),
            utterance("e", split="train", text="бир"),
            utterance("f", language="ru"),
        ],
        [],
    )
    filled.put_selection(1, selection("b"))
    filled.put_labels([Label("c", "бир", None, ["1"])])
    assert filled.drawable("ky") == [
        ("a", 2.0, None, "", "free"),
        ("b", 2.0, None, "", "asked"),
        ("c", 2.0, None, "", "asked"),
        ("d", 5.0, "one", "", "free"),
        ("e", 2.0, None, "", "learned"),
        ("f", 2.0, None, "", "beside"),
    ]


def test_what_is_reserved_is_in_no_pool_and_in_no_other_set(filled: Store) -> None:
    drawn(filled)
    assert splits(filled) == {"a": "reserved", "b": "reserved", "c": "pool"}
    assert ids(filled.pool()) == "c"
    assert filled.scored_pool("base", "whisper").ids.tolist() == [b"c"]
    assert ids(filled.unprofiled("whisper")) == "c"
    assert filled.evaluation_utterances() == []
    filled.put_labels([Label("a", "бир", None, ["1", "2"], "agreed")])
    assert filled.training_examples("in_house") == []
    assert filled.known_answers("ky") == []
    status = Reader(filled.workspace).status()
    assert (status.pool, status.labelled) == (1, 0)


def test_a_name_is_taken_once(filled: Store) -> None:
    drawn(filled)
    assert filled.draws() == {"calls": None}
    assert filled.drawn("calls") == {"a": 2.0}
    with pytest.raises(WorkspaceError, match="was drawn already"):
        filled.put_draw("calls", {"c": "speaker two"}, [], [], "speaker", "ky")
    with pytest.raises(WorkspaceError, match="'radio' is the name of a source"):
        filled.check_free("radio")


@pytest.mark.parametrize("gone", ["a", "b"])
def test_what_has_left_the_pool_meanwhile_is_not_drawn(filled: Store, gone: str) -> None:
    filled.put_selection(1, selection(gone))
    with pytest.raises(WorkspaceError, match="1 of 2 clips have left the pool"):
        drawn(filled)
    assert set(splits(filled).values()) == {"pool"}
    assert filled.draws() == {}
    assert filled.unshown() == []


def test_freezing_makes_a_test_split_of_what_has_a_text_and_closes_the_rest(filled: Store) -> None:
    ask(filled, "c")
    filled.put_draw(
        "calls",
        {"a": "1", "b": "1"},
        [],
        [task(name, 0, kind="evaluation", hypothesis="") for name in "ab"],
        "clip",
        "ky",
    )
    filled.mark_pushed(PLACE, {task("a", 0).key: "1"})
    filled.take(PLACE, page(annotation(1, "a", key=task("a", 0).key)))
    filled.freeze("calls", "ky", {"a": "бир эки"})
    (row,) = filled.evaluation_utterances()
    assert (row.id, row.text, row.source) == ("a", "бир эки", "calls")
    assert filled.source("calls") == Source("calls", "in_house", "ky")
    assert splits(filled)["b"] == "reserved"
    assert filled.unpushed() == []
    assert filled.open_tasks() == 1  # c is no part of the set
    assert filled.draws()["calls"] is not None


@pytest.mark.parametrize("name", [IN_HOUSE, STANDARD_SILENCE])
def test_a_name_that_a_source_is_to_have_is_not_free(filled: Store, name: str) -> None:
    with pytest.raises(WorkspaceError, match="is kept for a source"):
        filled.check_free(name)


def test_a_set_that_is_drawn_keeps_its_name_and_its_groups(filled: Store) -> None:
    drawn(filled)
    assert filled.source("calls") == Source("calls", "in_house", "ky")
    assert filled.held_groups() == {"speaker": {"speaker one"}}


def test_freezing_touches_only_what_is_reserved(filled: Store) -> None:
    drawn(filled)
    with pytest.raises(WorkspaceError, match="1 of 2 clips of 'calls' are not reserved"):
        filled.freeze("calls", "ky", {"a": "бир", "c": "эки"})
    assert splits(filled) == {"a": "reserved", "b": "reserved", "c": "pool"}
    assert filled.draws() == {"calls": None}


def test_a_task_of_a_set_waits_for_two_answers(filled: Store) -> None:
    drawn(filled)
    key = task("a", 0).key
    filled.put_place("evaluation", PLACE)
    filled.show("base", [WordConfidence("a", "", ())])
    filled.mark_pushed(PLACE, {key: "a0"})
    filled.take(PLACE, page(annotation(1, "a", key=key, annotator="one")))
    assert filled.is_busy(PLACE)
    assert filled.waiting("calls") == 1
    assert filled.sweep(PLACE, {}, again=True) == 1
    assert [row.key for row in filled.unpushed()] == [key]
    filled.mark_pushed(PLACE, {key: "a0"})
    filled.put_place("evaluation", Place("elsewhere", 1))
    assert [row.key for row in filled.unpushed()] == [key]
    filled.mark_pushed(PLACE, {key: "a0"})
    filled.take(PLACE, page(annotation(2, "a", key=key, annotator="two")))
    assert not filled.is_busy(PLACE)
    assert filled.waiting("calls") == 0
