"""The read-only questions about single clips."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from al_loop.records import Annotation, Label, Place, PlannedTask, Pulled, PulledTask, TaskKey
from storage.queries import Reader
from storage.store import Store
from tests.ui.clips import AFTER, BEFORE, SAID, clip_id, fill


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    fill(store)
    found = Reader(store.workspace)
    yield found
    found.close()


def test_clips_are_found_by_the_beginning_of_their_id(reader: Reader) -> None:
    whole = clip_id("a")
    assert reader.utterance_ids(whole[:8]) == [whole]
    assert reader.utterance_ids(whole) == [whole]
    assert len(reader.utterance_ids("", 2)) == 2
    for other in (whole + "0", "%", "' OR 1 --", "../../etc/passwd", "zz"):
        assert reader.utterance_ids(other) == []


def test_finding_a_clip_reads_the_index_alone(reader: Reader) -> None:
    plan = reader._all(
        "EXPLAIN QUERY PLAN SELECT id FROM utterances WHERE id >= ? AND id < ? ORDER BY id LIMIT 2",
        ["ab", "ac"],
    )
    assert [row["detail"] for row in plan] == [
        "SEARCH utterances USING COVERING INDEX sqlite_autoindex_utterances_1 (id>? AND id<?)"
    ]


def test_a_clip_that_was_asked_about_and_labelled(reader: Reader) -> None:
    found = reader.utterance(clip_id("a"))
    names = ("asked_in", "rank", "arm", "label", "settled", "quality", "annotation_ids", "flags")
    assert [found[name] for name in names] == [
        1, 0, "acquired", SAID, "single", 0.8, ["7"], ["digits: has 12"],
    ]  # fmt: skip
    assert (found["gate"], found["kind"], found["speaker"]) == (None, "open_source", "Айгүл")


def test_a_clip_that_is_held_back_and_one_that_is_not_there(reader: Reader) -> None:
    found = reader.utterance(clip_id("d"))
    assert (found["asked_in"], found["gate"], found["value"]) == (None, "quiet", -70.0)
    assert (found["label"], found["annotation_ids"], found["released"]) == (None, [], 0)
    assert reader.utterance("nothing") == {}


def test_what_each_checkpoint_heard(reader: Reader) -> None:
    rows = reader.heard_by(clip_id("a"))
    assert [(row["checkpoint"], row["made_in"], row["hypothesis"]) for row in rows] == [
        ("first", 0, BEFORE),
        ("second", 1, AFTER),
    ]


def test_the_annotations_behind_a_label(reader: Reader, store: Store) -> None:
    (row,) = reader.answers_about(clip_id("a"))
    assert (row["annotator"], row["text"], row["weighed"]) == ("Бакыт", SAID, 1)
    assert (row["kind"], row["shown"], row["deleted_at"]) == ("query", BEFORE, None)
    with store.transaction():
        store.db.execute("UPDATE annotations SET deleted_at = '2026-02-01'")
    (row,) = reader.answers_about(clip_id("a"))
    assert (row["weighed"], row["deleted_at"]) == (0, "2026-02-01")


def test_of_two_annotations_with_one_id_the_label_rests_on_one(
    reader: Reader, store: Store
) -> None:
    """Another project may have used the same id."""
    key, at = TaskKey(clip_id("a"), 2, 0), "2026-03-01T00:00:00+00:00"
    store.add_tasks([PlannedTask(key, "repeat", 0)])
    answers = [
        Annotation("7", "5", key, "Айбек", "башка", None, 9.0, at, at),
        Annotation("9", "5", key, "Айбек", SAID, None, 9.0, at, at),
    ]
    store.take(Place("http://other.test", 2), Pulled([PulledTask("5", key, at, answers)], (), None))
    rows = reader.answers_about(clip_id("a"))
    assert [(row["annotator"], row["id"], row["weighed"]) for row in rows] == [
        ("Бакыт", "7", 1),
        ("Айбек", "7", 0),
        ("Айбек", "9", 0),
    ]
    store.put_labels([Label(clip_id("a"), SAID, None, ["9", "7", "7"], "agreed")])
    assert [row["weighed"] for row in reader.answers_about(clip_id("a"))] == [1, 1, 1]


def test_a_disputed_label_is_nothing_to_compare_with(reader: Reader, store: Store) -> None:
    store.put_labels([Label(clip_id("a"), SAID, None, ["7"], "disputed")])
    for found in (reader.utterance(clip_id("a")), reader.batch(1)[0]):
        assert (found["label"], found["disputed"], found["settled"]) == (None, SAID, "disputed")


def test_the_evaluation_set_by_the_checkpoint_in_use(reader: Reader, store: Store) -> None:
    def heard(number: int) -> list[str]:
        return [row["hypothesis"] for row in reader.tested(number)]

    assert sorted(heard(0)) == ["конул ачык", "мектепке барды", "суу тоо"]
    assert sorted(heard(1)) == ["көңүл ачык", "мектеп барды", "суу тоо"]
    assert reader.in_use_after(1)["name"] == "second"
    with store.transaction():
        store.db.execute("UPDATE rounds SET promoted = 0 WHERE number = 1")
    assert heard(1) == heard(0)
    assert reader.in_use_after(1)["name"] == "first"
    assert reader.tested(2) == []
    assert reader.in_use_after(2) == {}


def test_what_a_round_is_about(reader: Reader) -> None:
    found = reader.judged_in(1)
    names = ("asked_with_name", "compared_with_name", "candidate_name")
    assert [found[name] for name in names] == ["first", "first", "second"]
    assert found["candidate"] == "second"
    assert reader.judged_in(2) == {}


def test_a_batch_says_what_its_candidate_heard(reader: Reader) -> None:
    rows = reader.batch(1)
    assert [(row["hypothesis"], row["after"], row["answered"]) for row in rows] == [
        (BEFORE, AFTER, 1),
        ("ээ", None, 1),
        (None, None, 0),
    ]
    assert [row["flags"] for row in rows] == ['["digits: has 12"]', "[]", None]


def test_what_is_measured_on_in_a_language(reader: Reader) -> None:
    rows = reader.test_utterances("ky")
    assert [row["utterance_id"] for row in rows] == sorted(clip_id(f"t{n}") for n in range(3))
    assert reader.test_utterances("ru") == []
