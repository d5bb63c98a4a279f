"""`al-loop backup` and `al-loop restore`, without a Label Studio; with one: tests/e2e."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from al_loop.commands.backup import backup, restore
from al_loop.errors import OracleRefused, WorkspaceError
from labeling.backup import DATABASE
from storage.archive import writing
from storage.store import Store
from storage.workspace import Workspace


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an embedded server that was never started."""
    monkeypatch.setenv("AL_LOOP_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "label-studio"


@pytest.fixture
def root(store: Store) -> Path:
    store.db.execute("INSERT INTO sources VALUES ('radio', 'in_house', 'ky', 1.0)")
    store.db.execute(
        "INSERT INTO utterances (id, sample_hash, audio, duration_s, source, language, split, "
        "origin) VALUES ('a', 'a', 'audio/a.flac', 2.0, 'radio', 'ky', 'pool', 'a.wav')"
    )
    store.db.conn.commit()
    (store.workspace.audio / "a.flac").write_bytes(b"sound")
    return store.workspace.root


def call(command: Any, *arguments: object, root: Path | None = None) -> Result:
    return CliRunner().invoke(command, [str(row) for row in arguments], obj=root)


def test_there_and_back(root: Path, store: Store, tmp_path: Path) -> None:
    done = call(backup, tmp_path / "b.tar", root=root)
    assert done.exit_code == 0, done.output
    assert "b.tar is written: " in done.output
    store.db.execute("DELETE FROM utterances")
    store.db.conn.commit()
    done = call(restore, tmp_path / "b.tar", tmp_path / "new")
    assert done.exit_code == 0, done.output
    assert "1 files of audio are not in the backup" in done.output
    new = Store(Workspace.open(tmp_path / "new"))
    assert new.workspace_id == store.workspace_id
    assert new.db.table("utterances").count == 1
    assert (tmp_path / "new" / "audio.sha256").read_text().endswith("  audio/a.flac\n")


def test_audio_comes_along_when_it_is_asked_for(root: Path, tmp_path: Path) -> None:
    call(backup, tmp_path / "b.tar", "--audio", root=root)
    done = call(restore, tmp_path / "b.tar", tmp_path / "new")
    assert "files of audio" not in done.output
    assert (tmp_path / "new" / "audio" / "a.flac").read_bytes() == b"sound"


def test_what_is_missing_is_said(root: Path, tmp_path: Path) -> None:
    (root / "audio" / "a.flac").unlink()
    done = call(backup, tmp_path / "b.tar", root=root)
    assert done.exit_code == 0
    assert "1 files that the database names are not there, such as audio/a.flac" in done.output


def test_a_file_that_exists_stays(root: Path, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("mine")
    done = call(backup, tmp_path / "b.tar", root=root)
    assert isinstance(done.exception, WorkspaceError)
    assert (tmp_path / "b.tar").read_text() == "mine"


def test_a_workspace_without_data_has_nothing_to_keep(tmp_path: Path) -> None:
    (tmp_path / "al_loop.toml").touch()
    done = call(backup, tmp_path / "b.tar", root=tmp_path)
    assert "ingest" in str(done.exception)
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.parametrize("place", ["folder", "file", "dead link"])
def test_a_folder_that_is_not_empty_stays(root: Path, tmp_path: Path, place: str) -> None:
    call(backup, tmp_path / "b.tar", root=root)
    folder = tmp_path / "new"
    if place == "folder":
        folder.mkdir()
        (folder / "mine").write_text("mine")
    elif place == "file":
        folder.write_text("mine")
    else:
        folder.symlink_to(tmp_path / "nowhere")
    done = call(restore, tmp_path / "b.tar", folder)
    if place == "dead link":  # it is made where the link leads to
        assert done.exit_code == 0, done.output
        assert (tmp_path / "nowhere" / "al_loop.db").is_file()
        return
    assert done.exit_code != 0
    assert (folder if place == "file" else folder / "mine").read_text() == "mine"
    assert not list(tmp_path.glob("*.unfinished"))


def test_an_empty_folder_will_do(root: Path, tmp_path: Path) -> None:
    call(backup, tmp_path / "b.tar", root=root)
    (tmp_path / "new").mkdir()
    assert call(restore, tmp_path / "b.tar", tmp_path / "new").exit_code == 0
    assert (tmp_path / "new" / "al_loop.db").is_file()


def test_a_damaged_backup_puts_nothing_in_place(root: Path, tmp_path: Path) -> None:
    call(backup, tmp_path / "b.tar", "--audio", root=root)
    content = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(content.replace(b"sound", b"sOund"))
    done = call(restore, tmp_path / "b.tar", tmp_path / "new")
    assert "nothing was put in place" in str(done.exception)
    assert not list(tmp_path.glob("new*"))


def test_a_backup_that_would_write_elsewhere_puts_nothing_in_place(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with writing(tmp_path / "b.tar", {}) as archive:
        archive.add("workspace/../../escaped", tmp_path / "x")
    done = call(restore, tmp_path / "b.tar", tmp_path / "deep" / "new")
    assert "leads outside" in str(done.exception)
    assert not list(tmp_path.rglob("escaped"))


# -- the embedded server -------------------------------------------------------------------------


@pytest.fixture
def served(home: Path, store: Store) -> Path:
    """The embedded server's folder, as a stopped server leaves it."""
    (home / "data" / "media").mkdir(parents=True)
    (home / "credentials.json").write_text(json.dumps({"token": "t" * 40}))
    (home / "credentials.json").chmod(0o600)
    (home / "port").write_text("8080")
    (home / "data" / "media" / "upload").write_text("old upload")
    (home / DATABASE).write_bytes((store.workspace.root / "al_loop.db").read_bytes())
    return home


def test_the_server_comes_along_when_it_is_asked_for(
    root: Path, served: Path, tmp_path: Path
) -> None:
    call(backup, tmp_path / "without.tar", root=root)
    assert call(backup, tmp_path / "b.tar", "--label-studio", root=root).exit_code == 0
    with tarfile.open(tmp_path / "without.tar") as tar:
        assert not [name for name in tar.getnames() if name.startswith("label-studio")]
    (served / "data" / "media" / "upload").write_text("new upload")
    done = call(restore, tmp_path / "b.tar", "--label-studio")
    assert done.exit_code == 0, done.output
    assert (served / "data" / "media" / "upload").read_text() == "old upload"
    assert (served / "credentials.json").stat().st_mode & 0o777 == 0o600
    (aside,) = served.glob("replaced-*")
    assert f"what it had lies in {aside}" in done.output
    assert (aside / "data" / "media" / "upload").read_text() == "new upload"
    assert not (served / "restored").exists()


def test_both_are_put_back_at_once(root: Path, served: Path, tmp_path: Path) -> None:
    call(backup, tmp_path / "b.tar", "--label-studio", root=root)
    done = call(restore, tmp_path / "b.tar", tmp_path / "new", "--label-studio")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new" / "al_loop.db").is_file()
    assert len(list(served.glob("replaced-*"))) == 1


def test_a_backup_without_a_server_leaves_the_server_alone(
    root: Path, served: Path, tmp_path: Path
) -> None:
    call(backup, tmp_path / "b.tar", root=root)
    done = call(restore, tmp_path / "b.tar", tmp_path / "new", "--label-studio")
    assert isinstance(done.exception, OracleRefused)
    assert not list(served.glob("replaced-*"))
    assert not (tmp_path / "new").exists()


def test_a_server_that_was_never_started_is_no_backup(root: Path, tmp_path: Path) -> None:
    done = call(backup, tmp_path / "b.tar", "--label-studio", root=root)
    assert "leave out --label-studio" in str(done.exception)
    assert not list(tmp_path.glob("*b.tar*"))


def test_a_server_of_one_s_own_is_backed_up_by_other_means(root: Path, tmp_path: Path) -> None:
    (root / "al_loop.toml").write_text('[label_studio]\nurl = "https://labels.example.org"\n')
    done = call(backup, tmp_path / "b.tar", "--label-studio", root=root)
    assert "https://labels.example.org" in str(done.exception)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = call(restore, tmp_path / "b.tar", tmp_path / "new")
    assert "there is no file" in str(done.exception)
    assert not (tmp_path / "new").exists()


def test_something_must_be_restored(root: Path, tmp_path: Path) -> None:
    call(backup, tmp_path / "b.tar", root=root)
    assert call(restore, tmp_path / "b.tar").exit_code == 2
