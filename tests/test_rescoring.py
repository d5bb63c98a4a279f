"""A pool that is scored in parts, on a real store, with a recognizer that takes a second a clip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_loop import rescoring
from al_loop.records import Hypothesis, Profile, Utterance
from al_loop.report import status_lines
from storage.store import Store

from .fakes import FakeRecognizer, World, clips, facts, make_world, new_store

POOL = 40
CHUNK = 10
ALL = 1000.0


class Killed(BaseException):
    """The process ends here: nothing of ours may catch it."""


class Slow(FakeRecognizer):
    """seconds: what the clock says. heard, profiled: what was done, in order, by checkpoint.

    made: the workers. dies_at: the second at which the process is killed, before its work is kept.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.seconds = 0.0
        self.dies_at: float | None = None
        self.heard: list[tuple[str, str]] = []
        self.profiled: list[str] = []
        self.made: list[str] = []

    def _work(self, block: Sequence[Utterance]) -> None:
        self.seconds += len(block)
        if self.dies_at is not None and self.seconds >= self.dies_at:
            raise Killed

    def listener(self, checkpoint: str) -> Callable[[Sequence[Utterance]], list[Hypothesis]]:
        listen = super().listener(checkpoint)
        self.made.append("listener")

        def slowly(block: Sequence[Utterance]) -> list[Hypothesis]:
            self._work(block)
            self.heard += [(checkpoint, row.id) for row in block]
            return listen(block)

        return slowly

    def profiler(
        self, checkpoint: str, encoder: str, related: Collection[str]
    ) -> Callable[[Sequence[Utterance]], list[Profile]]:
        profile = super().profiler(checkpoint, encoder, related)
        self.made.append("profiler")

        def slowly(block: Sequence[Utterance]) -> list[Profile]:
            self._work(block)
            self.profiled += [row.id for row in block]
            return profile(block)

        return slowly


def slow_world(store: Store, seconds: float | None, **sections: Any) -> World:
    """A world that has recorded round 0, whose rounds score for so many seconds."""
    world = make_world(store, pool=POOL)
    recognizer = Slow(store.workspace.root)
    world.recognizer, world.clock = recognizer, lambda: recognizer.seconds
    world.set(score={"minutes": None if seconds is None else seconds / 60}, **sections)
    world.advance()
    recognizer.heard.clear()
    recognizer.made.clear()
    return world


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescoring, "CHUNK", CHUNK)


def pool_ids() -> set[str]:
    return {row.id for row in clips("radio", "pool", POOL)}


def slow(world: World) -> Slow:
    assert isinstance(world.recognizer, Slow)
    return world.recognizer


def heard(world: World) -> list[str]:
    """The pool's clips in the order in which they were heard, whoever heard them."""
    pool = pool_ids()
    return [name for _, name in slow(world).heard if name in pool]


def profiled(world: World) -> list[str]:
    return [name for name in slow(world).profiled if name in pool_ids()]


def selected(world: World, number: int) -> dict[str, Any]:
    return world.reader().selection(number)


def finish(world: World) -> None:
    """Have the open round, or else the next, answered and recorded."""
    if world.advance().kind == "waiting":
        world.oracle.answer(*world.oracle.unanswered)
        assert world.advance().kind == "recorded"


@pytest.mark.parametrize(
    ("seconds", "profiles", "hypotheses"),
    [
        (0.01, CHUNK, CHUNK),  # the first chunk is always finished
        (35, 20, 15),  # the second chunk ends in the middle of listening,
        (25, 15, 10),  # or of profiling
        (40, 20, 20),
    ],
)
def test_time_is_looked_at_after_every_block(
    store: Store, seconds: float, profiles: int, hypotheses: int
) -> None:
    world = slow_world(store, seconds)
    world.advance(until="select")
    assert (len(profiled(world)), len(heard(world))) == (profiles, hypotheses)
    assert {row.id for row in clips("books", "train", 4)} <= set(slow(world).profiled)


def test_only_what_was_heard_is_acquired_and_the_rest_is_said_to_wait(store: Store) -> None:
    world = slow_world(store, 30, gates={"enabled": True, "max_characters_per_s": 1000.0})
    world.advance(until="select")
    part = set(heard(world))
    assert world.advance().kind == "waiting"
    acquired = store.db.execute("SELECT utterance_id FROM query_batches WHERE arm = 'acquired'")
    assert {row[0] for row in acquired} < part
    found = selected(world, 1)
    assert (found["pool"], found["scored"], found["waiting"]) == (POOL, len(part), POOL - len(part))
    assert found["unscored"] == 0
    assert world.reader().gated() == []
    line = f"{len(part)} of {POOL} clips are scored, the rest waits for later rounds"
    assert line in found["reason"]
    assert status_lines(world.reader(), world.settings)[2].endswith(
        f"; {len(part)} of {POOL} clips were scored for round 1, the rest waits for later rounds"
    )


def test_workers_are_made_once_however_many_chunks_there_are(store: Store) -> None:
    world = slow_world(store, ALL)
    world.advance(until="select")
    assert sorted(heard(world)) == sorted(pool_ids())
    assert slow(world).made == ["profiler", "profiler", "listener"]  # one for the train split


def test_over_several_rounds_a_checkpoint_hears_everything_once(store: Store) -> None:
    world = slow_world(store, 20)
    slow(world).progress = -1  # no candidate takes its place
    waiting = []
    for number in range(1, 5):
        finish(world)
        waiting.append(selected(world, number)["waiting"])
    assert waiting == [30, 20, 10, 0]
    in_use = [row for row in slow(world).heard if row[1] in pool_ids()]
    assert len(set(in_use)) == len(in_use)
    assert len(set(profiled(world))) == len(profiled(world)) == POOL


