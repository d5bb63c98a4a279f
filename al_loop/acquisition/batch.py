"""From what clips are worth to a query batch: the three arms, a budget, quotas, diversity. Pure.

The control arm is drawn at random from what the gates let through, and not with regard to worth, so
that it stays an unbiased sample; its tasks are spread evenly over the ranks, so that annotators
answer all arms alike and a batch that closes early has lost the same part of each. Knows neither
where worth comes from nor what a gate is.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.acquisition.budget import Purse

SEVERAL = 3.0
"""Clips of one kind after which another of it counts half as much. One would suffice if clips were
alike; a recogniser needs several of a voice or a channel. Ours."""


@dataclass(frozen=True, slots=True)
class Shortlist:
    """V clips that are compared with one another.

    scores: (V,) float64, finite. rates: (V,) float64, the word errors that each word of a clip is
    expected to hold, or anything in proportion. words: (V,) float64 above 0, as are costs, in what
    the budget is in, and effort_s, the seconds that an annotator is expected to need. embeddings:
    (V, D) float32 of length 1, or 0 where there is none. covered: (V,) float64, the largest cosine
    with what is labelled or asked about already; known: (V,) float64, the sum of all their squares.
    speakers, sources: (V,) codes.
    """

    scores: np.ndarray
    rates: np.ndarray
    words: np.ndarray
    costs: np.ndarray
    effort_s: np.ndarray
    embeddings: np.ndarray
    covered: np.ndarray
    known: np.ndarray
    speakers: np.ndarray
    sources: np.ndarray


@dataclass(frozen=True, slots=True)
class Acquired:
    """chosen: rows of the short list, first choice first. duplicates: rows that were passed over,
    with the cosine to the chosen clip that each was too close to. refused: rows that a quota did
    not allow, the best first."""

    chosen: Sequence[int]
    duplicates: dict[int, float]
    refused: Sequence[int]


Chooser = Callable[[Shortlist], "Greedy"]


class Greedy(ABC):
    """A greedy choice in steps: `order` yields the best row that is left, `take` takes it."""

    def __init__(self, short: Shortlist) -> None:
        self.short = short

    @abstractmethod
    def order(self) -> Iterator[int]: ...

    def take(self, row: int, cosines: np.ndarray) -> None:  # noqa: B027 - some need not know
        """cosines: (V,) of `row` with all."""


class HighestScores(Greedy):
    """The highest scores, whatever they cost and however alike they are."""

    def order(self) -> Iterator[int]:
        yield from np.argsort(-self.short.scores, kind="stable").tolist()


class FarthestFirst(Greedy):
    """k-center: the clip farthest from all that is chosen or known, by worth for its time.

    Gonzalez (Theoretical Computer Science 38, 1985); for active learning Sener and Savarese
    (arXiv 1708.00489). The distance is 1 less the cosine; its weight is ours.
    """

    def __init__(self, short: Shortlist) -> None:
        super().__init__(short)
        self.nearest = short.covered.copy()
        self.worth = short.rates * short.words / short.effort_s

    def order(self) -> Iterator[int]:
        left = np.ones(len(self.worth), bool)
        while left.any():
            gains = np.where(left, self.worth * (1 - self.nearest), -np.inf)
            row = int(gains.argmax())
            left[row] = False
            yield row

    def take(self, row: int, cosines: np.ndarray) -> None:
        self.nearest = np.maximum(self.nearest, cosines)


class FacilityLocation(Greedy):
    """Soft facility location: every clip is served by all chosen ones near it, each a bit less.

    Maximises sum_i a_i log(SEVERAL + x_i), with x_i the words chosen around clip i, in mean clips,
    each weighed by the square of its cosine with i where that is above 0. What is known counts as
    if it had been chosen before. a_i is the mean rate around clip i, itself first, over its crowd,
    the sum of those weights: a kind of clips counts by how badly it is heard and not by how large
    it is. Where the clip's own rate is above that mean, a_i is smaller by that factor: what is
    heard far worse than all that sound like it is more often broken, as speech played backwards,
    than worth a label.

    Facility location proper has a maximum in the place of x_i; then one clip serves its kind for
    good, and a batch takes one of each. A sum of concave functions of sums is monotone and
    submodular (Lin and Bilmes, "A class of submodular functions for document summarization", ACL
    2011), so that the greedy choice by gain for its cost is a good one.

    Lazy greedy: Minoux (1978), as in CELF (Leskovec et al., KDD 2007): a gain never grows.
    """

    def __init__(self, short: Shortlist) -> None:
        super().__init__(short)
        self.near = np.maximum(short.embeddings @ short.embeddings.T, 0) ** 2  # (V, V) float32
        np.fill_diagonal(self.near, 1)
        crowd = self.near.sum(axis=1, dtype=np.float64)
        around = self.near @ short.rates / crowd
        surprise = np.maximum(short.rates / np.maximum(around, 1e-9), 1)
        self.weights = around / surprise / crowd
        self.sizes = short.words / max(float(short.words.sum()) / max(len(short.words), 1), 1e-9)
        self.served = SEVERAL + short.known

    def order(self) -> Iterator[int]:
        heap = [(-self._gain(row), row) for row in range(len(self.weights))]
        heapq.heapify(heap)
        while heap:
            _, row = heap[0]
            gain = self._gain(row)
            heapq.heapreplace(heap, (-gain, row))
            if heap[0][1] == row:
                heapq.heappop(heap)
                yield row

    def take(self, row: int, cosines: np.ndarray) -> None:
        self.served = self.served + self.near[row] * self.sizes[row]

    def _gain(self, row: int) -> float:
        """What the clip adds, for an annotator's time."""
        more = np.log1p(self.near[row] * self.sizes[row] / self.served)
        return float(self.weights @ more) / float(self.short.effort_s[row])


