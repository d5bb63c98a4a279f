"""What is kept of the embedded server, and how it is put back; its files made by hand."""

import os
from pathlib import Path

import pytest

from al_loop.errors import OracleRefused
from labeling.backup import DATABASE, check_version, database, kept_files, put_back
from labeling.install import VERSION
from labeling.server import EmbeddedServer

OWN = {
    "credentials.json": "{}",
    "port": "8080",
    "data/.env": "SECRET_KEY=x",
    "data/media/upload/1/ө.wav": "sound",
    "data/media/export/1.json": "[]",
}
PASSING = ("server.log", "server.pid", "up.lock", f"{DATABASE}-journal", "replaced-1/port")


@pytest.fixture
def server(tmp_path: Path) -> EmbeddedServer:
    server = EmbeddedServer(tmp_path / "home", tmp_path / "cache")
    write(server.home, OWN | dict.fromkeys(PASSING, "x") | {DATABASE: "rows"})
    server.files.mkdir()
    (server.files / "workspace").symlink_to(tmp_path)
    return server


def write(folder: Path, contents: dict[str, str]) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_that_makes_the_server_is_kept(server: EmbeddedServer) -> None:
    assert {name: path.read_text() for name, path in kept_files(server)} == {
        f"label-studio/{name}": content for name, content in OWN.items()
    }
    assert database(server).read_text() == "rows"


def test_a_server_that_was_never_started_has_nothing(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "home", tmp_path / "cache")
    with pytest.raises(OracleRefused, match="never called here"):
        list(kept_files(server))


def test_what_it_had_is_moved_aside(server: EmbeddedServer, tmp_path: Path) -> None:
    restored = server.home / "restored"
    write(restored, {"credentials.json": "old", "port": "9999", DATABASE: "old rows"})
    before = {name: text for name, text in contents(server.home).items() if name != "restored"}
    aside = put_back(server, restored)
    assert aside is not None
    assert (server.home / "credentials.json").read_text() == "old"
    assert database(server).read_text() == "old rows"
    assert not (server.home / "data" / ".env").exists()
    kept = contents(aside)
    assert kept == OWN | {DATABASE: "rows", f"{DATABASE}-journal": "x"}
    now = contents(server.home)
    assert all(text in now.values() for text in before.values())
    assert (server.files / "workspace").is_symlink()


def test_a_fresh_server_has_nothing_to_move(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "home", tmp_path / "cache")
    write(server.home / "restored", OWN | {DATABASE: "rows"})
    assert put_back(server, server.home / "restored") is None
    assert contents(server.home) == OWN | {DATABASE: "rows"}


@pytest.mark.parametrize("moves", range(6))
def test_killed_at_any_move_a_second_call_ends_it(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    backup = OWN | {DATABASE: "old rows", "port": "9999"}
    restored = server.home / "restored"
    real, left = os.replace, [moves]

    def replace(source: Path, target: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(source, target)

    write(restored, backup)
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        put_back(server, restored)
    monkeypatch.undo()
    write(restored, backup)
    put_back(server, restored)
    assert {name: contents(server.home)[name] for name in backup} == backup
    everything = [
        text for folder in server.home.glob("replaced-*") for text in contents(folder).values()
    ]
    assert "rows" in everything  # nothing is deleted


def test_versions() -> None:
    check_version(VERSION)
    check_version("1.9.0")
    with pytest.raises(OracleRefused, match="newer"):
        check_version("1.100.0")
    with pytest.raises(OracleRefused, match="holds no Label Studio"):
        check_version(None)
