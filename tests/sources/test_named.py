"""Which audio an ingest has named, over many clips."""

from __future__ import annotations

import hashlib

import pytest

from al_loop.sources.named import KEPT_APART, Named


def sha256(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@pytest.mark.parametrize("count", [0, 1, KEPT_APART - 1, KEPT_APART, 2 * KEPT_APART + 7])
def test_it_holds_what_was_added_and_nothing_else(count: int) -> None:
    named = Named()
    for number in [*range(count), *range(0, count, 3)]:
        named.add(sha256(number))
    assert [number for number in range(count) if sha256(number) not in named] == []
    assert [number for number in range(count, count + 1000) if sha256(number) in named] == []


def test_the_largest_and_the_smallest_key() -> None:
    named = Named()
    for number in range(KEPT_APART):
        named.add(sha256(number))
    assert "f" * 64 not in named
    assert "0" * 64 not in named
    named.add("f" * 64)
    assert "f" * 64 in named
