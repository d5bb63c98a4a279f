"""Backup and restore against a real Label Studio: an older server beside a newer workspace, the
other way round, and both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labeling.server import EmbeddedServer

from .asked import Asked, asked

pytestmark = pytest.mark.e2e

EARLY = ["clip0", "clip1", "clip2", "clip3"]
LATE = ["clip4", "clip5", "clip6"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One of its own: what is put back here concerns all workspaces of a server."""
    server = EmbeddedServer(tmp_path_factory.mktemp("backup") / "label-studio")
    try:
        server.up(print)
        yield server
    finally:
        server.down()


@pytest.fixture
def workspace(tmp_path: Path, server: EmbeddedServer, make_clip: Callable[..., Path]) -> Asked:
    """Backed up with two of four tasks answered, one of them pulled; then much more was done."""
    server.up()
    found = asked(tmp_path / "w", server)
    found.ask(EARLY, make_clip)
    found.command("labelstudio", "sync")
    found.answer("clip0", "бир")
    found.command("labelstudio", "sync")
    found.answer("clip1", "эки")
    found.command("backup", str(tmp_path / "b.tar"), "--audio", "--label-studio")
    found.answer("clip2", "үч")
    found.ask(LATE, make_clip)
    found.command("labelstudio", "sync")
    found.answer("clip4", "беш")
    found.command("labelstudio", "sync")
    assert [name for name, _ in found.answers()] == ["clip0", "clip1", "clip2", "clip4"]
    return found


def on_server(workspace: Asked) -> Counter[str]:
    """How many tasks about each clip the workspace's project has."""
    ((project,),) = workspace.query("SELECT project_id FROM projects")
    rows = workspace.session().get("/api/tasks", project=project, page_size=100)["tasks"]
    return Counter(row["data"]["utterance"] for row in rows)


def test_an_older_server_loses_nothing_that_was_pulled_and_doubles_nothing(
    workspace: Asked, server: EmbeddedServer, tmp_path: Path
) -> None:
    backup = str(tmp_path / "b.tar")
    assert "labelstudio down" in error(workspace, "restore", backup, "--label-studio")
    server.down()
    said = workspace.command("restore", backup, "--label-studio")
    (aside,) = [line for line in said.splitlines() if "replaced-" in line]
    assert (Path(aside.split(" in ")[1]) / "data" / "label_studio.sqlite3").is_file()
    server.up()
    assert on_server(workspace) == Counter(EARLY)

    before = workspace.answers()
    for _ in range(2):
        workspace.command("labelstudio", "sync")
        assert workspace.answers() == before
    # clip4 was answered and is gone with its answer, which counts; clip5 and clip6 are asked anew
    assert on_server(workspace) == Counter([*EARLY, "clip5", "clip6"])

    for name in ("clip3", "clip5", "clip6"):
        workspace.answer(name, "салам")
    for _ in range(2):
        workspace.command("labelstudio", "sync")
        assert Counter(name for name, _ in workspace.answers()) == Counter([*EARLY, *LATE])
    assert dict(workspace.answers()) | {"clip2": "үч", "clip4": "беш"} == dict(workspace.answers())


def test_an_older_workspace_pulls_again_what_it_had(
    workspace: Asked, server: EmbeddedServer, tmp_path: Path
) -> None:
    workspace.command("restore", str(tmp_path / "b.tar"), str(tmp_path / "old"))
    old = Asked(tmp_path / "old", server)
    assert old.answers() == [("clip0", "бир")]
    assert (old.folder / "audio" / "clip0.flac").is_file()
    for _ in range(2):
        old.command("labelstudio", "sync")
        # it never asked about clip4, so an answer to it is not believed
        assert old.answers() == [("clip0", "бир"), ("clip1", "эки"), ("clip2", "үч")]
    assert on_server(old) == Counter([*EARLY, *LATE])


def test_both_sides_put_back_go_on_where_they_were(
    workspace: Asked, server: EmbeddedServer, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    login = json.loads((server.home / "credentials.json").read_text())
    server.down()
    workspace.command("restore", str(tmp_path / "b.tar"), str(tmp_path / "old"), "--label-studio")
    server.up()
    assert json.loads((server.home / "credentials.json").read_text()) == login
    old = Asked(tmp_path / "old", server)
    old.command("labelstudio", "sync")
    assert old.answers() == [("clip0", "бир"), ("clip1", "эки")]
    old.ask(["another"], make_clip)
    old.command("labelstudio", "sync")
    for name in ("clip2", "clip3", "another"):
        old.answer(name, "салам")
    old.command("labelstudio", "sync")
    assert [name for name, _ in old.answers()] == ["another", *EARLY]


def error(workspace: Asked, *arguments: str) -> str:
    with pytest.raises(AssertionError) as caught:
        workspace.command(*arguments)
    return str(caught.value)
