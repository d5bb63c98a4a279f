"""One contract, run on every acquisition function."""

from __future__ import annotations

import numpy as np
import pytest

from al_loop.acquisition.functions import FUNCTIONS
from al_loop.config import SelectSettings
from al_loop.records import Hypothesis


def hypothesis(name: str, mean_log_prob: float, mean_token_entropy: float) -> Hypothesis:
    return Hypothesis(
        name, "бир эки", 3, mean_log_prob, mean_token_entropy, 0.1, 0.9, np.zeros(4, np.float32)
    )


def pool(size: int) -> list[Hypothesis]:
    """Distinct hypotheses; the later ones are the less certain ones."""
    return [
        hypothesis(f"{index:064x}", -0.1 - index / 10, 0.05 + index / 20) for index in range(size)
    ]


def scores(name: str, rows: list[Hypothesis]) -> np.ndarray:
    return FUNCTIONS[name](rows, np.random.default_rng(3))


every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_judge = pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "random"])


@every_function
@pytest.mark.parametrize("size", [0, 1, 7])
def test_one_finite_float64_for_each_hypothesis(name: str, size: int) -> None:
    found = scores(name, pool(size))
    assert (found.shape, found.dtype) == ((size,), np.float64)
    assert np.isfinite(found).all()


@every_function
def test_the_same_generator_gives_the_same_scores(name: str) -> None:
    assert np.array_equal(scores(name, pool(7)), scores(name, pool(7)))


@every_judge
def test_a_score_belongs_to_its_hypothesis_wherever_it_stands(name: str) -> None:
    rows, order = pool(7), [4, 0, 6, 2, 1, 5, 3]
    shuffled = scores(name, [rows[index] for index in order])
    assert np.array_equal(shuffled, scores(name, rows)[order])


@every_judge
def test_the_less_certain_score_higher(name: str) -> None:
    assert (np.diff(scores(name, pool(7))) > 0).all()


def test_random_prefers_nothing() -> None:
    rng = np.random.default_rng(0)
    best = [int(FUNCTIONS["random"](pool(4), rng).argmax()) for _ in range(400)]
    assert min(best.count(index) for index in range(4)) > 70


def test_the_configuration_names_every_function() -> None:
    assert set(SelectSettings.model_fields["acquisition"].annotation.__args__) == set(FUNCTIONS)
