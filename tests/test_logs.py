"""The workspace's log: one JSON object a line, whoever writes it, and no more than a few files."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from al_loop.logs import OLD_FILES, about, each_about, fields, open_log

LOG = logging.getLogger("al_loop")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    kept, level = LOG.handlers, LOG.level
    LOG.handlers = []
    path = tmp_path / "al_loop.log"
    open_log(path)
    yield path
    for handler in LOG.handlers:
        handler.close()
    LOG.handlers, LOG.level = kept, level


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_is_what_was_said_and_what_it_is_about(log: Path) -> None:
    with about(round=3, stage="score"), about(what="heard", clips=1):
        LOG.info("  салам %d", 7, extra={"clips": 16})
    LOG.debug("not this")
    LOG.warning("later")
    first, second = lines(log)
    at = datetime.fromisoformat(first.pop("time"))
    assert at.utcoffset() is not None
    assert isinstance(first.pop("process"), int)
    assert first == {
        "level": "INFO",
        "message": "салам 7",
        "round": 3,
        "stage": "score",
        "what": "heard",
        "clips": 16,
    }
    assert (second["level"], second["message"], "round" in second) == ("WARNING", "later", False)
    assert "салам" in log.read_text(encoding="utf-8")


def test_an_exception_is_one_line(log: Path) -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        LOG.exception("it failed")
    (line,) = lines(log)
    assert line["level"] == "ERROR"
    assert line["traceback"].startswith("Traceback")
    assert line["traceback"].endswith("ZeroDivisionError: division by zero")


def test_what_is_logged_while_a_row_is_made_is_about_it_and_what_follows_is_not() -> None:
    found: list[object] = []

    def rows() -> Iterator[int]:
        for number in range(2):
            found.append(dict(fields()))
            yield number

    with about(round=1):
        for number in each_about(rows(), what="heard"):
            found.append((number, dict(fields())))
    made = {"round": 1, "what": "heard"}
    assert found == [made, (0, {"round": 1}), made, (1, {"round": 1})]
    assert fields() == {}


def test_another_log_takes_the_place_of_the_first(log: Path, tmp_path: Path) -> None:
    open_log(tmp_path / "other.log")
    LOG.info("here")
    assert not log.exists()
    assert [line["message"] for line in lines(tmp_path / "other.log")] == ["here"]


WRITER = """
import logging, sys
from pathlib import Path
from al_loop.logs import open_log
open_log(Path(sys.argv[1]), largest_bytes=int(sys.argv[3]))
for number in range(200):
    logging.getLogger("al_loop").info("line", extra={"who": sys.argv[2], "number": number})
"""


def write(path: Path, who: str, largest_bytes: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), who, str(largest_bytes)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def test_two_processes_put_a_full_log_aside_and_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "al_loop.log"
    writers = [write(path, who, 20_000) for who in "ab"]
    said = [writer.communicate()[1] for writer in writers]
    assert said == [b"", b""]
    files = [path, *(tmp_path / f"al_loop.log.{n}" for n in range(1, OLD_FILES + 1))]
    found = [(row["who"], row["number"]) for file in files if file.exists() for row in lines(file)]
    assert len(files[1:]) > sum(file.exists() for file in files[1:]) >= 1  # nothing went
    assert sorted(found) == [(who, number) for who in "ab" for number in range(200)]


def test_a_log_does_not_grow_without_limit(tmp_path: Path) -> None:
    path = tmp_path / "al_loop.log"
    writer = write(path, "a", 1_000)
    writer.communicate()
    sizes = [file.stat().st_size for file in tmp_path.glob("al_loop.log*")]
    assert len(sizes) == 1 + OLD_FILES
    assert max(sizes) < 1_000 + 500
    assert lines(path)[-1]["number"] == 199


def test_a_folder_that_is_gone_ends_nothing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("one")
    log.unlink()
    log.parent.rmdir()
    LOG.info("two")
    log.parent.mkdir()
    LOG.info("three")
    assert [line["message"] for line in lines(log)] == ["three"]
    assert "three" not in capsys.readouterr().err


def test_a_full_disk_ends_nothing_and_is_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "al_loop.log").symlink_to("/dev/full")
    open_log(tmp_path / "al_loop.log")
    LOG.info("one")
    open_log(tmp_path / "another.log")
    LOG.info("two")
    assert [line["message"] for line in lines(tmp_path / "another.log")] == ["two"]
    assert capsys.readouterr().err == ""
