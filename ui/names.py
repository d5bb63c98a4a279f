"""Annotators' names as the dashboard shows them: as they are, or as numbers where a setting hides
them. The server's account ids are names too.

A number follows from the name and from the workspace's random id. So it stays the same for a
person, tells nothing of the order of names, and is another one in another workspace. It keeps
names from those who look at the dashboard, not from those who can read the database.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from al_loop.config import DashboardSettings
from al_loop.records import UNKNOWN_ANNOTATOR
from storage.queries import Reader

if TYPE_CHECKING:
    from ui.view import View

NUMBERS = 10**6
"""Among 50 annotators, two get the same number once in 800 workspaces."""


def shown_name(name: str, settings: DashboardSettings, workspace_id: str) -> str:
    """`name`, or six digits in its place. Whoever was deleted on the server stays `unknown`."""
    if not settings.hide_annotators or name == UNKNOWN_ANNOTATOR:
        return name
    digest = hmac.digest(workspace_id.encode(), name.encode(), "sha256")
    return f"{int.from_bytes(digest[:8]) % NUMBERS:06d}"


def naming(view: View) -> Callable[[str], str]:
    """What turns a name into the one that this view shows."""
    return partial(
        shown_name,
        settings=view.settings.dashboard,
        workspace_id=view.ask(Reader.workspace_id),
    )
