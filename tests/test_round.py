"""The stage machine on a real store, with a recognizer and annotators that are fakes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from al_loop.errors import (
    AlLoopError,
    ConfigError,
    ModelError,
    OracleUnavailable,
    TrainingError,
    WorkspaceError,
)
from al_loop.records import STAGES, STANDARD_SILENCE, Example, Source
from al_loop.round import MOST_STARTS
from storage.store import Store

from .fakes import FakeOracle, World, clips, facts, live, make_world, new_store, spoken


@pytest.fixture
def world(store: Store) -> World:
    return make_world(store)


@pytest.fixture
def asked(world: World) -> World:
    """A world whose round 1 waits for its annotators."""
    world.advance()
    assert world.advance().kind == "waiting"
    return world


def trained_on(world: World, round_number: int) -> set[str]:
    """The utterances of a round's manifest."""
    rows = world.store.db.execute(
        "SELECT utterance_id FROM manifest_examples m JOIN rounds r USING (manifest_id) "
        "WHERE r.number = ?",
        [round_number],
    )
    return {row[0] for row in rows}


def decision(world: World, round_number: int) -> str:
    return world.reader().rounds()[round_number]["decision"]


# -- round 0 -----------------------------------------------------------------------------------


def test_round_0_trains_on_the_seed_alone(world: World) -> None:
    outcome = world.advance()
    assert (outcome.kind, outcome.round) == ("recorded", 0)
    assert world.oracle.asked == []
    (training,) = world.recognizer.trainings
    assert training.checkpoint == "checkpoints/base"
    assert len(training.epochs) == world.settings.train.epochs
    seed = {row.id for row in clips("books", "train", 4)}
    assert {example.utterance_id for draws in training.epochs for example in draws} == seed
    assert trained_on(world, 0) == seed


def test_round_0_is_recorded_with_the_rates_before_and_after(world: World) -> None:
    world.advance()
    (rates,) = world.reader().before_and_after(0)
    assert rates["after"] < rates["before"]
    assert [row["wer"] for row in world.reader().error_rates()] == [rates["after"]]
    assert decision(world, 0).startswith("promoted: held_out -")
    stages = world.store.db.execute("SELECT stage FROM stage_runs WHERE finished_at IS NOT NULL")
    assert [row[0] for row in stages] == list(STAGES[STAGES.index("merge") :])


def test_with_nothing_labelled_round_0_has_no_candidate_and_round_1_goes_on(store: Store) -> None:
    world = make_world(store, train=0)
    assert world.advance().kind == "recorded"
    assert world.recognizer.trainings == []
    assert decision(world, 0) == "no candidate: nothing was labelled"
    (rates,) = world.reader().error_rates()
    assert rates["round"] == 0

    assert world.advance().kind == "waiting"
    world.oracle.answer(*world.oracle.unanswered)
    assert world.advance().kind == "recorded"
    assert decision(world, 1).startswith("promoted: ")
    assert world.recognizer.trainings[0].checkpoint == "checkpoints/base"


def test_without_an_evaluation_set_a_candidate_is_promoted_unseen(store: Store) -> None:
    world = make_world(store, test=0)
    store.add(clips("held_out", "silence", 4), [])
    world.advance()
    assert decision(world, 0) == (
        "promoted unseen: there is no evaluation set to compare on; "
        "words in 4 of 4 silent clips, in 4 before"
    )
    assert world.reader().error_rates() == []


def test_the_mixture_is_said_before_training(asked: World) -> None:
    asked.oracle.answer(*asked.batch(1)[:4])
    asked.said.clear()
    asked.advance(close=True)
    before_training = asked.said[: asked.said.index("round 1: train")]
    assert before_training[-2:] == [
        "  books: 4 examples, 0.1 min, weight 1, 25% of draws",
        "  in_house: 4 examples, 0.1 min, weight 3, 75% of draws",
    ]


def test_a_source_that_may_not_repeat_as_often_as_it_should_is_named(asked: World) -> None:
    asked.set(mixture={"max_repeats": 2, "source_shares": {"in_house": 0.9}})
    asked.oracle.answer(*asked.batch(1)[:1])
    asked.said.clear()
    asked.advance(close=True)
    assert asked.said[asked.said.index("round 1: train") - 1] == (
        "  warning: in_house asked for 90.0% of draws and got 40.0%: each of its 1 examples is "
        "drawn 2 times, and mixture.max_repeats allows no more"
    )


def test_shares_of_an_unknown_language_are_a_mistake_until_it_is_mended(world: World) -> None:
    world.set(mixture={"language_shares": {"kg": 0.5}})
    with pytest.raises(ConfigError, match=r"language_shares names kg, .* known here: ky"):
        world.advance()
    world.set(mixture={"language_shares": {}})
    assert world.advance(insist=True).kind == "recorded"


