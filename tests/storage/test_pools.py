"""The pool as columns of numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from al_loop.records import Label, Source
from storage import pools
from storage.store import Store

from .rows import hypothesis, profile, selection, utterance


def test_a_row_holds_what_is_known_of_an_utterance(filled: Store) -> None:
    filled.add_profiles("whisper", [profile("c", 1.0, 2.0), profile("a", 3.0, 4.0)])
    filled.add_profiles("hubert", [profile("b", 5.0)])
    filled.add_hypotheses("base", [hypothesis("b", "бир эки"), hypothesis("a", token_count=7)])
    found = filled.scored_pool("base", "whisper")
    assert found.ids.tolist() == [b"a", b"b", b"c"]
    assert found.duration_s.tolist() == [2.0, 2.0, 2.0]
    assert found.embedding_rows.tolist() == [1, -1, 0]
    assert found.embeddings[found.embedding_rows[0]].tolist() == [3.0, 4.0]
    nan = pytest.approx(math.nan, nan_ok=True)
    assert {name: column.tolist() for name, column in found.statistics.items()} == {
        "loudness_dbfs": [-20.5, nan, -20.5],
        "clipped_share": [0.25, nan, 0.25],
        "speech_share": [0.75, nan, 0.75],
        "other_language_prob": [0.125, nan, 0.125],
        "token_count": [7, 3, nan],
        "mean_log_prob": [-0.5, -0.5, nan],
        "mean_token_entropy": [1.25, 1.25, nan],
        "top_token_entropy": [2.5, 2.5, nan],
        "tsallis_entropy": [0.75, 0.75, nan],
        "renyi_entropy": [0.875, 0.875, nan],
        "mean_margin": [0.625, 0.625, nan],
        "no_speech_prob": [np.float32(0.01), np.float32(0.01), nan],
        "compression_ratio": [np.float32(0.9), np.float32(0.9), nan],
        "word_count": [1, 2, nan],
        "character_count": [3, 7, nan],
    }


@pytest.mark.parametrize("taken", ["", "abc"])
def test_columns_have_their_types_even_when_they_are_empty(filled: Store, taken: str) -> None:
    filled.put_selection(1, selection(*taken))
    found = filled.scored_pool("base", "whisper")
    columns = [found.ids, found.duration_s, found.source, found.speaker, found.embedding_rows]
    assert [column.dtype for column in columns] == ["S64", "f8", "i4", "i4", "i8"]
    assert {column.dtype for column in found.statistics.values()} == {np.dtype("f4")}
    assert {len(column) for column in (*columns, *found.statistics.values())} == {3 - len(taken)}
    assert found.embeddings.shape == (0, 0)


def test_codes_are_equal_where_names_are(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "CHUNK", 2)
    filled.put_source(Source("books", "open_source", "ky"))
    filled.add(
        [
            utterance("d", speaker="one"),
            utterance("e", speaker="two", source="books"),
            utterance("f", speaker="one", source="books"),
        ],
        [],
    )
    found = filled.scored_pool("base", "whisper")
    assert found.source.tolist() == [0, 0, 0, 0, 1, 1]
    assert found.speaker.tolist() == [-1, -1, -1, 0, 1, 0]


def test_the_pool_is_what_may_be_chosen(filled: Store) -> None:
    filled.add([utterance(name, split=name) for name in ("train", "test", "validation")], [])
    filled.put_selection(1, selection("b"))
    filled.put_labels([Label("c", None, "bad_audio", ["1"])])
    assert filled.scored_pool("base", "whisper").ids.tolist() == [b"a"]
    assert filled.has_pool()
    filled.put_labels([Label("a", "бир", None, ["2"])])
    assert filled.scored_pool("base", "whisper").ids.tolist() == []
    assert not filled.has_pool()
