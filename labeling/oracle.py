"""The annotators of one Label Studio project, as the oracle that a round asks.

Pushing and pulling are safe to repeat after a kill at any instant: what exists is asked of the
server each time, and nothing is remembered here. The SDK is imported by the first import of tasks,
never by a pull. Knows nothing of rounds, storage or how the server was started.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from al_loop.errors import OracleUnavailable
from al_loop.records import Annotation, Pulled, Refusal, Task
from labeling.session import Session
from labeling.tasks import ANNOTATION_FIELDS, parse_task, to_task_data, utc

PUSH_CHUNK = 50
"""Tasks per import. The ids of a chunk must fit in one address, of which nginx takes 8 kB."""

PULL_PAGE = 200

LATE_COMMIT = timedelta(minutes=1)
"""A change is stamped before it is committed, so each pull looks this far behind the last one."""


class LabelStudioOracle:
    """Asks the annotators of project `project_id`, and collects their answers.

    audio_url: turns a task's `audio` into the address from which the annotator's browser plays it.
    Every method that talks to the server raises OracleUnavailable or OracleRefused.
    """

    def __init__(self, session: Session, project_id: int, audio_url: Callable[[str], str]) -> None:
        self._session = session
        self._project_id = project_id
        self._audio_url = audio_url

    def push(self, tasks: Sequence[Task]) -> Iterator[dict[str, str]]:
        """Make sure that every task is on the server; yields {utterance id: task id} per chunk.

        Tasks are imported by rank, because annotators see them in the order of their import.
        """
        waiting = iter(sorted(tasks, key=lambda task: task.rank))
        while chunk := {task.utterance_id: task for task in islice(waiting, PUSH_CHUNK)}:
            known = self._task_ids(chunk)
            missing = [task for utterance_id, task in chunk.items() if utterance_id not in known]
            if missing:
                self._import(missing)
                known = self._task_ids(chunk)
            if lost := chunk.keys() - known.keys():
                raise OracleUnavailable(
                    f"Label Studio took {len(missing)} tasks but shows {len(lost)} of them not; "
                    "it may still be importing them: try again later"
                )
            yield known

    def pull(self, since: str | None) -> Pulled:
        """The answers to tasks that changed at or after `since` (all of them, if None).

        `since` is the `high_water` of an earlier pull. An answer may come more than once; its id
        stays the same. Deleted answers and tasks do not show.
        """
        newest = self._tasks(include="updated_at", page_size=1, ordering=["-tasks:updated_at"])
        if not newest["tasks"]:
            return Pulled((), (), since)
        # Taken before the first page: what changes while we read belongs to the next pull.
        high_water = max(utc(newest["tasks"][0]["updated_at"]), since or "")

        annotations: list[Annotation] = []
        refusals: list[Refusal] = []
        answered = _filter("annotations_ids", "empty", "Number", False)
        for row in self._rows(ANNOTATION_FIELDS, answered, *_changed_since(since), fields="all"):
            answers, refused = parse_task(row)
            annotations += answers
            refusals += refused
        return Pulled(annotations, refusals, high_water)

    def _task_ids(self, utterance_ids: Iterable[str]) -> dict[str, str]:
        """Task ids by utterance. An import that was cut off may have landed after all, so that the
        same task came twice: of such twins the unanswered ones are deleted, but for one."""
        wanted = _filter("data.utterance", "in_list", "List", list(utterance_ids))
        fields = "id,data,total_annotations,cancelled_annotations,drafts"
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self._rows(fields, wanted):
            found.setdefault(row["data"]["utterance"], []).append(row)
        for twins in found.values():
            twins.sort(key=_is_answered, reverse=True)  # stable: by id among equals
            for twin in twins[1:]:
                if not _is_answered(twin):
                    self._session.delete(f"/api/tasks/{twin['id']}/")
        return {utterance_id: str(twins[0]["id"]) for utterance_id, twins in found.items()}

    def _import(self, tasks: Sequence[Task]) -> None:
        rows = [to_task_data(task, self._audio_url(task.audio)) for task in tasks]
        with self._session.sdk() as studio:
            studio.projects.import_tasks(self._project_id, request=rows)  # type: ignore[arg-type]

    def _rows(
        self, include: str, *filters: dict[str, Any], **params: Any
    ) -> Iterator[dict[str, Any]]:
        """The matching tasks by id. Each page starts behind the last id seen, not at an offset:
        a task that is deleted or changed meanwhile shifts nothing."""
        last_id = 0
        while True:
            page = self._tasks(
                *filters,
                _filter("id", "greater", "Number", last_id),
                include=include,
                page_size=PULL_PAGE,
                ordering=["tasks:id"],
                **params,
            )
            yield from page["tasks"]
            if page["total"] <= len(page["tasks"]):
                return
            last_id = page["tasks"][-1]["id"]

    def _tasks(self, *filters: dict[str, Any], ordering: list[str], **params: Any) -> Any:
        query = {"filters": {"conjunction": "and", "items": filters}, "ordering": ordering}
        return self._session.get(
            "/api/tasks",
            project=self._project_id,
            query=json.dumps(query, separators=(",", ":")),
            **params,
        )


def _is_answered(row: dict[str, Any]) -> bool:
    """Whether anybody has put work into the task, be it only a draft."""
    return bool(row["total_annotations"] or row["cancelled_annotations"] or row.get("drafts"))


def _changed_since(since: str | None) -> list[dict[str, Any]]:
    if since is None:
        return []
    start = utc((datetime.fromisoformat(since) - LATE_COMMIT).isoformat())
    return [_filter("updated_at", "greater_or_equal", "Datetime", start)]


def _filter(field: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {
        "filter": f"filter:tasks:{field}",
        "operator": operator,
        "type": kind,
        "value": value,
    }
