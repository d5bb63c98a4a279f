"""What a checkpoint heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from storage.store import Store

from .rows import hypothesis


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
