"""What the store keeps, and that it keeps all of a stage or nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import (
    Annotation,
    Checkpoint,
    Choice,
    Example,
    Hypothesis,
    Label,
    Manifest,
    MixtureRow,
    Refusal,
    Round,
    Source,
    Utterance,
)
from storage.store import Store

BASE = Checkpoint("base", "checkpoints/base", None, {"made_from": "packaged:whisper-base"})
TIME = "2026-01-01T00:00:00.000000Z"


def utterance(name: str, **changes: Any) -> Utterance:
    row = Utterance(name, f"samples-{name}", f"audio/{name}.flac", 2.0, "radio", "ky", "pool")
    return replace(row, **changes)


def hypothesis(name: str, text: str = "бир") -> Hypothesis:
    return Hypothesis(name, text, 3, -0.5, 1.25, 0.01, 0.9, np.array([0.1, -2.0], np.float32))


def annotation(number: int, name: str, text: str | None = "бир", **changes: Any) -> Annotation:
    row = Annotation(str(number), "7", name, "annotator-1", text, None, 8.2, TIME, TIME)
    return replace(row, **changes)


@pytest.fixture
def filled(store: Store) -> Store:
    """Three clips in the pool, the base checkpoint, and round 1 open at `score`."""
    store.put_source(Source("radio", "in_house", "ky"))
    store.add([utterance(name) for name in "abc"], [])
    store.put_checkpoint(BASE)
    store.start_round(1, 99, "score", "base")
    return store


def ids(rows: list[Utterance]) -> str:
    return "".join(row.id for row in rows)


def counts(store: Store) -> dict[str, int]:
    return {table.name: table.count for table in store.db.tables}


# -- the database ------------------------------------------------------------------------------


def test_a_workspace_keeps_its_id(store: Store) -> None:
    assert len(store.workspace_id) == 32
    assert Store(store.workspace).workspace_id == store.workspace_id


def test_readers_do_not_wait_for_the_writer(store: Store) -> None:
    assert store.db.journal_mode == "wal"


def test_rows_refer_to_rows_that_exist(filled: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        filled.add_hypotheses("base", [hypothesis("a"), hypothesis("stranger")])
    assert filled.heard("base") == set()


def test_a_transaction_keeps_other_writers_out_from_its_start(filled: Store) -> None:
    other = Store(filled.workspace)
    other.db.execute("PRAGMA busy_timeout = 0")
    with filled.transaction():
        assert ids(other.pool()) == "abc"
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.put_source(Source("books", "open_source", "ky"))
    other.put_source(Source("books", "open_source", "ky"))


def test_a_transaction_inside_another_ends_with_it(filled: Store) -> None:
    def break_off() -> None:
        with filled.transaction():
            filled.put_source(Source("books", "open_source", "ky"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [source.name for source in filled.sources()] == ["radio"]


# -- the catalogue -----------------------------------------------------------------------------


def test_a_source_may_change_its_weight_and_nothing_else(store: Store) -> None:
    store.put_source(Source("books", "open_source", "ky", 1.0))
    store.put_source(Source("books", "open_source", "ky", 2.5))
    assert store.sources() == [Source("books", "open_source", "ky", 2.5)]
    for other in (Source("books", "synthetic", "ky"), Source("books", "open_source", "ru")):
        with pytest.raises(WorkspaceError, match="already open_source in ky"):
            store.put_source(other)
    assert store.source("books") == Source("books", "open_source", "ky", 2.5)
    assert store.source("radio") is None


def test_an_utterance_is_found_by_its_bytes_or_its_samples(filled: Store) -> None:
    assert filled.find("a", "of another file") == utterance("a")
    assert filled.find("another encoding", "samples-b") == utterance("b")
    assert filled.find("d", "samples-d") is None


def test_a_refusal_is_kept_once_with_its_last_detail(store: Store) -> None:
    for detail in ("no samples", "0 bytes"):
        store.add([], [Refusal("a.wav", "empty_file", detail)])
    store.add([], [Refusal("a.wav", "too_short", "0.1 s")])
    rows = store.db.execute("SELECT origin, reason, detail FROM refusals ORDER BY reason")
    assert rows.fetchall() == [("a.wav", "empty_file", "0 bytes"), ("a.wav", "too_short", "0.1 s")]


def test_the_pool_holds_what_was_neither_asked_about_nor_labelled(filled: Store) -> None:
    filled.add([utterance("test", split="test"), utterance("train", split="train")], [])
    assert ids(filled.pool()) == "abc"
    filled.put_batch(1, [Choice("b", 0, 1.0, "acquired")])
    filled.put_labels([Label("c", None, "bad_audio", ["1"])])
    assert ids(filled.pool()) == "a"
    assert ids(filled.evaluation_utterances()) == "test"


def test_what_a_checkpoint_may_have_learned_does_not_enter_an_evaluation_set(
    filled: Store,
) -> None:
    learned = Example("a", "audio/a.flac", 2.0, "radio", "ky", "бир")
    filled.put_manifest(1, Manifest("m", [learned], []))
    moved = [utterance(name, split="test", text="бир") for name in "ab"]
    assert filled.add(moved, []) == {"a"}
    assert ids(filled.evaluation_utterances()) == "b"
    assert ids(filled.pool()) == "ac"


# -- rounds and stages -------------------------------------------------------------------------


def test_a_round_is_open_until_its_last_stage_is_finished(filled: Store) -> None:
    opened = filled.open_round()
    assert opened is not None
    assert opened == Round(1, 99, "score", "base", None, None, opened.opened_at, None)
    with filled.finishing(1, "score", "select"):
        pass
    assert filled.open_round() == replace(opened, stage="select")
    with filled.finishing(1, "record", None):
        pass
    assert filled.open_round() is None
    assert filled.last_round() == replace(opened, stage=None)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_stage_that_breaks_off_leaves_nothing_behind(
    filled: Store, error: type[BaseException]
) -> None:
    before = counts(filled)

    def break_off() -> None:
        with filled.finishing(1, "score", "select"):
            filled.put_source(Source("books", "open_source", "ky"))
            filled.put_batch(1, [Choice("a", 0, 1.0, "control")])
            raise error

    with pytest.raises(error):
        break_off()
    assert counts(filled) == before
    last = filled.last_round()
    assert last is not None
    assert last.stage == "score"


def test_failures_are_counted_until_the_stage_is_finished(filled: Store) -> None:
    assert filled.failures(1, "score") == (0, None)
    for number in (1, 2):
        filled.start_stage(1, "score", "{}")
        filled.fail_stage(1, "score", "out of memory", f"later-{number}")
        assert filled.failures(1, "score") == (number, f"later-{number}")
    with filled.finishing(1, "score", "select"):
        pass
    assert filled.failures(1, "score") == (0, None)


def test_failures_are_forgotten_without_finishing_the_stage(filled: Store) -> None:
    filled.start_stage(1, "score", "{}")
    filled.fail_stage(1, "score", "no answer", "later")
    filled.forget_failures(1, "score")
    assert filled.failures(1, "score") == (0, None)
    (row,) = filled.db.execute("SELECT error, finished_at FROM stage_runs")
    assert row == (None, None)


def test_a_round_that_opens_forgets_what_kept_it_closed(filled: Store) -> None:
    filled.start_stage(2, "open", "{}")
    filled.fail_stage(2, "open", "not cached", "later")
    filled.start_stage(1, "score", "{}")
    filled.fail_stage(1, "score", "out of memory", "later")
    filled.start_round(2, 1, "score", "base")
    assert filled.failures(2, "open") == (0, None)
    assert filled.failures(1, "score") == (1, "later")


def test_starts_are_counted_until_the_stage_comes_to_an_end(filled: Store) -> None:
    assert [filled.start_stage(1, "score", "{}") for _ in range(3)] == [1, 2, 3]
    filled.fail_stage(1, "score", "out of memory", "later")
    assert filled.start_stage(1, "score", "{}") == 1
    filled.forget_failures(1, "score")
    assert filled.start_stage(1, "score", "{}") == 1
    assert filled.start_stage(1, "select", "{}") == 1


def test_a_stage_keeps_its_first_start_and_its_last_settings(filled: Store) -> None:
    filled.start_stage(1, "score", "first")
    filled.db.execute("UPDATE stage_runs SET started_at = 'then'")
    filled.start_stage(1, "score", "last")
    rows = filled.db.execute("SELECT started_at, settings FROM stage_runs")
    assert rows.fetchall() == [("then", "last")]


# -- hypotheses and batches --------------------------------------------------------------------


def test_a_hypothesis_comes_back_as_it_was(filled: Store) -> None:
    filled.add_hypotheses("base", [hypothesis("a"), hypothesis("b")])
    filled.add_hypotheses("base", [hypothesis("b", "эки")])
    assert filled.heard("base") == {"a", "b"}
    found = filled.hypotheses("base", ["b", "c"])
    assert list(found) == ["b"]
    (embedding,) = (row.embedding for row in found.values())
    assert embedding.dtype == np.float32
    assert embedding.tolist() == hypothesis("b").embedding.tolist()
    assert replace(found["b"], embedding=None) == replace(hypothesis("b", "эки"), embedding=None)


def test_an_utterance_is_in_one_batch_only(filled: Store) -> None:
    filled.put_batch(1, [Choice("a", 0, 1.0, "acquired")])
    with pytest.raises(sqlite3.IntegrityError):
        filled.put_batch(1, [Choice("b", 1, 1.0, "acquired"), Choice("a", 2, 1.0, "acquired")])
    assert filled.answered(1) == (0, 1)


def test_tasks_that_are_not_pushed_yet_come_by_rank(filled: Store) -> None:
    filled.add_hypotheses("base", [hypothesis(name, f"{name}?") for name in "abc"])
    filled.put_batch(1, [Choice(name, rank, 0.5, "acquired") for rank, name in enumerate("cab")])
    tasks = filled.unpushed(1, "base")
    assert [(task.rank, task.utterance_id, task.hypothesis) for task in tasks] == [
        (0, "c", "c?"),
        (1, "a", "a?"),
        (2, "b", "b?"),
    ]
    filled.mark_pushed({"c": "31", "b": "33"})
    assert [task.utterance_id for task in filled.unpushed(1, "base")] == ["a"]


# -- annotations and labels --------------------------------------------------------------------


def test_the_same_answer_twice_is_kept_once_as_it_was_last(filled: Store) -> None:
    filled.take_annotations([annotation(1, "a"), annotation(2, "b")], [], "mark 1")
    filled.take_annotations([annotation(1, "a", "эки")], [], "mark 2")
    assert filled.annotations() == {
        "a": [annotation(1, "a", "эки")],
        "b": [annotation(2, "b")],
    }
    assert filled.high_water == "mark 2"


def test_the_answers_about_one_utterance_come_in_their_order(filled: Store) -> None:
    later = annotation(1, "a", updated_at=TIME.replace("2026", "2027"))
    verdict = annotation(2, "a", None, verdict="skipped")
    filled.take_annotations([later, verdict], [], None)
    assert filled.annotations() == {"a": [verdict, later]}


def test_an_answer_about_a_stranger_is_refused_and_the_rest_is_kept(filled: Store) -> None:
    filled.take_annotations(
        [annotation(1, "a"), annotation(2, "stranger")],
        [Refusal("task 9", "empty_text", "neither a text nor a verdict")],
        "mark",
    )
    assert list(filled.annotations()) == ["a"]
    rows = filled.db.execute("SELECT origin, reason, detail FROM refusals ORDER BY reason")
    assert rows.fetchall() == [
        ("task 9", "empty_text", "neither a text nor a verdict"),
        ("task 7", "unknown_utterance", "annotation 2 is about stranger, not in this workspace"),
    ]


def test_an_utterance_with_two_answers_is_answered_once(filled: Store) -> None:
    filled.put_batch(1, [Choice(name, rank, 0.5, "acquired") for rank, name in enumerate("ab")])
    filled.take_annotations([annotation(1, "a"), annotation(2, "a"), annotation(3, "c")], [], None)
    assert filled.answered(1) == (1, 2)


def test_another_project_is_pulled_from_its_beginning(filled: Store) -> None:
    filled.set_project("http://one.test", 4)
    filled.take_annotations([], [], "mark")
    filled.set_project("http://one.test", 4)
    assert (filled.project_id, filled.high_water) == (4, "mark")
    filled.set_project("http://two.test", 4)
    assert (filled.project_id, filled.high_water) == (4, None)


def test_another_project_gets_the_tasks_that_nobody_has_answered(filled: Store) -> None:
    filled.set_project("http://one.test", 4)
    filled.add_hypotheses("base", [hypothesis(name) for name in "ab"])
    filled.put_batch(1, [Choice(name, rank, 0.5, "acquired") for rank, name in enumerate("ab")])
    assert filled.last_pushed_at() is None
    filled.mark_pushed({"a": "1", "b": "2"})
    assert filled.unanswered() > 0
    filled.take_annotations([annotation(1, "a")], [], "mark")
    filled.set_project("http://one.test", 4)
    assert filled.unpushed(1, "base") == []
    filled.set_project("http://one.test", 5)
    assert [task.utterance_id for task in filled.unpushed(1, "base")] == ["b"]


def test_answers_of_two_projects_are_kept_apart(filled: Store) -> None:
    filled.set_project("http://one.test", 4)
    filled.take_annotations([annotation(1, "a", "бир")], [], None)
    filled.set_project("http://two.test", 4)
    filled.take_annotations([annotation(1, "a", "эки")], [], None)
    assert [row.text for row in filled.annotations()["a"]] == ["бир", "эки"]


def test_training_examples_are_the_train_split_and_the_labels_with_a_text(filled: Store) -> None:
    filled.put_source(Source("books", "open_source", "ru"))
    filled.add(
        [
            utterance("t", source="books", language="ru", split="train", text="раз"),
            utterance("e", source="books", language="ru", split="test", text="два"),
        ],
        [],
    )
    filled.put_labels(
        [
            Label("a", "бир", None, ["1"]),
            Label("b", None, "other_language", ["2"]),
            Label("e", "эки", None, ["3"]),
        ]
    )
    assert filled.training_examples("in_house") == [
        Example("a", "audio/a.flac", 2.0, "in_house", "ky", "бир"),
        Example("t", "audio/t.flac", 2.0, "books", "ru", "раз"),
    ]


# -- manifests and checkpoints -----------------------------------------------------------------


def test_a_manifest_comes_back_as_it_was_whatever_its_sources_became(filled: Store) -> None:
    example = Example("a", "audio/a.flac", 2.0, "radio", "ky", "бир")
    row = MixtureRow("radio", "in_house", "ky", 1.0, 1, 2.0, 1.0, 1.0, 1, 1)
    manifest = Manifest("m", [example], [row])
    filled.put_manifest(1, manifest)
    filled.put_source(Source("radio", "in_house", "ky", 5.0))
    assert filled.manifest("m") == manifest
    before = counts(filled)
    filled.put_manifest(1, manifest)
    assert counts(filled) == before


def test_a_checkpoint_comes_back_as_it_was(filled: Store) -> None:
    candidate = Checkpoint("c", "checkpoints/c", "base", {"loss": [1.5, 0.25], "language": "ky"})
    filled.put_checkpoint(candidate)
    filled.put_checkpoint(candidate)
    assert filled.checkpoint("c") == candidate
    assert filled.checkpoint("base") == BASE
    assert filled.checkpoint("d") is None


def test_a_checkpoint_folder_that_was_never_recorded_is_made_anew(store: Store) -> None:
    for name in ("first", "second"):
        with store.new_checkpoint_folder("round-001") as folder:
            (folder / name).touch()
    (made,) = store.workspace.checkpoints.iterdir()
    assert made.name == "round-001"
    assert [path.name for path in made.iterdir()] == ["second"]


def test_a_training_finds_its_saves_again_until_the_round_is_recorded(store: Store) -> None:
    (store.scratch_folder("round-001") / "save").touch()
    again = store.scratch_folder("round-001")
    assert [path.name for path in again.iterdir()] == ["save"]
    store.prune(3, None)
    assert not again.exists()


def test_the_saves_of_another_training_go(store: Store) -> None:
    left = store.scratch_folder("round-001")
    assert list(store.scratch_folder("round-002").iterdir()) == []
    assert not left.exists()


def test_the_checkpoint_in_use_is_the_last_promoted_one(store: Store) -> None:
    assert store.current_checkpoint_id() is None
    for name in ("base", "c0", "c1", "c2"):
        store.put_checkpoint(replace(BASE, id=name))
    store.start_round(0, 1, "merge", "base")
    assert store.current_checkpoint_id() == "base"
    for number, promoted in enumerate([True, True, False]):
        if number:
            store.start_round(number, 1, "score", "base")
        store.set_candidate(number, f"c{number}")
        store.decide(number, promoted, "because")
    assert store.current_checkpoint_id() == "c1"