def test_another_model_needs_another_workspace(world: World) -> None:
    world.advance()
    world.set(model={"checkpoint": "openai/whisper-small"})
    with pytest.raises(
        ConfigError, match=r"'openai/whisper-small', but .* 'packaged:whisper-base'"
    ):
        world.advance()
    assert len(world.reader().rounds()) == 1
    world.set(model={"checkpoint": "packaged:whisper-base"})
    assert world.advance(insist=True).kind == "waiting"


# -- asking ------------------------------------------------------------------------------------


def test_round_1_asks_about_the_pool_within_the_budget(asked: World) -> None:
    tasks = asked.oracle.asked
    durations = {row.id: row.duration_s for row in clips("radio", "pool", 14)}
    assert {task.key.utterance_id for task in tasks} < durations.keys()
    assert 6.0 < sum(durations[task.key.utterance_id] for task in tasks) <= 8.0
    assert [task.rank for task in tasks] == list(range(len(tasks)))
    arms = {row[0] for row in asked.store.db.execute("SELECT arm FROM query_batches")}
    assert arms == {"acquired", "control"}


def test_a_task_shows_what_the_promoted_checkpoint_heard(asked: World) -> None:
    (checkpoint_id,) = asked.store.db.execute(
        "SELECT candidate_id FROM rounds WHERE number = 0"
    ).fetchone()
    heard = asked.store.hypotheses(checkpoint_id, asked.oracle.utterances)
    assert [task.hypothesis for task in asked.oracle.asked] == [
        heard[task.key.utterance_id].text for task in asked.oracle.asked
    ]


def test_a_call_that_waits_changes_nothing(asked: World) -> None:
    before, times = facts(asked.store), list(asked.store.db.execute("SELECT * FROM stage_runs"))
    for _ in range(3):
        outcome = asked.advance()
        assert outcome.kind == "waiting"
        assert "0 of 5 tasks are answered, it goes on at 5 or on " in outcome.message
    assert facts(asked.store) == before
    assert list(asked.store.db.execute("SELECT * FROM stage_runs")) == times
    assert len(asked.oracle.asked) == 5


def test_no_clip_that_fits_is_said_with_the_shortest_length(world: World) -> None:
    world.advance()
    world.set(select={"budget_s": 0.5})
    with pytest.raises(AlLoopError, match=r"budget_s = 0\.5; the shortest .* needs 1\b"):
        world.advance()
    world.set(select={"budget_s": 1.0})
    assert world.advance(insist=True).kind == "waiting"
    assert len(world.batch(1)) == 1


def test_a_pool_that_changes_after_it_was_scored_is_scored_again(world: World) -> None:
    world.set(gates={"enabled": True, "max_characters_per_s": 1000.0}, select={"budget_s": 100.0})
    world.advance()
    assert world.advance(until="select").kind == "stopped"
    more = [row.id for row in clips("radio", "pool", 20)][14:]
    world.recognizer.quiet = set(more[:3])
    world.store.add(clips("radio", "pool", 20), [])
    assert world.advance().kind == "waiting"
    assert set(more) - set(world.batch(1)) == set(more[:3])
    assert held_back(world) == set(more[:3])


def test_another_encoder_measures_again_before_it_gates(world: World) -> None:
    world.set(gates={"enabled": True, "max_characters_per_s": 1000.0}, select={"budget_s": 100.0})
    ids = [row.id for row in clips("radio", "pool", 14)]
    world.recognizer.quiet = set(ids[:5])
    world.advance()
    world.advance(until="select")
    world.set(embedding={"encoder": "some/other"})
    assert world.advance().kind == "waiting"
    assert set(world.batch(1)) == set(ids[5:])


def held_back(world: World) -> set[str]:
    return {row["utterance_id"] for row in world.reader().gated()}


@pytest.fixture
def gated(world: World) -> World:
    """A world that has recorded round 0, and whose pool is nothing but quiet clips."""
    world.set(gates={"enabled": True, "max_characters_per_s": 1000.0})
    world.recognizer.quiet = {row.id for row in clips("radio", "pool", 40)}
    world.advance()
    return world


def test_a_pool_that_the_gates_hold_back_leaves_the_loop_idle_until_one_is_released(
    gated: World,
) -> None:
    for _ in range(3):
        outcome = gated.advance()
        assert (outcome.kind, outcome.round) == ("idle", 1)
        assert "all 14 clips of the pool (quiet 14): release some with" in outcome.message
    assert len(gated.reader().rounds()) == 2
    assert gated.reader().status().error is None
    assert len(gated.recognizer.trainings) == 1
    held = held_back(gated)
    assert held == {row.id for row in clips("radio", "pool", 14)}
    free = min(held)
    gated.store.release(free, "one can hear it")
    assert gated.advance().kind == "waiting"
    assert gated.batch(1) == [free]
    assert held_back(gated) == held - {free}


