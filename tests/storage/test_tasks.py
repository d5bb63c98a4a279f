"""What annotators are asked: planned, shown, pushed, swept."""

from __future__ import annotations

from al_loop.records import Checkpoint, PlannedTask, Task, TaskKey, WordConfidence
from storage.store import Store

from .rows import PLACE, annotation, ask, ids, page, selection, task


def show(store: Store, *names: str, text: str = "бир эки", by: str = "base") -> None:
    store.show(by, [WordConfidence(name, text, (0.5, 0.25)) for name in names])


def keys(tasks: list[Task]) -> list[TaskKey]:
    return [row.key for row in tasks]


# -- planned -----------------------------------------------------------------------------------


def test_a_task_that_is_planned_again_stays_as_it_is(filled: Store) -> None:
    filled.add_tasks([task("a", hypothesis="бир"), task("b", hypothesis="эки", rank=1)])
    filled.add_tasks([task("a", hypothesis="үч", kind="gold"), task("c", hypothesis="", rank=2)])
    found = [(row.key.utterance_id, row.kind, row.hypothesis) for row in filled.unpushed()]
    assert found == [("a", "query", "бир"), ("b", "query", "эки"), ("c", "query", "")]


def test_further_tasks_of_an_utterance_count_on(filled: Store) -> None:
    filled.add_tasks([task("a"), task("a", copy=1), task("a", 2), task("b", rank=7)])
    assert filled.next_copies("abc", 1) == {"a": 2, "b": 1, "c": 0}
    assert filled.next_copies("abc", 2) == {"a": 1, "b": 0, "c": 0}
    assert [filled.next_rank(number) for number in (1, 2, 3)] == [8, 1, 0]


def test_a_task_is_open_until_it_is_answered_or_closed(filled: Store) -> None:
    ask(filled, *"abc")
    filled.add_tasks([task("a", 0, kind="evaluation", hypothesis="")])
    assert filled.open_tasks() == 3
    filled.take(PLACE, page(annotation(1, "a")))
    assert filled.open_tasks() == 2
    filled.sweep(PLACE, {TaskKey("b", 1, 0): "b0"}, again=False)
    assert filled.open_tasks() == 1
    assert filled.unanswered_reasons() == {
        ("a", "evaluation", ""),
        ("b", "query", ""),
        ("c", "query", ""),
    }


# -- shown -------------------------------------------------------------------------------------


def test_what_has_no_text_yet_is_heard_and_shown_but_not_what_was_planned_with_one(
    filled: Store,
) -> None:
    filled.add_tasks([task("b"), task("a"), task("c", kind="gold", hypothesis="үч"), task("b", 2)])
    assert ids(filled.unshown()) == "ab"
    assert keys(filled.unpushed()) == [TaskKey("c", 1, 0)]
    show(filled, "a", "b", "c")
    assert filled.unshown() == []
    found = {row.key: (row.hypothesis, row.checkpoint_id) for row in filled.unpushed()}
    assert found == {
        TaskKey("a", 1, 0): ("бир эки", "base"),
        TaskKey("b", 1, 0): ("бир эки", "base"),
        TaskKey("b", 2, 0): ("бир эки", "base"),
        TaskKey("c", 1, 0): ("үч", None),
    }
    assert [list(row.word_probs) for row in filled.unpushed()] == [
        [0.5, 0.25], [0.5, 0.25], [], [0.5, 0.25],
    ]  # fmt: skip


def test_words_of_a_planned_text_are_weighed_too(filled: Store) -> None:
    filled.add_tasks([task("a", kind="gold", hypothesis="үч"), task("b", hypothesis="")])
    assert filled.unmarked() == [("a", "үч")]
    show(filled, "a", text="үч")
    assert filled.unmarked() == []
    (gold, blank) = filled.unpushed()
    assert (list(gold.word_probs), gold.checkpoint_id) == ([0.5, 0.25], None)
    assert (list(blank.word_probs), blank.hypothesis) == ([], "")


def test_what_is_pushed_or_closed_shows_what_it_showed(filled: Store) -> None:
    filled.add_tasks([task("a")])
    show(filled, "a")
    ask(filled, "a")
    show(filled, "a", text="бир эки", by="base")
    filled.db.execute("UPDATE tasks SET hypothesis = NULL")
    show(filled, "a", text="үч")
    assert filled.db.execute("SELECT hypothesis FROM tasks").fetchall() == [(None,)]


