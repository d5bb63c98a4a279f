"""What is drawn for an evaluation set, and what of it is fit to be frozen."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from al_loop.commands.evalset import evalset
from al_loop.errors import WorkspaceError
from al_loop.evalset import draw, draw_set, freeze_set, reasons, set_lines, sort_out
from al_loop.groups import group_of
from al_loop.records import Case, Example, FollowUp, Label, Manifest, TaskKey
from storage.store import Store

from .fakes import FakeJudge, World, make_world, spoken
from .storage.rows import utterance

Row = tuple[str, float, str | None, str, str]


def rows(groups: int, size: int, chosen: bool = False) -> list[Row]:
    """So many speakers, each with `size` clips of 10 s; or with one of them chosen."""
    return [
        (
            f"{speaker:02d}-{n:02d}",
            10.0,
            f"s{speaker}",
            "m.tsv:1",
            "asked" if chosen and n == 0 else "free",
        )
        for speaker in range(groups)
        for n in range(size)
    ]


@pytest.mark.parametrize(
    ("speaker", "origin", "by", "group"),
    [
        ("one", "radio/1.flac#3.00-4.50", "speaker", "speaker one"),
        (None, "radio/1.flac#3.00-4.50", "speaker", "recording radio/1.flac"),
        ("one", "radio/1.flac#3.00-", "recording", "recording radio/1.flac"),
        (None, "disc #1/7.flac", "speaker", "recording disc #1"),
        (None, "disc #1/7 #2.flac#3-4.5", "speaker", "recording disc #1/7 #2.flac"),
        ("one", "radio/day 1/7.flac", "recording", "recording radio/day 1"),
        ("one", "radio/day 1/7.flac", "clip", "id"),
    ],
)
def test_what_a_clip_is_grouped_by(speaker: str | None, origin: str, by: str, group: str) -> None:
    assert group_of(speaker, origin, "id", by) == group  # type: ignore[arg-type]


def test_a_set_takes_whole_groups_and_is_of_several_voices() -> None:
    found = draw(rows(40, 12), 300.0, 1, "speaker")
    assert 300.0 <= found.drawn_s < 310.0
    by_group = Counter(found.groups.values())
    assert len(by_group) == 10
    assert set(by_group.values()) == {3}
    groups = {id_[:2] for id_ in found.groups}
    assert {id_[:2] for id_ in found.reserved} == groups
    assert len(found.groups) + len(found.reserved) == 12 * len(groups)
    assert found.reserved_s == 10.0 * len(found.reserved)
    assert draw(rows(40, 12)[:], 300.0, 1, "speaker") == found
    assert set(draw(rows(40, 12), 300.0, 2, "speaker").groups) != set(found.groups)


def test_every_clip_is_as_likely_to_be_drawn_and_they_come_in_no_order() -> None:
    times = Counter(
        id_ for seed in range(300) for id_ in draw(rows(20, 4), 100.0, seed, "speaker").groups
    )
    assert len(times) == 80
    assert min(times.values()) > 10
    asked = list(draw(rows(40, 12), 300.0, 1, "speaker").groups)
    assert asked != sorted(asked, key=lambda id_: id_[:2])
    assert len({id_[:2] for id_ in asked[:6]}) > 2


@pytest.mark.parametrize(
    ("pool", "wanted_s", "by", "message"),
    [
        (rows(5, 4), 150.0, "speaker", r"5 groups by speaker, which give \d.*expected 2.5 min"),
        (rows(11, 9), 200.0, "speaker", r"10 groups by speaker are 15.0 of the pool's 16.5 min"),
        (rows(30, 2, True), 200.0, "speaker", r"10 clips of the groups .* chosen or labelled"),
        ([], 60.0, "clip", "the pool has 0 groups by clip"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    pool: list[Row], wanted_s: float, by: str, message: str
) -> None:
    with pytest.raises(WorkspaceError, match=message):
        draw(pool, wanted_s, 2, by)  # type: ignore[arg-type]


def test_groups_that_models_learn_from_are_not_drawn_and_all_languages_are_reserved() -> None:
    learned = [(f"t-{n}", 10.0, f"s{n}", "books:1", "learned") for n in range(5)]
    beside = [(f"r-{n:02d}", 10.0, f"s{n}", "m.tsv:1", "beside") for n in range(41)]
    found = draw([*rows(40, 12), *learned, *beside], 300.0, 1, "speaker")
    drawn = {int(name.removeprefix("speaker s")) for name in found.groups.values()}
    assert not drawn & set(range(5))
    assert not {id_ for id_ in found.groups if id_[0] == "r"}
    assert {id_ for id_ in found.reserved if id_[0] == "r"} == {f"r-{n:02d}" for n in drawn}
    with pytest.raises(WorkspaceError, match="7 groups by speaker beside 5 that models learn from"):
        draw([*rows(12, 4), *learned], 300.0, 1, "speaker")


# -- in a workspace ----------------------------------------------------------------------------


@pytest.fixture
def world(store: Store) -> World:
    """A world with a set of a few clips, all of them asked about."""
    found = make_world(store, pool=40)
    draw_set(store, "calls", 15.0, "ky", 3, "clip")
    found.loop().sync()
    return found


def settle(case: Case) -> Label | None:
    """Two who say the same agree; what they say else is for the test to tell."""
    label = FakeJudge().settle(case)
    assert label is not None
    texts = [row.text for row in case.annotations]
    settled = "disputed" if len(set(texts)) > 1 else "agreed" if len(texts) > 1 else "single"
    return Label(label.utterance_id, label.text, label.verdict, label.annotation_ids, settled)


def backers(case: Case, label: Label) -> int:
    return len({row.annotator for row in case.annotations if row.text == label.text})


def both(world: World, *keys: TaskKey, text: str | None = None) -> None:
    for annotator in ("one", "two"):
        world.oracle.answer(*keys, annotator=annotator, text=text)


def test_a_set_is_drawn_asked_and_frozen(world: World) -> None:
    store = world.store
    keys = sorted(world.oracle.tasks)
    fit, single, disputed, junk, learned, inside, nothing, *rest = keys
    both(world, fit)
    world.oracle.answer(single)
    both(world, disputed)
    world.oracle.answer(disputed, text="беш")
    for _ in range(2):
        world.oracle.answer(junk, verdict="several_speakers")
    both(world, learned, text="Бир эки!")
    both(world, inside, text="үч төрт беш алты жети")
    both(world, nothing, text="…")
    world.loop().sync()
    row = Example("elsewhere", "audio/x.flac", 2.0, "books", "ky", "бир эки")
    store.add([utterance("elsewhere", source="books", split="train", text="бир эки")], [])
    world.advance(until="merge")
    longer = replace(row, utterance_id="x", text="анан үч төрт беш алты жети деди")
    store.add([utterance("x", source="books", split="train", text=longer.text)], [])
    store.put_manifest(0, Manifest("m", [row, longer], []))

    found = sort_out(store, "calls", settle, backers, "ky")
    assert found.texts == {fit.utterance_id: spoken(fit.utterance_id)}
    assert found.left_out == {
        single.utterance_id: "answered by one annotator only",
        disputed.utterance_id: "annotators disagree",
        junk.utterance_id: "several speakers",
        learned.utterance_id: "a recogniser has learned the same text",
        inside.utterance_id: "a recogniser has learned the same text",
        nothing.utterance_id: "its text holds no word",
    } | {key.utterance_id: "not answered" for key in rest}
    assert reasons(found)[0] == f"{len(rest)} not answered"
    lines = set_lines("calls", None, store.drawn("calls"), found)
    assert lines[0].endswith("drawn, being labelled")
    assert lines[1].endswith("fit to be frozen")

    with pytest.raises(WorkspaceError, match=f"{len(rest) + 1} tasks of 'calls' wait for answers"):
        freeze_set(store, "calls", settle, backers, "ky")  # one has one answer of two
    assert freeze_set(store, "calls", settle, backers, "ky", as_it_is=True) == found
    (frozen,) = [row for row in store.evaluation_utterances() if row.source == "calls"]
    assert (frozen.id, frozen.text) == (fit.utterance_id, spoken(fit.utterance_id))
    world.oracle.answer(*rest)
    world.judge.wanted = [FollowUp(disputed.utterance_id, "adjudication", "they disagree")]
    asked = len(world.oracle.asked)
    world.loop().sync()
    assert len(world.oracle.asked) == asked
    with pytest.raises(WorkspaceError, match="frozen since"):
        freeze_set(store, "calls", settle, backers, "ky")
    (line,) = set_lines("calls", store.draws()["calls"], store.drawn("calls"), found)
    assert "frozen since 20" in line


def test_a_frozen_set_is_measured_on_and_never_trained_on(world: World) -> None:
    keys = sorted(world.oracle.tasks)
    both(world, *keys)
    world.loop().sync()
    world.advance()
    freeze_set(world.store, "calls", settle, backers, "ky")
    world.advance()
    assert not {key.utterance_id for key in keys} & set(world.batch(1))
    world.oracle.answer(*world.batch(1))
    assert world.advance().kind == "recorded"
    rates = world.reader().checkpoint_in_use()["rates"]
    sets = {row["evaluation_set"]: row["utterances"] for row in rates}
    assert sets == {"held_out": 6, "calls": len(keys)}
    ((trained,),) = world.store.db.execute(
        "SELECT count(*) FROM manifest_examples WHERE utterance_id IN "
        "(SELECT utterance_id FROM evaluation_draws)"
    )
    assert trained == 0


def test_nothing_fit_is_not_frozen(world: World) -> None:
    with pytest.raises(WorkspaceError, match=r"nothing of 'calls' is fit .*: \d+ not answered"):
        freeze_set(world.store, "calls", settle, backers, "ky", as_it_is=True)
    assert world.store.draws() == {"calls": None}


def test_a_set_that_nobody_drew_is_named_with_those_that_there_are(world: World) -> None:
    with pytest.raises(WorkspaceError, match="no set 'radio' was drawn; known here: calls"):
        sort_out(world.store, "radio", settle, backers, "ky")


def test_after_a_batch_is_chosen_no_set_is_drawn_of_its_groups(store: Store) -> None:
    world = make_world(store)
    world.set(select={"budget_s": 100.0})
    world.advance()
    assert world.advance().kind == "waiting"
    with pytest.raises(WorkspaceError, match="before the first batch"):
        draw_set(store, "late", 5.0, "ky", 1, "clip")
    assert store.draws() == {}


def test_a_text_that_only_one_annotator_stands_behind_is_left_out(world: World) -> None:
    alone, backed, *_ = sorted(world.oracle.tasks)
    for annotator, text, other in (("one", "бир", "эки"), ("two", "үч", "беш"), ("3", "үч", "бир")):
        world.oracle.answer(backed, annotator=annotator, text=text)
        world.oracle.answer(alone, annotator=annotator, text=other)
    world.loop().sync()

    def adjudicated(case: Case) -> Label:
        texts = [row.text for row in case.annotations]
        return Label(case.utterance.id, texts[-1], None, ["1"], "adjudicated")

    found = sort_out(world.store, "calls", adjudicated, backers, "ky")
    assert found.texts == {backed.utterance_id: "үч"}
    assert found.left_out[alone.utterance_id] == "no two annotators agree on its text"


def test_what_is_not_reserved_any_more_is_left_out(world: World) -> None:
    keys = sorted(world.oracle.tasks)
    both(world, *keys)
    world.loop().sync()
    gone = keys[0].utterance_id
    world.store.db.execute("UPDATE utterances SET split = 'test' WHERE id = ?", [gone])
    found = sort_out(world.store, "calls", settle, backers, "ky")
    assert found.left_out == {gone: "it is in the test split by now"}


# -- the commands ------------------------------------------------------------------------------


def test_the_commands_say_what_they_did(store: Store) -> None:
    world = make_world(store, pool=40)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(evalset, arguments, obj=store.workspace.root)

    assert "no set is drawn" in run("status").output
    done = run("draw", "--name", "calls", "--minutes", "0.25", "--by", "clip")
    assert done.exit_code == 0, done.output
    assert re.search(r"^(\d+) clips \(0.3 min\) of \1 groups are drawn, and 0 ", done.output)
    world.loop().sync()
    keys = sorted(world.oracle.tasks)
    both(world, *keys[2:], text="бир эки")
    both(world, keys[1], text="бир эки " * 40)  # in two seconds at most
    world.loop().sync()
    said = run("status").output.splitlines()
    assert said[0] == f"calls: {len(keys)} clips (0.3 min) drawn, being labelled"
    assert said[2:] == ["  1 not answered", "  1 what they agree on is not believed"]
    assert "1 tasks of 'calls' wait" in str(run("freeze", "--name", "calls").exception)
    frozen = run("freeze", "--name", "calls", "--as-it-is")
    assert frozen.exit_code == 0, frozen.output
    assert "are frozen\nleft out: 1 not answered\nleft out: 1 what" in frozen.output
    assert len(store.evaluation_utterances()) == 6 + len(keys) - 2
    assert isinstance(run("freeze", "--name", "calls").exception, WorkspaceError)
    assert run("draw", "--name", "../calls").exit_code == 2
