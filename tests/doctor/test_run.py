"""What `doctor` says where nothing is wrong, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from al_loop.commands.doctor import doctor
from al_loop.doctor.check import Check, tried
from al_loop.doctor.run import diagnose
from al_loop.errors import WorkspaceError
from storage.store import Store
from storage.workspace import Workspace

from .installation import Installation

HEAVY = {"torch", "transformers", "datasets", "label_studio_sdk", "streamlit", "boto3"}


def test_a_sound_installation(here: Installation) -> None:
    before = here.root.database.read_bytes()
    checks = here.checks()
    assert [check for check in checks if check.state != "ok"] == []
    assert " ".join(check.name for check in checks) == (
        "configuration lock model database schema checkpoint disk clips server version clock "
        "token project rights interface audio"
    )
    assert here.check("token").found == "legacy token of anna@labels.test"
    assert "task 7 is heard from audio.test" in here.check("audio").found
    assert here.studio.changes == []
    assert here.root.database.read_bytes() == before


def test_a_check_is_told_in_lines() -> None:
    told = Check("disk", "failure", "1.0 GiB free", "make room").lines()
    assert list(told) == ["failure disk: 1.0 GiB free", "        make room"]
    assert list(Check("lock", "ok", "free", "nothing").lines()) == ["ok      lock: free"]


def test_an_answer_of_another_form_is_a_failure() -> None:
    def check() -> Check:
        raise KeyError("path")

    found = tried("storage", check)
    assert (found.name, found.state) == ("storage", "failure")
    assert "KeyError('path')" in found.found
    assert "another version" in found.advice


def test_the_command_ends_with_1_after_a_failure(workspace: Workspace) -> None:
    workspace.config.write_text("seed = -1\n", encoding="utf-8")
    Store(workspace).close()
    result = CliRunner().invoke(doctor, obj=workspace.root)
    assert result.exit_code == 1
    first, *rest = result.output.splitlines()
    assert first.startswith("failure configuration: ")
    assert "seed = -1" in first
    assert "ok      database: al_loop.db is whole" in rest


def test_the_command_needs_a_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no workspace"):
        list(diagnose(tmp_path))


def test_no_check_loads_torch(here: Installation) -> None:
    here.configure('[label_studio]\nurl = "http://127.0.0.1:9"\n')
    code = (
        "import sys; from al_loop.doctor.run import diagnose; from pathlib import Path; "
        "print(*(check.state for check in diagnose(Path(sys.argv[1])))); "
        f"print(*({HEAVY} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(here.root.root)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    states, heavy = ran.stdout.split("\n")[:2]
    assert states.split() == ["ok"] * 8 + ["failure"]
    assert heavy == ""
