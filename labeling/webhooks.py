"""Webhooks: has Label Studio call an address of ours when an answer comes, changes or goes.

They are known by a secret in their address, and each project of ours has exactly one. Knows not
what a call leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from al_loop.errors import OracleRefused
from al_loop.records import Place
from labeling.replies import NotThere, unreadable
from labeling.session import Session
from labeling.tasks import utc

ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
)


class Webhooks:
    """The webhooks that lead to the address `url`: one a project, known by the secret in it."""

    def __init__(self, url: str, secret: str) -> None:
        self._ending = f"/{secret}"
        self._wanted = {
            "url": url.rstrip("/") + self._ending,
            "send_payload": False,
            "send_for_all_actions": False,
            "is_active": True,
            "actions": list(ACTIONS),
        }

    def keep(self, session: Session, places: Iterable[Place]) -> None:
        """Let each of the projects have one that is in force, and no second one.

        A project that the server does not have, or not any more, is passed over. Raises
        OracleRefused, with what an administrator has to do, or OracleUnavailable.
        """
        ours = self._ours(session)
        for place in places:
            found, *more = [row for row in ours if row["project"] == place.project_id] or [None]
            for row in more:
                _delete(session, row)
            if found is not None:
                if any(_value(found, name) != _value(self._wanted, name) for name in self._wanted):
                    self._write(session.patch, f"/api/webhooks/{found['id']}/", self._wanted)
            elif _is_there(session, place):
                body = self._wanted | {"project": place.project_id}
                self._write(session.post, "/api/webhooks/", body)

    def remove(self, session: Session) -> None:
        """Take all of them away."""
        for row in self._ours(session):
            _delete(session, row)

    def _ours(self, session: Session) -> list[Any]:
        rows = session.get("/api/webhooks/")
        if not isinstance(rows, list):
            raise unreadable(session.base_url, "something else than a list of webhooks")
        known = [row for row in rows if isinstance(row, dict) and {"id", "project"} <= row.keys()]
        return [row for row in known if str(row.get("url")).endswith(self._ending)]

    def _write(self, write: Callable[[str, Any], Any], path: str, body: Any) -> None:
        try:
            write(path, body)
        except OracleRefused as exc:
            if "network address" not in str(exc):
                raise
            raise OracleRefused(
                "Label Studio refuses to call this address, for it is not on the public internet. "
                "The embedded server: `al-loop labelstudio down`, then `al-loop labelstudio up`. "
                "A server of your own: start it with LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS="
                "false and with the subnets that it must not call in "
                "LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS, or name a public address with --url. "
                "Or do without: what cron polls is complete"
            ) from exc


def _is_there(session: Session, place: Place) -> bool:
    """Whether the server has this project, and not another one of the same number."""
    try:
        found = session.get(f"/api/projects/{place.project_id}/", include="id,created_at")
    except NotThere:
        return False
    try:
        return place.server == utc(found["created_at"])
    except (KeyError, TypeError, ValueError) as exc:
        raise unreadable(session.base_url, "a project without the fields of one") from exc


def _delete(session: Session, row: Any) -> None:
    with suppress(NotThere):
        session.delete(f"/api/webhooks/{row['id']}/")


def _value(row: Any, name: str) -> Any:
    value = row.get(name)
    return sorted(value) if isinstance(value, list) else value
