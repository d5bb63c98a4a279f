"""The projects of a workspace, on one Label Studio or on several."""

from __future__ import annotations

import pytest

from al_loop.records import Place
from storage.store import Store

from .rows import PLACE, annotation, ask, hypothesis, page, task

OTHER = Place("http://two.test, project made then", 4)


def at(store: Store) -> dict[str, str | None]:
    """The task id of every task, by its utterance."""
    return dict(store.db.execute("SELECT utterance_id, task_id FROM tasks").fetchall())


def test_the_project_that_was_found_last_is_in_use_under_its_name(store: Store) -> None:
    assert store.places() == {}
    evaluation = Place(PLACE.server, 5)
    store.put_place("all", PLACE)
    store.put_place("evaluation", evaluation)
    assert store.places() == {"all": PLACE, "evaluation": evaluation}
    store.put_place("all", OTHER)
    assert list(store.places().items()) == [("evaluation", evaluation), ("all", OTHER)]
    store.put_place("all", PLACE)
    assert store.places()["all"] == PLACE


def test_each_project_is_read_from_where_its_last_pull_ended(filled: Store) -> None:
    filled.put_place("all", PLACE)
    assert filled.high_water(PLACE) is None
    filled.take(PLACE, page(high_water="mark 1"))
    filled.put_place("all", OTHER)
    assert (filled.high_water(PLACE), filled.high_water(OTHER)) == ("mark 1", None)
    filled.take(OTHER, page())
    assert filled.high_water(OTHER) is None
    assert filled.high_water(Place("nowhere", 1)) is None


def test_another_project_gets_the_tasks_that_nobody_has_answered(filled: Store) -> None:
    filled.add_hypotheses("base", [hypothesis(name) for name in "abc"])
    ask(filled, *"abc")
    filled.take(PLACE, page(annotation(1, "a")))
    filled.sweep(PLACE, {}, again=False)  # c is closed with b: neither is there
    filled.add_tasks([task("b", copy=1, hypothesis="бир")])
    filled.mark_pushed(PLACE, {task("b", copy=1).key: "9"})
    filled.put_place("all", PLACE)
    assert filled.unpushed() == []
    filled.put_place("all", OTHER)
    assert [row.key for row in filled.unpushed()] == [task("b", copy=1).key]
    assert at(filled)["a"] == "a0"


def test_a_project_of_another_name_keeps_its_tasks(filled: Store) -> None:
    ask(filled, "a")
    filled.put_place("round 2", OTHER)
    assert at(filled) == {"a": "a0"}


def test_a_project_is_busy_while_a_task_in_it_waits(filled: Store) -> None:
    ask(filled, "a")
    assert filled.is_busy(PLACE)
    assert not filled.is_busy(OTHER)
    filled.take(PLACE, page(annotation(1, "a")))
    assert not filled.is_busy(PLACE)


@pytest.mark.parametrize("checkpoint_id", ["base"])
def test_whose_hypotheses_were_offered_last_is_known(filled: Store, checkpoint_id: str) -> None:
    filled.put_place("all", PLACE)
    assert filled.refreshed_for(PLACE) is None
    filled.set_refreshed_for(PLACE, checkpoint_id)
    assert filled.refreshed_for(PLACE) == checkpoint_id
