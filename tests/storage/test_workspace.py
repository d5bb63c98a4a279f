from pathlib import Path

import pytest

from al_loop.errors import WorkspaceError
from storage.workspace import Workspace, delete_folder, whole_folder


def test_a_folder_without_configuration_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"no al_loop\.toml here.*`al-loop init"):
        Workspace.open(tmp_path)
    with pytest.raises(WorkspaceError, match="nowhere"):
        Workspace.open(tmp_path / "nowhere")


def test_its_root_is_absolute_and_its_paths_are_relative(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)
    here = Workspace.open(Path())
    assert here == workspace
    assert here.relative(here.audio / "ab" / "c.flac") == "audio/ab/c.flac"


def test_making_its_folders_twice_keeps_what_is_in_them(workspace: Workspace) -> None:
    workspace.create_folders()
    (workspace.audio / "a.flac").write_bytes(b"a")
    workspace.create_folders()
    folders = {path.name for path in workspace.root.iterdir() if path.is_dir()}
    assert folders == {"audio", "checkpoints", "embeddings", "exports", "logs"}
    assert (workspace.audio / "a.flac").read_bytes() == b"a"


def test_a_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "checkpoints" / "base"
    with whole_folder(target) as folder:
        (folder / "weights").write_bytes(b"w")
        (folder / "deep").mkdir()
        (folder / "deep" / "more").write_bytes(b"m")
        assert not target.exists()
    assert (target / "weights").read_bytes() == b"w"
    assert (target / "deep" / "more").read_bytes() == b"m"
    assert [path.name for path in target.parent.iterdir()] == ["base"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_folder_that_was_not_finished_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def stop_halfway() -> None:
        with whole_folder(tmp_path / "base") as folder:
            (folder / "weights").write_bytes(b"half")
            raise error

    with pytest.raises(error):
        stop_halfway()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_does_not_get_into_the_folder(tmp_path: Path) -> None:
    left = tmp_path / "base.unfinished"
    left.mkdir()
    (left / "stale").touch()
    with whole_folder(tmp_path / "base") as folder:
        assert folder == left
        (folder / "weights").touch()
    assert [path.name for path in (tmp_path / "base").iterdir()] == ["weights"]
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_deleted_folder_is_gone_with_what_an_earlier_try_left(tmp_path: Path) -> None:
    for name in ("base", "base.deleted"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").touch()
    delete_folder(tmp_path / "base")
    assert list(tmp_path.iterdir()) == []
    delete_folder(tmp_path / "base")