def test_new_audio_ends_an_idle_round(gated: World) -> None:
    assert gated.advance().kind == "idle"
    gated.store.put_source(Source("fresh", "in_house", "ky"))
    gated.store.add(clips("fresh", "pool", 3), [])
    assert gated.advance().kind == "waiting"
    assert set(gated.batch(1)) == {row.id for row in clips("fresh", "pool", 3)}


def test_a_late_answer_ends_an_idle_round_and_is_trained_on_once(world: World) -> None:
    world.advance()
    world.advance()
    late, *others = world.batch(1)
    world.oracle.answer(*others)
    world.advance(close=True)
    world.set(gates={"enabled": True, "min_loudness_dbfs": -10.0})
    assert world.advance().kind == "idle"
    world.oracle.answer(late)
    assert world.advance().kind == "recorded"
    assert trained_on(world, 2) - trained_on(world, 1) == {late}
    assert world.batch(2) == []
    for _ in range(2):
        assert world.advance().kind == "idle"
    assert len(world.recognizer.trainings) == 3
    world.oracle.failure = OracleUnavailable("switched off")
    assert world.advance().kind == "idle"


def test_gated_clips_alone_are_tried_and_train_nothing_where_they_are_junk(gated: World) -> None:
    gated.set(select={"explore_share": 0.5})
    assert gated.advance().kind == "waiting"
    assert arms(gated) == {"explored"}
    gated.oracle.answer(*gated.oracle.unanswered, verdict="bad_audio")
    assert gated.advance().kind == "recorded"
    assert len(gated.recognizer.trainings) == 1
    assert decision(gated, 1) == "no candidate: nothing was labelled"
    assert gated.advance().kind == "waiting"
    gated.oracle.answer(*gated.oracle.unanswered)
    assert gated.advance().kind == "recorded"
    assert len(gated.recognizer.trainings) == 2


def arms(world: World) -> set[str]:
    return {row[0] for row in world.store.db.execute("SELECT arm FROM query_batches")}


def test_a_select_stage_that_is_repeated_chooses_the_same(asked: World, tmp_path: Path) -> None:
    """One world is killed after it has chosen, and chooses again; the other is not."""

    class Dying(Store):
        def put_selection(self, *args: Any) -> None:
            raise SystemExit

    again = make_world(new_store(tmp_path / "again"))
    again.advance()
    whole, again.store = again.store, Dying(again.store.workspace)
    for _ in range(2):
        with pytest.raises(SystemExit):
            again.advance()
    again.store = whole
    assert again.advance().kind == "waiting"
    assert again.oracle.asked == asked.oracle.asked


def test_the_candidate_hears_what_its_annotators_taught_it(asked: World) -> None:
    answered = asked.batch(1)[:3]
    asked.oracle.answer(*answered)
    asked.advance(close=True)
    recorded = asked.store.last_recorded_round()
    assert recorded is not None
    assert recorded.candidate_id is not None
    assert asked.store.heard(recorded.candidate_id, asked.batch(1)) == set(answered)


def test_a_cold_start_decodes_only_what_is_asked_about(world: World) -> None:
    world.set(select={"cold_start_wer": 0.01}, gates={"enabled": True})
    world.advance()
    assert world.advance().kind == "waiting"
    opened = world.store.open_round()
    assert opened is not None
    pool = [row.id for row in clips("radio", "pool", 14)]
    assert world.store.heard(opened.checkpoint_id, pool) == set(world.batch(1))
    world.oracle.answer(*world.batch(1))
    world.advance()
    assert {row.trusted for row in world.store.answers("whisper")} == {False}


def test_an_untrained_checkpoint_is_trusted_as_far_as_it_was_measured(store: Store) -> None:
    """It hears a quarter of the words, which is an error rate of three quarters."""
    world = make_world(store, train=0)
    world.advance()
    assert world.advance().kind == "waiting"
    assert [row["facts"]["trusted"] for row in world.reader().selections()] == [True]


def test_an_untrained_checkpoint_that_was_not_measured_is_not_trusted(store: Store) -> None:
    world = make_world(store, train=0, test=0)
    world.advance()
    assert world.advance().kind == "waiting"
    assert [row["facts"]["trusted"] for row in world.reader().selections()] == [False]


def test_a_clip_without_an_embedding_is_named_and_the_rest_goes_on(world: World) -> None:
    broken = clips("radio", "pool", 14)[3].id
    world.recognizer.shapeless = {broken}
    world.set(gates={"enabled": True, "max_characters_per_s": 1000.0}, select={"budget_s": 100.0})
    world.advance()
    assert world.advance().kind == "waiting"
    assert broken in world.batch(1)
    (line,) = [line for line in world.said if "warning" in line]
    assert f"the embedding of {broken} by whisper has values that are not finite" in line


