"""Arms, budgets, quotas and diversity, without a pool."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from al_loop.acquisition.batch import (
    CHOOSERS,
    FacilityLocation,
    Shortlist,
    acquire,
    control_arm,
    explored_arm,
    in_turns,
    interleave,
)
from al_loop.acquisition.budget import Purse

SIZE = 60
COSTS = np.random.default_rng(1).uniform(1, 9, SIZE)
every_diversity = pytest.mark.parametrize("diversity", CHOOSERS)


def units(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def shortlist(
    scores: np.ndarray | None = None,
    costs: np.ndarray = COSTS,
    embeddings: np.ndarray | None = None,
    speakers: np.ndarray | None = None,
) -> Shortlist:
    size = len(costs)
    rng = np.random.default_rng(2)
    scores = rng.uniform(0, 1, size) if scores is None else scores
    place = units(rng.standard_normal((size, 8))) if embeddings is None else embeddings
    nobody = np.full(size, -1) if speakers is None else speakers
    nothing, sources = np.zeros(size), np.zeros(size, int)
    words = 2 * costs
    return Shortlist(scores, scores, words, costs, costs, place, nothing, nothing, nobody, sources)


def chosen(
    short: Shortlist, diversity: str, budget: float, speaker_share: float = 1.0
) -> list[int]:
    return list(acquire(short, diversity, Purse(budget, speaker_share, 1.0), None).chosen)


# -- the acquired arm ------------------------------------------------------------------------------


@every_diversity
@pytest.mark.parametrize("budget", [0.5, 9.0, 80.0, 10_000.0])
def test_the_budget_is_used_up_to_the_cheapest_clip_left(diversity: str, budget: float) -> None:
    rows = chosen(shortlist(), diversity, budget)
    assert len(set(rows)) == len(rows)
    assert COSTS[rows].sum() <= budget + 1e-6
    others = set(range(SIZE)) - set(rows)
    if others:
        assert budget - COSTS[rows].sum() < COSTS[list(others)].min()


@every_diversity
def test_the_choice_follows_from_the_list_and_nothing_else(diversity: str) -> None:
    assert chosen(shortlist(), diversity, 80.0) == chosen(shortlist(), diversity, 80.0)


@every_diversity
def test_an_empty_list(diversity: str) -> None:
    assert chosen(shortlist(costs=np.zeros(0)), diversity, 9.0) == []


def test_without_diversity_the_highest_scores_are_taken_highest_first() -> None:
    short = shortlist(costs=np.full(SIZE, 2.0))
    assert chosen(short, "none", 20.0) == np.argsort(-short.scores)[:10].tolist()


def test_a_clip_that_does_not_fit_is_passed_over_for_the_next() -> None:
    short = shortlist(np.array([3.0, 2.0, 1.0]), np.array([4.0, 7.0, 5.0]))
    assert chosen(short, "none", 10.0) == [0, 2]


@pytest.mark.parametrize("diversity", ["facility_location", "k_center"])
def test_of_equal_clips_the_batch_takes_each_once_before_any_twice(diversity: str) -> None:
    """Three directions, ten clips in each."""
    place = units(np.repeat(np.eye(3), 10, axis=0) + 0.01)
    short = shortlist(np.ones(30), np.ones(30), place)
    assert sorted(row // 10 for row in chosen(short, diversity, 3.0)) == [0, 1, 2]


def test_a_badly_heard_kind_gets_several_clips_and_the_others_theirs() -> None:
    """70 clips of an easy kind, and two rare kinds of 5 that are heard three times as badly."""
    kinds = np.array([0] * 70 + [1] * 5 + [2] * 5)
    rng = np.random.default_rng(0)
    place = units(np.eye(8)[kinds] + 0.15 * rng.standard_normal((80, 8)))
    short = shortlist(np.where(kinds > 0, 0.9, 0.3), np.ones(80), place)
    taken = Counter(kinds[chosen(short, "facility_location", 10.0)].tolist())
    assert min(taken[1], taken[2]) >= 3
    assert taken[0] >= 1


def test_what_is_known_counts_as_chosen_before() -> None:
    place = units(np.repeat(np.eye(2), 5, axis=0) + 0.01)
    short = shortlist(np.ones(10), np.ones(10), place)
    near = np.repeat([1.0, 0.0], 5)
    short = replace(short, covered=near, known=9 * near)
    for diversity in ("facility_location", "k_center"):
        assert chosen(short, diversity, 1.0)[0] >= 5


def test_lazy_and_eager_greedy_choose_alike() -> None:
    short = shortlist()
    greedy, eager = FacilityLocation(short), []
    left = set(range(SIZE))
    while left:
        best = max(sorted(left), key=greedy._gain)
        left.remove(best)
        eager.append(best)
        greedy.take(best, short.embeddings @ short.embeddings[best])
    assert chosen(short, "facility_location", 1e6) == eager


@every_diversity
def test_what_a_clip_is_worth_is_by_an_annotators_time_and_the_budget_by_its_own(
    diversity: str,
) -> None:
    """Of clips that cost the budget alike, those that take an annotator long come last."""
    short = shortlist(np.ones(20), np.ones(20), np.zeros((20, 8), np.float32))
    short = replace(short, effort_s=np.where(np.arange(20) < 10, 9.0, 1.0))
    rows = chosen(short, diversity, 5.0)
    assert len(rows) == 5
    assert min(rows) >= (0 if diversity == "none" else 10)


@every_diversity
def test_a_clip_without_a_limit_is_no_duplicate(diversity: str) -> None:
    short = shortlist(np.ones(4), np.ones(4), units(np.ones((4, 8))))
    limits = np.array([0.98, np.inf, 0.98, np.inf])
    found = acquire(short, diversity, Purse(100.0, 1.0, 1.0), limits)
    assert {1, 3} <= set(found.chosen)
    assert len(found.chosen) <= 3


@every_diversity
def test_a_duplicate_of_a_chosen_clip_is_passed_over(diversity: str) -> None:
    place = units(np.repeat(np.random.default_rng(3).standard_normal((5, 8)), 2, axis=0))
    short = shortlist(np.ones(10), np.ones(10), place)
    found = acquire(short, diversity, Purse(100.0, 1.0, 1.0), 0.98)
    assert sorted(row // 2 for row in found.chosen) == [0, 1, 2, 3, 4]
    assert len(found.duplicates) == 5
    assert min(found.duplicates.values()) > 0.98


# -- quotas ----------------------------------------------------------------------------------------


@every_diversity
def test_a_speaker_gets_no_more_than_the_quota_while_there_are_others(diversity: str) -> None:
    speakers = np.array([0] * 50 + [1] * 50)
    scores = np.where(speakers == 0, 0.9, 0.1)
    rows = chosen(shortlist(scores, np.ones(100), speakers=speakers), diversity, 20.0, 0.5)
    assert Counter(speakers[rows].tolist()) == {0: 10, 1: 10}


def test_unknown_speakers_have_no_quota() -> None:
    short = shortlist(np.ones(100), np.ones(100), speakers=np.full(100, -1))
    found = acquire(short, "none", Purse(20.0, 0.1, 1.0), None)
    assert (len(found.chosen), found.refused) == (20, [])


def test_a_quota_names_what_it_refused_and_does_not_bind_where_there_are_no_others() -> None:
    short = shortlist(np.ones(100), np.ones(100), speakers=np.zeros(100, int))
    purse = Purse(20.0, 0.5, 1.0)
    found = acquire(short, "none", purse, None)
    assert (list(found.chosen), list(found.refused)) == ([*range(10)], [*range(10, 100)])
    assert len(acquire(short, "none", purse, None, quotas=False).chosen) == 10


def test_a_quota_forbids_nobodys_first_clip() -> None:
    short = shortlist(np.ones(2), np.full(2, 5.0), speakers=np.array([0, 1]))
    assert acquire(short, "none", Purse(5.0, 0.1, 0.1), None).refused == []


# -- the control arm -------------------------------------------------------------------------------


def control(budget: float, share: float, costs: np.ndarray = COSTS, seed: int = 0) -> list[int]:
    rng = np.random.default_rng(seed)
    return control_arm(rng.permutation(len(costs)), costs, budget, share, rng)


def test_every_clip_has_the_same_chance_of_being_in_the_control_arm() -> None:
    costs = np.full(SIZE, 2.0)
    drawn = [row for seed in range(300) for row in control(120.0, 0.25, costs, seed)]
    times = [drawn.count(row) for row in range(SIZE)]
    assert sum(times) == 300 * 15
    assert 45 < min(times) <= max(times) < 110  # 75 expected; binomial, sd 7.5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.15, 0.25, 0.5])
def test_the_control_arm_has_its_share_and_at_most_one_clip_more(share: float, seed: int) -> None:
    spent = COSTS[control(80.0, share, seed=seed)].sum()
    assert 0 <= spent - 80.0 * share < COSTS.max()


def test_the_control_arm_does_not_prefer_short_clips() -> None:
    costs = np.where(np.arange(SIZE) % 2, 8.0, 1.0)
    drawn = [row for seed in range(300) for row in control(60.0, 0.25, costs, seed)]
    assert 0.46 < np.mean([row % 2 for row in drawn]) < 0.54


def test_over_many_small_budgets_the_control_arm_costs_its_share() -> None:
    costs = np.where(np.arange(SIZE) % 2, 25.0, 5.0)
    rows = [control(30.0, 0.1, costs, seed) for seed in range(2000)]
    assert {len(row) for row in rows} == {0, 1}
    assert np.mean([costs[row].sum() for row in rows]) == pytest.approx(3.0, rel=0.15)


def test_a_share_of_nothing_leaves_no_control_arm() -> None:
    assert control(80.0, 0.0) == []


def test_a_clip_longer_than_the_budget_is_in_no_control_arm() -> None:
    assert control(5.0, 0.1, np.array([5.1])) == []


# -- the explored arm and the ranks ----------------------------------------------------------------


@pytest.mark.parametrize("target", [1.0, 4.0, 20.0])
def test_over_many_batches_the_explored_arm_costs_its_share(target: float) -> None:
    rng = np.random.default_rng(0)
    spent = [
        COSTS[explored_arm(rng.permutation(SIZE).tolist(), COSTS, target, 50.0, rng)].sum()
        for _ in range(3000)
    ]
    assert np.mean(spent) == pytest.approx(target, rel=0.08)


def test_the_explored_arm_takes_nothing_that_does_not_fit() -> None:
    rng = np.random.default_rng(0)
    assert explored_arm([0, 1], np.array([9.0, 9.0]), 100.0, 5.0, rng) == []
    assert explored_arm([], COSTS, 100.0, 100.0, rng) == []
    assert explored_arm([0], COSTS, 0.0, 100.0, rng) == []


def test_groups_have_their_turns_whatever_their_sizes() -> None:
    groups = [range(1000), range(1000, 1010)]
    firsts = [next(in_turns(groups, np.random.default_rng(seed))) for seed in range(300)]
    assert 0.4 < np.mean([row < 1000 for row in firsts]) < 0.6
    every = list(in_turns(groups, np.random.default_rng(0)))
    assert sorted(every) == list(range(1010))
    assert list(in_turns([], np.random.default_rng(0))) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_drawn_clips_are_spread_over_the_ranks(seed: int) -> None:
    ranked = interleave(range(30), range(100, 110), np.random.default_rng(seed))
    assert [row for row in ranked if row < 100] == list(range(30))
    ranks = [rank for rank, row in enumerate(ranked) if row >= 100]
    assert len(ranks) == 10
    for part in range(10):  # one in each four ranks, or just beside them
        assert any(4 * part - 1 <= rank <= 4 * part + 4 for rank in ranks)
    assert max(np.diff([-1, *ranks, 40])) <= 9
