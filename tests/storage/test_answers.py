"""What annotators are asked, and what they answered."""

from __future__ import annotations

from al_loop.records import Refusal
from storage.store import Store

from .rows import TIME, annotation, hypothesis, ids, selection


def test_tasks_that_are_not_pushed_yet_come_by_rank(filled: Store) -> None:
    filled.add_hypotheses("base", [hypothesis(name, f"{name}?") for name in "abc"])
    filled.put_selection(1, selection(*"cab"))
    tasks = filled.unpushed(1, "base")
    assert [(task.rank, task.utterance_id, task.hypothesis) for task in tasks] == [
        (0, "c", "c?"),
        (1, "a", "a?"),
        (2, "b", "b?"),
    ]
    filled.mark_pushed({"c": "31", "b": "33"})
    assert [task.utterance_id for task in filled.unpushed(1, "base")] == ["a"]


def test_what_the_batch_s_checkpoint_has_not_decoded_can_be_asked_for(filled: Store) -> None:
    filled.put_selection(1, selection(*"cab"))
    filled.add_hypotheses("base", [hypothesis("a")])
    assert ids(filled.unheard(1, "base")) == "bc"
    assert ids(filled.unheard(1, "another")) == "abc"
    assert filled.unheard(2, "base") == []


def test_the_same_answer_twice_is_kept_once_as_it_was_last(filled: Store) -> None:
    filled.take_annotations([annotation(1, "a"), annotation(2, "b")], [], "mark 1")
    filled.take_annotations([annotation(1, "a", "эки")], [], "mark 2")
    assert filled.annotations() == {
        "a": [annotation(1, "a", "эки")],
        "b": [annotation(2, "b")],
    }
    assert filled.high_water == "mark 2"


def test_the_answers_about_one_utterance_come_in_their_order(filled: Store) -> None:
    later = annotation(1, "a", updated_at=TIME.replace("2026", "2027"))
    verdict = annotation(2, "a", None, verdict="skipped")
    filled.take_annotations([later, verdict], [], None)
    assert filled.annotations() == {"a": [verdict, later]}


def test_an_answer_about_a_stranger_is_refused_and_the_rest_is_kept(filled: Store) -> None:
    filled.take_annotations(
        [annotation(1, "a"), annotation(2, "stranger")],
        [Refusal("task 9", "empty_text", "neither a text nor a verdict")],
        "mark",
    )
    assert list(filled.annotations()) == ["a"]
    rows = filled.db.execute("SELECT origin, reason, detail FROM refusals ORDER BY reason")
    assert rows.fetchall() == [
        ("task 9", "empty_text", "neither a text nor a verdict"),
        ("task 7", "unknown_utterance", "annotation 2 is about stranger, not in this workspace"),
    ]


def test_an_utterance_with_two_answers_is_answered_once(filled: Store) -> None:
    filled.put_selection(1, selection(*"ab"))
    filled.take_annotations([annotation(1, "a"), annotation(2, "a"), annotation(3, "c")], [], None)
    assert filled.answered(1) == (1, 2)


def test_another_project_is_pulled_from_its_beginning(filled: Store) -> None:
    filled.set_project("http://one.test", 4)
    filled.take_annotations([], [], "mark")
    filled.set_project("http://one.test", 4)
    assert (filled.project_id, filled.high_water) == (4, "mark")
    filled.set_project("http://two.test", 4)
    assert (filled.project_id, filled.high_water) == (4, None)


def test_another_project_gets_the_tasks_that_nobody_has_answered(filled: Store) -> None:
    filled.set_project("http://one.test", 4)
    filled.add_hypotheses("base", [hypothesis(name) for name in "ab"])
    filled.put_selection(1, selection(*"ab"))
    assert filled.last_pushed_at() is None
    filled.mark_pushed({"a": "1", "b": "2"})
    assert filled.unanswered() > 0
    filled.take_annotations([annotation(1, "a")], [], "mark")
    filled.set_project("http://one.test", 4)
    assert filled.unpushed(1, "base") == []
    filled.set_project("http://one.test", 5)
    assert [task.utterance_id for task in filled.unpushed(1, "base")] == ["b"]


def test_answers_of_two_projects_are_kept_apart(filled: Store) -> None:
    filled.set_project("http://one.test", 4)
    filled.take_annotations([annotation(1, "a", "бир")], [], None)
    filled.set_project("http://two.test", 4)
    filled.take_annotations([annotation(1, "a", "эки")], [], None)
    assert [row.text for row in filled.annotations()["a"]] == ["бир", "эки"]