def test_what_is_decoded_again_is_compared_with_what_was_heard(world: World) -> None:
    """The fake's alternatives differ from what it heard where its skill is not yet complete."""
    world.set(select={"acquisition": "n_best_risk", "alternatives": 2, "control_share": 0.0})
    world.advance()
    assert world.advance().kind == "waiting"
    assert max(task.acquisition_score for task in world.oracle.asked) > 0
    assert len([line for line in world.said if "doubted 14 of 14" in line]) == 1


def test_an_empty_pool_opens_no_round(store: Store) -> None:
    world = make_world(store, pool=2)
    world.advance()
    world.advance()
    world.oracle.answer(*world.oracle.unanswered)
    assert world.advance().kind == "recorded"
    outcome = world.advance()
    assert (outcome.kind, outcome.round) == ("idle", None)
    assert "ingest more audio" in outcome.message
    assert len(world.reader().rounds()) == 2

    store.add(clips("radio", "pool", 3), [])
    assert world.advance().kind == "waiting"
    assert world.batch(2) == [clips("radio", "pool", 3)[2].id]


def test_another_label_studio_gets_the_tasks_that_are_not_answered(asked: World) -> None:
    answered, *others = asked.batch(1)
    asked.oracle.answer(answered)
    asked.advance()
    asked.oracle = FakeOracle("http://another.test")
    assert asked.advance().kind == "waiting"
    assert asked.batch(1) == others
    asked.oracle.answer(*others)
    asked.advance()
    assert trained_on(asked, 1) - trained_on(asked, 0) == {answered, *others}


# -- closing -----------------------------------------------------------------------------------


def test_it_goes_on_at_the_close_share(asked: World) -> None:
    asked.set(label_studio={"close_share": 0.5})
    first, second, third, *_ = asked.batch(1)
    asked.oracle.answer(first, first, second)
    assert "2 of 5 tasks are answered, it goes on at 3" in asked.advance().message
    asked.oracle.answer(third, verdict="skipped")
    assert asked.advance().kind == "recorded"


def test_a_pull_asks_for_what_is_new_since_the_last_one(asked: World) -> None:
    pushed = max(asked.oracle.changed_at.values())
    asked.oracle.answer(asked.batch(1)[0])
    for _ in range(2):
        asked.advance()
    (answer,) = asked.oracle.annotations.values()
    assert asked.oracle.pulled_since == [None, pushed, answer.updated_at]


def test_the_close_share_is_not_rounded_up_beyond_itself(store: Store) -> None:
    world = make_world(store, pool=25)
    world.set(select={"budget_s": 100.0}, label_studio={"close_share": 0.28})
    world.advance()
    assert "0 of 25 tasks are answered, it goes on at 7 " in world.advance().message


def test_it_goes_on_by_hand(asked: World) -> None:
    answered = asked.batch(1)[0]
    asked.oracle.answer(answered)
    assert asked.advance(close=True).kind == "recorded"
    assert trained_on(asked, 1) - trained_on(asked, 0) == {answered}


def test_closing_by_hand_passes_over_no_annotator_who_was_not_asked_yet(world: World) -> None:
    world.advance(close=True)
    assert world.advance(close=True).kind == "waiting"


def test_it_goes_on_after_the_close_days(asked: World) -> None:
    week = timedelta(days=asked.settings.label_studio.close_after_days)

    def push_at(moment: datetime) -> None:
        asked.store.db.execute("UPDATE rounds SET pushed_at = ?", [moment.isoformat()])

    push_at(datetime.now(UTC) - week + timedelta(minutes=1))
    assert asked.advance().kind == "waiting"
    push_at(datetime.now(UTC) - week)
    assert asked.advance().kind == "recorded"


# -- labels ------------------------------------------------------------------------------------


def test_a_late_answer_joins_the_next_manifest(asked: World) -> None:
    late, *others = asked.batch(1)
    asked.oracle.answer(*others)
    asked.advance(close=True)
    assert trained_on(asked, 1) - trained_on(asked, 0) == set(others)

    asked.oracle.answer(late)
    assert asked.advance().kind == "waiting"
    assert late not in asked.batch(2)
    asked.oracle.answer(*asked.oracle.unanswered)
    asked.advance()
    assert trained_on(asked, 2) - trained_on(asked, 1) == {late, *asked.batch(2)}


def test_a_late_answer_to_the_last_batch_is_worth_a_round(store: Store) -> None:
    world = make_world(store, pool=4)
    world.advance()
    world.advance()
    late, *others = world.batch(1)
    world.oracle.answer(*others)
    assert world.advance(close=True).kind == "recorded"
    assert world.advance().kind == "idle"
    world.oracle.answer(late)
    outcome = world.advance()
    assert (outcome.kind, outcome.round) == ("recorded", 2)
    assert trained_on(world, 2) - trained_on(world, 1) == {late}
    assert world.batch(2) == []
    assert world.advance().kind == "idle"


