"""The commands about what is asked and whether it pays: gates, evidence, arms, simulate."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from al_loop.acquisition.gates import DESCRIPTIONS
from al_loop.cli import GATES, _processes, main
from al_loop.config import Settings
from storage.store import Store
from storage.workspace import Workspace

from .fakes import World, live, make_world


@pytest.fixture
def world(store: Store) -> World:
    """A workspace whose gates are shut: nobody speaks as fast as the fake clips."""
    found = make_world(store)
    found.set(gates={"enabled": True, "max_characters_per_s": 30.0})
    return found


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--workspace", str(workspace.root), *arguments])


def assert_refused(result: Result, *parts: str) -> None:
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr


def test_gated_clips_are_listed_with_value_and_limit_and_let_through(world: World) -> None:
    workspace = world.store.workspace
    assert run(workspace, "gates", "list").stdout == "no clip is gated\n"
    world.advance()
    world.advance()
    count, *clips = run(workspace, "gates", "list", "--limit", "3").stdout.splitlines()
    assert re.match(r"too_long_text: \d+ clips, \d\.\d min$", count)
    assert len(clips) == 3
    found = re.match(r"  ([0-9a-f]{12}) \d\.\d s, too_long_text (\d+\.?\d*), limit 30; ", clips[0])
    assert found is not None
    name, rate = found.groups()
    assert float(rate) > 30
    released = run(workspace, "gates", "release", name, "--reason", "a fast talker")
    assert re.match(rf"{name}[0-9a-f]{{52}} is released$", released.stdout)
    assert ", released; heard: " in run(workspace, "gates", "list", "--limit", "1").stdout
    assert_refused(run(workspace, "gates", "release", "zz"), "'zz'", "none")


def test_nothing_is_released_while_a_round_is_at_work(world: World) -> None:
    workspace = world.store.workspace
    with FileLock(workspace.lock):
        result = run(workspace, "gates", "release", world.store.pool()[0].id)
    assert_refused(result, "a round is at work")
    assert world.store.released() == set()


def test_evidence_says_how_the_batch_was_chosen_and_what_it_brought(world: World) -> None:
    workspace = world.store.workspace
    assert run(workspace, "evidence").stdout == "no round is recorded yet\n"
    world.set(gates={"enabled": False})
    live(world)
    shown = run(workspace, "evidence").stdout
    assert shown.startswith("round 1: word_surprisal ranks: ")
    assert re.search(r"acquired: \d+ clips, \d+ labelled, WER of the hypotheses ", shown)
    assert re.search(r"control: \d+ clips, ", shown)
    assert "predicted WER: there are too few answers to learn from" in shown
    assert "no answers, so nothing to compare" in run(workspace, "evidence", "0").stdout
    assert_refused(run(workspace, "evidence", "7"), "recorded are 0 to 1: name one of these")


def test_arms_without_labels_say_what_is_missing(world: World) -> None:
    world.advance()
    assert_refused(run(world.store.workspace, "arms"), "control")
    assert world.store.silence_utterances() == []  # it plans before it brings anything in


def test_a_gate_is_one_that_there_is(world: World) -> None:
    assert set(GATES) == set(DESCRIPTIONS)
    assert_refused(run(world.store.workspace, "gates", "list", "--gate", "silnce"), "silnce")
    assert run(world.store.workspace, "gates", "list", "--gate", "quiet").exit_code == 0


def test_a_replay_is_advanced_by_one_process_at_a_time(world: World) -> None:
    root = world.store.workspace.root
    program = "import sys, al_loop.cli as cli; cli.REPLAY_ENDS_S = 0.0; cli.main(sys.argv[1:])"
    # a process of its own whose standard input stays open, for it ends when that does
    with (
        FileLock(root / "replay.lock"),
        subprocess.Popen(
            [sys.executable, "-c", program, "replay", str(root)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        assert "another process is at work on this replay" in process.stderr.read()
    assert process.returncode == 1


def test_a_simulation_says_how_much_data_it_needs(world: World, tmp_path: Path) -> None:
    workspace = world.store.workspace
    refused = run(workspace, "simulate", "--budget-s", "600", "--start-s", "600")
    assert_refused(refused, "600")
    assert_refused(run(workspace, "simulate", "--name", "../x"), "--name '../x'")
    assert not (tmp_path / "x").exists()
    strategies = run(workspace, "simulate", "--strategies", "entropy", "--budget-s", "1")
    assert_refused(strategies, "entropy", "mean_token_entropy")


@pytest.mark.parametrize(("device", "count"), [("cpu", os.cpu_count()), ("cuda", 1)])
def test_replays_share_cores_but_no_gpu(world: World, device: str, count: int) -> None:
    settings = Settings.model_validate({"model": {"device": device}})
    assert _processes(world.store.workspace, settings) == count
