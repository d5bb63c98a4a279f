"""What a workspace's backup holds, and that it is one instant of it."""

import hashlib
import shutil
import sqlite3
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import Checkpoint
from storage.archive import Entry, unpack, writing
from storage.backup import back_up, missing_weights, snapshot, write_audio_sums
from storage.store import Store
from storage.workspace import Workspace

from .rows import profile


@pytest.fixture
def full(filled: Store) -> Workspace:
    """A workspace with a file for all that its database names, and some that it does not name."""
    root = filled.workspace
    for name in "abc":
        (root.audio / f"{name}.flac").write_bytes(name.encode() * 100)
    filled.add_profiles("whisper", [profile("a"), profile("b")])
    filled.put_checkpoint(Checkpoint("old", "checkpoints/old", "base", {}))
    filled.db.execute("UPDATE checkpoints SET pruned_at = 'x' WHERE id = 'old'")
    filled.db.conn.commit()
    for name in ("base/deep/model", "base/al_loop.json", "left.training/save", "old/model"):
        path = root.checkpoints / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for folder in (root.exports, root.logs, root.audio):
        (folder / "stray").write_text("x")
    (root.root / "token").write_text("secret")
    return root


def held(workspace: Workspace, target: Path, *, audio: bool, checkpoints: bool) -> set[str]:
    with writing(target, {}) as archive:
        back_up(workspace, archive, audio=audio, checkpoints=checkpoints)
    return {entry.name for entry in unpack(target, {})[1] if entry.held}


def test_it_holds_what_is_asked_for_and_lists_the_audio(full: Workspace, tmp_path: Path) -> None:
    least = held(full, tmp_path / "least", audio=False, checkpoints=False)
    (embeddings,) = full.embeddings.iterdir()
    assert least == {
        "workspace/al_loop.toml",
        "workspace/al_loop.db",
        f"workspace/embeddings/{embeddings.name}",
    }
    audio = {f"workspace/audio/{name}.flac" for name in "abc"}
    assert held(full, tmp_path / "audio", audio=True, checkpoints=False) == least | audio
    assert held(full, tmp_path / "weights", audio=False, checkpoints=True) == least | {
        "workspace/checkpoints/base/deep/model",
        "workspace/checkpoints/base/al_loop.json",
    }
    _, entries = unpack(tmp_path / "least", {})
    listed = {entry.name: entry for entry in entries if not entry.held}
    assert listed.keys() == audio
    clip = listed["workspace/audio/a.flac"]
    assert (clip.size, clip.sha256) == (100, hashlib.sha256(b"a" * 100).hexdigest())


def test_what_is_restored_is_a_workspace_with_all_its_rows(full: Workspace, tmp_path: Path) -> None:
    held(full, tmp_path / "b", audio=True, checkpoints=True)
    new = tmp_path / "new"
    new.mkdir()
    unpack(tmp_path / "b", {"workspace": new})
    old_store, new_store = Store(full), Store(Workspace.open(new))
    assert new_store.workspace_id == old_store.workspace_id
    assert list(new_store.db.query("SELECT * FROM utterances")) == list(
        old_store.db.query("SELECT * FROM utterances")
    )
    assert new_store.embeddings("whisper").tolist() == old_store.embeddings("whisper").tolist()
    assert missing_weights(Workspace.open(new)) == []
    shutil.rmtree(new / "checkpoints" / "base")
    assert missing_weights(Workspace.open(new)) == ["checkpoints/base"]


def test_files_that_are_gone_are_named_and_the_rest_is_held(
    full: Workspace, tmp_path: Path
) -> None:
    (full.audio / "b.flac").unlink()
    (embeddings,) = full.embeddings.iterdir()
    embeddings.unlink()
    with writing(tmp_path / "b", {}) as archive:
        report = back_up(full, archive, audio=True, checkpoints=False)
    assert report.missing == [f"embeddings/{embeddings.name}", "audio/b.flac"]
    assert report.files == 4


def test_weights_that_a_round_deletes_meanwhile_end_it(full: Workspace, tmp_path: Path) -> None:
    shutil.rmtree(full.checkpoints / "base")
    with (
        pytest.raises(WorkspaceError, match="deleted while it was being copied"),
        writing(tmp_path / "b", {}) as archive,
    ):
        back_up(full, archive, audio=False, checkpoints=True)
    assert not (tmp_path / "b").exists()


def test_a_snapshot_is_one_instant_while_others_write(tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
    ended = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(database)) as db:
            number = 0
            while not ended.is_set():
                with db:
                    db.execute("INSERT INTO pairs VALUES (?, 0)", [number])
                    db.execute("UPDATE pairs SET b = a WHERE a = ?", [number])
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(10):
            target = tmp_path / f"copy{number}"
            snapshot(database, target)
            with closing(sqlite3.connect(f"{target.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
                count, last, odd = db.execute(
                    "SELECT count(*), ifnull(max(a), -1), ifnull(sum(a <> b), 0) FROM pairs"
                ).fetchone()
            assert count == last + 1
            assert odd == 0
    finally:
        ended.set()
        writer.join()
    assert sorted(path.name for path in tmp_path.glob("copy0*")) == ["copy0"]


def test_a_damaged_database_is_no_backup(full: Workspace, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    snapshot(full.database, damaged)
    content = bytearray(damaged.read_bytes())
    for page in range(2 * 4096, len(content), 4096):
        content[page : page + 200] = b"\xa5" * 200
    damaged.write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"damaged|malformed"):
        snapshot(damaged, tmp_path / "copy")


@pytest.mark.parametrize("content", [None, b"no database"])
def test_what_is_no_database_is_named(tmp_path: Path, content: bytes | None) -> None:
    database = tmp_path / "x.db"
    if content is not None:
        database.write_bytes(content * 100)
    with pytest.raises(WorkspaceError, match="cannot copy"):
        snapshot(database, tmp_path / "copy")
    assert database.exists() == (content is not None)


def test_the_sums_of_what_is_elsewhere_can_be_checked(full: Workspace, tmp_path: Path) -> None:
    held(full, tmp_path / "b", audio=False, checkpoints=False)
    _, entries = unpack(tmp_path / "b", {})
    assert write_audio_sums(full.root, entries) == 3
    check = ["sha256sum", "--quiet", "--check", "audio.sha256"]
    assert subprocess.run(check, cwd=full.root, check=False).returncode == 0
    (full.audio / "b.flac").write_bytes(b"x")
    assert subprocess.run(check, cwd=full.root, check=False, capture_output=True).returncode == 1


def test_nothing_is_written_where_all_is_held(tmp_path: Path) -> None:
    assert write_audio_sums(tmp_path, [Entry("workspace/audio/a", 1, "00", True)]) == 0
    assert list(tmp_path.iterdir()) == []
