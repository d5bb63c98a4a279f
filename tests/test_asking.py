"""What the loop asks beside its batches, and how it keeps Label Studio and the store alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from al_loop.asking_plan import draw, how_many, interleaved, wrong_draft
from al_loop.errors import OracleRefused, OracleUnavailable
from al_loop.records import FollowUp, Place, PlannedTask, Source, Task, TaskKey
from storage.store import Store
from storage.workspace import Workspace

from .fakes import (
    FakeRecognizer,
    World,
    clips,
    facts,
    hasty_store,
    hear,
    make_world,
    new_store,
    spoken,
)
from .test_round_killed import DyingStore, Killed


@pytest.fixture
def world(store: Store) -> World:
    return make_world(store, pool=20, train=12)


@pytest.fixture
def asked(world: World) -> World:
    """A world whose round 1 waits for its annotators."""
    world.advance()
    assert world.advance().kind == "waiting"
    return world


def trained_on(world: World, round_number: int) -> dict[str, str]:
    """The in-house texts of a round's manifest, by utterance."""
    rows = world.store.db.execute(
        "SELECT utterance_id, text FROM manifest_examples m JOIN rounds r USING (manifest_id) "
        "WHERE r.number = ? AND m.source = 'in_house'",
        [round_number],
    )
    return dict(rows.fetchall())


def of_kind(world: World, kind: str) -> list[Task]:
    return [task for task in world.oracle.asked if task.kind == kind]


def an_hour_later(world: World) -> None:
    then = datetime.now(UTC) - timedelta(hours=1, seconds=1)
    world.store.db.execute("UPDATE projects SET swept_at = ?", [then.isoformat()])


# -- planning ----------------------------------------------------------------------------------


def test_a_share_is_a_whole_number_that_is_right_on_average() -> None:
    rng = np.random.default_rng(0)
    assert Counter(how_many(0.5, 4, rng) for _ in range(50)) == {2: 50}
    drawn = [how_many(0.02, 40, rng) for _ in range(2000)]
    assert set(drawn) == {0, 1}
    assert np.mean(drawn) == pytest.approx(0.8, abs=0.03)
    assert sorted(draw("abc", 7, rng)) == ["a", "b", "c"]
    assert draw("abc", 0, rng) == []


@pytest.mark.parametrize(
    ("heard", "shown"),
    [
        ("бир эки эки", {"бир эки эки"}),
        ("", {""}),
        ("Бир, эки - үч!", {"эки — үч", "бир — үч", "бир эки —"}),
    ],
)
def test_a_draft_of_a_gold_task_is_surely_wrong(heard: str, shown: set[str]) -> None:
    drafts = {
        wrong_draft("бир эки — үч", heard, "ky", np.random.default_rng(seed)) for seed in range(20)
    }
    assert drafts == shown


def test_other_tasks_lie_evenly_among_the_batch_and_nowhere_in_particular() -> None:
    def planned(kind: Any, size: int) -> list[PlannedTask]:
        return [PlannedTask(TaskKey(f"{kind}{n:02d}", 1, 0), kind, 0) for n in range(size)]

    places = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = interleaved(planned("query", 20), planned("gold", 4), rng)
        assert [row.rank for row in found] == list(range(24))
        queries = [row.key.utterance_id for row in found if row.kind == "query"]
        assert queries == sorted(queries)
        ranks = [row.rank for row in found if row.kind == "gold"]
        places.append(ranks)
        assert all(6 * n <= rank <= 6 * n + 6 for n, rank in enumerate(ranks))
    assert len({tuple(row) for row in places}) > 20
    assert interleaved([], planned("gold", 1), np.random.default_rng(0))[0].rank == 0


@pytest.fixture
def rich(world: World) -> World:
    """A world that has answered round 1, and asks gold tasks and repeats in its rounds."""
    world.set(labels={"gold_share": 0.5, "repeat_share": 0.5})
    world.advance()
    world.advance()
    world.oracle.answer(*world.oracle.unanswered)
    world.advance()
    assert world.advance().kind == "waiting"
    return world