def test_stragglers_of_the_last_batch_share_one_round(store: Store) -> None:
    world = make_world(store, pool=5)
    world.advance()
    world.advance()
    first, second, *others = world.batch(1)
    world.oracle.answer(*others)
    world.advance(close=True)
    world.oracle.answer(first)
    assert world.advance().kind == "idle"
    world.oracle.answer(second)
    assert world.advance().kind == "recorded"
    assert trained_on(world, 2) - trained_on(world, 1) == {first, second}


def test_a_straggler_is_waited_for_until_close_after_days(store: Store) -> None:
    world = make_world(store, pool=5)
    world.advance()
    world.advance()
    first, _, *others = world.batch(1)
    world.oracle.answer(*others)
    world.advance(close=True)
    world.oracle.answer(first)
    assert world.advance().kind == "idle"
    store.db.execute("UPDATE rounds SET pushed_at = '2020-01-01T00:00:00+00:00' WHERE number = 1")
    assert world.advance().kind == "recorded"
    assert trained_on(world, 2) - trained_on(world, 1) == {first}


def test_with_an_empty_pool_the_loop_does_without_its_annotators(store: Store) -> None:
    world = make_world(store, pool=4)
    world.advance()
    world.advance()
    world.oracle.answer(*world.batch(1))
    world.advance()
    world.oracle.failure = OracleUnavailable("switched off")
    assert world.advance().kind == "idle"


def test_a_verdict_leaves_no_label_in_training_and_is_not_asked_again(asked: World) -> None:
    broken, skipped, *others = asked.batch(1)
    asked.oracle.answer(broken, verdict="bad_audio")
    asked.oracle.answer(skipped, verdict="skipped")
    asked.oracle.answer(*others)
    asked.advance()
    assert trained_on(asked, 1) - trained_on(asked, 0) == set(others)
    texts = dict(asked.store.db.execute("SELECT utterance_id, text FROM labels"))
    assert texts == {name: spoken(name) for name in others} | {broken: None, skipped: None}
    asked.advance()
    assert not {broken, skipped} & set(asked.batch(2))


def test_a_corrected_answer_replaces_the_label(asked: World) -> None:
    corrected, *others = asked.batch(1)
    asked.oracle.answer(*others)
    asked.oracle.answer(corrected, verdict="bad_audio")
    asked.advance()
    asked.oracle.answer(corrected)
    asked.advance()
    asked.oracle.answer(*asked.oracle.unanswered)
    asked.advance()
    assert corrected not in trained_on(asked, 1)
    assert corrected in trained_on(asked, 2)


def test_an_evaluation_set_is_neither_asked_about_nor_trained_on(asked: World) -> None:
    moved, *others = asked.batch(1)
    asked.oracle.answer(moved, *others)
    unasked = next(
        row for row in clips("radio", "pool", 14) if row.id not in asked.oracle.utterances
    )
    asked.store.add(
        [
            replace(row, split="test", source="held_out", text=spoken(row.id))
            for row in clips("radio", "pool", 14)
            if row.id in {moved, unasked.id}
        ],
        [],
    )
    outcomes = [asked.advance(close=True).kind for _ in range(8)]
    assert outcomes[-1] == "idle"
    tested = {row.id for row in asked.store.evaluation_utterances()}
    assert {moved, unasked.id} < tested
    assert unasked.id not in asked.oracle.utterances
    rounds = range(len(asked.reader().rounds()))
    assert not tested & {name for number in rounds for name in trained_on(asked, number)}


def test_a_leak_of_an_evaluation_set_stops_the_round(world: World) -> None:
    class Leaking(Store):
        """A store that takes a test clip for a training example."""

        def training_examples(self, in_house_source: str) -> list[Example]:
            row = self.evaluation_utterances()[0]
            leak = Example(row.id, row.audio, row.duration_s, row.source, "ky", row.text or "")
            return [*super().training_examples(in_house_source), leak]

    world.store = Leaking(world.store.workspace)
    with pytest.raises(WorkspaceError, match="1 utterances of an evaluation set"):
        world.advance()
    assert world.recognizer.trainings == []
    assert trained_on(world, 0) == set()


# -- training and promoting --------------------------------------------------------------------


def repeat_a_test_sentence(world: World, count: int) -> list[str]:
    """Let so many training clips say what a clip of the evaluation set says."""
    text = world.store.evaluation_utterances()[0].text
    repeated = [replace(row, text=text) for row in clips("books", "train", count)]
    world.store.add(repeated, [])
    return [row.id for row in repeated]


