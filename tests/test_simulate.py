"""Simulations through the real rounds and stores, each replay in a process of its own."""

import json
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from al_loop.config import Settings, load_settings
from al_loop.errors import AlLoopError, ConfigError, WorkspaceError
from al_loop.records import Source
from al_loop.simulate import simulate
from al_loop.simulation.material import Material, kept
from al_loop.simulation.oracle import read_replies
from al_loop.simulation.point import Point
from al_loop.simulation.points import correlation
from al_loop.simulation.processes import Part, Processes
from al_loop.simulation.replay import read_plan, write_plan
from al_loop.simulation.replay import replay as advance
from al_loop.simulation.settings import (
    Simulation,
    detached,
    identity,
    source_hash,
    strategy_settings,
)
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace
from tests.fakes import SETTINGS, clips, new_store
from tests.simulation.fake_replay import loop_of

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "tests.simulation.fake_replay")


class Here:
    """Replays in this process, one after the other."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def work_off(self, waiting: deque[Part]) -> Generator[Part, None, None]:
        while waiting:
            part = waiting.popleft()
            label = part.label
            loop = loop_of(part.folder, lambda line, label=label: self.say(f"{label}: {line}"))
            advance(loop, part.folder, part.until)
            loop.store.close()  # type: ignore[attr-defined]
            yield part


SIMULATION = Simulation("trial", ("random", "mean_token_entropy"), 2, 2, 8.0, 4.0)
CHEAP = Settings.model_validate(SETTINGS)


def material(labelled: int = 30, junk: int = 5) -> Material:
    unusable = [replace(row, text=None) for row in clips("noise", "train", junk)]
    return Material(
        sources=[Source(name, "open_source", "ky") for name in ("books", "noise", "held_out")],
        fixed=clips("held_out", "test", 6),
        labelled=[*clips("books", "train", labelled), *unusable],
        verdicts={row.id: "bad_audio" for row in unusable},
    )


def run(
    store: Store,
    simulation: Simulation = SIMULATION,
    command: Sequence[str] | None = None,
    given: Material | None = None,
    said: list[str] | None = None,
) -> list[Point]:
    """command: what to advance replays with in processes of their own, if they are to have any."""
    say = [].append if said is None else said.append
    return simulate(
        simulation,
        CHEAP,
        given or material(),
        store.workspace.root / "simulations" / simulation.name,
        store,
        lambda folder: Store(Workspace.open(folder)),
        Processes(2, say, command) if command else Here(say),
        say,
    )


def replay(store: Store, seed: int, strategy: str) -> Path:
    return store.workspace.root / "simulations" / "trial" / f"seed-{seed}" / strategy


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Point], list[str]]:
    root = tmp_path_factory.mktemp("finished")
    (root / "al_loop.toml").touch()
    store, said = Store(Workspace.open(root)), list[str]()
    return store, run(store, said=said), said


Finished = tuple[Store, list[Point], list[str]]


def test_every_strategy_and_seed_has_a_point_a_round(finished: Finished) -> None:
    _, points, said = finished
    assert [(row.strategy, row.seed, row.round) for row in points] == [
        (name, seed, number)
        for name in ("mean_token_entropy", "random")
        for seed in range(2)
        for number in range(3)
    ]
    for row in points:
        assert 6.0 * row.round <= row.chosen_s <= 8.0 * row.round
        assert row.labelled_s + row.junk_s == pytest.approx(row.chosen_s)
        assert row.annotator_s >= 4 * row.tasks
        assert len(row.errors) == len(row.words) == 6
        known = row.strategy != "random" and row.round > 0
        assert (row.spearman is not None) == known
    assert any(row.junk_tasks for row in points)
    assert "random, seed 1: round 2: train" in said
    assert sum(": done, WER % " in line for line in said) == 4


def test_strategies_of_a_seed_go_on_from_the_same_start(finished: Finished) -> None:
    _, points, _ = finished
    at = {(row.strategy, row.seed, row.round): row for row in points}
    for seed in range(2):
        first, other = (at[name, seed, 0] for name in ("random", "mean_token_entropy"))
        assert first.errors == other.errors
        assert at["random", seed, 2].wer < first.wer  # more clips teach the fake more
        assert at["mean_token_entropy", seed, 1].spearman == pytest.approx(1.0)


def test_entropy_asks_about_what_is_heard_worst(finished: Finished) -> None:
    store = Store(Workspace.open(replay(finished[0], 0, "mean_token_entropy")))
    batches = {row.utterance_id: row.round for row in store.answers("whisper")}
    asked = [row for row in store.answers("whisper") if row.round == 1]
    assert asked
    assert all(row.hypothesis is not None for row in asked)
    shown = [row.hypothesis.mean_token_entropy for row in asked if row.hypothesis]
    checkpoint = Reader(store.workspace).checkpoints()[1]["id"]  # of round 0
    left = store.hypotheses(checkpoint, [row.id for row in clips("books", "train", 30)])
    passed_over = [row for row in left.values() if row.utterance_id not in batches]
    assert min(shown) >= max(row.mean_token_entropy for row in passed_over)


def test_no_weights_are_left(finished: Finished) -> None:
    store, _, _ = finished
    root = store.workspace.root / "simulations" / "trial"
    assert not list(root.rglob("weights.json"))
    assert not (root / "profiles").exists()
    assert not replay(store, 0, "start").exists()
    assert replay(store, 0, "random").joinpath("al_loop.db").is_file()


def test_what_is_finished_is_not_done_again(finished: Finished) -> None:
    store, points, _ = finished
    said: list[str] = []
    assert run(store, command=("/nowhere",), said=said) == points
    assert said == []


def test_another_strategy_and_seed_join_later(store: Store) -> None:
    first = run(store, replace(SIMULATION, strategies=("random",), seeds=1))
    both = run(store, replace(SIMULATION, strategies=("random", "margin"), seeds=1))
    assert [row for row in both if row.strategy == "random"] == first
    assert both[0].errors == first[0].errors  # the start was made again, and is the same


def test_a_killed_replay_goes_on_where_it_was(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # where the replay's process finds the fakes
    simulation = replace(SIMULATION, strategies=("random",), seeds=1, rounds=1)
    points = run(new_store(tmp_path / "undisturbed"), simulation)
    command = (*COMMAND, "--killed-in", "push", str(tmp_path / "killed"))
    with pytest.raises(AlLoopError, match="ended with status -9; the same call goes on"):
        run(store, simulation, command)
    assert run(store, simulation, COMMAND) == points
    assert not list((store.workspace.root / "simulations").rglob("*.unfinished"))


def test_a_failure_is_told_with_its_last_lines(store: Store) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no such microphone')")
    with pytest.raises(AlLoopError, match="profiles ended with status 1") as caught:
        run(store, command=command)
    assert str(caught.value).endswith("no such microphone")


def test_another_simulation_does_not_take_the_name(finished: Finished) -> None:
    with pytest.raises(WorkspaceError, match="budget_s"):
        run(finished[0], replace(SIMULATION, budget_s=7.0))
    with pytest.raises(WorkspaceError, match="the labelled data"):
        run(finished[0], given=material(labelled=29))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"strategies": ("random", "")}, ConfigError, "got an empty name, expected some of"),
        ({"strategies": ()}, ConfigError, "got none, expected some of"),
        ({"strategies": ("random", "luck")}, ConfigError, "luck.*expected some of default, random"),
        ({"rounds": 9}, WorkspaceError, "9 rounds of 8 s need 72 s"),
        ({"start_s": 0.0}, WorkspaceError, "nothing to train on"),
    ],
)
def test_what_cannot_be_replayed_is_refused_at_once(
    store: Store, changes: Mapping[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(store, replace(SIMULATION, **changes), command=("/nowhere",))
    assert store.simulation_points("trial") == []
    assert not (store.workspace.root / "simulations").exists()


SMALL = Simulation("trial", ("random",), 1, 1, 8.0, 4.0)


def test_kept_checkpoints_are_kept(store: Store) -> None:
    run(store, replace(SMALL, keep_checkpoints=True))
    with pytest.raises(WorkspaceError, match="keep_checkpoints"):
        run(store, SMALL)  # to look at it again
    folder = replay(store, 0, "random") / "checkpoints"
    assert sorted(path.name[:9] for path in folder.iterdir()) == ["base", "round-000", "round-001"]


def test_a_strategy_named_twice_is_replayed_once(store: Store) -> None:
    once = run(store, SMALL)
    said: list[str] = []
    twice = replace(SMALL, name="twice", strategies=("random", "random"))
    assert run(store, twice, said=said) == once
    assert len([line for line in said if ": done, " in line]) == 1


class Cut(BaseException):
    """The end of a process while it deletes."""


def test_a_start_that_is_half_deleted_stands_in_nobodys_way(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = shutil.rmtree

    def half(path: Path, ignore_errors: bool = False) -> None:
        if Path(path).name.startswith("start") and Path(path).exists():
            (Path(path) / "replay.json").unlink()
            raise Cut
        delete(path, ignore_errors)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", half)
        with pytest.raises(Cut):
            run(store, SMALL)
    found = run(store, replace(SMALL, strategies=("random", "margin")))
    assert {row.strategy for row in found} == {"random", "margin"}
    assert not list((store.workspace.root / "simulations").rglob("start*"))


def test_points_of_older_code_are_refused(store: Store) -> None:
    run(store, SMALL)
    ((name, settings),) = store.db.execute("SELECT name, settings FROM simulations").fetchall()
    older = json.loads(settings) | {"al-loop's code": "0" * 64}
    store.db.execute("UPDATE simulations SET settings = ?", [json.dumps(older)])
    with pytest.raises(WorkspaceError, match=r"al-loop's code differ.*another name"):
        run(store, SMALL)
    assert json.loads(settings)["al-loop's version"] == version("al-loop")
    assert name == "trial"


def test_the_code_has_a_hash(tmp_path: Path) -> None:
    (tmp_path / "round.py").write_text("pass")
    before = source_hash(tmp_path)
    (tmp_path / "round.py").rename(tmp_path / "rounds.py")
    renamed = source_hash(tmp_path)
    source_hash.cache_clear()
    assert source_hash(tmp_path) != before
    assert renamed == before  # within a process it is what the process began with


def test_settings_that_points_do_not_depend_on_may_change() -> None:
    values = CHEAP.model_dump()
    values["evaluate"]["bootstrap_samples"] = 177
    values["train"]["processes"] = 2
    given = material()
    changed = identity(SMALL, Settings.model_validate(values), given)
    assert changed == identity(SMALL, CHEAP, given)


def test_a_simulation_stays_with_what_was_labelled_when_it_began(store: Store) -> None:
    folder = store.workspace.root / "simulations" / "trial"
    said: list[str] = []
    assert kept(folder, material(), said.append) == material()
    points = run(store, SMALL)
    later = kept(folder, material(labelled=33), said.append)
    assert later.id == material().id
    assert [line for line in said if "3 labels came" in line] == said
    assert run(store, SMALL, given=later) == points


@pytest.mark.parametrize("stage", ["record", "open"])
def test_what_was_killed_often_may_begin_again(store: Store, stage: str) -> None:
    """In the last stage of a round, and before the first of the next one."""
    run(store, replace(SMALL, keep_checkpoints=True))
    folder = replay(store, 0, "random")
    replayed = Store(Workspace.open(folder))
    rounds = 1 if stage == "record" else 2
    if stage == "record":
        replayed.db.execute("UPDATE rounds SET stage = 'record' WHERE number = 1")
    for _ in range(50):
        replayed.start_stage(rounds, stage, "{}")
    replayed.close()
    write_plan(replace(read_plan(folder), rounds=rounds), folder)
    advance(loop_of(folder, [].append), folder)
    last = Store(Workspace.open(folder)).last_round()
    assert last is not None
    assert (last.number, last.stage) == (rounds, None)


def test_scores_that_are_not_trusted_have_no_correlation(store: Store) -> None:
    run(store, replace(SMALL, strategies=("mean_token_entropy",), keep_checkpoints=True))
    loop = loop_of(replay(store, 0, "mean_token_entropy"))
    replies = read_replies(store.workspace.root / "simulations" / "trial" / "replies.json")
    loop.advance(insist=True, until="select")
    assert correlation(loop, replies)["spearman"] == pytest.approx(1.0)
    values = loop.settings.model_dump()
    values["select"]["cold_start_wer"] = 1e-6
    loop.settings = Settings.model_validate(values)
    assert correlation(loop, replies)["spearman"] is None


def test_the_default_is_what_the_workspace_says(tmp_path: Path) -> None:
    settings = Settings.model_validate({"select": {"control_share": 0.3}, "train": {"epochs": 1}})
    default = strategy_settings(SIMULATION, settings, "default", 0)
    assert default.select == settings.select.model_copy(update={"budget_s": 8.0})
    assert default.gates == settings.gates
    margin = strategy_settings(SIMULATION, settings, "margin", 0)
    assert (margin.select.acquisition, margin.select.fallback) == ("margin", "margin")
    assert (margin.select.diversity, margin.select.control_share) == ("none", 0.0)
    assert not margin.gates.enabled
    assert margin.train.epochs == default.train.epochs == 1
    assert margin.seed == default.seed
    assert margin.seed != strategy_settings(SIMULATION, settings, "margin", 1).seed


@pytest.mark.parametrize(("kind", "processes"), [("local", 2), ("ray", 1)])
def test_rays_worker_trains_a_replay_alone(kind: str, processes: int) -> None:
    values = {"train": {"processes": 2}, "engine": {"kind": kind}}
    for strategy in ("default", "margin"):
        found = strategy_settings(SIMULATION, Settings.model_validate(values), strategy, 0)
        assert found.train.processes == processes


def test_settings_keep_their_meaning_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    settings = Settings.model_validate(
        {"model": {"checkpoint": "weights"}, "embedding": {"encoder": "some/hub"}}
    )
    found = detached(settings, tmp_path)
    assert found.model.checkpoint == str(tmp_path / "weights")
    assert found.embedding.encoder == "some/hub"
    assert detached(CHEAP, tmp_path) == CHEAP


def test_a_replay_ends_with_who_started_it() -> None:
    program = (
        "import time; from al_loop.simulation.replay import leave_with_the_driver as leave; "
        "leave(); print('here', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=10) == 1


def test_a_folder_that_is_no_replay_is_named(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"no replay.json here"):
        read_plan(tmp_path)
    settings = load_settings(replay(finished[0], 0, "random") / "al_loop.toml")
    assert settings.select.acquisition == "random"
