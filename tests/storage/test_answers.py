"""What annotators answered, and what it settled on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from al_loop.records import (
    Annotation,
    AskedTask,
    Case,
    Label,
    Place,
    Pulled,
    PulledTask,
    Refusal,
    TaskKey,
    WordConfidence,
)
from storage.queries import Reader
from storage.store import Store

from .rows import PLACE, TIME, annotation, ask, later, page, selection, task, utterance


def answers(store: Store) -> dict[str, list[Annotation]]:
    return {case.utterance.id: list(case.annotations) for case in store.cases()}


def labels(store: Store) -> dict[str, str]:
    return dict(store.db.execute("SELECT utterance_id, text FROM labels").fetchall())


@pytest.fixture
def asked(filled: Store) -> Store:
    ask(filled, *"abc")
    return filled


# -- annotations -------------------------------------------------------------------------------


def test_the_same_answer_twice_is_kept_once_as_it_was_last(asked: Store) -> None:
    first = page(annotation(1, "a"), annotation(2, "b"))
    assert asked.take(PLACE, first) == 2
    assert asked.take(PLACE, first) == 0
    edited = annotation(1, "a", "эки", updated_at=later())
    assert asked.take(PLACE, page(edited, updated_at=later())) == 1
    assert answers(asked) == {"a": [edited], "b": [annotation(2, "b")]}


def test_an_annotation_comes_back_as_it_was(asked: Store) -> None:
    row = annotation(
        1, "a", None, verdict="several_speakers", lead_time_s=None, shown="", unsure=True
    )
    asked.take(PLACE, page(row))
    assert answers(asked) == {"a": [row]}


def test_what_an_answer_does_not_say_it_was_shown_its_task_says(filled: Store) -> None:
    filled.add_tasks([task("a")])
    filled.show("base", [WordConfidence("a", "эмне бир", (0.5, 0.5))])
    ask(filled, "a")
    filled.take(PLACE, page(annotation(1, "a", shown=None)))
    assert [row.shown for row in answers(filled)["a"]] == ["эмне бир"]


def test_the_answers_about_one_utterance_come_in_their_order(asked: Store) -> None:
    newer = annotation(1, "a", updated_at=later())
    verdict = annotation(2, "a", None, verdict="skipped")
    asked.take(PLACE, page(newer, verdict))
    assert answers(asked) == {"a": [verdict, newer]}


def test_an_answer_that_was_deleted_on_the_server_counts_no_more(asked: Store) -> None:
    asked.take(PLACE, page(annotation(1, "a"), annotation(2, "a"), annotation(3, "b")))
    asked.put_labels([Label("a", "бир", None, ["1"])])
    assert asked.take(PLACE, page(annotation(2, "a"), updated_at=later())) == 1
    assert [row.id for row in answers(asked)["a"]] == ["2"]
    emptied = Pulled([PulledTask("a0", TaskKey("a", 1, 0), later(2), [])], (), None)
    assert asked.take(PLACE, emptied) == 1
    assert asked.take(PLACE, emptied) == 0
    assert list(answers(asked)) == ["b"]
    assert asked.unanswered() == 2
    asked.put_labels([])
    assert labels(asked) == {}
    ((kept,),) = asked.db.execute("SELECT count(*) FROM annotations WHERE deleted_at IS NOT NULL")
    assert kept == 2


def test_an_answer_that_the_server_lost_stays(asked: Store) -> None:
    """A task that was not changed since shows it no more: an older backup was restored."""
    newer = annotation(1, "a", "эки", updated_at=later())
    asked.take(PLACE, page(newer, updated_at=later()))
    lost = Pulled([PulledTask("a0", TaskKey("a", 1, 0), later(), [])], (), None)
    assert asked.take(PLACE, lost) == 0
    assert asked.take(PLACE, page(annotation(1, "a", "бир"), updated_at=later(2))) == 0
    assert answers(asked) == {"a": [newer]}


def test_an_answer_that_was_withdrawn_and_is_back_counts_again(asked: Store) -> None:
    asked.take(PLACE, page(annotation(1, "a")))
    gone = Pulled([PulledTask("a0", TaskKey("a", 1, 0), later(), [])], (), None)
    assert asked.take(PLACE, gone) == asked.take(PLACE, page(annotation(1, "a"))) == 1
    assert answers(asked) == {"a": [annotation(1, "a")]}


def test_twins_of_a_task_do_not_withdraw_each_other_s_answers(asked: Store) -> None:
    twin = annotation(2, "a", task_id="twin", updated_at=later())
    asked.take(PLACE, page(annotation(1, "a"), twin, updated_at=later()))
    assert [row.id for row in answers(asked)["a"]] == ["1", "2"]


def test_an_answer_to_what_was_never_asked_is_refused_and_the_rest_is_kept(asked: Store) -> None:
    strangers = [annotation(2, "stranger"), annotation(3, "a", copy=7)]
    pulled = page(annotation(1, "a"), *strangers, high_water="mark")
    refusal = Refusal("task 9", "empty_text", "neither a text nor a verdict")
    assert asked.take(PLACE, replace(pulled, refusals=[refusal])) == 1
    assert list(answers(asked)) == ["a"]
    assert asked.high_water(PLACE) == "mark"
    rows = asked.db.execute("SELECT origin, reason, detail FROM refusals ORDER BY origin")
    said = "which this workspace never asked"
    assert rows.fetchall() == [
        ("task 9", "empty_text", "neither a text nor a verdict"),
        ("task a7", "unknown_task", f"annotation 3 is about a, round 1, copy 7, {said}"),
        (
            "task stranger0",
            "unknown_task",
            f"annotation 2 is about stranger, round 1, copy 0, {said}",
        ),
    ]


def test_answers_of_two_projects_are_kept_apart(asked: Store) -> None:
    other = Place("http://two.test", 4)
    asked.take(PLACE, page(annotation(1, "a", "бир")))
    asked.take(other, page(annotation(1, "a", "эки")))
    assert [row.text for row in answers(asked)["a"]] == ["бир", "эки"]
    gone = Pulled([PulledTask("a0", TaskKey("a", 1, 0), later(), [])], (), None)
    asked.take(other, gone)
    assert [row.text for row in answers(asked)["a"]] == ["бир"]


def test_an_utterance_with_two_answers_is_answered_once(asked: Store) -> None:
    asked.put_selection(1, selection(*"ab"))
    asked.take(PLACE, page(annotation(1, "a"), annotation(2, "a"), annotation(3, "c")))
    assert asked.answered(1) == (1, 2)
    assert asked.unanswered() == 1
    asked.add_tasks(
        [
            task("a", copy=1, kind="adjudication"),
            task("a", copy=2, kind="gold"),
            task("a", 0, kind="evaluation"),
        ]
    )
    assert asked.unanswered() == 2


# -- cases -------------------------------------------------------------------------------------


def test_a_case_is_all_that_was_asked_and_answered_about_an_utterance(asked: Store) -> None:
    asked.add_tasks([task("a", copy=1, kind="repeat", hypothesis="эки")])
    asked.take(PLACE, page(annotation(1, "a")))
    assert asked.cases() == [
        Case(
            utterance("a"),
            [
                AskedTask(TaskKey("a", 1, 0), "query", False, None, []),
                AskedTask(TaskKey("a", 1, 1), "repeat", True, "эки", []),
            ],
            [annotation(1, "a")],
        )
    ]
    asked.take(PLACE, page(annotation(2, "a", copy=1), annotation(3, "b")))
    both, other = asked.cases()
    assert [row.open for row in both.tasks] == [False, False]
    assert [row.key.copy for row in both.annotations] == [0, 1]
    assert other.utterance.id == "b"
    assert [case.utterance.id for case in asked.cases(utterance_ids=["b", "c"])] == ["b"]


def test_an_answer_to_a_gold_task_never_reaches_a_label(asked: Store) -> None:
    asked.add_tasks([task("a", copy=1, kind="gold", hypothesis="эки")])
    gold = annotation(2, "a", copy=1)
    asked.take(PLACE, page(annotation(1, "a"), gold))
    (case,) = asked.cases()
    assert ([row.kind for row in case.tasks], list(case.annotations)) == (
        ["query"],
        [annotation(1, "a")],
    )
    (case,) = asked.cases(["gold"])
    assert list(case.annotations) == [gold]
    asked.put_labels([Label("a", "бир", None, ["1"])])
    withdrawn = Pulled([PulledTask("a0", TaskKey("a", 1, 0), later(), [])], (), None)
    asked.take(PLACE, withdrawn)
    asked.put_labels([])
    assert labels(asked) == {}


def test_the_probability_of_a_word_may_be_unknown(filled: Store) -> None:
    filled.add_tasks([task("a")])
    filled.show("base", [WordConfidence("a", "бир эки", (0.5, math.nan))])
    (pushed,) = filled.unpushed()
    assert list(pushed.word_probs) == pytest.approx([0.5, math.nan], nan_ok=True)
    filled.take(PLACE, page(annotation(1, "a")))
    ((found,),) = [case.tasks for case in filled.cases()]
    assert list(found.word_probs) == pytest.approx([0.5, math.nan], nan_ok=True)


def test_answers_can_be_read_by_annotator(asked: Store) -> None:
    asked.add([utterance("t", split="train", text="үч")], [])
    asked.add_tasks([task("t", kind="gold", hypothesis="эки")])
    asked.take(
        PLACE,
        page(
            annotation(1, "a", annotator="annotator-2", unsure=True),
            annotation(2, "b"),
            annotation(3, "t", "үч"),
        ),
    )
    asked.put_labels([Label("a", "бир", None, ["1"])])
    asked.take(PLACE, Pulled([PulledTask("b0", TaskKey("b", 1, 0), later(), [])], (), None))
    rows = Reader(asked.workspace).annotator_answers()
    names = ("utterance_id", "round", "copy", "annotator", "text", "shown", "unsure", "kind")
    assert [tuple(row[name] for name in (*names, "truth")) for row in rows] == [
        ("a", 1, 0, "annotator-2", "бир", "эмне", 1, "query", None),
        ("t", 1, 0, "annotator-1", "үч", "эмне", 0, "gold", "үч"),
    ]


# -- labels ------------------------------------------------------------------------------------


def test_a_label_that_did_not_change_keeps_its_time(asked: Store) -> None:
    flagged = Label("b", "эки", None, ["2"], "agreed", 0.5, ["digits"])
    asked.put_labels([Label("a", "бир", None, ["1"]), flagged])
    asked.db.execute("UPDATE labels SET settled_at = 'then'")
    asked.put_labels([Label("a", "бир", None, ["1"]), replace(flagged, quality=0.75)])
    rows = asked.db.execute(
        "SELECT utterance_id, settled, quality, flags, settled_at = 'then' FROM labels ORDER BY 1"
    )
    assert rows.fetchall() == [
        ("a", "single", 1.0, "[]", 1),
        ("b", "agreed", 0.75, '["digits"]', 0),
    ]


def test_a_label_goes_when_its_answers_settle_on_nothing(asked: Store) -> None:
    asked.take(PLACE, page(annotation(1, "a"), annotation(2, "b")))
    asked.put_labels([Label(name, "бир", None, ["1"]) for name in "abc"])
    asked.put_labels([Label("b", "бир", None, ["2"])], unsettled=["a"])
    assert labels(asked) == {"b": "бир", "c": "бир"}  # of c there is no answer to judge by


def test_times_are_kept_with_time_zones(asked: Store) -> None:
    asked.take(PLACE, page(annotation(1, "a")))
    asked.put_labels([Label("a", "бир", None, ["1"])])
    ((settled_at,),) = asked.db.execute("SELECT settled_at FROM labels")
    assert settled_at.endswith("+00:00")
    assert answers(asked)["a"][0].created_at == TIME


# -- follow-ups and strangers ------------------------------------------------------------------


def test_follow_ups_are_due_from_a_changed_answer_until_they_are_planned(asked: Store) -> None:
    assert not asked.follow_ups_due()
    asked.take(PLACE, page(annotation(1, "a")))
    assert asked.follow_ups_due()
    asked.take(PLACE, page(annotation(1, "a")))  # nothing that is new
    assert asked.follow_ups_due()
    asked.plan_follow_ups([task("a", copy=1, kind="repeat", hypothesis="")])
    assert not asked.follow_ups_due()
    assert [row.key for row in asked.unpushed()] == [TaskKey("a", 1, 1)]
    asked.take(PLACE, page(annotation(1, "a")))
    assert not asked.follow_ups_due()


def test_a_project_is_read_anew_for_answers_that_were_refused_too_early(filled: Store) -> None:
    """An older workspace was restored, and asks again what the server was asked before."""
    filled.put_place("all", PLACE)
    filled.take(PLACE, page(annotation(1, "a"), annotation(2, "b"), high_water="mark 1"))
    filled.add_tasks([task("c", hypothesis="")])
    filled.mark_pushed(PLACE, {TaskKey("c", 1, 0): "c0"})
    assert filled.high_water(PLACE) == "mark 1"
    filled.add_tasks([task("a", hypothesis="")])
    filled.mark_pushed(PLACE, {TaskKey("a", 1, 0): "a0"})
    assert filled.high_water(PLACE) is None
    assert filled.db.execute("SELECT origin FROM refusals").fetchall() == [("task b0",)]