def test_outdated_is_what_waits_and_shows_another_checkpoint_s_hypothesis(filled: Store) -> None:
    filled.put_checkpoint(Checkpoint("new", "checkpoints/new", "base", {}))
    filled.add_tasks([task(name) for name in "abc"])
    filled.add_tasks([task("a", copy=1, kind="repeat", hypothesis="бир")])
    show(filled, "a", "b")
    show(filled, "c", by="new")
    ask(filled, *"abc")
    filled.mark_pushed(PLACE, {TaskKey("a", 1, 1): "a1"})
    filled.take(PLACE, page(annotation(1, "b")))
    outdated = filled.outdated(PLACE, "new")
    assert {id_: row.key for id_, row in outdated.items()} == {"a0": TaskKey("a", 1, 0)}
    old = outdated["a0"]
    shown = Task(old.key, "query", 0, old.audio, 2.0, "үч", "new", (0.75,), old.acquisition_score)
    filled.mark_shown([shown])
    assert filled.outdated(PLACE, "new") == {}
    found = filled.outdated(PLACE, "base")
    assert {row.hypothesis: list(row.word_probs) for row in found.values()} == {
        "үч": [0.75],
        "бир эки": [0.5, 0.25],
    }


# -- pushed ------------------------------------------------------------------------------------


def test_tasks_that_are_not_pushed_yet_come_by_round_and_rank(filled: Store) -> None:
    filled.put_selection(1, selection("c", "a"))
    filled.add_tasks(
        [
            task("c", rank=0, hypothesis="үч"),
            task("b", rank=1, hypothesis="эки", kind="gold"),
            task("a", rank=2, hypothesis="бир"),
            task("b", 0, hypothesis="", kind="evaluation", rank=9),
        ]
    )
    found = [(row.key.utterance_id, row.rank, row.hypothesis) for row in filled.unpushed()]
    assert found == [("b", 9, ""), ("c", 0, "үч"), ("b", 1, "эки"), ("a", 2, "бир")]
    filled.put_place("all", PLACE)
    filled.mark_pushed(PLACE, {TaskKey("c", 1, 0): "31", TaskKey("a", 1, 0): "33"})
    assert keys(filled.unpushed()) == [TaskKey("b", 0, 0), TaskKey("b", 1, 0)]


def test_a_task_of_no_batch_has_a_score_like_those_around_it(filled: Store) -> None:
    filled.put_selection(1, selection("a"))
    filled.add_tasks([task("a", hypothesis="бир"), task("b", rank=1, kind="gold", hypothesis="")])
    assert [row.acquisition_score for row in filled.unpushed()] == [0.5, 0.5]


def test_a_sweep_finds_what_was_deleted_and_leaves_what_is_answered(filled: Store) -> None:
    filled.add_tasks([task(name, hypothesis="бир") for name in "abc"])
    ask(filled, *"abc")
    filled.take(PLACE, page(annotation(1, "a")))
    assert filled.swept_at(PLACE) is None
    there = {TaskKey("c", 1, 0): "99"}  # it was pushed again by hand
    assert filled.sweep(PLACE, there, again=True) == 1
    assert filled.swept_at(PLACE) is not None
    assert keys(filled.unpushed()) == [TaskKey("b", 1, 0)]
    rows = filled.db.execute("SELECT utterance_id, task_id FROM tasks ORDER BY 1").fetchall()
    assert rows == [("a", "a0"), ("b", None), ("c", "99")]
    assert filled.sweep(PLACE, there, again=True) == 0


def test_a_closed_task_is_not_pushed_again(filled: Store) -> None:
    filled.put_selection(1, selection("a", "b"))
    filled.add_tasks([PlannedTask(TaskKey("a", 1, 0), "query", 0, hypothesis="бир")])
    ask(filled, "a", "b")
    assert filled.sweep(PLACE, {TaskKey("b", 1, 0): "b0"}, again=False) == 1
    assert filled.unpushed() == []
    assert filled.answered(1) == (0, 1)
    assert filled.unanswered() == 1
    filled.take(PLACE, page(annotation(1, "a")))  # a backup of the server brought it back
    assert filled.answered(1) == (1, 2)


def test_what_is_known_of_a_text_s_words_is_shown_again(filled: Store) -> None:
    filled.add_tasks([task("a")])
    show(filled, "a")
    ask(filled, "a")
    filled.add_tasks(
        [
            task("a", copy=1, kind="repeat", hypothesis="бир эки"),
            task("a", copy=2, kind="repeat", hypothesis="бир"),
        ]
    )
    filled.copy_probabilities("another")
    assert filled.unmarked() == [("a", "бир"), ("a", "бир эки")]
    filled.copy_probabilities("base")
    assert filled.unmarked() == [("a", "бир")]
    assert [list(row.word_probs) for row in filled.unpushed()] == [[0.5, 0.25], []]