def test_gold_tasks_and_repeats_look_like_all_others(rich: World) -> None:
    second = [task for task in rich.oracle.asked if task.key.round == 2]
    kinds = Counter(task.kind for task in second)
    assert kinds["query"] >= 4
    assert 2 <= kinds["gold"] <= 4
    assert 2 <= kinds["repeat"] <= 4
    assert [task.rank for task in second] == list(range(len(second)))
    assert {task.key.copy for task in second} == {0}
    for task in second:
        assert len(task.word_probs) == len(task.hypothesis.split()) > 0
    assert {task.acquisition_score for task in second if task.kind == "gold"} <= {
        task.acquisition_score for task in second if task.kind == "query"
    }


def test_a_gold_task_is_known_and_its_draft_is_wrong(rich: World) -> None:
    known = {row.id for row in clips("books", "train", 12)}
    gold = of_kind(rich, "gold")
    assert len(gold) >= 3
    assert {task.key.utterance_id for task in gold} <= known
    for task in gold:
        assert task.hypothesis != spoken(task.key.utterance_id)
    again = Counter(task.key.utterance_id for task in gold)
    assert max(again.values()) == 1


def test_answers_to_gold_tasks_are_kept_and_never_trained_on(rich: World) -> None:
    rich.oracle.answer(*rich.oracle.unanswered, text="бир")
    rich.advance()
    texts = trained_on(rich, 2)
    gold = {task.key.utterance_id for task in of_kind(rich, "gold")}
    assert gold
    assert not gold & texts.keys()
    cases = rich.store.cases(["gold"])
    assert {case.utterance.id for case in cases} == gold
    assert {
        row.text for case in cases if case.tasks[0].key.round == 2 for row in case.annotations
    } == {"бир"}


def test_a_repeat_shows_what_was_shown_at_first_whatever_is_heard_by_now(rich: World) -> None:
    first = {
        task.key.utterance_id: task.hypothesis
        for task in rich.oracle.asked
        if (task.key.round, task.kind) == (1, "query")
    }
    repeats = of_kind(rich, "repeat")
    assert repeats
    in_use = rich.store.current_checkpoint_id()
    assert in_use is not None
    for task in repeats:
        assert task.hypothesis == first[task.key.utterance_id]
        assert task.checkpoint_id is None


