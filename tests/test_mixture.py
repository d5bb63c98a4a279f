from collections import Counter

import numpy as np
import pytest

from al_loop.mixture import Policy, draw_epoch, mixture_table, quotas
from al_loop.records import Example, Source

SIZES = [
    {"fleurs_ky": 2801, "fleurs_ru": 2563, "common_voice_ky": 1807, "common_voice_ru": 26411},
    {"fleurs_ky": 7, "fleurs_ru": 5, "common_voice_ky": 3, "common_voice_ru": 90},
    {"demo_ky": 42, "demo_ru": 44, "in_house": 1},
]


def examples(sizes: dict[str, int]) -> list[Example]:
    return [
        Example(f"{name}-{index}", "", 2.0, name, "ky", "бир")
        for name, size in sizes.items()
        for index in range(size)
    ]


def weights_of(sizes: dict[str, int]) -> dict[str, float]:
    return {name: 0.5 + 1.3 * index for index, name in enumerate(sorted(sizes))}


@pytest.mark.parametrize("sizes", SIZES)
def test_pseudo_epoch_draws_as_often_as_there_are_examples(sizes: dict[str, int]) -> None:
    weights = weights_of(sizes)
    found = quotas(sizes, weights, "pseudo_epoch")
    total = sum(sizes.values())
    assert sum(found.values()) == total
    mass = {name: size * weights[name] for name, size in sizes.items()}
    for name, count in found.items():
        assert abs(count - total * mass[name] / sum(mass.values())) < 1


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_draws_every_example(sizes: dict[str, int], seed: int) -> None:
    if max(sizes.values()) > 1000:
        sizes = {name: size // 20 for name, size in sizes.items()}
    rng = np.random.default_rng(seed)
    draws = Counter(
        row.utterance_id for row in draw_epoch(examples(sizes), weights_of(sizes), "epoch", rng)
    )
    assert len(draws) == sum(sizes.values())


@pytest.mark.parametrize("policy", ["pseudo_epoch", "epoch"])
def test_examples_of_a_source_are_drawn_equally_often(policy: Policy) -> None:
    sizes = {"demo_ky": 10, "in_house": 7}
    weights = {"demo_ky": 1.0, "in_house": 3.0}
    draws = draw_epoch(examples(sizes), weights, policy, np.random.default_rng(3))
    times = Counter(row.utterance_id for row in draws)
    for name, size in sizes.items():
        own = [times[f"{name}-{index}"] for index in range(size)]
        assert max(own) - min(own) <= 1


def test_the_same_seed_gives_the_same_draws() -> None:
    rows = examples(SIZES[1])
    weights = weights_of(SIZES[1])
    first, second, other = (
        draw_epoch(rows, weights, "pseudo_epoch", np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    assert first == second != other


def test_the_table_says_what_is_drawn() -> None:
    sizes = {"demo_ky": 30, "in_house": 10}
    sources = {
        "demo_ky": Source("demo_ky", "open_source", "ky", 1.0),
        "in_house": Source("in_house", "in_house", "ky", 3.0),
    }
    table = mixture_table(
        examples(sizes), sources, {"demo_ky": 1.0, "in_house": 3.0}, "pseudo_epoch"
    )
    seed, in_house = table
    assert (seed.source, in_house.source) == ("demo_ky", "in_house")
    assert (seed.examples, in_house.examples) == (30, 10)
    assert in_house.duration_s == 20.0
    assert seed.target_share == seed.realised_share == in_house.realised_share == 0.5
    assert (seed.most_repeats, in_house.most_repeats) == (1, 2)
    assert mixture_table([], sources, {}, "epoch") == []
