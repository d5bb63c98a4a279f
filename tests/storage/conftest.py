"""A store with some rows in it."""

from __future__ import annotations

import pytest

from al_loop.records import Source
from storage.store import Store

from .rows import BASE, utterance


@pytest.fixture
def filled(store: Store) -> Store:
    """Three clips in the pool, the base checkpoint, and round 1 open at `score`."""
    store.put_source(Source("radio", "in_house", "ky"))
    store.add([utterance(name) for name in "abc"], [])
    store.put_checkpoint(BASE)
    store.start_round(1, 99, "score", "base")
    return store
