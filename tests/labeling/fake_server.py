"""A fake of Label Studio: the calls that `labeling.oracle` and `labeling.project` make.

It keeps projects and tasks as the server does and evaluates the same filters; that the real server
understands them is shown by tests/e2e/test_label_studio.py. Its clock ticks one second per change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx

from al_loop.records import Task, TaskKey
from labeling.oracle import LabelStudioOracle
from labeling.project import Rules
from labeling.session import Session
from labeling.tasks import utc

START = datetime(2026, 1, 1, tzinfo=UTC)
Answer = httpx.Response


class LabelStudio:
    """Whatever a test may look at or break.

    requests: all of them. imports: how many tasks each import brought. between: called before each
    request. lose_answer_of_import: its number; the import lands, its answer does not. date: what
    its answers tell of the time.
    """

    def __init__(self) -> None:
        self.projects: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.now = START
        self.requests: list[httpx.Request] = []
        self.imports: list[int] = []
        self.between: Callable[[], None] = lambda: None
        self.lose_answer_of_import: int | None = None
        self.date: datetime | None = None

    def session(self) -> Session:
        return Session(
            "http://label.studio.test",
            "token",
            transport=httpx.MockTransport(self._receive),
            sleep=lambda pause_s: None,
        )

    def oracle(
        self,
        bring: Callable[[Sequence[str]], object] = lambda audio: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> LabelStudioOracle:
        rules = Rules("w1", "Кыргызча", 0.0)
        return LabelStudioOracle(
            self.session(),
            rules,
            lambda audio: f"/data/{audio}",
            0.5,
            bring=bring,
            clock=clock,
        )

    # -- what people do ----------------------------------------------------------------------------

    def task(self, task_id: int | str) -> dict[str, Any]:
        (found,) = (task for task in self.tasks if task["id"] == int(task_id))
        return found

    def answer(self, task_id: int | str, text: str, **changes: Any) -> None:
        task = self.task(task_id)
        time = self.touch(task_id)
        value = {"from_name": "transcription", "value": {"text": [text]}}
        task["annotations"] = [
            {
                "id": 1000 + task["id"],
                "result": [value],
                "completed_by": 1,
                "was_cancelled": False,
                "created_at": time,
                "updated_at": time,
            }
            | changes
        ]

    def withdraw(self, task_id: int | str) -> None:
        self.task(task_id)["annotations"] = []
        self.touch(task_id)

    def touch(self, task_id: int | str) -> str:
        time = self.task(task_id)["updated_at"] = self.tick()
        return time

    def delete(self, *task_ids: int | str) -> None:
        gone = {int(number) for number in task_ids}
        self.tasks = [task for task in self.tasks if task["id"] not in gone]

    def twin(self, task_id: int | str) -> int:
        """The task once more, as of an import that landed late."""
        return self._add(1, self.task(task_id)["data"])

    def tick(self) -> str:
        self.now += timedelta(seconds=1)
        return self.now.isoformat()

    # -- what it answers ---------------------------------------------------------------------------

    def _receive(self, request: httpx.Request) -> Answer:
        self.requests.append(request)
        assert len(str(request.url)) < 8000
        self.between()
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", r"/api/projects", self._list_projects),
            ("POST", r"/api/projects/?", self._make_project),
            ("GET", r"/api/projects/(\d+)/", self._show_project),
            ("PATCH", r"/api/projects/(\d+)/", self._change_project),
            ("POST", r"/api/projects/(\d+)/import", self._import),
            ("GET", r"/api/tasks", self._list_tasks),
            ("PATCH", r"/api/tasks/(\d+)/", self._change_task),
            ("POST", r"/api/dm/actions", self._act),
        ]
        for method, path, answer in routes:
            if request.method == method and (found := re.fullmatch(path, request.url.path)):
                response = answer(request, *map(int, found.groups()))
                if self.date is not None:
                    response.headers["Date"] = format_datetime(self.date, usegmt=True)
                return response
        raise AssertionError(f"{request.method} {request.url.path}")

    def _list_projects(self, request: httpx.Request) -> Answer:
        page = int(request.url.params["page"])
        more = "http://label.studio.test/next" if page < len(self.projects) else None
        return Answer(200, json={"results": self.projects[page - 1 : page], "next": more})

    def _make_project(self, request: httpx.Request) -> Answer:
        defaults = {"maximum_annotations": 1, "overlap_cohort_percentage": 100}
        made = {"id": len(self.projects) + 1, "created_at": self.tick(), **defaults}
        self.projects.append(made | json.loads(request.content))
        return Answer(201, json=self.projects[-1])

    def _show_project(self, request: httpx.Request, project_id: int) -> Answer:
        return Answer(200, json=self.projects[project_id - 1])

    def _change_project(self, request: httpx.Request, project_id: int) -> Answer:
        self.projects[project_id - 1] |= json.loads(request.content)
        return Answer(200, json=self.projects[project_id - 1])

    def _import(self, request: httpx.Request, project_id: int) -> Answer:
        rows = json.loads(request.content)
        ids = [self._add(project_id, row["data"]) for row in rows]
        self.imports.append(len(rows))
        if len(self.imports) == self.lose_answer_of_import:
            raise httpx.ReadTimeout("the answer is lost")
        return Answer(201, json={"task_count": len(rows), "task_ids": ids})

    def _add(self, project_id: int, data: dict[str, Any]) -> int:
        number = max((task["id"] for task in self.tasks), default=0) + 1
        new: dict[str, Any] = {"annotations": [], "draft_exists": False, "updated_at": self.tick()}
        self.tasks.append({"id": number, "project": project_id, "data": data, **new})
        return number

    def _list_tasks(self, request: httpx.Request) -> Answer:
        project_id = int(request.url.params["project"])
        if all(project["id"] != project_id for project in self.projects):
            return Answer(404, json={"detail": "No Project matches the given query."})
        query = json.loads(request.url.params["query"])
        (order,) = query["ordering"]
        found = self._matching(project_id, query["filters"]["items"])
        key = order.removeprefix("-").removeprefix("tasks:")
        found.sort(key=lambda task: task[key], reverse=order.startswith("-"))
        page = found[: int(request.url.params["page_size"])]
        fields = set(request.url.params["include"].split(","))
        rows = [{name: task[name] for name in task.keys() & fields} for task in page]
        return Answer(200, json={"total": len(found), "tasks": rows})

    def _matching(self, project_id: int, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        checks: dict[tuple[str, str], Callable[[dict[str, Any], Any], bool]] = {
            ("id", "greater"): lambda task, last: task["id"] > last,
            ("id", "in_list"): lambda task, ids: task["id"] in ids,
            ("data.round", "in_list"): lambda task, ids: task["data"].get("round") in ids,
            ("annotations_ids", "empty"): lambda task, empty: bool(task["annotations"]) != empty,
            ("draft_exists", "equal"): lambda task, is_one: task["draft_exists"] is is_one,
            ("updated_at", "greater_or_equal"): lambda task, start: (
                utc(task["updated_at"]) >= start
            ),
        }
        found = [task for task in self.tasks if task["project"] == project_id]
        for item in filters:
            check = checks[item["filter"].removeprefix("filter:tasks:"), item["operator"]]
            found = [task for task in found if check(task, item["value"])]
        return found

    def _change_task(self, request: httpx.Request, task_id: int) -> Answer:
        if all(task["id"] != task_id for task in self.tasks):
            return Answer(404, json={"detail": "No Task matches the given query."})
        self.task(task_id)["data"] = json.loads(request.content)["data"]
        self.touch(task_id)
        return Answer(200, json=self.task(task_id))

    def _act(self, request: httpx.Request) -> Answer:
        params, body = request.url.params, json.loads(request.content)
        assert params["id"] == "delete_tasks"
        assert body["selectedItems"]["all"] is False
        chosen = set(body["selectedItems"]["included"])
        found = self._matching(int(params["project"]), body["filters"]["items"])
        # as the real one does: where nothing is selected, all is
        gone = [task["id"] for task in found if not chosen or task["id"] in chosen]
        self.delete(*gone)
        return Answer(200, json={"processed_items": len(gone)})


def batch(count: int, round_number: int = 1, hypothesis: str = "салам") -> list[Task]:
    """Tasks of one round, the most valuable first."""
    return [
        Task(
            key=TaskKey(f"{rank:064x}", round_number, 0),
            kind="query",
            rank=rank,
            audio=f"{rank}.wav",
            duration_s=2.0,
            hypothesis=hypothesis,
            checkpoint_id="c1",
            word_probs=[0.9] * len(hypothesis.split()),
            acquisition_score=0.5,
        )
        for rank in range(count)
    ]
