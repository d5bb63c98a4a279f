"""Pushing, pulling, taking stock and refreshing, against a fake of the server."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from al_loop.errors import OracleRefused, OracleUnavailable
from al_loop.records import Annotation, Place, Pulled, PulledTask, Task, TaskKey
from labeling.inventory import ID_CHUNK, LIST_PAGE
from labeling.oracle import (
    BEGINNING,
    LATE_COMMIT,
    PULL_PAGE,
    PUSH_BYTES,
    PUSH_CHUNK,
    REFRESH_CHUNK,
    LabelStudioOracle,
)
from tests.labeling.fake_server import LabelStudio, batch


def opened() -> tuple[LabelStudio, LabelStudioOracle, Place]:
    server = LabelStudio()
    oracle = server.oracle()
    place = oracle.place("all")
    server.requests.clear()
    return server, oracle, place


def pushed(oracle: LabelStudioOracle, place: Place, tasks: list[Task]) -> dict[TaskKey, str]:
    known: dict[TaskKey, str] = {}
    for chunk in oracle.push(place, tasks):
        known |= chunk
    return known


def keys(server: LabelStudio) -> list[tuple[str, int, int]]:
    data = [task["data"] for task in server.tasks]
    return [(row["utterance"], row["round"], row["copy"]) for row in data]


def pulled(
    oracle: LabelStudioOracle, place: Place, since: str | None = None
) -> tuple[dict[str, PulledTask], str]:
    """Tasks by id, and the high water, which only the last page has."""
    found = list(oracle.pull(place, since))
    *others, last = [page.high_water for page in found]
    assert others == [None] * len(others)
    assert last is not None
    return {task.task_id: task for page in found for task in page.tasks}, last


def texts(tasks: Iterable[PulledTask]) -> set[str | None]:
    return {annotation.text for task in tasks for annotation in task.annotations}


# -- places ----------------------------------------------------------------------------------------


def test_a_place_tells_when_the_project_was_made_and_no_address() -> None:
    server, oracle, place = opened()
    assert place == Place("2026-01-01T00:00:01.000000Z", 1)
    assert server.oracle().place("all") == place
    assert oracle.place("round 3").project_id == 2
    assert oracle.place("all") == place


def test_a_project_is_found_without_making_it() -> None:
    server, oracle, place = opened()
    assert oracle.find("all") == place
    assert oracle.find("round 3") is None
    assert len(server.projects) == 1


# -- push ------------------------------------------------------------------------------------------


def test_push_twice_adds_nothing() -> None:
    server, oracle, place = opened()
    tasks = batch(2 * PUSH_CHUNK + 1)
    first = pushed(oracle, place, tasks)
    assert pushed(server.oracle(), place, tasks) == first
    assert first.keys() == {task.key for task in tasks}
    assert server.imports == [PUSH_CHUNK, PUSH_CHUNK, 1]


def test_push_takes_few_requests() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(4 * PUSH_CHUNK))
    assert len(server.requests) == 4 + 2 * (4 * PUSH_CHUNK // LIST_PAGE)


def test_push_imports_by_rank_older_rounds_first() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(3, round_number=2)[::-1] + batch(2)[::-1])
    data = [task["data"] for task in server.tasks]
    assert [(row["round"], row["rank"]) for row in data] == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]


def test_copies_of_an_utterance_are_tasks_of_their_own() -> None:
    server, oracle, place = opened()
    task = batch(1)[0]
    again = replace(task, key=task.key._replace(copy=1), kind="repeat", rank=5)
    later = replace(task, key=task.key._replace(round=2))
    assert len(set(pushed(oracle, place, [task, again, later]).values())) == 3
    assert pushed(oracle, place, [again]) == {again.key: "2"}
    assert len(server.tasks) == 3


def test_no_kind_and_no_prediction_is_sent() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, [replace(batch(1)[0], kind="gold")])
    (request,) = (r for r in server.requests if r.url.path.endswith("/import"))
    assert json.loads(request.content) == [{"data": server.tasks[0]["data"]}]
    assert b"gold" not in request.content


def test_an_import_stays_small() -> None:
    server, oracle, place = opened()
    text = "сөз " * 3000
    tasks = [replace(task, hypothesis=text) for task in batch(60)]
    assert len(pushed(oracle, place, tasks)) == 60
    bodies = [r.content for r in server.requests if r.url.path.endswith("/import")]
    assert len(bodies) > 1
    assert max(map(len, bodies)) < PUSH_BYTES + 10_000 < 1_000_000


def test_a_task_that_is_larger_than_an_import_is_pushed_alone() -> None:
    server, oracle, place = opened()
    tasks = [replace(task, hypothesis="a" * PUSH_BYTES) for task in batch(3)]
    assert len(pushed(oracle, place, tasks)) == 3
    assert server.imports == [1, 1, 1]


def test_clips_are_brought_before_anybody_is_asked_about_them() -> None:
    server, _, place = opened()
    brought: list[tuple[list[str], int]] = []
    oracle = server.oracle(bring=lambda audio: brought.append((list(audio), len(server.tasks))))
    for _ in range(2):
        pushed(oracle, place, batch(PUSH_CHUNK + 1))
    first = [f"{number}.wav" for number in range(PUSH_CHUNK)]
    assert brought == [(first, 0), ([f"{PUSH_CHUNK}.wav"], PUSH_CHUNK)]


def test_push_goes_on_after_a_kill() -> None:
    server, oracle, place = opened()
    tasks = batch(3 * PUSH_CHUNK)

    def die() -> None:
        if server.imports:
            raise KeyboardInterrupt

    server.between = die
    with pytest.raises(KeyboardInterrupt):
        pushed(oracle, place, tasks)
    server.between = lambda: None
    assert server.imports == [PUSH_CHUNK]
    assert len(pushed(server.oracle(), place, tasks)) == len(server.tasks) == len(tasks)
    assert len(set(keys(server))) == len(tasks)


def test_push_goes_on_after_a_lost_answer() -> None:
    server, oracle, place = opened()
    tasks = batch(2 * PUSH_CHUNK)
    server.lose_answer_of_import = 2
    with pytest.raises(OracleUnavailable):
        pushed(oracle, place, tasks)
    assert len(pushed(server.oracle(), place, tasks)) == len(server.tasks) == len(tasks)


def test_push_removes_the_untouched_twin_of_a_task_that_came_twice() -> None:
    server, oracle, place = opened()
    tasks = batch(4)
    pushed(oracle, place, tasks)
    twins = [server.twin(number) for number in (1, 2, 3)]
    server.answer(twins[1], "салам")
    server.task(twins[2])["draft_exists"] = True
    known = pushed(oracle, place, tasks)
    assert list(known.values()) == ["1", "6", "7", "4"]
    assert [task["id"] for task in server.tasks] == [1, 4, 6, 7]


def test_twins_that_were_both_answered_stay() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(1))
    server.answer(server.twin(1), "эки")
    server.answer(1, "бир")
    assert list(pushed(oracle, place, batch(1)).values()) == ["1"]
    tasks, _ = pulled(oracle, place)
    assert texts(tasks.values()) == {"бир", "эки"}
    assert {task.key for task in tasks.values()} == {batch(1)[0].key}


def test_a_cut_off_import_that_lands_during_the_next_push_leaves_no_twins() -> None:
    server, oracle, place = opened()
    tasks = batch(3)

    def land_late() -> None:
        if server.requests[-1].url.path.endswith("/import") and not server.tasks:
            for task in batch(3):
                data = {"utterance": task.key.utterance_id, "round": 1, "copy": 0}
                server._add(place.project_id, data)

    server.between = land_late
    chunks = list(oracle.push(place, tasks))
    assert [list(chunk.values()) for chunk in chunks] == [["1", "2", "3"]]
    assert [task["id"] for task in server.tasks] == [1, 2, 3]


def test_a_twin_that_is_answered_in_the_last_moment_stays() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))
    twin = server.twin(1)

    def answer() -> None:
        if server.requests[-1].url.path == "/api/dm/actions":
            server.answer(twin, "салам")

    server.between = answer
    pushed(oracle, place, batch(2))
    assert [task["id"] for task in server.tasks] == [1, 2, twin]


def test_a_task_that_vanishes_during_a_push_is_named() -> None:
    server, oracle, place = opened()

    def delete() -> None:
        if server.imports:
            server.delete(1)

    server.between = delete
    tasks = batch(3)
    chunks = oracle.push(place, tasks)
    assert next(chunks).keys() == {task.key for task in tasks[1:]}  # nothing that is not there
    with pytest.raises(OracleUnavailable, match="took 3 tasks but shows 1 of them not"):
        next(chunks)


def test_an_import_without_ids_is_found_by_the_next_push() -> None:
    server, oracle, place = opened()
    import_, server._import = server._import, lambda *a: (import_(*a), httpx.Response(201))[1]  # type: ignore[method-assign]
    with pytest.raises(OracleUnavailable, match="ids of new tasks"):
        pushed(oracle, place, batch(3))
    assert len(pushed(oracle, place, batch(3))) == len(server.tasks) == 3


def test_push_of_one_task_twice_makes_one() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(3) + batch(3))
    assert len(server.tasks) == 3


def test_push_of_nothing_asks_nothing() -> None:
    server, oracle, place = opened()
    assert list(oracle.push(place, [])) == []
    assert server.requests == []


# -- taking stock ----------------------------------------------------------------------------------


def test_all_tasks_of_ours_are_found() -> None:
    server, oracle, place = opened()
    known = pushed(oracle, place, batch(LIST_PAGE + 10) + batch(2, round_number=7))
    server._add(place.project_id, {"audio": "a stranger's"})
    server._add(place.project_id, {"utterance": "u", "round": "1", "copy": 0})
    elsewhere = oracle.place("round 9")
    pushed(oracle, elsewhere, batch(1, round_number=9))
    assert oracle.task_ids(place) == known
    assert list(oracle.task_ids(elsewhere)) == [batch(1, round_number=9)[0].key]


def test_taking_stock_removes_twins() -> None:
    server, oracle, place = opened()
    known = pushed(oracle, place, batch(ID_CHUNK + 5))
    for number in list(known.values()):
        server.twin(number)
    assert oracle.task_ids(place) == known
    assert len(server.tasks) == len(known)
    assert sum(r.url.path == "/api/dm/actions" for r in server.requests) == 1


def test_without_twins_nothing_is_deleted() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(5))
    oracle.task_ids(place)
    assert all(request.url.path != "/api/dm/actions" for request in server.requests)


# -- pull ------------------------------------------------------------------------------------------


def test_pull_of_an_empty_project_keeps_the_mark() -> None:
    _, oracle, place = opened()
    since = "2026-01-01T00:00:00.000000Z"
    assert list(oracle.pull(place, since)) == [Pulled((), (), since)]
    assert list(oracle.pull(place, None)) == [Pulled((), (), BEGINNING)]


def test_pull_brings_what_changed_since() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(4))
    server.answer(2, "бир")
    first, mark = pulled(oracle, place)
    assert texts(first.values()) == {"бир"}
    server.now += LATE_COMMIT
    server.answer(4, "эки")
    second, mark = pulled(oracle, place, mark)
    assert texts(second.values()) == {"бир", "эки"}
    server.now += LATE_COMMIT
    third, later = pulled(oracle, place, mark)
    assert texts(third.values()) == {"эки"}
    assert later == mark


def test_pull_shows_tasks_whose_answers_were_withdrawn() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))
    server.answer(1, "бир")
    first, mark = pulled(oracle, place)
    answered_at = first["1"].annotations[0].updated_at
    server.now += 2 * LATE_COMMIT
    server.withdraw(1)
    second, _ = pulled(oracle, place, mark)
    assert list(second["1"].annotations) == []
    assert second["1"].updated_at > answered_at


def test_an_annotation_says_what_it_is_about() -> None:
    server, oracle, place = opened()
    task = batch(1, round_number=4)[0]
    task = replace(task, key=task.key._replace(copy=2))
    pushed(oracle, place, [task])
    server.answer(1, " салам  дос ", lead_time=8.5)
    (answer,) = pulled(oracle, place)[0]["1"].annotations
    time = "2026-01-01T00:00:03.000000Z"
    assert answer == Annotation(
        "1001", "1", task.key, "1", "салам дос", None, 8.5, time, time, "салам", False
    )


def test_pull_looks_back_for_what_was_committed_late() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))
    server.answer(1, "бир")
    _, mark = pulled(oracle, place)
    server.now -= LATE_COMMIT / 2  # stamped before the first pull, seen after it
    server.answer(2, "эки")
    assert "эки" in texts(pulled(oracle, place, mark)[0].values())


def test_pull_misses_nothing_that_changes_between_pages() -> None:
    server, oracle, place = opened()
    count = 2 * PULL_PAGE + 10
    pushed(oracle, place, batch(count))
    for number in range(1, count + 1):
        server.answer(number, "бир")
    server.requests.clear()

    def change() -> None:
        if len(server.requests) == 3:  # after the first page: one behind us changes, one is deleted
            server.answer(1, "эки")
            server.delete(5)

    server.between = change
    first, mark = pulled(oracle, place)
    assert len(first) == count
    late, _ = pulled(oracle, place, mark)
    assert texts([late["1"]]) == {"эки"}


def test_a_server_that_was_set_back_is_read_anew() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(3))
    server.answer(1, "бир")
    server.now += timedelta(days=3)
    server.answer(2, "эки")
    _, mark = pulled(oracle, place)

    server.task(2).update(annotations=[], updated_at=server.task(3)["updated_at"])
    server.now -= timedelta(days=3)  # and so was its clock
    server.answer(3, "үч")
    tasks, back = pulled(oracle, place, mark)
    assert texts(tasks.values()) == {"бир", "үч"}
    assert back < mark
    server.now += 2 * LATE_COMMIT
    server.answer(2, "төрт")
    assert "төрт" in texts(pulled(oracle, place, back)[0].values())


def test_what_changes_after_a_restoration_is_seen() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))
    before = [dict(task) for task in server.tasks]
    server.now += timedelta(days=1)
    server.answer(1, "бир")
    _, mark = pulled(oracle, place)

    server.tasks = before
    server.now += timedelta(hours=1)
    server.answer(2, "эки")
    assert texts(pulled(oracle, place, mark)[0].values()) == {"эки"}


def test_a_stamp_from_the_future_hides_nothing() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))
    now = datetime.now(UTC)
    server.now = now + timedelta(days=300)
    server.answer(1, "бир")
    server.now = now
    _, mark = pulled(oracle, place)
    server.now = now + timedelta(minutes=5)
    server.answer(2, "эки")
    assert texts(pulled(oracle, place, mark)[0].values()) == {"бир", "эки"}


@pytest.mark.parametrize("whose", ["ours, too", "the server's alone"])
def test_a_clock_that_is_set_back_hides_nothing(whose: str) -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))
    now = datetime.now(UTC)
    server.now = now + timedelta(days=300 if whose == "ours, too" else -1)
    server.answer(1, "бир")
    server.now = server.date = now
    server.touch(1 if whose == "the server's alone" else 2)
    _, mark = pulled(oracle, place)

    back = now - timedelta(hours=1)
    server.now = back
    server.answer(2, "эки")
    if whose == "ours, too":
        server.date = None
        oracle = server.oracle(clock=lambda: back + timedelta(minutes=5))
    else:
        server.date = back + timedelta(minutes=5)
    tasks, mark = pulled(oracle, place, mark)
    assert texts(tasks.values()) == {"бир", "эки"}
    assert mark < now.isoformat()


def test_pull_reports_what_it_cannot_use_and_goes_on() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(3))
    server.answer(1, "")
    server.answer(2, "салам")
    server._add(place.project_id, {"audio": "a stranger's"})
    server.answer(4, "салам")
    server._add(place.project_id, {"audio": "a stranger's, not answered"})
    (page,) = oracle.pull(place, None)
    reasons = [(refusal.origin, refusal.reason) for refusal in page.refusals]
    assert reasons == [("task 1, annotation 1001", "empty_text"), ("task 4", "foreign_task")]
    assert {t.task_id: len(t.annotations) for t in page.tasks} == {"1": 0, "2": 1, "3": 0}


# -- refresh ---------------------------------------------------------------------------------------


def anew(count: int) -> dict[str, Task]:
    """By task id, as a newer checkpoint hears them."""
    fresh = batch(count, hypothesis="салам дос")
    return {str(task.rank + 1): replace(task, word_probs=[0.9, 0.1]) for task in fresh}


def refreshed(oracle: LabelStudioOracle, place: Place, tasks: dict[str, Task]) -> set[str]:
    found = [key for part in oracle.refresh(place, tasks) for key in part]
    assert len(found) == len(set(found))
    return {str(int(key.utterance_id, 16) + 1) for key in found}


def test_refresh_changes_what_nobody_has_touched() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(6))
    server.answer(1, "бир")
    server.answer(2, "", was_cancelled=True)
    server.task(3)["draft_exists"] = True
    server.task(4)["data"]["added_by_hand"] = 1
    server.delete(6)
    assert refreshed(oracle, place, anew(6)) == {"4", "5"}
    shown = {task["id"]: task["data"]["hypothesis"] for task in server.tasks}
    assert shown == {1: "салам", 2: "салам", 3: "салам", 4: "салам дос", 5: "салам дос"}
    assert server.task(4)["data"]["added_by_hand"] == 1
    assert "<mark>" in server.task(5)["data"]["marked"]
    assert server.task(5)["data"]["audio"] == "/data/4.wav"


def test_refresh_again_changes_nothing() -> None:
    server, oracle, place = opened()
    count = 2 * REFRESH_CHUNK + 5
    pushed(oracle, place, batch(count))
    everything = {str(number) for number in range(1, count + 1)}
    assert refreshed(oracle, place, anew(count)) == everything
    server.answer(3, "бир")
    server.requests.clear()
    assert refreshed(oracle, place, anew(count)) == everything
    assert all(request.method == "GET" for request in server.requests)


def test_refresh_leaves_a_task_that_got_the_number_of_another() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))
    server.task(1)["data"]["utterance"] = "f" * 64
    assert refreshed(oracle, place, anew(2)) == {"2"}
    assert server.task(1)["data"]["hypothesis"] == "салам"


def test_a_task_that_vanishes_during_a_refresh_is_left_out() -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))

    def delete() -> None:
        if server.requests[-1].url.path == "/api/tasks/1/":
            server.delete(1)

    server.between = delete
    assert refreshed(oracle, place, anew(2)) == {"2"}


# -- a project that is gone ------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["push", "pull", "task_ids", "refresh"])
def test_a_project_that_is_gone_is_made_anew_by_the_next_call(call: str) -> None:
    server, oracle, place = opened()
    pushed(oracle, place, batch(2))
    server.projects[0] |= {"id": 99, "description": "somebody's"}
    calls = {
        "push": lambda: pushed(oracle, place, batch(2)),
        "pull": lambda: list(oracle.pull(place, None)),
        "task_ids": lambda: oracle.task_ids(place),
        "refresh": lambda: refreshed(oracle, place, anew(2)),
    }
    with pytest.raises(OracleRefused, match=r"project 1 .* is gone .*makes it anew"):
        calls[call]()
    anew_place = oracle.place("all")
    assert anew_place.project_id == 2
    assert len(pushed(oracle, anew_place, batch(2))) == 2
