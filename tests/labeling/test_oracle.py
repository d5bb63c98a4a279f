"""Pushing and pulling, against a fake of the three calls that they make.

The fake keeps tasks as the server does and evaluates the same filters; that the real server
understands them is shown by tests/e2e/test_label_studio.py.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from al_loop.errors import OracleUnavailable
from al_loop.records import Task
from labeling.oracle import LATE_COMMIT, PULL_PAGE, PUSH_CHUNK, LabelStudioOracle
from labeling.quality import settle
from labeling.session import Session
from labeling.tasks import utc

START = datetime(2026, 1, 1, tzinfo=UTC)


class LabelStudio:
    """Tasks of one project. Its clock ticks one second per change."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.now = START
        self.imports: list[int] = []
        self.between_pages = lambda: None
        self.lose_answer_of_import: int | None = None

    def oracle(self) -> LabelStudioOracle:
        session = Session(
            "http://label.studio.test",
            "token",
            transport=httpx.MockTransport(self._answer),
            sleep=lambda pause_s: None,
        )
        return LabelStudioOracle(session, 5, lambda audio: f"/data/{audio}")

    def answer(self, task_id: int, text: str) -> None:
        value = {"from_name": "transcription", "value": {"text": [text]}}
        (task,) = (task for task in self.tasks if task["id"] == task_id)
        time = task["updated_at"] = self._tick()
        task["annotations"] = [
            {
                "id": 1000 + task_id,
                "result": [value],
                "completed_by": 1,
                "was_cancelled": False,
                "created_at": time,
                "updated_at": time,
            }
        ]

    def _tick(self) -> str:
        self.now += timedelta(seconds=1)
        return self.now.isoformat()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            gone = int(request.url.path.removeprefix("/api/tasks/").strip("/"))
            self.tasks = [task for task in self.tasks if task["id"] != gone]
            return httpx.Response(204)
        if request.method == "POST":
            assert request.url.path == "/api/projects/5/import"
            return self._import(json.loads(request.content))
        assert request.url.path == "/api/tasks"
        assert len(str(request.url)) < 8000
        query = json.loads(request.url.params["query"])
        (order,) = query["ordering"]
        found = [task for task in self.tasks if _matches(task, query["filters"]["items"])]
        key = order.removeprefix("-").removeprefix("tasks:")
        found.sort(key=lambda task: task[key], reverse=order.startswith("-"))
        page = [
            task | {"total_annotations": len(task["annotations"]), "cancelled_annotations": 0}
            for task in found[: int(request.url.params["page_size"])]
        ]
        answer = httpx.Response(200, json={"total": len(found), "tasks": page})
        self.between_pages()
        return answer

    def _import(self, rows: list[dict[str, Any]]) -> httpx.Response:
        for row in rows:
            time = self._tick()
            task = {"id": len(self.tasks) + 1, "data": row["data"], "annotations": []}
            self.tasks.append(task | {"updated_at": time})
        self.imports.append(len(rows))
        if len(self.imports) == self.lose_answer_of_import:
            raise httpx.ReadTimeout("the answer is lost")
        return httpx.Response(201, json={"task_count": len(rows)})


def _matches(task: dict[str, Any], filters: list[dict[str, Any]]) -> bool:
    checks = {
        "data.utterance": lambda wanted: task["data"]["utterance"] in wanted,
        "id": lambda last: task["id"] > last,
        "annotations_ids": lambda empty: bool(task["annotations"]) is not empty,
        "updated_at": lambda start: utc(task["updated_at"]) >= start,
    }
    return all(checks[f["filter"].removeprefix("filter:tasks:")](f["value"]) for f in filters)


def batch(count: int) -> list[Task]:
    return [
        Task(f"{rank:064x}", 1, rank, f"{rank}.wav", 2.0, "салам", 0.5) for rank in range(count)
    ]


def pushed(oracle: LabelStudioOracle, tasks: list[Task]) -> dict[str, str]:
    known: dict[str, str] = {}
    for chunk in oracle.push(tasks):
        known |= chunk
    return known


def test_push_twice_adds_nothing() -> None:
    server, tasks = LabelStudio(), batch(2 * PUSH_CHUNK + 1)
    first = pushed(server.oracle(), tasks)
    assert pushed(server.oracle(), tasks) == first
    assert first.keys() == {task.utterance_id for task in tasks}
    assert server.imports == [PUSH_CHUNK, PUSH_CHUNK, 1]


