"""The annotators of one workspace on Label Studio, as the oracle that a round asks.

Pushing and pulling are safe to repeat after a kill at any instant: what exists is asked of the
server each time, and nothing is remembered here. Knows nothing of rounds, storage or how the server
was started.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from al_loop.errors import OracleRefused, OracleUnavailable
from al_loop.records import Place, Pulled, Task, TaskKey
from labeling.answers import ANNOTATION_FIELDS, parse_task
from labeling.inventory import in_chunks, task_ids, untouched
from labeling.listing import Page, condition, newest, pages, task_id
from labeling.project import Project, Rules, find, find_or_make
from labeling.replies import NotThere, unreadable
from labeling.session import Session
from labeling.tasks import task_key, to_task_data, utc

PUSH_CHUNK = 250
"""Tasks per import. 5,000 tasks took 9 s in chunks of 50, 4 s in chunks of 250 and 3 s in chunks of
1,000; in a project where a share goes to two annotators, 24 s, 6 s and 4 s."""
PUSH_BYTES = 500_000
"""An import is cut here, though Label Studio takes 250 MiB: a web server in front of it may take
1 MB only, nginx's default."""
PULL_PAGE = 500
REFRESH_CHUNK = 50
"""Tasks looked at together: between the look and the change somebody may begin to answer."""

LATE_COMMIT = timedelta(minutes=1)
"""A change is stamped before it is committed, so each pull looks this far behind the last one."""
WHOLE_SECOND = timedelta(seconds=1)
"""HTTP's dates leave the fraction out."""
BEGINNING = "1970-01-02T00:00:00.000000Z"
"""The high water of a project without tasks."""


