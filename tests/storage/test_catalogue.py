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
