"""Which part of a pool is scored, and the order in which the rest has its turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan

import numpy as np
import pytest

from al_loop.acquisition.turns import NEVER, by_turns, only_waits, profiled, scored
from al_loop.records import Arm, Choice, Selection

from .rows import clip, pool_of


def order(
    last_heard: Sequence[int],
    promise: Sequence[float],
    left: Sequence[int] | None = None,
    seed: int = 0,
) -> list[int]:
    rows = np.arange(len(last_heard)) if left is None else np.array(left, np.int64)
    rng = np.random.default_rng(seed)
    return list(by_turns(rows, np.array(last_heard), np.array(promise, np.float64), rng))


def test_the_stalest_and_the_most_promising_take_turns() -> None:
    assert order([4, 3, 2, 1, 5, 6], [0.1, 0.2, 0.3, 0.4, 0.9, 0.8]) == [3, 4, 2, 5, 1, 0]


def test_what_one_turn_took_is_no_turn_of_the_other() -> None:
    """The stalest is also the most promising: the second turn takes the next best."""
    assert order([1, 2, 3, 4], [0.9, 0.1, 0.2, 0.3]) == [0, 3, 1, 2]


def test_what_was_never_heard_comes_before_what_was() -> None:
    found = order([7, NEVER, 3, NEVER, 5], [0.5, nan, 0.1, nan, 0.2])
    assert set(found[0::2][:2]) == {1, 3}
    assert found[1] == 0
    assert found[3:] == [4, 2]


def test_without_a_promise_it_is_the_stalest_alone() -> None:
    assert order([3, 1, 2], [nan, nan, nan]) == [1, 2, 0]


def test_never_heard_clips_come_in_a_random_order_that_the_seed_repeats() -> None:
    never, blank = [NEVER] * 200, [nan] * 200
    first = order(never, blank)
    assert first == order(never, blank)
    assert first != order(never, blank, seed=1)
    assert sorted(first) == list(range(200))
    assert 70 < np.mean(first[:50]) < 130


def test_the_order_stays_when_some_had_their_turn() -> None:
    """As after a kill: the rest comes as it would have."""
    never, blank = [NEVER] * 50, [nan] * 50
    whole = order(never, blank)
    assert order(never, blank, left=sorted(whole[20:])) == whole[20:]


def test_every_row_that_is_left_comes_once_and_no_other() -> None:
    rng = np.random.default_rng(0)
    last_heard, left = rng.integers(NEVER, 5, 300), np.flatnonzero(rng.random(300) < 0.5)
    promise = np.where(last_heard == NEVER, nan, rng.random(300).round(1))
    assert sorted(order(last_heard.tolist(), promise.tolist(), left.tolist())) == left.tolist()
    assert order([], []) == []


@pytest.mark.parametrize("trusted", [True, False])
def test_scored_is_what_was_profiled_and_where_it_counts_heard(trusted: bool) -> None:
    pool = pool_of([clip("easy", number) for number in range(4)])
    unheard, unprofiled, shapeless = 0, 1, 2
    statistics = {name: values.copy() for name, values in pool.statistics.items()}
    statistics["token_count"][unheard] = nan
    for name in ("loudness_dbfs", "clipped_share", "speech_share", "other_language_prob"):
        statistics[name][unprofiled] = nan
    rows = pool.embedding_rows.copy()
    rows[[unprofiled, shapeless]] = -1
    pool = replace(pool, statistics=statistics, embedding_rows=rows)
    assert profiled(pool).tolist() == [True, False, True, True]
    assert scored(pool, trusted).tolist() == [not trusted, False, True, True]


@pytest.mark.parametrize(
    ("arms", "waiting", "expected"),
    [
        ([], 3, True),
        (["explored"], 3, True),
        (["explored", "control"], 3, False),
        (["acquired"], 3, False),
        ([], 0, False),
    ],
)
def test_only_waits(arms: list[Arm], waiting: int, expected: bool) -> None:
    choices = [Choice(str(rank), rank, 0.0, arm) for rank, arm in enumerate(arms)]
    assert only_waits(Selection(choices, [], {"waiting": waiting})) is expected
