"""Sources, utterances and refusals."""

from __future__ import annotations

import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import Example, Label, Manifest, Refusal, Source
from storage.store import Store

from .rows import ids, selection, utterance


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
    filled.put_selection(1, selection("b"))
    filled.put_labels([Label("c", None, "bad_audio", ["1"])])
    assert ids(filled.pool()) == "a"
    assert ids(filled.evaluation_utterances()) == "test"


def test_utterances_come_by_their_ids(filled: Store) -> None:
    assert ids(filled.utterances(["c", "stranger", "a"])) == "ac"
    assert filled.utterances([]) == []


def test_texts_of_every_manifest_count_as_learned(filled: Store) -> None:
    for number, text in enumerate(["бир", "эки", "бир"]):
        row = Example("ab"[number % 2], "audio/a.flac", 2.0, "radio", "ky", text)
        filled.put_manifest(number, Manifest(f"m{number}", [row], []))
    assert filled.learned_texts() == [("ky", "бир", "a"), ("ky", "эки", "b")]


def test_what_a_checkpoint_may_have_learned_does_not_enter_an_evaluation_set(
    filled: Store,
) -> None:
    learned = Example("a", "audio/a.flac", 2.0, "radio", "ky", "бир")
    filled.put_manifest(1, Manifest("m", [learned], []))
    moved = [utterance(name, split="test", text="бир") for name in "ab"]
    assert filled.add(moved, []) == {"a"}
    assert ids(filled.evaluation_utterances()) == "b"
    assert ids(filled.pool()) == "ac"


def test_what_another_recogniser_learned_counts_as_learned(filled: Store) -> None:
    spoken = Example("a", "audio/a.flac", 2.0, "radio", "ky", "бир")
    filled.put_learned("ctc/spelling", [spoken])
    assert filled.learned_texts() == [("ky", "бир", "a")]
    moved = [utterance(name, split="test", text="эки") for name in "ab"]
    assert filled.add(moved, []) == {"a"}
    assert ids(filled.evaluation_utterances()) == "b"


def test_the_stamp_of_what_was_learned_is_another_where_the_texts_are(
    filled: Store,
) -> None:
    """By whatever connection: a training replaces as many rows as it finds."""
    rows = {text: Example("a", "audio/a.flac", 2.0, "radio", "ky", text) for text in ("бир", "эки")}
    stamps = [filled.learned_stamp()]
    filled.put_manifest(1, Manifest("m", [rows["бир"]], []))
    stamps.append(filled.learned_stamp())
    filled.put_learned("ctc/spelling", [rows["бир"]])
    stamps.append(filled.learned_stamp())
    other = Store(filled.workspace)
    other.put_learned("ctc/spelling", [rows["эки"]])
    other.close()
    stamps.append(filled.learned_stamp())
    assert len(set(stamps)) == 4
    filled.add([utterance("d")], [])
    assert filled.learned_stamp() == stamps[-1]


def test_parts_are_found_by_their_recording_alone_and_by_an_index(filled: Store) -> None:
    origins = {
        "d": "x.wav#2.50-4.50",
        "e": "x.wav#0.00-2.00",
        "f": "x.wav2#0.00-2.00",
        "g": "x.wav",
    }
    rows = [
        utterance(name, origin=origin, start_s=0.5 if "#" in origin else None)
        for name, origin in origins.items()
    ]
    filled.add(rows, [])
    found = sorted(filled.parts_of("x.wav"), key=lambda row: row[2])
    assert [row[:3] for row in found] == [(0.5, 2.5, "d"), (0.5, 2.5, "e")]
    assert found[0][3:] == ("x.wav#2.50-4.50", "pool", "radio", "in_house")
    plan = filled.db.execute(
        "EXPLAIN QUERY PLAN SELECT id FROM utterances u "
        "WHERE u.start_s IS NOT NULL AND u.origin >= ? AND u.origin < ?",
        ["x.wav#", "x.wav$"],
    ).fetchall()
    assert "parts_by_recording" in plan[0][3]