def test_push_imports_by_rank() -> None:
    server = LabelStudio()
    pushed(server.oracle(), batch(5)[::-1])
    assert [task["data"]["rank"] for task in server.tasks] == [0, 1, 2, 3, 4]


def test_push_goes_on_after_a_kill() -> None:
    server, tasks = LabelStudio(), batch(3 * PUSH_CHUNK)
    next(server.oracle().push(tasks))
    assert len(pushed(server.oracle(), tasks)) == len(server.tasks) == len(tasks)


def test_push_removes_the_unanswered_twin_of_a_task_that_came_twice() -> None:
    server, tasks = LabelStudio(), batch(3)
    pushed(server.oracle(), tasks)
    for task in list(server.tasks):
        time = server._tick()
        server.tasks.append(task | {"id": task["id"] + 3, "annotations": [], "updated_at": time})
    server.answer(5, "салам")  # the second copy of the second task
    known = pushed(server.oracle(), tasks)
    assert list(known.values()) == ["1", "5", "3"]
    assert [task["id"] for task in server.tasks] == [1, 3, 5]


def test_push_goes_on_after_a_lost_answer() -> None:
    server, tasks = LabelStudio(), batch(2 * PUSH_CHUNK)
    server.lose_answer_of_import = 2
    with pytest.raises(OracleUnavailable):
        pushed(server.oracle(), tasks)
    assert len(pushed(server.oracle(), tasks)) == len(server.tasks) == len(tasks)


def test_push_of_one_utterance_twice_makes_one_task() -> None:
    server = LabelStudio()
    pushed(server.oracle(), batch(3) + batch(3))
    assert len(server.tasks) == 3


def test_push_of_nothing_asks_nothing() -> None:
    assert list(LabelStudio().oracle().push([])) == []


def test_pull_of_an_empty_project_keeps_the_mark() -> None:
    assert LabelStudio().oracle().pull("2026-01-01T00:00:00.000000Z").high_water is not None
    assert LabelStudio().oracle().pull(None).high_water is None


def test_pull_brings_what_was_answered_since() -> None:
    server = LabelStudio()
    oracle = server.oracle()
    pushed(oracle, batch(4))
    server.answer(2, "бир")
    first = oracle.pull(None)
    assert [annotation.text for annotation in first.annotations] == ["бир"]
    server.now += LATE_COMMIT
    server.answer(4, "эки")
    second = oracle.pull(first.high_water)
    assert {annotation.text for annotation in second.annotations} == {"бир", "эки"}
    server.now += LATE_COMMIT
    third = oracle.pull(second.high_water)
    assert [annotation.text for annotation in third.annotations] == ["эки"]
    assert third.high_water == second.high_water


def test_pull_looks_back_for_what_was_committed_late() -> None:
    server = LabelStudio()
    oracle = server.oracle()
    pushed(oracle, batch(2))
    server.answer(1, "бир")
    first = oracle.pull(None)
    server.now -= LATE_COMMIT / 2  # stamped before the first pull, seen after it
    server.answer(2, "эки")
    assert "эки" in {a.text for a in oracle.pull(first.high_water).annotations}


def test_pull_misses_nothing_that_changes_between_pages() -> None:
    server = LabelStudio()
    oracle = server.oracle()
    count = 2 * PULL_PAGE + 10
    pushed(oracle, batch(count))
    for task_id in range(1, count + 1):
        server.answer(task_id, "бир")
    requests = 0

    def change() -> None:
        nonlocal requests
        requests += 1
        if requests == 2:  # after the first page: one behind us changes, one is deleted
            server.answer(1, "эки")
            del server.tasks[4]

    server.between_pages = change
    first = oracle.pull(None)
    assert len({annotation.task_id for annotation in first.annotations}) == count
    server.between_pages = lambda: None
    late = [a.text for a in oracle.pull(first.high_water).annotations if a.task_id == "1"]
    assert late == ["эки"]


def test_pull_reports_what_it_cannot_use() -> None:
    server = LabelStudio()
    oracle = server.oracle()
    pushed(oracle, batch(2))
    server.answer(1, "")
    server.answer(2, "салам")
    pulled = oracle.pull(None)
    assert [refusal.reason for refusal in pulled.refusals] == ["empty_text"]
    assert [annotation.task_id for annotation in pulled.annotations] == ["2"]
    assert settle(pulled.annotations).text == "салам"