def test_what_is_planned_follows_from_the_seed_and_leaves_the_choice_alone(
    rich: World, tmp_path: Path
) -> None:
    plain = make_world(new_store(tmp_path / "again"), pool=20, train=12)
    plain.advance()
    plain.advance()
    assert plain.batch(1) == rich.batch(1)
    current = rich.store.open_round()
    assert current is not None
    selection = replace(rich.loop()._choose(current))
    plans = [
        rich.loop().asking.plan(current, selection.choices, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert plans[0] == plans[1] != plans[2]


# -- what is shown -----------------------------------------------------------------------------


def test_a_task_tells_how_sure_the_model_is_of_each_word(asked: World) -> None:
    for task in asked.oracle.asked:
        assert list(task.word_probs) == [0.25] * len(task.hypothesis.split())
    assert [skill for skill, _ in asked.recognizer.confided] == [1]


def test_a_text_whose_words_were_weighed_is_not_weighed_again(asked: World) -> None:
    name = asked.batch(1)[0]
    asked.judge.wanted = [adjudicate(name)]
    asked.oracle.answer(name)
    weighed = len(asked.recognizer.confided)
    asked.advance()
    (again,) = of_kind(asked, "adjudication")
    assert list(again.word_probs) == list(asked.oracle.asked[0].word_probs) != []
    assert len(asked.recognizer.confided) == weighed


def test_where_no_word_is_marked_none_is_weighed(world: World) -> None:
    world.set(label_studio={"doubt_below": 0.0})
    world.advance()
    assert world.advance().kind == "waiting"
    assert world.recognizer.confided == []
    assert {tuple(task.word_probs) for task in world.oracle.asked} == {()}


def test_a_model_that_hears_nothing_leaves_the_box_empty(world: World) -> None:
    class Deaf(FakeRecognizer):
        def listener(self, checkpoint: str) -> Any:
            return lambda block: [replace(hear(row.id, 0), text="") for row in block]

    world.recognizer = Deaf(world.store.workspace.root)
    world.advance()
    assert world.advance().kind == "waiting"
    assert {task.hypothesis for task in world.oracle.asked} == {""}
    assert world.recognizer.confided == []


# -- pulling -----------------------------------------------------------------------------------


def test_pages_that_came_before_a_failure_are_kept(asked: World) -> None:
    class Broken(type(asked.oracle)):  # type: ignore[misc]
        def pull(self, place: Place, since: str | None) -> Iterator[Any]:
            pages = super().pull(place, since)
            yield next(pages)
            raise OracleUnavailable("truncated JSON")

    whole = asked.oracle
    asked.oracle.answer(*asked.oracle.unanswered)
    asked.oracle = Broken()
    asked.oracle.__dict__ = whole.__dict__
    with pytest.raises(OracleUnavailable):
        asked.advance()
    assert len(asked.store.cases()) == whole.page
    asked.oracle = whole
    assert asked.advance(insist=True).kind == "recorded"


def test_an_edited_answer_changes_the_next_manifest(asked: World) -> None:
    edited, *others = asked.batch(1)
    asked.oracle.answer(edited, *others)
    asked.advance()
    asked.oracle.edit("1", "беш алты")
    assert asked.advance().kind == "waiting"
    asked.advance(close=True)
    assert trained_on(asked, 1)[edited] == spoken(edited)
    assert trained_on(asked, 2)[edited] == "беш алты"


def test_a_withdrawn_answer_leaves_the_next_manifest(asked: World) -> None:
    withdrawn, *others = asked.batch(1)
    asked.oracle.answer(withdrawn, *others)
    asked.advance()
    asked.oracle.withdraw("1")
    asked.advance()
    asked.advance(close=True)
    assert trained_on(asked, 1).keys() == {withdrawn, *others}
    assert trained_on(asked, 2).keys() == set(others)


def test_with_an_empty_pool_an_edited_answer_is_worth_a_round(store: Store) -> None:
    world = make_world(store, pool=3)
    world.advance()
    world.advance()
    world.oracle.answer(*world.oracle.unanswered)
    assert world.advance().kind == "recorded"
    assert world.advance().kind == "idle"
    world.oracle.edit("2", "беш")
    assert world.advance().kind == "recorded"
    assert "беш" in trained_on(world, 2).values()


def test_follow_ups_are_planned_although_a_later_page_failed(asked: World) -> None:
    class Broken(type(asked.oracle)):  # type: ignore[misc]
        def pull(self, place: Place, since: str | None) -> Iterator[Any]:
            pages = super().pull(place, since)
            yield next(pages)
            raise OracleUnavailable("truncated JSON")

    whole = asked.oracle
    name = asked.batch(1)[0]
    asked.judge.wanted = [adjudicate(name)]
    asked.oracle.answer(name)
    asked.oracle = Broken()
    asked.oracle.__dict__ = whole.__dict__
    with pytest.raises(OracleUnavailable):
        asked.loop().sync(thorough=False)
    asked.oracle = whole
    asked.loop().sync(thorough=False)
    assert [task.key.utterance_id for task in of_kind(asked, "adjudication")] == [name]


def test_answers_that_came_before_their_tasks_were_known_are_read(asked: World) -> None:
    """An older workspace was restored, and asks anew what the server was asked before."""
    names = asked.batch(1)
    asked.oracle.answer(*names)
    asked.store.db.execute("CREATE TEMP TABLE kept AS SELECT * FROM tasks")
    asked.store.db.execute("DELETE FROM tasks")
    asked.loop().sync()
    assert asked.store.cases() == []
    asked.store.db.execute(
        "INSERT INTO tasks SELECT * FROM kept",
    )
    asked.store.db.execute("UPDATE tasks SET server = NULL, project_id = NULL, task_id = NULL")
    asked.loop().sync()
    asked.loop().sync()
    assert {case.utterance.id for case in asked.store.cases()} == set(names)


# -- projects ----------------------------------------------------------------------------------


@pytest.fixture
def by_rounds(world: World) -> World:
    """A world with a project for each round, whose round 2 waits."""
    world.set(label_studio={"projects": "per_round"})
    world.advance()
    world.advance()
    world.oracle.answer(*world.oracle.unanswered)
    world.advance()
    assert world.advance().kind == "waiting"
    return world


def test_every_round_may_have_a_project_of_its_own(by_rounds: World) -> None:
    assert list(by_rounds.oracle.projects) == ["round 1", "round 2"]
    places = by_rounds.oracle.projects
    for key, place in by_rounds.oracle.lies_in.items():
        assert place == places[f"round {key.round}"]
    assert by_rounds.store.places() == places


def test_a_project_that_is_done_is_read_hourly(by_rounds: World) -> None:
    done = by_rounds.batch(1)[0]
    by_rounds.oracle.edit(str(by_rounds.batch(1).index(done) + 1), "беш")
    by_rounds.advance()
    assert all(row.text != "беш" for case in by_rounds.store.cases() for row in case.annotations)
    an_hour_later(by_rounds)
    by_rounds.advance()
    found = {case.utterance.id: case.annotations[0].text for case in by_rounds.store.cases()}
    assert found[done] == "беш"


def test_an_older_round_s_project_is_read_hourly_though_tasks_in_it_wait(by_rounds: World) -> None:
    key = TaskKey(by_rounds.batch(1)[0], 1, 1)
    by_rounds.store.add_tasks([PlannedTask(key, "repeat", 99, "a second look", "")])
    by_rounds.loop().sync()
    by_rounds.oracle.answer(key)
    by_rounds.loop().sync(thorough=False)
    assert by_rounds.store.is_busy(by_rounds.oracle.projects["round 1"])
    an_hour_later(by_rounds)
    by_rounds.loop().sync(thorough=False)
    assert not by_rounds.store.is_busy(by_rounds.oracle.projects["round 1"])


def test_a_project_that_is_refused_keeps_no_other_from_being_read(by_rounds: World) -> None:
    class Refusing(type(by_rounds.oracle)):  # type: ignore[misc]
        def pull(self, place: Place, since: str | None) -> Iterator[Any]:
            if place == self.projects["round 1"]:
                raise OracleRefused("it cannot be read")
            return super().pull(place, since)

    first = by_rounds.batch(2)[0]
    by_rounds.oracle.answer(first)
    refusing = Refusing()
    refusing.__dict__ = by_rounds.oracle.__dict__
    by_rounds.oracle = refusing
    with pytest.raises(OracleRefused, match="cannot be read"):
        by_rounds.loop().sync()
    assert first in {case.utterance.id for case in by_rounds.store.cases()}


def test_a_deleted_project_in_which_nothing_waits_stays_deleted(by_rounds: World) -> None:
    del by_rounds.oracle.projects["round 1"]
    an_hour_later(by_rounds)
    assert by_rounds.advance().kind == "waiting"
    assert by_rounds.oracle.projects.keys() == {"round 2"}


def test_a_project_that_was_deleted_is_made_anew_with_what_nobody_has_answered(
    by_rounds: World,
) -> None:
    first, *others = by_rounds.batch(2)
    by_rounds.oracle.answer(first)
    by_rounds.advance()
    place = by_rounds.oracle.projects["round 2"]
    by_rounds.oracle.projects["round 2"] = Place(place.server, 77)
    by_rounds.oracle.lose(*(key for key in by_rounds.oracle.tasks if key.round == 2))
    by_rounds.oracle.asked.clear()
    assert by_rounds.advance().kind == "waiting"
    assert by_rounds.batch(2) == others
    by_rounds.oracle.answer(*by_rounds.oracle.unanswered)
    by_rounds.advance()
    assert {first, *others} < trained_on(by_rounds, 2).keys()


# -- sweeping ----------------------------------------------------------------------------------


def test_tasks_that_were_deleted_are_pushed_again_within_the_hour(asked: World) -> None:
    lost, answered, *_ = asked.batch(1)
    asked.oracle.answer(answered)
    asked.advance()
    asked.oracle.lose(asked.oracle.key(lost), asked.oracle.key(answered))
    asked.oracle.asked.clear()
    swept = asked.oracle.swept
    asked.advance()
    assert (asked.oracle.swept, asked.oracle.asked) == (swept, [])
    an_hour_later(asked)
    assert asked.advance().kind == "waiting"
    assert [task.key.utterance_id for task in asked.oracle.asked] == [lost]
    assert asked.store.answered(1) == (1, 6)
    assert "  1 unanswered tasks were deleted in Label Studio; they are pushed again" in asked.said


def test_tasks_that_were_deleted_are_closed_where_that_is_configured(asked: World) -> None:
    asked.set(label_studio={"deleted_tasks": "close"})
    lost, *others = asked.batch(1)
    asked.oracle.lose(asked.oracle.key(lost))
    asked.oracle.answer(*others)
    asked.oracle.asked.clear()
    an_hour_later(asked)
    assert asked.advance().kind == "recorded"
    assert asked.oracle.asked == []
    assert lost not in asked.store.scored_pool("", "whisper").ids


# -- asking again ------------------------------------------------------------------------------


def adjudicate(name: str, text: str | None = None) -> FollowUp:
    return FollowUp(name, "adjudication", "two annotators disagree", text)


def test_what_the_judge_wants_asked_again_is_pushed_at_once_and_only_once(asked: World) -> None:
    name, other, *_ = asked.batch(1)
    asked.judge.wanted = [adjudicate(name), adjudicate(other, "беш")]
    asked.oracle.answer(name, other)
    for _ in range(3):
        assert asked.advance().kind == "waiting"
    first, second = of_kind(asked, "adjudication")
    assert first.key == TaskKey(name, 1, 1)
    assert first.hypothesis == asked.oracle.asked[0].hypothesis
    assert (second.key, second.hypothesis, second.checkpoint_id) == (
        TaskKey(other, 1, 1),
        "беш",
        None,
    )
    assert "2 of 6 tasks are answered" in asked.advance().message
    asked.oracle.answer(first.key)
    asked.advance()
    assert [task.key.copy for task in of_kind(asked, "adjudication")] == [1, 1, 2]


def test_what_was_closed_is_not_asked_again_for_the_same_reason(asked: World) -> None:
    asked.set(label_studio={"deleted_tasks": "close"})
    name, *others = asked.batch(1)
    asked.judge.wanted = [adjudicate(name)]
    asked.oracle.answer(name)
    asked.advance()
    asked.oracle.lose(TaskKey(name, 1, 1))
    an_hour_later(asked)
    asked.advance()
    asked.oracle.answer(*others)
    asked.advance()
    assert len(of_kind(asked, "adjudication")) == 1


def test_what_is_asked_again_joins_the_next_manifest(asked: World) -> None:
    name, *others = asked.batch(1)
    asked.judge.wanted = [adjudicate(name)]
    asked.oracle.answer(name, *others, text="беш")
    assert asked.advance().kind == "recorded"
    assert trained_on(asked, 1)[name] == "беш"
    asked.judge.wanted = []
    asked.oracle.answer(TaskKey(name, 1, 1), text="алты")
    asked.advance()
    asked.advance(close=True)
    assert trained_on(asked, 2)[name] == "алты"


def test_with_an_empty_pool_what_is_asked_again_is_waited_for(store: Store) -> None:
    """Or every answer of its own would cost a training."""
    world = make_world(store, pool=4)
    world.advance()
    world.advance()
    names = world.batch(1)
    world.judge.wanted = [adjudicate(name) for name in names[:2]]
    world.oracle.answer(*names)
    assert world.advance().kind == "recorded"
    assert world.advance().kind == "idle"
    first, second = of_kind(world, "adjudication")
    world.judge.wanted = []
    world.oracle.answer(first.key, text="беш")
    assert world.advance().kind == "idle"
    world.oracle.answer(second.key, text="алты")
    assert world.advance().kind == "recorded"
    assert {trained_on(world, 2)[name] for name in names[:2]} == {"беш", "алты"}


# -- refreshing --------------------------------------------------------------------------------


@pytest.fixture
def promoted(world: World) -> World:
    """A world that has promoted round 1's checkpoint, while three of its tasks wait."""
    world.set(train={"start_from": "promoted"})
    world.advance()
    world.advance()
    world.oracle.answer(*world.batch(1)[3:])
    assert world.advance(close=True).kind == "recorded"
    return world


def test_unanswered_tasks_show_what_a_promoted_checkpoint_hears(promoted: World) -> None:
    waiting = promoted.batch(1)[:3]
    promoted.oracle.drafts = {TaskKey(waiting[0], 1, 0)}
    assert promoted.advance().kind == "waiting"
    in_use = promoted.store.current_checkpoint_id()
    assert [task.key.utterance_id for task in promoted.oracle.refreshed] == waiting[1:]
    for task in promoted.oracle.refreshed:
        assert task.hypothesis == hear(task.key.utterance_id, 2).text
        assert list(task.word_probs) == [0.375] * len(task.hypothesis.split())
    rows = promoted.store.db.execute(
        "SELECT utterance_id, hypothesis, checkpoint_id = ? FROM tasks WHERE round = 1", [in_use]
    )
    shown = {name: (text, new) for name, text, new in rows}
    assert shown[waiting[0]] == (hear(waiting[0], 1).text, 0)
    assert shown[waiting[1]] == (hear(waiting[1], 2).text, 1)
    assert shown[promoted.batch(1)[4]] == (hear(promoted.batch(1)[4], 1).text, 0)
    promoted.oracle.answer(*waiting[:2])
    promoted.advance()
    cases = {case.utterance.id: case for case in promoted.store.cases()}
    assert [cases[name].annotations[0].shown for name in waiting[:2]] == [
        hear(waiting[0], 1).text,
        hear(waiting[1], 2).text,
    ]


def test_a_refresh_is_tried_once_for_each_checkpoint(promoted: World) -> None:
    promoted.oracle.drafts = set(promoted.oracle.unanswered)
    promoted.advance()
    promoted.oracle.drafts = set()
    confided = len(promoted.recognizer.confided)
    for _ in range(3):
        promoted.advance()
    assert promoted.oracle.refreshed == []
    assert len(promoted.recognizer.confided) == confided
    promoted.store.rollback("it hears words in music")
    promoted.advance()
    # those of round 1 show what is in use again
    assert {task.key.round for task in promoted.oracle.refreshed} == {2}


def test_a_server_that_is_down_does_not_keep_the_pool_from_being_scored(promoted: World) -> None:
    promoted.oracle.failure = OracleUnavailable("no answer")
    assert promoted.advance(until="push").kind == "stopped"
    assert any("show what an older checkpoint heard: no answer" in line for line in promoted.said)
    promoted.oracle.failure = None
    promoted.advance()
    assert len(promoted.oracle.refreshed) == 3


# -- topping up --------------------------------------------------------------------------------


@pytest.fixture
def low(world: World) -> World:
    """A world whose round 1 waits, and in which three tasks should always be open."""
    world.set(label_studio={"low_water": 3})
    world.advance()
    assert world.advance().kind == "waiting"
    return world


def test_annotators_have_tasks_while_the_model_trains(low: World) -> None:
    batch = low.batch(1)
    low.oracle.answer(*batch)
    assert low.advance(until="merge").kind == "stopped"
    more = low.batch(1)[len(batch) :]
    assert len(more) == 3
    assert [task.rank for task in of_kind(low, "query")] == list(range(len(batch) + 3))
    assert low.store.answered(1) == (len(batch), len(batch))
    low.oracle.answer(*more)
    assert low.advance().kind == "recorded"
    assert trained_on(low, 1).keys() == set(batch)
    assert low.advance().kind == "waiting"
    assert not set(more) & set(low.batch(2))
    low.advance(close=True)
    assert trained_on(low, 2).keys() == {*batch, *more}
    answers = {row.utterance_id: row for row in low.store.answers("whisper")}
    for name in more:
        assert answers[name].round == 1
        assert answers[name].hypothesis == hear(name, 1)


def test_where_enough_tasks_are_open_none_are_added(low: World) -> None:
    batch = low.batch(1)
    low.oracle.answer(*batch[3:])
    assert low.advance(close=True).kind == "recorded"
    assert low.batch(1) == batch


def test_a_round_is_topped_up_once(low: World) -> None:
    class Stopped(Store):
        """A store in which no round goes on to train."""

        @contextmanager
        def finishing(self, *args: Any) -> Iterator[None]:
            yield
            raise SystemExit

    low.oracle.answer(*low.oracle.unanswered)
    whole, low.store = low.store, Stopped(low.store.workspace)
    for _ in range(3):
        with pytest.raises(SystemExit):
            low.advance()
        low.oracle.answer(*low.oracle.unanswered)
    low.store = whole
    assert low.advance().kind == "recorded"
    assert len(low.batch(1)) == 6 + 3


def test_a_server_that_is_down_does_not_keep_the_model_from_training(low: World) -> None:
    batch = low.batch(1)

    class Failing(FakeRecognizer):
        def blocks(self, *args: Any) -> Any:
            low.oracle.failure = OracleUnavailable("no answer")
            low.oracle.room = 0
            return super().blocks(*args)

    low.oracle.answer(*batch)
    low.recognizer = Failing(low.store.workspace.root)
    assert low.advance().kind == "recorded"
    assert low.batch(1) == batch
    assert "  annotators may run out of tasks: no answer" in low.said
    low.oracle.failure = None
    low.recognizer = FakeRecognizer(low.store.workspace.root)
    assert low.advance().kind == "waiting"
    assert len(low.batch(1)) == len(batch) + 3


def test_no_failure_of_a_top_up_keeps_the_model_from_training(low: World) -> None:
    class Failing(FakeRecognizer):
        def confider(self, *args: Any) -> Any:
            raise ValueError("out of memory")

    low.oracle.answer(*low.batch(1))
    low.recognizer = Failing(low.store.workspace.root)
    assert low.advance(until="merge").kind == "stopped"
    assert "  annotators may run out of tasks: ValueError('out of memory')" in low.said


def test_a_pool_that_is_empty_tops_up_nothing(store: Store) -> None:
    world = make_world(store, pool=4)
    world.set(label_studio={"low_water": 50})
    world.advance()
    world.advance()
    world.oracle.answer(*world.oracle.unanswered)
    assert world.advance().kind == "recorded"
    assert len(world.batch(1)) == 4


# -- all at once -------------------------------------------------------------------------------


def test_syncing_does_all_but_advance(asked: World) -> None:
    answered, lost, *_ = asked.batch(1)
    asked.judge.wanted = [adjudicate(answered)]
    asked.oracle.answer(answered)
    asked.oracle.lose(asked.oracle.key(lost))
    asked.oracle.asked.clear()
    before = asked.store.open_round()
    assert asked.loop().sync() == (
        "1 answers came or changed, 2 tasks were pushed, 1 of them to ask again, 0 show a newer "
        "hypothesis"
    )
    assert {task.key.utterance_id for task in asked.oracle.asked} == {answered, lost}
    assert asked.store.open_round() == before
    assert asked.loop().sync().startswith("0 answers came or changed, 0 tasks were pushed")
    swept = asked.oracle.swept
    asked.loop().sync(thorough=False)
    assert asked.oracle.swept == swept


def test_before_anything_is_asked_nobody_is_called(world: World) -> None:
    world.oracle.failure = OracleUnavailable("switched off")
    assert world.loop().sync().startswith("0 answers")
    world.advance()
    assert world.loop().sync().startswith("0 answers")


def test_a_set_that_is_being_drawn_is_asked_with_empty_boxes(store: Store) -> None:
    """Even before the first round, and again where two disagree."""
    world = make_world(store)
    store.put_source(Source("calls", "in_house", "ky"))
    drawn = clips("calls", "pool", 2)
    store.add(drawn, [])
    planned = [
        PlannedTask(TaskKey(row.id, 0, 0), "evaluation", rank, "drawn", "")
        for rank, row in enumerate(drawn)
    ]
    store.put_draw(
        "our_calls", {row.id: "one speaker" for row in drawn}, [], planned, "speaker", "ky"
    )
    world.loop().sync()
    assert list(world.oracle.projects) == ["evaluation"]
    assert [(task.kind, task.hypothesis, task.checkpoint_id) for task in world.oracle.asked] == [
        ("evaluation", "", None)
    ] * 2
    world.judge.wanted = [adjudicate(drawn[0].id)]
    for annotator, text in (("one", "бир"), ("two", "эки")):
        world.oracle.answer(TaskKey(drawn[0].id, 0, 0), text=text, annotator=annotator)
    world.loop().sync()
    (again,) = of_kind(world, "adjudication")
    assert (again.key, again.hypothesis) == (TaskKey(drawn[0].id, 0, 1), "")
    assert world.oracle.lies_in[again.key] == world.oracle.projects["evaluation"]
    world.advance()
    world.advance()
    assert not {row.id for row in drawn} & set(world.batch(1))
    world.advance(close=True)
    assert trained_on(world, 1) == {}


# -- killed ------------------------------------------------------------------------------------


def live_on(world: World) -> None:
    """To the end of round 2: a refresh, a sweep, repeats, gold tasks, follow-ups, a top-up."""
    for _ in range(5):
        last = world.store.last_round()
        if last and (last.number, last.stage) == (2, None):
            return
        if world.advance().kind == "waiting":
            world.judge.wanted = [adjudicate(name) for name in sorted(world.batch(1))[:2]]
            world.oracle.answer(*sorted(world.oracle.unanswered))
    raise AssertionError("round 2 is not recorded after five calls")


def test_killed_at_any_instant_a_later_round_ends_where_it_would_have(tmp_path: Path) -> None:
    before = make_world(new_store(tmp_path / "before"), pool=10, train=4, test=3)
    before.set(
        labels={"gold_share": 0.5, "repeat_share": 0.5},
        label_studio={"low_water": 4},
        select={"budget_s": 4.0},
    )
    before.advance()
    before.advance()
    before.oracle.answer(*before.batch(1)[1:])
    assert before.advance(close=True).kind == "recorded"
    before.oracle.lose(sorted(before.oracle.unanswered)[0])
    an_hour_later(before)
    before.store.close()

    def new_world(name: str) -> World:
        folder = tmp_path / name
        copytree(tmp_path / "before", folder)
        store = hasty_store(Workspace.open(folder))
        oracle = deepcopy(before.oracle)
        return World(store, FakeRecognizer(folder), oracle, settings=before.settings)

    undisturbed = new_world("undisturbed")
    live_on(undisturbed)
    expected = facts(undisturbed.store)
    kinds = {task.kind for task in undisturbed.oracle.asked if task.key.round == 2}
    assert kinds == {"query", "gold", "repeat", "adjudication"}
    assert undisturbed.oracle.refreshed

    places = set()
    for instant in count(1):
        world = new_world(str(instant))
        dying: Any = DyingStore(world.store, instant)
        try:
            live_on(replace(world, store=dying))
            break
        except Killed:
            places.add(dying.died)
        world.store.close()
        resumed = replace(world, store=hasty_store(world.store.workspace))
        live_on(resumed)
        assert facts(resumed.store) == expected, dying.died
        assert resumed.oracle.tasks.keys() == undisturbed.oracle.tasks.keys(), dying.died
        resumed.store.close()
    assert {"before mark_shown", "after take", "before sweep", "after add_tasks"} < places
    assert {"after top_up", "before set_refreshed_for"} < places
