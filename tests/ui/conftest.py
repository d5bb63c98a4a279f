"""Opens views of the dashboard with Streamlit's AppTest, which runs them without a browser."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

TIMEOUT_S = 30

OpenView = Callable[..., AppTest]


def _show(name: str, folder: str, language: str) -> None:
    """What AppTest runs; it takes this function's text, so it imports what it needs."""
    from pathlib import Path

    from storage.workspace import Workspace
    from ui.dashboard import show_view
    from ui.language import Say

    show_view(name, Workspace.open(Path(folder)), Say(language))


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """AppTest puts its script in the place of `__main__`, which processes started later import."""
    kept = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = kept


@pytest.fixture
def open_view() -> OpenView:
    """`open_view("round", folder, "en", round=3)`: runs a view, and fails where it raised.

    What is named after the language stands in the address.
    """

    def run(name: str, folder: Path, language: str = "en", **address: object) -> AppTest:
        page = AppTest.from_function(
            _show,
            kwargs={"name": name, "folder": str(folder), "language": language},
            default_timeout=TIMEOUT_S,
        )
        for key, value in address.items():
            page.query_params[key] = str(value)
        page.run()
        assert not page.exception, page.exception[0].message
        return page

    return run


def texts(page: AppTest) -> str:
    """All that a view shows as plain text."""
    return "\n".join(block.value for block in page.code)