def test_a_sentence_of_an_evaluation_set_is_left_out_of_training_and_named(world: World) -> None:
    (leaked,) = repeat_a_test_sentence(world, 1)
    world.set(mixture={"max_leak_share": 0.25})
    world.advance()
    assert leaked not in trained_on(world, 0)
    assert len(trained_on(world, 0)) == 3
    (row,) = world.reader().leaks(0, 2)
    assert (row["utterance_id"], row["source"], row["reason"]) == (leaked, "books", "text")
    assert row["evaluation_set"] == "held_out"
    assert any("left out" in line and "1 of books by text" in line for line in world.said)


def test_too_many_sentences_of_an_evaluation_set_stop_the_round(world: World) -> None:
    repeat_a_test_sentence(world, 1)
    with pytest.raises(WorkspaceError, match=r"1 of 4 training examples .*25%.*allows 20%"):
        world.advance()
    current = world.store.open_round()
    assert current is not None
    assert current.stage == "merge"
    assert world.recognizer.trainings == []


def test_a_source_of_which_nothing_is_left_is_named(world: World) -> None:
    repeat_a_test_sentence(world, 4)
    world.set(mixture={"max_leak_share": 1.0})
    world.advance()
    assert "  warning: of books nothing is left to train on" in world.said


def test_words_in_silence_are_counted_before_and_after(world: World) -> None:
    world.store.put_source(Source("room", "in_house", "ky"))
    world.store.add(clips("room", "silence", 5), [])
    world.advance()
    assert world.reader().silence_before_and_after(0) == {
        "clips_before": 5,
        "before": 5,
        "clips_after": 5,
        "after": 5,
    }
    assert world.reader().rounds()[0]["hallucinated_share"] == 1
    assert "words in 5 of 5 silent clips, in 5 before" in decision(world, 0)
    assert not {row.id for row in world.store.silence_utterances()} & trained_on(world, 0)


def test_the_validation_split_is_heard_and_never_drawn(world: World) -> None:
    kept = clips("held_back", "validation", 3)
    world.store.put_source(Source("held_back", "open_source", "ky"))
    world.store.add(kept, [])
    world.advance()
    (training,) = world.recognizer.trainings
    assert [row.utterance_id for row in training.validation] == sorted(row.id for row in kept)
    drawn = {example.utterance_id for draws in training.epochs for example in draws}
    assert drawn.isdisjoint(row.id for row in kept)


def test_training_can_start_from_the_promoted_checkpoint(asked: World) -> None:
    asked.set(train={"start_from": "promoted"})
    asked.recognizer.progress = -1
    asked.advance(close=True)
    assert decision(asked, 1).startswith("rejected: held_out got worse by +")
    asked.recognizer.progress = 1
    asked.advance()
    asked.advance(close=True)
    assert decision(asked, 2).startswith("promoted: ")

    base, rejected, promoted = (row.checkpoint for row in asked.recognizer.trainings)
    assert base == "checkpoints/base"
    assert rejected == promoted
    assert rejected.startswith("checkpoints/round-000-")
    wer = [row["wer"] for row in asked.reader().error_rates()]
    assert wer[0] == wer[1] > wer[2]


def test_training_does_not_start_from_what_was_rolled_back(asked: World) -> None:
    asked.set(train={"start_from": "promoted"})
    asked.store.rollback("it hears words in music")
    asked.advance(close=True)
    assert [row.checkpoint for row in asked.recognizer.trainings] == ["checkpoints/base"] * 2
    parents = [row["parent"] for row in asked.reader().checkpoints()]
    assert parents == [None, "base", "base"]


def test_training_starts_from_the_base_every_time(asked: World) -> None:
    asked.advance(close=True)
    assert [row.checkpoint for row in asked.recognizer.trainings] == ["checkpoints/base"] * 2


def test_clips_ingested_after_the_evaluation_wait_for_the_next_round(world: World) -> None:
    class Busy(Store):
        """A store that `al-loop ingest` writes to while a round decides."""

        def put_evaluations(self, *args: Any) -> None:
            super().put_evaluations(*args)
            self.add(clips("held_out", "test", 8), [])

    world.store = Busy(world.store.workspace)
    assert world.advance().kind == "recorded"
    assert len(world.store.evaluation_utterances()) == 8
    assert [row["utterances"] for row in world.reader().error_rates()] == [6]


# -- what is in use ----------------------------------------------------------------------------