def test_a_better_checkpoint_hears_what_nobody_heard_and_what_promised_most(store: Store) -> None:
    world = slow_world(store, 40)
    finish(world)
    asked, before = set(world.batch(1)), set(heard(world))
    (earlier,) = {name for name, row in slow(world).heard if row in before - asked}
    world.set(score={"minutes": 0.001})
    slow(world).heard.clear()
    world.advance(until="select")
    again = set(heard(world)) & before
    assert (len(again), len(set(heard(world)) - before)) == (CHUNK / 2, CHUNK / 2)
    assert not again & asked
    found = store.db.execute(
        "SELECT utterance_id, -mean_log_prob FROM hypotheses "
        "JOIN checkpoints ON id = checkpoint_id WHERE path = ?",
        [earlier],
    )
    doubt = {name: value for name, value in found if name in before - asked}
    assert min(doubt[name] for name in again) >= max(doubt[name] for name in doubt.keys() - again)


def test_where_choosing_is_random_nothing_is_promising(store: Store) -> None:
    world = slow_world(store, 20, select={"acquisition": "random"})
    finish(world)
    before = set(heard(world))
    slow(world).heard.clear()
    world.advance(until="select")
    assert not set(heard(world)) & before


@pytest.mark.parametrize("second", [8, 12, 17, 27, 37])
def test_a_killed_round_goes_on_and_hears_nothing_twice(
    tmp_path: Path, store: Store, second: int
) -> None:
    undisturbed = slow_world(store, 60)
    undisturbed.advance(until="select")
    world = slow_world(new_store(tmp_path / "killed"), 20)
    recognizer = slow(world)
    begins = recognizer.seconds + 4  # the train split
    recognizer.dies_at = begins + second
    world.set(score={"minutes": 1.0})
    with pytest.raises(Killed):
        world.advance(until="select")
    kept = set(heard(world))
    world.set(score={"minutes": 20 / 60})
    recognizer.dies_at = None
    recognizer.seconds = 0
    world.advance(until="select")
    assert len(set(heard(world))) == len(heard(world)) >= len(kept) + CHUNK
    assert len(set(profiled(world))) == len(profiled(world))
    # the same order, cut short: it ends in a chunk whose blocks are shuffled
    assert set(heard(world)) <= set(heard(undisturbed))


def test_parts_are_scored_until_there_is_something_to_ask_about(store: Store) -> None:
    gates = {"enabled": True, "max_characters_per_s": 1000.0}
    world = slow_world(store, 0.01, gates=gates)
    names = sorted(pool_ids())
    slow(world).quiet = set(names)
    outcome = world.advance()
    assert (outcome.kind, outcome.round) == ("idle", 1)
    assert f"the gates hold back all {POOL} clips of the pool (quiet {POOL})" in outcome.message
    assert heard(world) == []
    store.release(names[7], "one can hear it")
    assert world.advance().kind == "waiting"
    assert world.batch(1) == [names[7]]
    assert set(heard(world)) == {names[7]}


def test_clips_that_came_after_scoring_wait(store: Store) -> None:
    world = slow_world(store, ALL)
    world.advance(until="select")
    store.add(clips("radio", "pool", POOL + 5), [])
    assert world.advance().kind == "waiting"
    assert set(world.batch(1)) < pool_ids()
    assert selected(world, 1)["waiting"] == 5


def test_a_cold_start_profiles_a_part_and_hears_the_batch_alone(store: Store) -> None:
    world = slow_world(store, 0.01, select={"cold_start_wer": 0.01})
    assert world.advance().kind == "waiting"
    assert len(profiled(world)) == CHUNK
    assert set(heard(world)) == set(world.batch(1)) < set(profiled(world))
    assert selected(world, 1)["waiting"] == POOL - CHUNK


def test_another_encoder_measures_a_part_again(store: Store) -> None:
    world = slow_world(store, ALL)
    world.advance(until="select")
    world.set(embedding={"encoder": "some/other"}, score={"minutes": 0.001})
    slow(world).profiled.clear()
    already = list(heard(world))
    assert world.advance().kind == "waiting"
    assert set(world.batch(1)) <= set(profiled(world))
    assert len(profiled(world)) == CHUNK
    assert heard(world) == already


def test_with_enough_minutes_all_is_as_without_a_budget(tmp_path: Path, store: Store) -> None:
    gates = {"enabled": True, "max_characters_per_s": 1000.0}
    found = []
    for place, seconds in ((store, None), (new_store(tmp_path / "budget"), ALL)):
        world = slow_world(place, seconds, gates=gates)
        slow(world).quiet = set(sorted(pool_ids())[:6])
        finish(world)
        finish(world)
        found.append(facts(world.store))
    whole, in_parts = found
    assert whole["query_batches"]
    same = set(whole) - {"stage_runs", "profiles"}  # settings; the places of the embeddings
    assert {name: whole[name] for name in same} == {name: in_parts[name] for name in same}


def test_what_a_gate_held_back_for_its_text_is_not_promising(store: Store) -> None:
    """Loops are the most doubtful of all, and would be heard again in every round."""
    world = slow_world(store, ALL, gates={"enabled": True, "max_compression_ratio": 1e9})
    finish(world)  # everything is heard
    world.set(gates={"enabled": True, "max_compression_ratio": 1e-9})
    pool = store.scored_pool(store.current_checkpoint_id() or "", "whisper")
    last_heard, promise = rescoring._standing(world.settings, store, pool, trusted=True)
    assert (last_heard >= 0).any()
    assert np.isnan(promise).all()
