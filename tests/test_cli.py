"""The commands as a user, cron and a terminal see them.

Label Studio is a small HTTP server in this process: it answers what a waiting pull asks.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import rmtree
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import click
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from al_loop.cli import main
from al_loop.config import TOKEN_VARIABLE, load_settings
from al_loop.errors import AlLoopError, WorkspaceError
from al_loop.records import Place
from al_loop.wiring import weights
from labeling.page import interface
from storage.store import Store
from storage.workspace import Workspace

from .fakes import World, make_world

TOKEN = "0123456789abcdef0123456789abcdef01234567"
MADE_AT = "2026-01-01T00:00:00.000000Z"
HEAVY = {"torch", "transformers", "datasets", "label_studio_sdk", "streamlit", "ray"}

MakeClip = Callable[..., Path]


class LabelStudio(ThreadingHTTPServer):
    """One project of one workspace, whose tasks nobody has answered."""

    daemon_threads = True

    def __init__(self, workspace_id: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.description = f"al_loop workspace {workspace_id}, all"
        self.requests: list[str] = []
        self.tasks: list[dict[str, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: LabelStudio

    def do_GET(self) -> None:
        page = urlsplit(self.path)
        self.server.requests.append(page.path)
        if self.headers["Authorization"] != f"Token {TOKEN}":
            self._send(401, {"detail": "Invalid token."})
        elif page.path == "/api/projects":
            project = {"id": 1, "description": self.server.description}
            self._send(200, {"results": [project], "next": None})
        elif page.path == "/api/projects/1/":
            overlap = {"maximum_annotations": 2, "overlap_cohort_percentage": 10}
            self._send(200, {"created_at": MADE_AT, "label_config": interface()} | overlap)
        elif parse_qs(page.query)["include"] == ["updated_at"]:
            self._send(200, {"total": 1, "tasks": [{"updated_at": "2026-01-01T00:00:00Z"}]})
        else:
            self._send(200, {"total": len(self.server.tasks), "tasks": self.server.tasks})

    def _send(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No workspace, token or Label Studio of whoever runs the tests."""
    monkeypatch.setenv("AL_LOOP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("AL_LOOP_WORKSPACE", raising=False)
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


@pytest.fixture
def world(store: Store) -> World:
    """A workspace whose first round with annotators waits for them."""
    found = make_world(store)
    found.advance()
    assert found.advance().kind == "waiting"
    return found


@pytest.fixture
def label_studio(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabelStudio]:
    """The server that `world` is configured to ask."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with LabelStudio(world.store.workspace_id) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        configure(world.store.workspace, f'[label_studio]\nurl = "{server.url}"')
        place = Place(MADE_AT, 1)
        world.store.put_place("all", place)
        world.store.mark_pushed(place, world.oracle.tasks)
        server.tasks = [
            {"id": int(task_id), "data": key._asdict() | {"utterance": key.utterance_id}}
            | {"annotations": [], "updated_at": "2026-01-01T00:00:00Z"}
            for key, task_id in world.oracle.tasks.items()
        ]
        yield server
        server.shutdown()


def configure(workspace: Workspace, text: str) -> None:
    workspace.config.write_text(text, encoding="utf-8")


def run(folder: Path | Workspace, *arguments: str) -> Result:
    """One command on a workspace, in this process, without a terminal."""
    root = folder.root if isinstance(folder, Workspace) else folder
    return CliRunner().invoke(main, ["--workspace", str(root), *arguments])


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_refused(result: Result, *parts: str) -> None:
    """Exit 1, one message on stderr that has all the parts, and nothing that looks like a crash."""
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr


# -- help --------------------------------------------------------------------------------------


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    assert command.help
    assert command.help[:40] in result.output


def test_python_m_al_loop_is_the_same_command() -> None:
    shown = python("-m", "al_loop", "--help")
    assert shown.returncode == 0
    for name, command in main.commands.items():
        assert (f"\n  {name} " in shown.stdout) is not command.hidden


# -- init, ingest, status ----------------------------------------------------------------------


def test_init_makes_a_workspace_that_every_command_understands(tmp_path: Path) -> None:
    result = run(tmp_path, "init", str(tmp_path / "kyrgyz"))
    assert result.exit_code == 0
    assert f"al-loop -w {tmp_path / 'kyrgyz'} ingest" in result.output
    load_settings(tmp_path / "kyrgyz" / "al_loop.toml")
    assert run(tmp_path / "kyrgyz", "status").exit_code == 0


def test_init_leaves_a_configuration_as_it_is(tmp_path: Path) -> None:
    assert run(tmp_path, "init").exit_code == 0
    (tmp_path / "al_loop.toml").write_text("seed = 3", encoding="utf-8")
    assert_refused(run(tmp_path, "init"), "exists already, and stays as it is")
    assert (tmp_path / "al_loop.toml").read_text(encoding="utf-8") == "seed = 3"


@pytest.mark.parametrize("command", ["status", "round", "ui", "ingest"])
def test_a_folder_that_is_no_workspace_says_how_to_make_one(tmp_path: Path, command: str) -> None:
    arguments = ["somewhere", "--source", "radio"] if command == "ingest" else []
    assert_refused(run(tmp_path, command, *arguments), "al-loop init", "--workspace")


@pytest.mark.parametrize("command", ["status", "round"])
def test_a_mistake_in_the_configuration_is_one_message(store: Store, command: str) -> None:
    configure(store.workspace, "[select]\nbudget = 5\n[train]\nepochs = 0")
    result = run(store.workspace, command)
    assert_refused(result, "select.budget: unknown key", "train.epochs = 0")
    assert len(result.stderr.splitlines()) == 2


def test_ingest_takes_what_is_good_and_names_what_is_not(
    workspace: Workspace, make_clip: MakeClip
) -> None:
    good = make_clip("in/good.wav")
    (good.parent / "empty.wav").touch()
    result = run(workspace, "ingest", str(good.parent), "--source", "radio")
    assert result.exit_code == 0
    refused, summary = result.stdout.splitlines()
    assert refused.startswith(f"refused {good.parent / 'empty.wav'}: empty_file (")
    assert summary == "1 added, 0 moved to an evaluation set, 0 known already, 1 refused"
    again = run(workspace, "ingest", str(good.parent), "--source", "radio")
    assert "0 added, 0 moved to an evaluation set, 1 known already, 1 refused" in again.stdout


def test_the_status_of_an_empty_workspace_is_five_lines(store: Store) -> None:
    assert run(store.workspace, "status").stdout.splitlines() == [
        "round:    none yet; `al-loop round` opens the first",
        "waits:    for nothing: the next `al-loop round` goes on",
        "data:     0 clips (0.0 min) in the pool, 0 labelled (0.0 min), 0 refused",
        "WER (%):  none yet",
        "failure:  none",
    ]


def test_the_status_of_a_waiting_round_is_five_lines(world: World) -> None:
    first, second, *others = run(world.store.workspace, "status").stdout.splitlines()
    assert first == "round:    1, at pull"
    assert re.fullmatch(
        r"waits:    for annotators: 0 of 5 tasks are answered, it goes on at 5 or on "
        r"\d{4}-\d\d-\d\d \d\d:\d\d UTC",
        second,
    )
    assert others[0].startswith("data:     9 clips (0.2 min) in the pool, 0 labelled (0.0 min)")
    rates = r"WER \(%\):  held_out \d+\.\d \(\d+\.\d to \d+\.\d\), of round-000-[0-9a-f]{12}$"
    assert re.match(rates, others[1])
    assert others[2:] == ["failure:  none"]


def test_the_status_of_a_failure_is_five_lines_whatever_was_said(store: Store) -> None:
    world = make_world(store)
    world.recognizer.failure = AlLoopError("it ended. The end of its log:\none\n\ntwo")
    with pytest.raises(AlLoopError):
        world.advance()
    lines = run(store.workspace, "status").stdout.splitlines()
    assert len(lines) == 5
    assert re.match(r"waits:    until 20\S+, then it tries train again$", lines[1])
    assert lines[4] == "failure:  train failed 1 times: it ended. The end of its log: one two"


# -- round -------------------------------------------------------------------------------------


def test_a_waiting_round_has_nothing_to_mail(label_studio: LabelStudio, world: World) -> None:
    run(world.store.workspace, "round")  # looks for deleted tasks too, as it does once an hour
    label_studio.requests.clear()
    result = run(world.store.workspace, "round")
    assert (result.exit_code, result.output) == (0, "")
    assert label_studio.requests == [
        "/api/projects",
        "/api/projects/1/",
        "/api/tasks",
        "/api/tasks",
    ]


def test_a_waiting_round_says_so_when_asked(label_studio: LabelStudio, world: World) -> None:
    result = run(world.store.workspace, "round", "--verbose")
    assert "round 1 waits for annotators: 0 of 5 tasks are answered" in result.stdout


def test_a_round_that_finds_another_one_at_work_has_nothing_to_mail(world: World) -> None:
    with FileLock(world.store.workspace.lock):
        result = run(world.store.workspace, "round")
    assert (result.exit_code, result.output) == (0, "")


def test_at_a_terminal_it_says_that_another_one_is_at_work(world: World) -> None:
    ours, terminal = pty.openpty()
    command = ["-m", "al_loop", "-w", str(world.store.workspace.root), "round"]
    with FileLock(world.store.workspace.lock):
        done = subprocess.run([sys.executable, *command], stdout=terminal, check=False)
    os.close(terminal)
    assert done.returncode == 0
    assert os.read(ours, 1000).decode().strip() == "another round is at work in this workspace"
    os.close(ours)


def test_a_failed_stage_is_printed_once_and_paused(
    label_studio: LabelStudio, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "wrong-token")
    refused = run(world.store.workspace, "round")
    assert_refused(refused, "401 from Label Studio", "does not know the token")
    asked = len(label_studio.requests)
    paused = run(world.store.workspace, "round")
    assert (paused.exit_code, paused.output) == (0, "")
    assert len(label_studio.requests) == asked
    failure = run(world.store.workspace, "status").stdout.splitlines()[4]
    assert failure.startswith("failure:  pull failed 1 times: 401 from Label Studio")


def test_what_nobody_foresaw_is_one_line_and_a_log(world: World) -> None:
    world.store.db.execute("UPDATE rounds SET stage = 'merge' WHERE number = 1")
    world.store.db.execute("DROP TABLE labels")
    result = run(world.store.workspace, "round")
    assert_refused(result, "OperationalError", "no such table", str(world.store.workspace.logs))
    log = (world.store.workspace.logs / "al_loop.log").read_text(encoding="utf-8")
    assert "Traceback" in log
    assert "no such table" in log


def test_without_the_embedded_server_it_says_how_to_start_it(world: World) -> None:
    assert_refused(run(world.store.workspace, "round"), "`al-loop labelstudio up`")


def test_a_round_that_is_recorded_says_what_it_brought(world: World) -> None:
    world.oracle.answer(*world.oracle.unanswered)
    world.advance()
    world.store.db.execute("UPDATE rounds SET stage = 'record' WHERE number = 1")
    lines = run(world.store.workspace, "round").stdout.splitlines()
    assert lines[0].startswith("round 1: promoted: held_out ")
    assert re.match(r"  held_out \(ky\): WER % .* before, .* after$", lines[1])
    assert re.match(r"    CER % .*, as written WER % .*; in 60 words \d+ substituted, ", lines[2])
    assert lines[2].endswith("0.0% of the words heard have foreign letters")
    assert len(lines) == 3


def test_a_workspace_gets_the_standard_silence_set_once(
    label_studio: LabelStudio, world: World
) -> None:
    for _ in range(2):
        assert run(world.store.workspace, "round").exit_code == 0
    silent = world.store.silence_utterances()
    assert {row.source for row in silent} == {"standard_silence"}
    assert len(silent) == 24
    assert all((world.store.workspace.root / row.audio).is_file() for row in silent)


def test_a_silence_set_of_ones_own_is_enough(
    label_studio: LabelStudio, world: World, make_clip: MakeClip
) -> None:
    workspace = world.store.workspace
    folder = make_clip("room/fan.wav").parent
    assert (
        "1 added"
        in run(workspace, "ingest", str(folder), "--source", "room", "--split", "silence").stdout
    )
    run(workspace, "round")
    assert {row.source for row in world.store.silence_utterances()} == {"room"}


def test_evaluate_needs_a_checkpoint_and_a_set(store: Store) -> None:
    assert_refused(run(store.workspace, "evaluate"), "no checkpoint is in use", "al-loop round")
    bare = make_world(store, test=0)
    bare.advance()
    assert_refused(run(store.workspace, "evaluate"), "no evaluation set", "--split test")


def test_evaluate_names_what_it_does_not_know(world: World) -> None:
    workspace = world.store.workspace
    assert_refused(run(workspace, "evaluate", "round-9"), "round-9", "base")
    rmtree(workspace.checkpoints / "base")
    for command in ("evaluate", "export"):
        assert_refused(run(workspace, command, "base"), "the weights of base are deleted")


def test_weights_that_a_round_deletes_meanwhile_are_named(world: World) -> None:
    found = world.store.checkpoint_in_use()

    def read() -> None:
        with weights(world.store, found) as folder:
            rmtree(folder)
            list(folder.iterdir())

    with pytest.raises(WorkspaceError, match="the weights of round-000"):
        read()


def test_no_secret_leaves_the_environment(
    label_studio: LabelStudio, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hunter2-of-this-workspace"
    workspace = world.store.workspace
    token_file = workspace.root / "token"
    token_file.write_text(secret, encoding="utf-8")
    token_file.chmod(0o600)
    configure(workspace, f'[label_studio]\nurl = "{label_studio.url}"\ntoken_file = "{token_file}"')
    monkeypatch.delenv(TOKEN_VARIABLE)
    shown = [run(workspace, "round", "--verbose"), run(workspace, "status")]
    token_file.chmod(0o644)
    world.store.forget_failures(1, "pull")
    shown.append(run(workspace, "round", "--verbose"))
    assert "401 from Label Studio" in shown[0].output
    assert "has mode 0644" in shown[2].output
    token_file.unlink()
    assert not any(secret in result.output for result in shown)
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert workspace.database in files
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


# -- checkpoints -------------------------------------------------------------------------------


def test_checkpoints_are_listed_with_what_became_of_them(world: World) -> None:
    result = run(world.store.workspace, "checkpoints")
    base, base_rates, name, made_from, decision, rates = result.stdout.splitlines()
    assert base == "base"
    assert re.match(r"  WER %: held_out \d+\.\d \(\d+\.\d to \d+\.\d\)$", base_rates)
    assert re.match(r"round-000-[0-9a-f]{12}: in use$", name)
    assert made_from == "  made from base in round 0"
    assert decision.startswith("  promoted: held_out -")
    assert rates.startswith("  WER %: held_out ")


def test_a_checkpoint_is_promoted_by_hand_and_rolled_back(world: World) -> None:
    workspace = world.store.workspace
    result = run(workspace, "promote", "base", "--reason", "too many names wrong")
    assert result.stdout == "base is in use\n"
    assert run(workspace, "status").stdout.splitlines()[3].endswith("), of base")
    shown = run(workspace, "checkpoints").stdout.splitlines()[0]
    assert shown == "base: in use, was put in use by hand (too many names wrong)"
    assert run(workspace, "promote", "bas").stdout == "base is in use already\n"
    back = run(workspace, "rollback").stdout
    assert re.match(r"round-000-\w+ is in use instead of base$", back)
    rows = world.store.db.execute("SELECT promoted_by, reason FROM promotions ORDER BY id")
    assert rows.fetchall()[2:] == [
        ("hand", "too many names wrong"),
        ("rollback", "no reason given"),
    ]


def test_a_workspace_without_checkpoints_says_so(store: Store) -> None:
    listed = run(store.workspace, "checkpoints").stdout
    assert listed == "no checkpoint yet; `al-loop round` makes the first\n"
    assert_refused(run(store.workspace, "rollback"), "no checkpoint is in use yet", "al-loop round")


@pytest.mark.parametrize("arguments", [["promote", "base"], ["rollback"]])
def test_nothing_is_promoted_by_hand_while_a_round_is_at_work(
    world: World, arguments: list[str]
) -> None:
    before = world.store.current_checkpoint_id()
    with FileLock(world.store.workspace.lock):
        assert_refused(run(world.store.workspace, *arguments), "a round is at work")
    assert world.store.current_checkpoint_id() == before


def test_a_checkpoint_that_does_not_exist_is_named_with_those_that_do(world: World) -> None:
    for command in ("promote", "export"):
        refused = run(world.store.workspace, command, "round-7")
        assert_refused(refused, "'round-7'", "base, round-000-")


def test_an_export_is_a_whole_folder_with_a_model_card(world: World) -> None:
    workspace = world.store.workspace
    result = run(workspace, "export")
    assert result.exit_code == 0, result.output
    (folder,) = workspace.exports.iterdir()
    assert re.match(r"round-000-[0-9a-f]{12}-transformers$", folder.name)
    assert str(folder) in result.stdout
    checkpoint = world.store.workspace.root / world.store.checkpoint_in_use().path
    for path in checkpoint.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith('---\nbase_model: "openai/whisper-base"\n')
    assert "license: mit\n" in card
    assert "| held_out | ky | open_source | 6 |" in card


def test_an_export_overwrites_nothing(world: World, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    refused = run(world.store.workspace, "export", "base", "--to", str(tmp_path / "mine"))
    assert_refused(refused, "mine exists already, and stays as it is", "--to")
    assert list((tmp_path / "mine").iterdir()) == []


def test_an_export_is_told_by_its_base_and_not_by_today_s_settings(world: World) -> None:
    workspace = world.store.workspace
    configure(workspace, '[model]\nlanguage = "xx"\ndonor = "yy"')
    assert run(workspace, "export").exit_code == 0
    (folder,) = workspace.exports.iterdir()
    assert "# Whisper for `ky`" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--quantization=int8", "--as=kk"])
def test_an_option_of_the_other_format_is_refused(world: World, option: str) -> None:
    result = run(world.store.workspace, "export", option)
    assert result.exit_code == 2
    assert "are for --format ctranslate2" in result.stderr
    assert list(world.store.workspace.exports.iterdir()) == []


def test_an_export_that_fails_leaves_nothing(world: World, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    arguments = ["base", "--format", "ctranslate2", "--to", str(target)]
    result = run(world.store.workspace, "export", *arguments)
    assert_refused(result, "neither model.bin nor config.json")
    assert not target.exists()
    assert list(target.parent.glob("folder*")) == []


# -- what is loaded ----------------------------------------------------------------------------


def loaded(*arguments: str) -> set[str]:
    """The top-level packages that a command imports, from a process of its own."""
    done = python("-X", "importtime", "-m", "al_loop", *arguments)
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}


def test_help_loads_nothing_heavy() -> None:
    assert not loaded("--help") & (HEAVY | {"numpy", "httpx", "sqlite_utils"})
    assert not loaded("round", "--help") & HEAVY


def test_status_loads_nothing_heavy(world: World) -> None:
    packages = loaded("-w", str(world.store.workspace.root), "status")
    assert "storage" in packages
    assert not packages & (HEAVY | {"numpy", "httpx", "sqlite_utils"})


def test_a_waiting_round_loads_nothing_heavy(label_studio: LabelStudio, world: World) -> None:
    packages = loaded("-w", str(world.store.workspace.root), "round")
    assert label_studio.requests
    assert {"labeling", "sqlite_utils"} < packages
    assert not packages & HEAVY


# -- labelstudio -------------------------------------------------------------------------------


def test_label_studio_that_was_never_started_is_not_running() -> None:
    runner = CliRunner()
    assert runner.invoke(main, ["labelstudio", "status"]).output.startswith("not running")
    assert runner.invoke(main, ["labelstudio", "down"]).output == "it was not running\n"