def test_a_round_whose_checkpoint_is_rolled_back_is_compared_with_the_one_in_use(
    asked: World,
) -> None:
    asked.store.rollback("it hears words in music")
    asked.recognizer.progress = -1
    asked.advance(close=True)
    assert decision(asked, 1).startswith("rejected: held_out got worse by +")
    assert "since" not in decision(asked, 1)  # what was rolled back sets no standard
    first, second = asked.reader().error_rates()
    (before,) = asked.reader().before_and_after(0)
    assert second["wer"] == before["before"] > first["wer"]
    (rates,) = asked.reader().before_and_after(1)
    assert rates["before"] == second["wer"] < rates["after"]
    base = asked.store.find_checkpoint("base")
    assert second["checkpoint_id"] == asked.store.current_checkpoint_id() == base.id
    assert asked.advance().kind == "waiting"
    opened = asked.store.open_round()
    assert opened is not None
    assert opened.checkpoint_id == base.id


def test_a_candidate_worse_than_any_checkpoint_that_was_in_use_is_rejected(asked: World) -> None:
    asked.set(train={"start_from": "promoted"})
    asked.advance(close=True)  # skill 2, from 1
    asked.store.promote(asked.store.find_checkpoint("base").id, "skill 0")
    asked.advance()
    asked.advance(close=True)  # skill 1, from 0
    reason = decision(asked, 2)
    assert reason.startswith("rejected: held_out got worse by +")
    assert " since round-001-" in reason
    assert " (passed: held_out -" in reason


def test_a_checkpoint_promoted_before_the_gate_has_judged_gets_its_error_rates(
    asked: World,
) -> None:
    class Stopped(Store):
        """A store whose gate cannot keep its decision."""

        def decide(self, *args: Any) -> None:
            raise OSError("no space left on device")

    asked.oracle.answer(*asked.batch(1))
    whole, asked.store = asked.store, Stopped(asked.store.workspace)
    with pytest.raises(OSError, match="no space"):
        asked.advance()
    asked.store = whole
    asked.store.rollback("because")
    assert asked.advance(insist=True).kind == "recorded"
    (rates,) = asked.reader().before_and_after(1)
    assert rates["before"] == asked.reader().before_and_after(0)[0]["before"]


def test_the_gate_counts_words_in_silent_clips(world: World) -> None:
    world.store.add([replace(row, text=None) for row in clips("held_out", "silence", 4)], [])
    world.advance()
    assert decision(world, 0).endswith("; words in 4 of 4 silent clips, in 4 before")


def test_a_silence_set_of_the_user_s_takes_the_standard_one_s_place(world: World) -> None:
    world.store.put_source(Source(STANDARD_SILENCE, "synthetic", "ky"))
    world.store.add(clips(STANDARD_SILENCE, "silence", 4), [])
    world.advance()
    assert "words in 4 of 4 silent clips" in decision(world, 0)
    world.store.put_source(Source("room", "in_house", "ky"))
    world.store.add(clips("room", "silence", 2), [])
    world.advance()
    world.advance(close=True)
    assert "words in 2 of 2 silent clips" in decision(world, 1)


def test_with_nothing_to_compare_silence_is_not_listened_to(store: Store) -> None:
    world = make_world(store, train=0, test=0)
    store.add(clips("held_out", "silence", 4), [])
    world.advance()
    assert store.db.execute("SELECT count(*) FROM hypotheses").fetchone() == (0,)


def test_old_rejected_checkpoints_lose_their_weights(asked: World) -> None:
    asked.set(train={"start_from": "promoted"}, promote={"keep_checkpoints": 1})
    asked.recognizer.progress = -1
    for _ in range(2):
        asked.advance(close=True)
        asked.advance()
    names = {path.name[:9] for path in asked.store.workspace.checkpoints.iterdir()}
    assert names == {"base", "round-000", "round-002"}
    (said,) = [line for line in asked.said if "weights" in line]
    assert said.startswith("  the weights of round-001-")
    assert len(asked.reader().error_rates()) == 3


# -- failures ----------------------------------------------------------------------------------


def test_a_failed_stage_is_recorded_and_paused(world: World) -> None:
    world.recognizer.failure = TrainingError("the loss is not a number")
    with pytest.raises(TrainingError):
        world.advance()
    status = world.reader().status()
    assert (status.stage, status.failed_stage, status.failures) == ("train", "train", 1)
    assert status.error == "the loss is not a number"

    outcome = world.advance()
    assert outcome.kind == "paused"
    assert "train failed 1 times, next try at " in outcome.message
    assert len(world.recognizer.trainings) == 1


def test_a_training_that_failed_finds_its_saves_again(world: World) -> None:
    world.recognizer.failure = TrainingError("out of memory")
    with pytest.raises(TrainingError):
        world.advance()
    world.recognizer.failure = None
    world.advance(insist=True)
    assert [row.found for row in world.recognizer.trainings] == [set(), {"save-1"}]
    assert list(world.store.workspace.checkpoints.glob("*.training")) == []


