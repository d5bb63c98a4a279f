"""Pseudo-labels in the loop, on a real store, with recognisers that are fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from al_loop.errors import AudioError, ModelError, WorkspaceError
from al_loop.metrics import count_errors
from al_loop.pseudo_labels import FEWEST_CLIPS, Made, PseudoLabels
from al_loop.pseudo_lines import kept_line, lines
from al_loop.pseudo_readings import Kept, distinct
from al_loop.records import Alternatives, Doubt, Hypothesis, Label, Source, Utterance
from storage.store import Store
from storage.workspace import Workspace

from .fakes import FakeRecognizer, World, clips, facts, hasty_store, make_world, new_store, spoken
from .test_round_killed import DyingStore, Killed

CALIBRATION = 40


def believing(store: Store, **rule: Any) -> World:
    """A world with clips of known words, whose checkpoint of round 0 gets three words of four."""
    world = make_world(store)
    store.add(clips("books", "validation", CALIBRATION), [])
    world.recognizer.progress = 2
    world.set(pseudo_labels={"enabled": True, **rule})
    return world


@pytest.fixture
def world(store: Store) -> World:
    """Round 0 is recorded."""
    found = believing(store)
    found.advance()
    return found


def make(world: World, precision: float | None = None) -> Made:
    loop = world.loop()
    makes = PseudoLabels(
        world.settings, world.store, loop.listening, loop.speller, world.said.append
    )
    return makes.make(world.store.checkpoint_in_use(), precision)


def right(made: Made) -> float:
    """The share of the words of all texts that are right."""
    found = [count_errors(spoken(row.utterance_id), row.text, "ky") for row in made.labels]
    return 1 - sum(row.word_errors for row in found) / sum(row.words for row in found)


def deafen(world: World, share: float = 0.3) -> None:
    """Have the speller hear something else in a share of all clips, by their ids."""
    names = [row[0] for row in world.store.db.execute("SELECT id FROM utterances")]
    world.speller.deaf = {name for name in names if int(name[:4], 16) < share * 16**4}


# -- what agrees -------------------------------------------------------------------------------


def test_what_recognisers_agree_on_gets_a_text_of_the_wished_precision(world: World) -> None:
    deafen(world)
    made = make(world)
    assert right(made) >= 0.95
    pool = {row.id for row in world.store.pool()}
    chosen = {row.utterance_id for row in made.labels}
    assert chosen < pool
    assert not chosen & world.speller.deaf
    assert chosen == pool - world.speller.deaf  # all that agree at all are right: the speller wins
    report = made.report
    assert report["threshold"] > 0
    assert report["precision"]["low"] >= report["target"] == 0.95
    assert report["calibration"] == {
        "clips": CALIBRATION,
        "words": 10 * CALIBRATION,
        "validation": CALIBRATION,
        "junk": 0,
        "rated": CALIBRATION,
    }
    assert [(row["name"], row["id"][:6]) for row in report["recognisers"]] == [
        ("in_use", "round-"),
        ("spelling", "letter"),
    ]
    seconds = sum(row.duration_s for row in world.store.utterances(chosen))
    assert report["volume"] == {"clips": len(chosen), "texts": len(chosen), "seconds": seconds}
    assert report["curve"][-1]["kept"] == CALIBRATION
    assert made.labels[0].made_by.endswith(" + letters@1")
    assert "spelling (letters@1): WER " in "\n".join(lines(report))
    assert f"{len(chosen)} of {len(pool)} clips" in kept_line(report)


def test_confidence_follows_agreement(world: World) -> None:
    deafen(world)
    sure = {row.utterance_id: row.confidence for row in make(world, 0.3).labels}
    deaf = {name for name in sure if name in world.speller.deaf}
    assert deaf  # so low a precision takes even clips in which nothing agrees
    assert {sure[name] for name in sure.keys() - deaf} == {1.0}
    assert all(0 < sure[name] < 0.5 for name in deaf)


def test_a_precision_that_no_agreement_is_worth_gives_no_text(world: World) -> None:
    speller = world.speller

    class Mishearing:
        id = "mishears@1"
        blocks = speller.blocks

        def spell(self, block: Any) -> Any:
            rows = speller.spell(block)
            # it errs exactly as the checkpoint in use does, so that agreement says nothing
            return [replace(row, text=heard[row.utterance_id].text) for row in rows]

    world.loop().listening.listen(
        world.store.checkpoint_in_use(), world.store.calibration("ky", 100) + world.store.pool()
    )
    every = [row[0] for row in world.store.db.execute("SELECT id FROM utterances")]
    heard = world.store.hypotheses(world.store.checkpoint_in_use().id, every)
    world.speller = Mishearing()
    made = make(world)
    assert made.labels == []
    assert made.report["threshold"] is None
    assert "no agreement is worth 95.0% right words" in kept_line(made.report)
    assert len(make(world, 0.5).labels) == len(world.store.pool())


@pytest.mark.parametrize("recogniser", ["previous", "perturbed"])
def test_other_recognisers_may_be_asked(world: World, recogniser: str) -> None:
    world.set(pseudo_labels={"recognisers": [recogniser, "spelling"], "precision": 0.5})
    if recogniser == "previous":
        world.recognizer.progress = 1
        world.set(promote={"margin": 100.0})
        world.advance()
        world.oracle.answer(*world.oracle.unanswered)
        world.advance()
        enlarge(world)
    made = make(world)
    names = [row["name"] for row in made.report["recognisers"]]
    assert names == ["in_use", recogniser, "spelling"]
    assert made.labels
    assert right(made) >= 0.5


def test_alone_the_checkpoint_in_use_makes_nothing(world: World) -> None:
    world.set(pseudo_labels={"recognisers": ["previous"]})
    with pytest.raises(WorkspaceError, match="there is no second recogniser"):
        make(world)


def test_the_text_of_least_risk_is_chosen_after_rescoring(world: World) -> None:
    world.set(pseudo_labels={"choice": "risk", "precision": 0.5})
    made = make(world)
    assert made.report["weights"]["ctc"] > 0
    assert made.report["weights"]["lm"] == 0  # four texts are no language model
    # of what is heard and sampled, the speller knows the better one; both are of skill 2 or 3
    assert right(made) > 0.9
    voted = believed(world, choice="vote")
    assert {row.utterance_id for row in made.labels} <= {row.utterance_id for row in voted.labels}


def believed(world: World, **rule: Any) -> Made:
    world.set(pseudo_labels=rule)
    return make(world, 0.5)


# -- bad input ---------------------------------------------------------------------------------


def test_too_few_known_words_are_refused_with_what_to_do(world: World) -> None:
    world.store.db.execute(
        "UPDATE utterances SET split = 'train' WHERE split = 'validation' AND id NOT IN "
        "(SELECT id FROM utterances WHERE split = 'validation' LIMIT 29)"
    )
    with pytest.raises(WorkspaceError, match=r"29 clips \(290 words\) .* expected 30 .*ingest"):
        make(world)
    assert FEWEST_CLIPS == 30
    assert world.speller.heard == []  # nothing was listened to in vain


def test_a_clip_that_workers_cannot_read_is_left_out(world: World) -> None:
    """Judged by what reads for them: a decoder alone does not see every damage."""
    (bad,) = world.store.calibration("ky", 1)

    def read(audio: str) -> np.ndarray:
        if audio == bad.audio:
            raise AudioError("corrupt", "its samples are not those that were written")
        return np.ones(16_000, np.float32)

    class Reading(FakeRecognizer):
        def listener(self, checkpoint: str) -> Callable[[Sequence[Utterance]], list[Hypothesis]]:
            listen = super().listener(checkpoint)

            def heard(block: Sequence[Utterance]) -> list[Hypothesis]:
                for row in block:
                    read(row.audio)
                return listen(block)

            return heard

    world.recognizer = Reading(world.store.workspace.root)
    world.store.read_clip = read
    made = make(world)
    assert list(made.report["unreadable"]) == [bad.id]
    assert made.report["calibration"]["clips"] == CALIBRATION - 1
    assert made.labels
    assert any("1 clips cannot be read" in line for line in world.said)


def test_nothing_is_made_of_silence_that_all_agree_on(world: World) -> None:
    class Deaf(FakeRecognizer):
        def listener(self, checkpoint: str) -> Callable[[Sequence[Utterance]], list[Hypothesis]]:
            listen = super().listener(checkpoint)
            return lambda block: [replace(row, text=" ") for row in listen(block)]

    speller = world.speller

    class Mute:
        id = "mute@1"
        blocks = speller.blocks

        def spell(self, block: Any) -> Any:
            return [replace(row, text="") for row in speller.spell(block)]

    world.recognizer = Deaf(world.store.workspace.root)
    world.speller = Mute()
    made = make(world)
    assert made.labels == []
    assert made.report["calibration"]["rated"] == 0
    assert made.report["curve"] == []
    assert lines(made.report)[-1].startswith("no pseudo-labels: no agreement is worth")


def test_scores_that_are_no_numbers_leave_the_reading_out(world: World) -> None:
    class Unsure(FakeRecognizer):
        def doubter(
            self, checkpoint: str, doubt: Doubt
        ) -> Callable[[Sequence[Utterance]], list[Alternatives]]:
            ask = super().doubter(checkpoint, doubt)
            return lambda block: [
                replace(row, log_probs=[float("nan")] * len(row.texts)) for row in ask(block)
            ]

    world.recognizer = Unsure(world.store.workspace.root)
    made = believed(world, choice="risk")
    heard = world.store.hypotheses(
        world.store.checkpoint_in_use().id, [row.utterance_id for row in made.labels]
    )
    assert made.labels
    assert all(row.text == heard[row.utterance_id].text for row in made.labels)


def test_texts_of_an_evaluation_set_are_left_out(world: World) -> None:
    (leak,) = world.store.pool()[:1]
    world.store.db.execute(
        "UPDATE utterances SET text = ? WHERE id = "
        "(SELECT id FROM utterances WHERE split = 'test' LIMIT 1)",
        [spoken(leak.id).upper()],
    )
    made = make(world)
    assert leak.id not in {row.utterance_id for row in made.labels}
    assert made.report["leaked"] == 1
    assert "1 left out for an evaluation set" in kept_line(made.report)


def test_clips_of_known_words_that_were_learned_elsewhere_measure_nothing(world: World) -> None:
    known = world.store.calibration("ky", 100)
    learner = world.store.training_examples("in_house")[0].utterance_id
    world.store.db.table("learned_examples").insert(
        {"learner": "x", "utterance_id": learner, "text": f"{(known[0].text or '').upper()}!"}
    )
    assert make(world).report["calibration"]["clips"] == CALIBRATION - 1


def test_what_a_clip_of_known_words_says_is_not_learned(world: World) -> None:
    (twin,) = world.store.pool()[:1]
    (known,) = world.store.calibration("ky", 1)
    world.store.db.execute(
        "UPDATE utterances SET text = ? WHERE id = ?", [spoken(twin.id).upper(), known.id]
    )
    made = make(world, 0.5)
    assert twin.id not in {row.utterance_id for row in made.labels}
    assert (made.report["leaked"], made.report["calibrated_on"]) == (0, 1)
    assert "1 for a clip of known words" in kept_line(made.report)


@pytest.mark.parametrize("choice", ["vote", "risk"])
def test_every_word_heard_in_junk_is_wrong(world: World, choice: str) -> None:
    sound = believed(world, choice=choice).report
    junk = [row.id for row in world.store.pool()][:6]
    world.store.put_labels([Label(name, None, "bad_audio", ["1"]) for name in junk])
    world.store.db.execute("UPDATE labels SET settled_at = '9999'")
    report = believed(world, choice=choice).report
    assert report["calibration"]["junk"] == 6
    assert report["calibration"]["clips"] == CALIBRATION
    assert report["calibration"]["rated"] == CALIBRATION + 6
    assert report["recognisers"] == sound["recognisers"]
    last, before = report["curve"][-1], sound["curve"][-1]
    words, more = 10 * CALIBRATION, report["calibration"]["words"] - 10 * CALIBRATION
    assert more >= 6
    assert last["precision"] == pytest.approx(before["precision"] * words / (words + more))


def test_an_untrained_checkpoint_makes_none(store: Store) -> None:
    world = believing(store)
    world.advance(until="merge")
    with pytest.raises(WorkspaceError, match="base is untrained"):
        make(world)


def test_a_pool_without_candidates_is_refused(world: World) -> None:
    names = [row.id for row in world.store.pool()]
    world.store.put_labels([Label(name, None, "bad_audio", ["1"]) for name in names])
    with pytest.raises(WorkspaceError, match="no clip of the pool can get a pseudo-label"):
        make(world)


# -- in the round ------------------------------------------------------------------------------


def asked(world: World) -> World:
    """Round 1, whose annotators have answered."""
    world.advance()
    world.oracle.answer(*world.oracle.unanswered)
    return world


def enlarge(world: World, count: int = 6) -> set[str]:
    """More clips come into the pool; returns their ids."""
    world.store.put_source(Source("later", "in_house", "ky"))
    rows = clips("later", "pool", count)
    world.store.add(rows, [])
    return {row.id for row in rows}


def sources(world: World) -> dict[str, int]:
    """The examples of each source in the newest manifest."""
    last = world.store.last_recorded_round()
    assert last is not None
    assert last.manifest_id is not None
    manifest = world.store.manifest(last.manifest_id)
    return {row.source: row.examples for row in manifest.mixture}


def test_a_round_trains_on_them_and_labels_come_first(world: World) -> None:
    assert sources(world) == {"books": 4}  # the untrained base gives none
    assert any("base is untrained" in line for line in world.said)
    asked(world).advance()
    batch = set(world.batch(1))
    pool = {row.id for row in clips("radio", "pool", 14)}
    assert sources(world) == {
        "books": 4,
        "in_house": len(batch),
        "pseudo_label": len(pool - batch),
    }
    stored = world.store.pseudo_labels()
    assert {row.utterance_id for row in stored} == pool - batch
    last = world.store.last_pseudo_label_run()
    assert last is not None
    assert last["round"] == 1
    # fresh labels were what agreement was measured on, too
    assert last["calibration"]["clips"] == CALIBRATION + len(batch)
    training = world.recognizer.trainings[-1]
    drawn = {row.utterance_id: row for row in training.epochs[0] if row.source == "pseudo_label"}
    assert drawn
    assert all(row.quality <= 1 for row in drawn.values())
    # they stay in the pool, and give way as soon as annotators are asked
    asked(world).advance()
    assert set(world.batch(2)) <= pool - batch
    assert not {row.utterance_id for row in world.store.pseudo_labels()} & set(world.batch(2))
    assert sources(world)["in_house"] == len(batch) + len(world.batch(2))


def test_they_are_no_truth_elsewhere(world: World) -> None:
    asked(world).advance()
    assert "pseudo_label" not in {row.source for row in world.store.training_examples("in_house")}
    stored = [row.utterance_id for row in world.store.pseudo_labels()]
    known = {row.id for row in world.store.calibration("ky", 1000)}
    assert not known & set(stored)
    assert not set(world.store.known_answers("ky")) & set(stored)


def test_switched_off_they_are_neither_made_nor_used(world: World) -> None:
    asked(world).advance()
    world.set(pseudo_labels={"enabled": False})
    before = world.store.pseudo_labels()
    asked(world).advance()
    assert "pseudo_label" not in sources(world)
    assert world.store.pseudo_labels() == before


def test_a_round_that_cannot_make_them_goes_on_without(store: Store) -> None:
    world = make_world(store)
    world.set(pseudo_labels={"enabled": True})
    world.advance()
    asked(world)
    world.said.clear()
    assert world.advance().kind == "recorded"
    assert any(line.startswith("  no pseudo-labels: 5 clips (") for line in world.said)
    assert "pseudo_label" not in sources(world)
    last = store.last_pseudo_label_run()
    assert last is not None
    assert "are known that no recogniser has learned" in last["refused"]


def test_a_recogniser_that_is_not_there_is_named_and_missed(world: World) -> None:
    asked(world).advance()
    learned = world.store.pseudo_labels()
    asked(world)
    enlarge(world)
    world.speller.failure, world.speller.blocks_left = ModelError("letters: no such model"), 0
    for path in world.store.pseudo_label_folder().iterdir():
        path.unlink()
    assert world.advance().kind == "recorded"
    left = [row for row in learned if row.utterance_id not in world.batch(2)]
    assert left
    assert world.store.pseudo_labels() == left
    said = f"  no pseudo-labels: letters: no such model; {len(left)} kept from before, not measured"
    assert f"{said} again" in world.said


def test_with_nothing_new_no_round_is_trained(world: World) -> None:
    asked(world).advance()
    trained = len(world.recognizer.trainings)
    world.set(gates={"enabled": True, "max_characters_per_s": 1.0})
    for _ in range(3):
        assert world.advance().kind == "idle"
    assert len(world.recognizer.trainings) == trained
    # texts that were made by hand are something new, once
    world.store.put_pseudo_labels(None, world.store.pseudo_labels()[:3], {})
    assert world.advance().kind == "recorded"
    assert len(world.recognizer.trainings) == trained + 1
    assert world.advance().kind == "idle"
    assert len(world.recognizer.trainings) == trained + 1


def test_what_was_learned_is_not_judged_by_who_learned_it(world: World) -> None:
    asked(world).advance()
    learned = {row.utterance_id: row for row in world.store.pseudo_labels()}
    later = enlarge(world)
    # whoever hears them now, hears something else
    world.speller.deaf = set(learned)
    world.speller.heard.clear()
    for path in world.store.pseudo_label_folder().iterdir():
        path.unlink()
    made = make(world)
    assert not learned.keys() & set(world.speller.heard)
    found = {row.utterance_id: row for row in made.labels}
    assert found.keys() == learned.keys() | later
    assert {name: found[name] for name in learned} == learned
    assert (made.report["kept_before"], made.report["volume"]["clips"]) == (len(learned), 6)
    assert f"{len(learned)} kept from before, not measured again" in kept_line(made.report)
    assert list(found) == sorted(found)


def test_what_was_learned_gives_way_to_an_evaluation_set(world: World) -> None:
    asked(world).advance()
    leak, *others = world.store.pseudo_labels()
    world.store.db.execute(
        "UPDATE utterances SET text = ? WHERE id = "
        "(SELECT id FROM utterances WHERE split = 'test' LIMIT 1)",
        [leak.text],
    )
    enlarge(world)
    names = {row.utterance_id for row in make(world).labels}
    assert leak.utterance_id not in names
    assert {row.utterance_id for row in others} < names


# -- killed ------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_was(world: World) -> None:
    world.set(pseudo_labels={"choice": "risk"})
    undisturbed = make(world, 0.5)
    every = len(world.speller.heard)
    for path in world.store.pseudo_label_folder().iterdir():
        path.unlink()
    world.speller.heard.clear()
    world.speller.failure, world.speller.blocks_left = Killed(), 3
    with pytest.raises(Killed):
        make(world, 0.5)
    assert len(world.speller.heard) == 15
    for path in world.store.pseudo_label_folder().iterdir():
        with path.open("a", encoding="utf-8") as file:
            file.write('{"id": "cut o')  # the line that was being written
    world.speller.failure = None
    assert make(world, 0.5) == undisturbed
    assert len(world.speller.heard) == every  # none of them twice
    assert make(world, 0.5) == undisturbed
    assert len(world.speller.heard) == every


def test_a_merge_killed_at_any_instant_makes_them_once(tmp_path: Path) -> None:
    begun = asked(live_until_asked(new_store(tmp_path / "before")))
    begun.advance(until="merge")
    begun.store.close()

    def new_world(name: str) -> World:
        folder = tmp_path / name
        copytree(tmp_path / "before", folder)
        recognizer = FakeRecognizer(folder)
        return replace(begun, store=hasty_store(Workspace.open(folder)), recognizer=recognizer)

    undisturbed = new_world("undisturbed")
    undisturbed.advance(until="train")
    expected = facts(undisturbed.store)
    assert len(expected["pseudo_label_runs"]) == 2
    for instant in count(1):
        world = new_world(str(instant))
        dying: Any = DyingStore(world.store, instant)
        try:
            replace(world, store=dying).advance(until="train")
            break
        except Killed:
            pass
        world.advance(until="train")
        assert facts(world.store) == expected, dying.died
    assert instant > 8


def live_until_asked(store: Store) -> World:
    world = believing(store)
    world.advance()
    return world


# -- the parts ---------------------------------------------------------------------------------


def test_of_texts_that_are_alike_the_likeliest_stays() -> None:
    readings = [("Бир, эки", -2.0), ("бир эки", -1.0), ("", -0.1), ("…", 0.0), ("үч", -3.0)]
    readings += [("төрт", float("nan")), ("беш", -np.inf)]
    assert distinct(readings, "ky") == {"бир эки": -1.0, "үч": -3.0}


def test_lines_that_cannot_be_read_are_heard_again(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    kept = Kept(path)
    kept.add([{"id": "a", "text": "өмүр", "log_probs": {"x": float("-inf")}}])
    with path.open("ab") as file:
        file.write(b"\x00\x00\n[1]\n{}\n" + '{"id": "b", "text": "ө'.encode()[:-1])
    again = Kept(path)
    assert again.rows == kept.rows
    again.add([{"id": "c", "text": ""}])
    assert Kept(path).rows.keys() == {"a", "c"}
