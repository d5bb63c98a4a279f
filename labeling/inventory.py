"""Which tasks of ours a project holds: each once, and which of them nobody has touched.

An import whose answer was lost may have landed after all, even minutes later, so that the same task
came twice. Whoever takes stock here removes such twins. Knows nothing of what a task shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from al_loop.records import TaskKey
from labeling.listing import condition, conditions, pages, task_id
from labeling.session import Session
from labeling.tasks import task_key

LIST_PAGE = 1000
ID_CHUNK = 200
"""Ids that are asked for together: an address holds them, of which nginx takes 8 kB."""

UNTOUCHED = (
    condition("annotations_ids", "empty", "Number", True),
    condition("draft_exists", "equal", "Boolean", False),
)
"""Of a task without an annotation, a skip or a draft, whoever made it. The server's counters, such
as total_annotations, may be wrong: two changes of a task at once overwrite them."""


def task_ids(
    session: Session, project_id: int, rounds: Collection[int] | None = None
) -> dict[TaskKey, str]:
    """The ids of all tasks of ours, or of those of some rounds.

    Of twins the untouched ones are deleted, but for one. Raises OracleError.
    """
    of_rounds = []
    if rounds is not None:
        of_rounds = [condition("data.round", "in_list", "List", sorted(rounds))]
    found: dict[TaskKey, list[int]] = {}
    for page in pages(session, project_id, *of_rounds, include="id,data", size=LIST_PAGE):
        for row in page.rows:
            number = task_id(row)
            key = task_key(row.get("data")) if number is not None else None
            if number is not None and key is not None:
                found.setdefault(key, []).append(number)
    twins = [ids for ids in found.values() if len(ids) > 1]
    if twins:
        spare = untouched(session, project_id, [number for ids in twins for number in ids])
        for ids in twins:
            # those that somebody touched come first, then the oldest
            ids.sort(key=lambda number: (number in spare, number))
        _delete_untouched(
            session, project_id, [number for ids in twins for number in ids[1:] if number in spare]
        )
    return {key: str(ids[0]) for key, ids in found.items()}


def untouched(session: Session, project_id: int, ids: Sequence[int]) -> set[int]:
    """Those of the tasks that nobody has begun to answer."""
    found: set[int] = set()
    for chunk in in_chunks(ids, ID_CHUNK):
        these = condition("id", "in_list", "List", chunk)
        for page in pages(session, project_id, these, *UNTOUCHED, include="id", size=ID_CHUNK):
            found |= {number for number in map(task_id, page.rows) if number is not None}
    return found


def in_chunks(ids: Sequence[int], size: int) -> Iterator[list[int]]:
    waiting = iter(ids)
    while chunk := list(islice(waiting, size)):
        yield chunk


def _delete_untouched(session: Session, project_id: int, ids: Sequence[int]) -> None:
    """In one request, for after each deletion the server goes through all tasks of the project."""
    if not ids:
        return  # to select none would be to select all
    session.post(
        "/api/dm/actions",
        {
            "selectedItems": {"all": False, "included": list(ids)},
            "filters": conditions(*UNTOUCHED),
            "ordering": [],
        },
        id="delete_tasks",
        project=project_id,
    )