class LabelStudioOracle:
    """Asks the annotators of a workspace's projects, and collects their answers.

    audio_url: turns a task's `audio` into the address from which the annotator's browser plays it.
    doubt_below: words of a lower probability are marked. bring: sees to it that these tasks'
    `audio` can be played before they are pushed. Every method raises OracleUnavailable or
    OracleRefused, and `push` what `bring` raises.
    """

    def __init__(
        self,
        session: Session,
        rules: Rules,
        audio_url: Callable[[str], str],
        doubt_below: float,
        *,
        bring: Callable[[Sequence[str]], object] = lambda audio: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._session = session
        self._rules = rules
        self._audio_url = audio_url
        self._doubt_below = doubt_below
        self._bring = bring
        self._clock = clock

    def place(self, name: str) -> Place:
        """Of the project called `name`, which is made where it is not, and set as configured."""
        return _place(find_or_make(self._session, self._rules, name))

    def find(self, name: str) -> Place | None:
        """Of the project called `name`, as it is; None where there is none. Changes nothing."""
        found = find(self._session, self._rules.workspace_id, name)
        return None if found is None else _place(found)

    # -- push --------------------------------------------------------------------------------------

    def push(self, place: Place, tasks: Sequence[Task]) -> Iterator[dict[TaskKey, str]]:
        """Make sure that every task is on the server; yields {key: task id} of those it shows.

        Tasks are imported by rank, because annotators see them in the order of their import. What
        an earlier import that was cut off brought after all is found before the first import, or
        after the last. Only what the server lists in the end is yielded, not what it said that it
        took: a kill in between costs nothing, for the next push finds it there.
        """
        waiting = {task.key: task for task in sorted(tasks, key=_turn)}
        if not waiting:
            return
        rounds = {key.round for key in waiting}
        with self._project(place):
            there = task_ids(self._session, place.project_id, rounds)
            missing = [task for key, task in waiting.items() if key not in there]
            for chunk in self._chunks(missing):
                self._bring([task.audio for task in chunk])
                self._import(place, chunk)
            if missing:
                there = task_ids(self._session, place.project_id, rounds)
            if shown := {key: there[key] for key in waiting if key in there}:
                yield shown
            if lost := len(waiting) - len(shown):
                raise OracleUnavailable(
                    f"Label Studio took {len(waiting)} tasks but shows {lost} of them not; "
                    "somebody may be deleting them: try again later"
                )

    def _chunks(self, tasks: Sequence[Task]) -> Iterator[list[Task]]:
        """Some tasks at a time, few enough for one import."""
        chunk: list[Task] = []
        size = 0
        for task in tasks:
            added = len(json.dumps(self._data(task), ensure_ascii=False).encode())
            if chunk and (len(chunk) == PUSH_CHUNK or size + added > PUSH_BYTES):
                yield chunk
                chunk, size = [], 0
            chunk.append(task)
            size += added
        if chunk:
            yield chunk

    def _import(self, place: Place, tasks: Sequence[Task]) -> None:
        answer = self._session.post(
            f"/api/projects/{place.project_id}/import",
            [{"data": self._data(task)} for task in tasks],
            return_task_ids=True,
        )
        ids = answer.get("task_ids") if isinstance(answer, dict) else None
        if not isinstance(ids, list) or len(ids) != len(tasks):
            raise unreadable(self._session.base_url, "something else than the ids of new tasks")

    def _data(self, task: Task) -> dict[str, Any]:
        return to_task_data(task, self._audio_url(task.audio), self._doubt_below)

    # -- what is there -----------------------------------------------------------------------------

    def task_ids(self, place: Place) -> dict[TaskKey, str]:
        """The ids of all tasks that are there."""
        with self._project(place):
            return task_ids(self._session, place.project_id)

    # -- pull --------------------------------------------------------------------------------------

    def pull(self, place: Place, since: str | None) -> Iterator[Pulled]:
        """The tasks that changed at or after `since` (all, if None), answered or not, in pages.

        `since` is the high water of an earlier pull. The same state of a task may come more than
        once. Deleted tasks do not show: see `task_ids`.

        The server may have been set back to an older backup. What is changed from then on is newer
        than `since` and comes as ever. But if nothing on the server is as new as `since`, or it is
        not that late yet, its clock may also have been set back, and its changes are stamped
        earlier than what we saw: then we begin anew, and the high water goes back with it.
        """
        with self._project(place):
            latest = self._latest_change(place)
            if latest is None:
                yield Pulled((), (), since or BEGINNING)
                return
            now = self._now()
            if since is not None and (latest < since or now < _earlier(since)):
                since = None
            # Taken before the first page: what changes while we read belongs to the next pull. A
            # stamp from the future, of a clock that was wrong for a while, would hide all others.
            high_water = min(latest, now)
            for page in self._pages(
                place,
                *_changed_since(since),
                include=ANNOTATION_FIELDS,
                size=PULL_PAGE,
                fields="all",
            ):
                parsed = [parse_task(row) for row in page.rows]
                yield Pulled(
                    [task for task, _ in parsed if task is not None],
                    [refusal for _, refusals in parsed for refusal in refusals],
                    high_water if page.is_last else None,
                )

    def _now(self) -> str:
        """By the slower of both clocks, if the server tells its time: it stamps the changes."""
        here, there = self._clock(), self._session.server_time
        slower = here if there is None else min(here, there + WHOLE_SECOND)
        return utc(slower.isoformat())

    def _latest_change(self, place: Place) -> str | None:
        found = newest(self._session, place.project_id, "updated_at")
        if found is None:
            return None
        try:
            return utc(found)
        except (TypeError, ValueError) as exc:
            raise unreadable(self._session.base_url, f"{found!r} as a time") from exc

    # -- refresh -----------------------------------------------------------------------------------

    def refresh(self, place: Place, tasks: Mapping[str, Task]) -> Iterator[set[TaskKey]]:
        """Show these tasks' hypotheses. Yields the keys of those that show theirs in the end.

        tasks: by task id.
        A task is left as it is once somebody has answered, skipped or begun it. One that was
        deleted meanwhile is left out.
        """
        ids = [int(number) for number in tasks]
        with self._project(place):
            for chunk in in_chunks(ids, REFRESH_CHUNK):
                free = untouched(self._session, place.project_id, chunk)
                these = condition("id", "in_list", "List", chunk)
                shown: set[TaskKey] = set()
                for page in self._pages(place, these, include="id,data", size=REFRESH_CHUNK):
                    for row in page.rows:
                        number = task_id(row)
                        task = tasks.get(str(number))
                        if task is None or task_key(row.get("data")) != task.key:
                            continue  # the number is another task's by now
                        if self._shows(row["data"], task) or (
                            number in free and self._show(number, row["data"], task)
                        ):
                            shown.add(task.key)
                yield shown

    def _shows(self, data: Mapping[str, Any], task: Task) -> bool:
        wanted = self._data(task)
        return all(data.get(name) == wanted[name] for name in ("hypothesis", "marked"))

    def _show(self, number: int | None, data: Mapping[str, Any], task: Task) -> bool:
        """Whether the task is still there, and shows its hypothesis now."""
        wanted = self._data(task)
        changed = {name: wanted[name] for name in ("hypothesis", "marked")}
        try:
            self._session.patch(f"/api/tasks/{number}/", {"data": {**data, **changed}})
        except NotThere:
            return False
        return True

    # -- the server --------------------------------------------------------------------------------

    def _pages(self, place: Place, *filters: Mapping[str, Any], **params: Any) -> Iterator[Page]:
        return pages(self._session, place.project_id, *filters, **params)

    @contextmanager
    def _project(self, place: Place) -> Iterator[None]:
        """Names what to do when the project is gone."""
        try:
            yield
        except NotThere as exc:
            raise OracleRefused(
                f"project {place.project_id} of Label Studio at {self._session.base_url} is gone "
                f"({exc}); restore Label Studio's backup if it should not be. The next call makes "
                "it anew, and asks again what nobody has answered"
            ) from exc


def _changed_since(since: str | None) -> list[dict[str, Any]]:
    if since is None:
        return []
    return [condition("updated_at", "greater_or_equal", "Datetime", _earlier(since))]


def _earlier(since: str) -> str:
    """So long before a pull's high water that what was committed late is not missed."""
    return utc((datetime.fromisoformat(since) - LATE_COMMIT).isoformat())


def _place(project: Project) -> Place:
    return Place(project.made_at, project.id)


def _turn(task: Task) -> tuple[int, int]:
    """Tasks of an older round come first, and in a round those of a smaller rank."""
    return task.key.round, task.rank
