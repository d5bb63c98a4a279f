"""What may be wrong with a workspace's own folder, each thing broken once."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest
from filelock import FileLock

from al_loop.audio import write_flac
from al_loop.doctor.run import diagnose
from al_loop.doctor.workspace import DRIVERS
from storage.workspace import Workspace

from .installation import CONFIG, Installation


def test_a_lock_that_is_held(here: Installation) -> None:
    with FileLock(here.root.lock):
        assert here.check("lock").found == "a round is at work"
        log = here.root.logs / "al_loop.log"
        log.touch()
        assert "wrote to its log 0.0 h ago" in here.check("lock").found
        os.utime(log, (time.time() - 20 * 3600,) * 2)
        stuck = here.check("lock")
    assert stuck.state == "warning"
    assert "20.0 h ago" in stuck.found
    assert "fuser" in stuck.advice
    assert here.check("lock").found == "no round is at work"


def test_a_damaged_database(here: Installation) -> None:
    with here.root.database.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 8)
    found = here.check("database")
    assert found.state == "failure"
    assert "newest backup" in found.advice or "malformed" in found.found


def test_what_is_no_database(here: Installation) -> None:
    here.root.database.write_bytes(b"what is this" * 1000)
    found = here.check("database")
    assert found.state == "failure"
    assert "not a database" in found.found
    assert [check.name for check in here.checks()][-1] == "database"


def test_no_database_yet(workspace: Workspace) -> None:
    last = list(diagnose(workspace.root, {}))[-1]
    assert (last.name, last.state) == ("database", "failure")
    assert "al-loop ingest" in last.found


def test_steps_of_the_schema(here: Installation) -> None:
    with sqlite3.connect(here.root.database) as db:
        db.execute("UPDATE _sqlite_migrations SET name = 'm999_later' WHERE name LIKE 'm001%'")
    found = here.check("schema")
    assert found.state == "failure"
    assert "m999_later" in found.found
    with sqlite3.connect(here.root.database) as db:
        db.execute("DELETE FROM _sqlite_migrations")
    found = here.check("schema")
    assert found.state == "warning"
    assert "m001_initial" in found.found


@pytest.mark.parametrize("harm", ["gone", "cut", "garbled"])
def test_weights_that_are_not_whole(here: Installation, harm: str) -> None:
    if harm == "gone":
        rmtree(here.weights.parent)
    elif harm == "cut":
        here.weights.write_bytes(here.weights.read_bytes()[:-1])
    else:
        here.weights.write_bytes(b"\x05" + bytes(7) + b"not JSON")
    found = here.check("checkpoint")
    assert found.state == "failure"
    expected = {"gone": "there is no", "cut": "its header says", "garbled": "cannot be read"}
    assert expected[harm] in found.found
    assert "backup" in found.advice


def test_a_full_disk(here: Installation) -> None:
    os.truncate(here.weights, 2**43)  # a file with a hole, which takes no room
    found = here.check("disk")
    assert found.state == "failure"
    assert f"a training may write {7 * 2**13:.1f} GiB" in found.found


def test_clips_that_changed(here: Installation) -> None:
    content = here.clip.read_bytes()
    here.clip.unlink()
    gone = here.check("clips")
    assert gone.state == "failure"
    assert "1 of 1" in gone.found
    assert "audio/ab/abc.flac (not_a_file" in gone.found
    here.clip.write_bytes(content[: len(content) // 2])
    assert here.check("clips").state == "failure"
    write_flac(np.zeros(16_000, np.float32), here.clip)
    assert "(other samples)" in here.check("clips").found


def test_what_is_not_installed(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    found = here.check("model")
    assert (found.state, found.found) == ("failure", "not installed: ctranslate2")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ('device = "cuda"', "no NVIDIA driver"),
        ('device = "mps"', "on a machine without it"),
        ('device = "cpu"\nbackend = "ctranslate2"\nprecision = "bfloat16"', "it expects"),
    ],
)
def test_a_device_that_is_not_there(here: Installation, settings: str, found: str) -> None:
    if "cuda" in settings and any(Path(driver).exists() for driver in DRIVERS):
        pytest.skip("this machine has such a device")
    here.configure(f"[model]\n{settings}\n{CONFIG}")
    check = here.check("model")
    assert check.state == "failure"
    assert found in check.found
