"""Reads the task list of one project, page by page. Knows nothing of what a task is about.

Pages follow the tasks' ids, each from behind the last one seen, not from an offset: a task that is
deleted or changed meanwhile shifts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeling.replies import unreadable
from labeling.session import Session


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, whatever the server made of them."""

    rows: Sequence[Any]
    is_last: bool


def condition(field: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    """One filter of Label Studio's Data Manager, such as `id` `greater` `Number` 7."""
    return {
        "filter": f"filter:tasks:{field}",
        "operator": operator,
        "type": kind,
        "value": value,
    }


def conditions(*items: Mapping[str, Any]) -> dict[str, Any]:
    """What a task must meet altogether."""
    return {"conjunction": "and", "items": items}


def pages(
    session: Session,
    project_id: int,
    *filters: Mapping[str, Any],
    include: str,
    size: int,
    **params: Any,
) -> Iterator[Page]:
    """The matching tasks by id, `size` at a time; at least one page.

    include: the fields of each row. Raises OracleUnavailable for a list that makes no sense.
    """
    last_id = 0
    is_last = False
    while not is_last:
        newer = condition("id", "greater", "Number", last_id)
        rows, total = _read(
            session, project_id, *filters, newer,
            include=include, page_size=size, ordering="tasks:id", **params,
        )  # fmt: skip
        is_last = total <= len(rows)
        yield Page(rows, is_last)
        following = max(filter(None, map(task_id, rows)), default=0)
        if not is_last and following <= last_id:
            raise unreadable(session.base_url, "a list of tasks that does not go on")
        last_id = following


def newest(session: Session, project_id: int, field: str) -> Any:
    """The largest value of a field of all tasks; None where there is no task."""
    rows, _ = _read(session, project_id, include=field, page_size=1, ordering=f"-tasks:{field}")
    if not rows:
        return None
    if not isinstance(rows[0], dict) or field not in rows[0]:
        raise unreadable(session.base_url, f"a task without {field}")
    return rows[0][field]


def task_id(row: Any) -> int | None:
    """None for a row that names none."""
    found = row.get("id") if isinstance(row, dict) else None
    return found if type(found) is int else None  # a bool is an int to isinstance


def _read(
    session: Session, project_id: int, *filters: Mapping[str, Any], ordering: str, **params: Any
) -> tuple[list[Any], int]:
    """The first rows, and how many match."""
    query = {"filters": conditions(*filters), "ordering": [ordering]}
    answer = session.get(
        "/api/tasks",
        project=project_id,
        query=json.dumps(query, separators=(",", ":")),
        resolve_uri=False,  # addresses of audio as they were pushed, not signed ones that expire
        **params,
    )
    rows = answer.get("tasks") if isinstance(answer, dict) else None
    total = answer.get("total") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or type(total) is not int:
        raise unreadable(session.base_url, "something else than a list of tasks and its length")
    if total and not rows:
        raise unreadable(session.base_url, f"none of {total} tasks")
    return rows, total
