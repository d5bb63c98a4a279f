"""What a checkpoint heard."""

from __future__ import annotations

import math

from storage.store import Store

from .rows import hypothesis


def test_a_hypothesis_comes_back_as_it_was(filled: Store) -> None:
    filled.add_hypotheses("base", [hypothesis("a"), hypothesis("b")])
    filled.add_hypotheses("base", [hypothesis("b", "эки")])
    assert filled.heard("base", "abc") == {"a", "b"}
    assert filled.heard("base", "bc") == {"b"}
    assert filled.heard("another", "abc") == set()
    assert filled.hypotheses("base", ["b", "c"]) == {"b": hypothesis("b", "эки")}


def test_a_statistic_that_is_no_number_stays_none(filled: Store) -> None:
    broken = hypothesis("a", mean_log_prob=math.nan, mean_token_entropy=math.inf)
    filled.add_hypotheses("base", [broken, hypothesis("b")])
    found = filled.hypotheses("base", "ab")
    assert math.isnan(found["a"].mean_log_prob)
    assert found["a"].mean_token_entropy == math.inf
    assert found["b"] == hypothesis("b")


def test_the_length_of_a_text_is_kept_beside_it(filled: Store) -> None:
    texts = {"a": "", "b": "салам  дос ", "c": "өмүр"}
    filled.add_hypotheses("base", [hypothesis(name, text) for name, text in texts.items()])
    rows = filled.db.execute(
        "SELECT utterance_id, word_count, character_count FROM hypotheses ORDER BY 1"
    )
    assert rows.fetchall() == [("a", 0, 0), ("b", 2, 11), ("c", 1, 4)]