CHOOSERS: dict[str, Chooser] = {
    "none": HighestScores,
    "k_center": FarthestFirst,
    "facility_location": FacilityLocation,
}


def acquire(
    short: Shortlist,
    diversity: str,
    purse: Purse,
    max_similarity: np.ndarray | float | None,
    quotas: bool = True,
) -> Acquired:
    """The acquired arm: the best clips, one after another, that `purse` has room for.

    A clip that does not fit is passed over for the next one that does. max_similarity: a clip
    closer than this to a chosen one is a duplicate, (V,) where clips differ in it; None takes them.
    quotas: whether they bind.
    """
    limits = np.broadcast_to(np.inf if max_similarity is None else max_similarity, len(short.costs))
    greedy = CHOOSERS[diversity](short)
    chosen: list[int] = []
    refused: list[int] = []
    closest = np.full(len(short.scores), -1.0)
    duplicates: dict[int, float] = {}
    cheapest = float(short.costs.min(initial=np.inf))

    for row in greedy.order():
        if not purse.holds(cheapest):
            break
        bill = float(short.costs[row]), int(short.speakers[row]), int(short.sources[row])
        if closest[row] > limits[row]:
            duplicates[row] = float(closest[row])
        elif not purse.holds(bill[0]):
            continue
        elif quotas and not purse.allows(*bill):
            refused.append(row)
        else:
            purse.spend(*bill)
            cosines = (short.embeddings @ short.embeddings[row]).astype(np.float64)
            greedy.take(row, cosines)
            closest = np.maximum(closest, cosines)
            chosen.append(row)
    return Acquired(chosen, duplicates, refused)


def control_arm(
    order: Iterable[int], costs: np.ndarray, budget: float, share: float, rng: np.random.Generator
) -> list[int]:
    """The first of a random order until their share of the budget is reached.

    None is passed over for its length, which would fill the arm with short clips. Only a clip
    longer than the whole budget, which no arm can hold, is. Where the share has not even room for
    the first clip, the arm is that clip with the probability that it has room for, or empty: over
    many batches a small budget has its share too.
    """
    chosen: list[int] = []
    spent = 0.0
    for index in order:
        if spent >= share * budget:
            break
        if costs[index] > budget:
            continue
        room = share * budget / float(costs[index])
        if not chosen and room < 1 and rng.random() >= room:
            break
        if spent + costs[index] > budget:
            break
        chosen.append(int(index))
        spent += float(costs[index])
    return chosen


def explored_arm(
    order: Iterable[int],
    costs: np.ndarray,
    share_of_budget: float,
    room: float,
    rng: np.random.Generator,
) -> list[int]:
    """The first of a random order that their share of the budget has room for.

    The clip that it has room for in part is taken with that probability, so that over many batches
    the arm costs its share, however small a batch is. Clips beyond `room` cannot be asked about.
    """
    chosen: list[int] = []
    left = share_of_budget
    for index in order:
        if left <= 0:
            break
        if costs[index] > room:
            continue
        if costs[index] <= left or rng.random() < left / costs[index]:
            chosen.append(int(index))
            room -= float(costs[index])
        left -= float(costs[index])
    return chosen


def in_turns(groups: Sequence[Sequence[int]], rng: np.random.Generator) -> Iterator[int]:
    """All of all groups in a random order in which every group that is left is as likely as any."""
    left = [rng.permutation(np.array(group, np.int64)).tolist() for group in groups]
    while left := [group for group in left if group]:
        yield left[int(rng.integers(len(left)))].pop()


def interleave(
    acquired: Sequence[int], spread: Sequence[int], rng: np.random.Generator
) -> list[int]:
    """All by rank: `acquired` in its order, and `spread` evenly in between."""
    ranked = list(acquired)
    step = (len(acquired) + len(spread)) / max(len(spread), 1)
    for position, index in enumerate(spread):
        ranked.insert(int((position + rng.random()) * step), index)
    return ranked
