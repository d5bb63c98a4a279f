"""The Label Studio projects of a workspace: which is in use, and how far each was read.

Table: projects; of tasks, what becomes of those that lie in a project that is not in use any more.
Knows Label Studio's numbers, but not Label Studio.
"""

from __future__ import annotations

from datetime import UTC, datetime

from al_loop.records import Place
from storage.catalogue import Catalogue
from storage.database import now
from storage.sql import OPEN

AT_PLACE = "server = ? AND project_id = ?"


class Projects(Catalogue):
    """The projects by their names. The one that was found last is in use under its name."""

    def put_place(self, name: str, place: Place) -> None:
        """Remember that the project called `name` is this one.

        Another one than before gets the tasks of the old one that wait for an answer.
        """
        with self.transaction():
            if self.places().get(name) == place:
                return
            # finer than other times: the order of two that are found at once matters
            found_at = datetime.now(UTC).isoformat(timespec="microseconds")
            self.db.execute(
                "INSERT INTO projects (server, project_id, name, found_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET name = excluded.name, found_at = excluded.found_at",
                [place.server, place.project_id, name, found_at],
            )
            self.db.execute(
                "UPDATE tasks AS t SET server = NULL, project_id = NULL, task_id = NULL "
                f"WHERE {OPEN} AND (t.server, t.project_id) IN "
                f"(SELECT server, project_id FROM projects WHERE name = ? AND NOT ({AT_PLACE}))",
                [name, place.server, place.project_id],
            )

    def places(self) -> dict[str, Place]:
        """The projects in use by their names; the one that was found last comes last."""
        rows = self.db.execute("SELECT name, server, project_id FROM projects ORDER BY found_at")
        found: dict[str, Place] = {}
        for name, server, project_id in rows:
            found.pop(name, None)
            found[name] = Place(server, project_id)
        return found

    def is_busy(self, place: Place) -> bool:
        """Whether a task there waits for an answer."""
        (found,) = self._row(
            f"SELECT EXISTS (SELECT 1 FROM tasks t WHERE {OPEN} AND {AT_PLACE})",
            [place.server, place.project_id],
        )
        return bool(found)

    def high_water(self, place: Place) -> str | None:
        """Where the next pull of it starts; None: at its beginning."""
        return self._of_project("high_water", place)

    def swept_at(self, place: Place) -> str | None:
        """When its tasks were last looked for; None: never."""
        return self._of_project("swept_at", place)

    def refreshed_for(self, place: Place) -> str | None:
        """The checkpoint whose hypotheses its tasks were offered last."""
        return self._of_project("refreshed_for", place)

    def set_refreshed_for(self, place: Place, checkpoint_id: str) -> None:
        self._set_of_project("refreshed_for", place, checkpoint_id)

    def _of_project(self, column: str, place: Place) -> str | None:
        row = self._row(
            f"SELECT {column} FROM projects WHERE {AT_PLACE}", [place.server, place.project_id]
        )
        return None if row is None else row[0]

    def _set_of_project(self, column: str, place: Place, value: str | None) -> None:
        with self.transaction():
            self.db.execute(
                f"UPDATE projects SET {column} = ? WHERE {AT_PLACE}",
                [value, place.server, place.project_id],
            )

    def _set_swept(self, place: Place) -> None:
        self._set_of_project("swept_at", place, now())