def test_other_settings_begin_a_training_anew(world: World) -> None:
    world.recognizer.failure = TrainingError("out of memory")
    with pytest.raises(TrainingError):
        world.advance()
    world.recognizer.failure = None
    world.set(train={"batch_size": 1})
    world.advance(insist=True)
    assert [row.found for row in world.recognizer.trainings] == [set(), set()]


def test_pauses_grow_from_five_minutes_to_six_hours(world: World) -> None:
    world.recognizer.failure = TrainingError("the loss is not a number")
    pauses_min = []
    for _ in range(9):
        with pytest.raises(TrainingError):
            world.advance(insist=True)
        _, retry_at = world.store.failures(0, "train")
        assert retry_at is not None
        pause = datetime.fromisoformat(retry_at) - datetime.now(UTC)
        pauses_min.append(round(pause / timedelta(minutes=1)))
    assert pauses_min == [5, 10, 20, 40, 80, 160, 320, 360, 360]


def test_a_stage_is_tried_again_when_its_pause_is_over(world: World) -> None:
    world.recognizer.failure = TrainingError("the loss is not a number")
    with pytest.raises(TrainingError):
        world.advance()
    world.recognizer.failure = None
    over = datetime.now(UTC).isoformat()
    world.store.db.execute("UPDATE stage_runs SET retry_at = ? WHERE stage = 'train'", [over])
    assert world.advance().kind == "recorded"
    assert world.store.failures(0, "train") == (0, None)
    assert world.reader().status().error is None


def test_insisting_does_not_wait_for_the_pause(world: World) -> None:
    world.recognizer.failure = RuntimeError("out of memory")
    with pytest.raises(RuntimeError):
        world.advance()
    assert world.reader().status().error == "RuntimeError('out of memory')"
    world.recognizer.failure = None
    assert world.advance(insist=True).kind == "recorded"
    assert world.store.failures(0, "train") == (0, None)


def test_a_base_that_cannot_be_made_is_a_failure_like_any_other(world: World) -> None:
    world.recognizer.base_failure = ModelError("openai/whisper-base is not cached")
    with pytest.raises(ModelError):
        world.advance()
    assert world.advance().kind == "paused"
    status = world.reader().status()
    assert (status.round, status.failed_stage, status.failures) == (None, "open", 1)
    world.recognizer.base_failure = None
    assert world.advance(insist=True).kind == "recorded"
    assert world.reader().status().failed_stage is None


def test_a_stage_that_is_killed_again_and_again_counts_as_failed(world: World) -> None:
    world.recognizer.failure = SystemExit()
    for _ in range(MOST_STARTS):
        with pytest.raises(SystemExit):
            world.advance()
    with pytest.raises(AlLoopError, match=r"train was started 5 times and killed each time"):
        world.advance()
    assert world.advance().kind == "paused"
    assert len(world.recognizer.trainings) == MOST_STARTS
    world.recognizer.failure = None
    assert world.advance(insist=True).kind == "recorded"


def test_a_pull_that_works_again_clears_its_failure_while_it_waits(asked: World) -> None:
    asked.oracle.failure = OracleUnavailable("no answer")
    for _ in range(2):
        with pytest.raises(OracleUnavailable):
            asked.advance(insist=True)
    asked.oracle.failure = None
    assert asked.advance(insist=True).kind == "waiting"
    assert asked.store.failures(1, "pull") == (0, None)
    assert asked.reader().status().error is None


def test_a_push_that_fails_halfway_asks_only_for_the_rest(world: World) -> None:
    world.advance()
    world.oracle.failure, world.oracle.room = OracleUnavailable("no answer"), 2
    with pytest.raises(OracleUnavailable):
        world.advance()
    assert len(world.batch(1)) == 2
    world.oracle.failure = None
    assert world.advance(insist=True).kind == "waiting"
    assert len(world.batch(1)) == len(set(world.batch(1))) == 5


def test_an_interruption_is_no_failure(world: World) -> None:
    world.recognizer.failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        world.advance()
    assert world.store.failures(0, "train") == (0, None)
    world.recognizer.failure = None
    assert world.advance().kind == "recorded"


# -- the seed ----------------------------------------------------------------------------------


def run(folder: Path, seed: int) -> World:
    """Rounds 0 and 1, and the batch of round 2."""
    world = make_world(new_store(folder))
    world.settings = world.settings.model_copy(update={"seed": seed})
    live(world)
    assert world.advance().kind == "waiting"
    return world


def test_everything_follows_from_the_seed(tmp_path: Path) -> None:
    one, same, other = (run(tmp_path / str(n), seed) for n, seed in enumerate((5, 5, 6)))
    assert same.oracle.asked == one.oracle.asked
    assert same.recognizer.trainings == one.recognizer.trainings
    assert facts(same.store) == facts(one.store)
    assert set(other.batch(1)) != set(one.batch(1))
    assert len({row.seed for row in one.recognizer.trainings}) == 2
