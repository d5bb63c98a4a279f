"""From acquisition scores to a query batch under a budget, with a random control arm.

Pure NumPy. The control arm is drawn first and from the whole pool, so that it stays an unbiased
sample of it; its tasks are spread evenly over the ranks, so that annotators answer both arms
alike and a batch that closes early has lost the same part of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_loop.records import Choice


def select_batch(
    utterance_ids: Sequence[str],
    durations_s: np.ndarray,
    scores: np.ndarray,
    budget_s: float,
    control_share: float,
    rng: np.random.Generator,
) -> list[Choice]:
    """The query batch, by rank.

    utterance_ids: N distinct ids; durations_s, scores: (N,) float64, in the same order.
    budget_s: seconds of audio in both arms together; `control_share` of it goes to the control
    arm. An acquired clip that does not fit is passed over for the next one that does. Scores that
    are not numbers are never acquired. The result does not depend on the order of the input.
    """
    order = np.argsort(np.array(utterance_ids))
    durations_s, scores = np.asarray(durations_s)[order], np.asarray(scores, float)[order]
    ids = [utterance_ids[index] for index in order]

    control = _control_arm(rng.permutation(len(ids)), durations_s, budget_s, control_share)
    left_s = budget_s - durations_s[control].sum()
    taken = set(control)
    by_score = [
        int(index)
        for index in np.argsort(-scores, kind="stable")
        if index not in taken and np.isfinite(scores[index])
    ]
    acquired = _fill(by_score, durations_s, left_s)

    arms = [(index, "acquired") for index in acquired]
    step = (len(acquired) + len(control)) / max(len(control), 1)
    for position, index in enumerate(control):
        arms.insert(int((position + rng.random()) * step), (index, "control"))
    return [
        Choice(ids[index], rank, float(np.nan_to_num(scores[index])), arm)  # type: ignore[arg-type]
        for rank, (index, arm) in enumerate(arms)
    ]


def _control_arm(
    order: np.ndarray, durations_s: np.ndarray, budget_s: float, share: float
) -> list[int]:
    """The first of a random order until their share of the budget is reached.

    None is passed over for its length, which would fill the arm with short clips. Only a clip
    longer than the whole budget, which neither arm can hold, is.
    """
    chosen: list[int] = []
    spent_s = 0.0
    for index in order:
        if spent_s >= share * budget_s:
            break
        if durations_s[index] > budget_s:
            continue
        if spent_s + durations_s[index] > budget_s:
            break
        chosen.append(int(index))
        spent_s += float(durations_s[index])
    return chosen


def _fill(order: Sequence[int] | np.ndarray, durations_s: np.ndarray, budget_s: float) -> list[int]:
    """Members of `order`, in order, as long as they fit into what is left of the budget."""
    chosen, left_s = [], budget_s
    for index in order:
        if durations_s[index] <= left_s:
            chosen.append(int(index))
            left_s -= durations_s[index]
    return chosen
