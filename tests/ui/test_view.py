"""Answers are kept until the database changes, whoever changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from al_loop.config import Settings
from al_loop.errors import WorkspaceError
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from tests.ui.workspaces import start_round
from ui.language import Say
from ui.view import View, database_version

asked: list[int] = []


def count_rounds(reader: Reader, start: int = 0) -> list[int]:
    asked.append(start)
    return [start + len(reader.rounds())]


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    asked.clear()


def look(workspace: Workspace) -> View:
    return View(workspace, Settings(), Say("en"), database_version(workspace))


def test_a_question_is_asked_once_until_something_is_written(
    workspace: Workspace, store: Store
) -> None:
    view = look(workspace)
    assert view.ask(count_rounds) == view.ask(count_rounds) == [0]
    assert look(workspace).ask(count_rounds) == [0]
    assert asked == [0]
    start_round(store, 0)
    assert look(workspace).version != view.version
    assert look(workspace).ask(count_rounds) == [1]
    assert asked == [0, 0]


def test_other_arguments_are_another_question(workspace: Workspace, store: Store) -> None:
    view = look(workspace)
    assert view.ask(count_rounds, 5) == [5]
    assert view.ask(count_rounds, start=7) == [7]
    assert view.ask(count_rounds, 5) == [5]
    assert asked == [5, 7]


def test_an_answer_may_be_changed_by_whoever_got_it(workspace: Workspace, store: Store) -> None:
    view = look(workspace)
    view.ask(count_rounds).append(99)
    assert view.ask(count_rounds) == [0]


def test_a_workspace_that_was_put_back_is_another_one(
    workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    store.close()
    assert look(workspace).ask(count_rounds) == [0]
    copy = shutil.copytree(workspace.root, tmp_path / "copy")
    start_round(again := Store(workspace), 0)
    again.close()
    assert look(workspace).ask(count_rounds) == [1]
    workspace.root.rename(tmp_path / "spoilt")
    copy.rename(workspace.root)
    assert look(workspace).ask(count_rounds) == [0]


def test_a_database_that_was_away_for_a_moment_is_read_again(
    workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    store.close()
    assert look(workspace).ask(count_rounds) == [0]
    away = tmp_path / "away.db"
    workspace.database.rename(away)
    with pytest.raises(WorkspaceError, match="al-loop ingest"):
        look(workspace)
    away.rename(workspace.database)
    assert look(workspace).ask(count_rounds) == [0]


def test_no_version_comes_twice_however_often_a_workspace_is_put_back(
    workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    store.close()
    versions = [look(workspace).version]
    for _ in range(4):
        copy = shutil.copytree(workspace.root, tmp_path / "copy")
        shutil.rmtree(workspace.root)
        copy.rename(workspace.root)
        versions.append(look(workspace).version)
    assert len(set(versions)) == len(versions)


def test_two_workspaces_do_not_mix(workspace: Workspace, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "al_loop.toml").touch()
    other = Workspace.open(folder)
    start_round(Store(other), 0)
    assert look(workspace).ask(count_rounds) == [0]
    assert look(other).ask(count_rounds) == [1]


def test_a_workspace_without_a_database_says_so(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="al-loop ingest"):
        database_version(workspace)


def test_the_command_is_one_that_a_shell_takes(tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    folder.mkdir()
    (folder / "al_loop.toml").touch()
    view = View(Workspace.open(folder), Settings(), Say("en"), ())
    assert view.command == f"al-loop -w '{folder}'"
