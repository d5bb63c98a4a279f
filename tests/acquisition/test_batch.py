"""From scores to a query batch: the budget, the control arm, the order of the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from al_loop.acquisition.batch import select_batch
from al_loop.records import Arm, Choice

SIZE = 60
IDS = [f"{index:064x}" for index in range(SIZE)]
DURATIONS_S = np.random.default_rng(1).uniform(1, 9, SIZE)
SCORES = np.random.default_rng(2).uniform(0, 3, SIZE)


def select(
    budget_s: float = 80.0,
    control_share: float = 0.25,
    scores: np.ndarray = SCORES,
    durations_s: np.ndarray = DURATIONS_S,
    ids: Sequence[str] = IDS,
    seed: int = 0,
) -> list[Choice]:
    return select_batch(
        ids, durations_s, scores, budget_s, control_share, np.random.default_rng(seed)
    )


def arm(batch: Sequence[Choice], name: str) -> list[str]:
    """The members of one arm, by rank."""
    return [row.utterance_id for row in batch if row.arm == name]


def seconds(utterance_ids: Sequence[str]) -> float:
    return float(sum(DURATIONS_S[IDS.index(name)] for name in utterance_ids))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("control_share", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("budget_s", [0.5, 9.0, 80.0, 10_000.0])
def test_a_batch_is_distinct_ranked_and_within_the_budget(
    budget_s: float, control_share: float, seed: int
) -> None:
    batch = select(budget_s, control_share, seed=seed)
    names = [row.utterance_id for row in batch]
    assert len(set(names)) == len(names)
    assert [row.rank for row in batch] == list(range(len(batch)))
    assert seconds(names) <= budget_s + 1e-9


def test_the_budget_is_used_up_to_the_shortest_clip_left() -> None:
    batch = select()
    left_s = 80.0 - seconds([row.utterance_id for row in batch])
    others = set(IDS) - {row.utterance_id for row in batch}
    assert left_s < min(seconds([name]) for name in others)


def test_a_large_budget_takes_the_whole_pool() -> None:
    assert {row.utterance_id for row in select(10_000.0)} == set(IDS)


def test_the_order_of_the_input_does_not_matter() -> None:
    order = np.random.default_rng(9).permutation(SIZE)
    shuffled = select(
        ids=[IDS[index] for index in order],
        durations_s=DURATIONS_S[order],
        scores=SCORES[order],
    )
    assert shuffled == select()


def test_the_same_seed_gives_the_same_batch_and_another_seed_another() -> None:
    assert select(seed=4) == select(seed=4)
    assert arm(select(seed=4), "control") != arm(select(seed=5), "control")


def test_the_highest_scores_are_acquired_highest_first() -> None:
    durations_s = np.full(SIZE, 2.0)
    batch = select(20.0, 0.0, durations_s=durations_s)
    assert arm(batch, "acquired") == [IDS[index] for index in np.argsort(-SCORES)[:10]]
    assert [row.acquisition_score for row in batch] == sorted(SCORES, reverse=True)[:10]


def test_a_clip_that_does_not_fit_is_passed_over_for_the_next() -> None:
    scores, durations_s = np.array([3.0, 2.0, 1.0]), np.array([4.0, 7.0, 5.0])
    batch = select(10.0, 0.0, scores, durations_s, IDS[:3])
    assert arm(batch, "acquired") == [IDS[0], IDS[2]]


def test_scores_that_are_no_numbers_are_never_acquired() -> None:
    scores = SCORES.copy()
    scores[::3] = np.nan
    scores[1::3] = np.inf
    batch = select(10_000.0, 0.01, scores=scores)
    control = set(arm(batch, "control"))
    assert set(arm(batch, "acquired")) == set(IDS[2::3]) - control
    assert control - set(IDS[2::3])
    assert all(np.isfinite(row.acquisition_score) for row in batch)


# -- the control arm ---------------------------------------------------------------------------


def test_the_control_arm_is_drawn_without_regard_to_scores() -> None:
    drawn = arm(select(), "control")
    assert drawn == arm(select(scores=-SCORES), "control")
    assert drawn == arm(select(scores=np.full(SIZE, np.nan)), "control")


def test_every_clip_has_the_same_chance_of_being_in_the_control_arm() -> None:
    durations_s = np.full(SIZE, 2.0)
    drawn = [
        name
        for seed in range(300)
        for name in arm(select(120.0, 0.25, durations_s=durations_s, seed=seed), "control")
    ]
    times = [drawn.count(name) for name in IDS]
    assert sum(times) == 300 * 15
    assert 45 < min(times) <= max(times) < 110  # 75 expected; binomial, sd 7.5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("control_share", [0.05, 0.25, 0.5])
def test_the_control_arm_has_its_share_and_at_most_one_clip_more(
    control_share: float, seed: int
) -> None:
    control = arm(select(control_share=control_share, seed=seed), "control")
    assert 0 <= seconds(control) - 80.0 * control_share < DURATIONS_S.max()


def test_the_control_arm_does_not_prefer_short_clips() -> None:
    durations_s = np.where(np.arange(SIZE) % 2, 8.0, 1.0)
    drawn = [
        name
        for seed in range(300)
        for name in arm(select(60.0, 0.25, durations_s=durations_s, seed=seed), "control")
    ]
    long = sum(IDS.index(name) % 2 for name in drawn)
    assert 0.46 < long / len(drawn) < 0.54


def test_a_share_of_nothing_leaves_no_control_arm() -> None:
    assert arm(select(control_share=0.0), "control") == []


def test_a_share_of_all_leaves_the_scores_only_what_no_control_clip_fits_into() -> None:
    batch = select(control_share=1.0)
    assert seconds(arm(batch, "control")) > 80.0 - DURATIONS_S.max()
    assert seconds(arm(batch, "acquired")) < DURATIONS_S.max()


@pytest.mark.parametrize("seed", range(5))
def test_control_tasks_are_spread_over_the_ranks(seed: int) -> None:
    durations_s = np.full(SIZE, 1.0)
    batch = select(40.0, 0.25, durations_s=durations_s, seed=seed)
    ranks = [row.rank for row in batch if row.arm == "control"]
    assert len(ranks) == 10
    for part in range(10):  # one in each four ranks, or just beside them
        assert any(4 * part - 1 <= rank <= 4 * part + 4 for rank in ranks)
    assert max(np.diff([-1, *ranks, 40])) <= 9


# -- small pools -------------------------------------------------------------------------------


@pytest.mark.parametrize(("control_share", "name"), [(0.0, "acquired"), (0.1, "control")])
def test_a_single_clip(control_share: float, name: Arm) -> None:
    batch = select(5.0, control_share, np.array([1.5]), np.array([3.0]), IDS[:1])
    assert batch == [Choice(IDS[0], 0, 1.5, name)]


def test_a_clip_longer_than_the_budget_is_not_chosen() -> None:
    assert select(5.0, 0.1, np.array([1.5]), np.array([5.1]), IDS[:1]) == []


def test_an_empty_pool() -> None:
    assert select(5.0, 0.1, np.array([]), np.array([]), []) == []
