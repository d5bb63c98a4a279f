from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from al_loop.config import MixtureSettings, load_settings
from al_loop.mixture import capped, draw_epoch, mixture_table, quotas, target_shares
from al_loop.records import Example, Manifest, MixtureRow, Source

HOMEWORK = Path(__file__).parent.parent / "docs" / "examples" / "homework.toml"
PSEUDO_EPOCH = MixtureSettings()
EPOCH = MixtureSettings(policy="epoch")
UNCAPPED = MixtureSettings(max_repeats=1_000_000)
LARGE = {"fleurs_ky": 2801, "fleurs_ru": 2563, "common_voice_ky": 1807, "common_voice_ru": 26411}
SMALL = {"fleurs_ky": 7, "fleurs_ru": 5, "common_voice_ky": 3, "common_voice_ru": 90}
DEMO = {"demo_ky": 42, "demo_ru": 55, "in_house": 1}
DEMO_PARTS = {"fleurs_ky": 42, "fleurs_ru": 55, "common_voice_ky": 126, "common_voice_ru": 40}
"""What the demo trains on, its pool and its Russian test set, in the homework's places."""


def examples(sizes: Mapping[str, int]) -> list[Example]:
    return [
        Example(f"{name}-{index}", "", 2.0, name, language(name), "бир")
        for name, size in sizes.items()
        for index in range(size)
    ]


def language(source: str) -> str:
    return "ru" if source.endswith("_ru") else "ky"


def catalogue(sizes: Mapping[str, int], **weights: float) -> dict[str, Source]:
    return {
        name: Source(name, "open_source", language(name), weights.get(name, 1.0)) for name in sizes
    }


def weighted(sizes: Mapping[str, int]) -> dict[str, Source]:
    """A catalogue in which no two sources have the same weight."""
    weights = {name: 0.5 + 1.3 * index for index, name in enumerate(sorted(sizes))}
    return catalogue(sizes, **weights)


def mixed(
    sizes: Mapping[str, int], sources: Mapping[str, Source], rule: MixtureSettings
) -> Manifest:
    rows = examples(sizes)
    return Manifest("", rows, mixture_table(rows, sources, rule))


def by_name(manifest: Manifest) -> dict[str, MixtureRow]:
    return {row.source: row for row in manifest.mixture}


# -- target shares -----------------------------------------------------------------------------


def test_without_target_shares_examples_count_by_their_weight() -> None:
    sources = catalogue(DEMO, in_house=3.0)
    assert target_shares(DEMO, sources, PSEUDO_EPOCH) == {
        "demo_ky": pytest.approx(42 / 100),
        "demo_ru": pytest.approx(55 / 100),
        "in_house": pytest.approx(3 / 100),
    }


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # demo_ky and in_house divide the Kyrgyz part 1 x 42 : 3 x 1
        ({"language_shares": {"ky": 0.3}}, (0.28, 0.7, 0.02)),
        ({"language_shares": {"ru": 0.7}}, (0.28, 0.7, 0.02)),
        ({"source_shares": {"demo_ky": 0.6}}, (0.27, 0.55, 0.18)),
        ({"language_shares": {"ky": 0.5}, "source_shares": {"in_house": 0.2}}, (0.4, 0.5, 0.1)),
        # languages and sources without examples leave their shares to those with a share
        ({"language_shares": {"ky": 0.2, "ru": 0.2, "kk": 0.6}}, (7 / 15, 0.5, 1 / 30)),
        ({"source_shares": {"demo_ru": 0.5, "radio_ru": 0.5}}, (0.42, 0.55, 0.03)),
    ],
)
def test_what_has_no_share_divides_the_rest(
    rule: dict[str, dict[str, float]], expected: tuple[float, ...]
) -> None:
    shares = target_shares(DEMO, catalogue(DEMO, in_house=3.0), MixtureSettings(**rule))
    assert tuple(shares[name] for name in sorted(shares)) == pytest.approx(expected)


# -- draws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [UNCAPPED, EPOCH], ids=lambda rule: rule.policy)
@pytest.mark.parametrize("sizes", [LARGE, SMALL, DEMO, DEMO_PARTS])
@pytest.mark.parametrize("seed", range(5))
def test_draws_are_within_one_example_of_any_target(
    sizes: dict[str, int], rule: MixtureSettings, seed: int
) -> None:
    parts = np.random.default_rng(seed).dirichlet(np.ones(len(sizes)))
    shares = dict(zip(sizes, parts.tolist(), strict=True))
    draws = quotas(sizes, shares, rule)
    total = sum(draws.values())
    for name, size in sizes.items():
        assert abs(draws[name] - shares[name] * total) < 1
        assert rule is UNCAPPED or draws[name] >= size
    assert rule is EPOCH or total == sum(sizes.values())


def test_an_epoch_is_no_longer_than_it_must_be() -> None:
    sources = catalogue(DEMO)
    # 42 Kyrgyz examples at the share of 1 that is 0.3: 140 draws, not 141
    rule = MixtureSettings(policy="epoch", language_shares={"ru": 0.7})
    draws = quotas(DEMO, target_shares(DEMO, sources, rule), rule)
    assert draws == {"demo_ky": 42, "demo_ru": 101, "in_house": 1}


@pytest.mark.parametrize("sizes", [SMALL, DEMO, DEMO_PARTS])
@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_draws_every_example(sizes: dict[str, int], seed: int) -> None:
    draws = draw_epoch(mixed(sizes, weighted(sizes), EPOCH), np.random.default_rng(seed))
    assert {row.utterance_id for row in draws} == {row.utterance_id for row in examples(sizes)}


@pytest.mark.parametrize("rule", [PSEUDO_EPOCH, EPOCH], ids=lambda rule: rule.policy)
def test_examples_of_a_source_are_drawn_equally_often(rule: MixtureSettings) -> None:
    sizes = {"demo_ky": 10, "in_house": 7}
    manifest = mixed(sizes, catalogue(sizes, in_house=3.0), rule)
    times = Counter(row.utterance_id for row in draw_epoch(manifest, np.random.default_rng(3)))
    for name, size in sizes.items():
        own = [times[f"{name}-{index}"] for index in range(size)]
        assert max(own) - min(own) <= 1
        assert max(own) == by_name(manifest)[name].most_repeats


def test_the_same_seed_gives_the_same_draws() -> None:
    manifest = mixed(SMALL, weighted(SMALL), PSEUDO_EPOCH)
    first, second, other = (draw_epoch(manifest, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert first == second != other


# -- the cap -----------------------------------------------------------------------------------


def test_what_a_capped_source_may_not_take_goes_to_the_others_by_their_shares() -> None:
    rule = MixtureSettings(max_repeats=4)
    shares = {"fleurs_ky": 0.5, "common_voice_ky": 0.2, "fleurs_ru": 0.1, "common_voice_ru": 0.2}
    # 105 draws: 28 and 12 at most of the Kyrgyz, and 20 of fleurs_ru, which is not reached at once:
    # 65 draws are left, of which fleurs_ru would get a third
    assert quotas(SMALL, shares, rule) == {
        "fleurs_ky": 28,
        "common_voice_ky": 12,
        "fleurs_ru": 20,
        "common_voice_ru": 45,
    }


@pytest.mark.parametrize("sizes", [LARGE, SMALL, DEMO, DEMO_PARTS])
@pytest.mark.parametrize("max_repeats", [1, 2, 3, 10])
@pytest.mark.parametrize("seed", range(5))
def test_no_example_is_drawn_more_often_than_the_cap_allows(
    sizes: dict[str, int], max_repeats: int, seed: int
) -> None:
    parts = np.random.default_rng(seed).dirichlet(np.full(len(sizes), 0.3))
    shares = dict(zip(sizes, np.maximum(parts, 1e-9).tolist(), strict=True))
    draws = quotas(sizes, shares, MixtureSettings(max_repeats=max_repeats))
    assert sum(draws.values()) == sum(sizes.values())
    assert all(draws[name] <= max_repeats * size for name, size in sizes.items())


def test_the_table_names_the_sources_that_the_cap_keeps_from_their_target() -> None:
    rule = MixtureSettings(language_shares={"ky": 0.9}, max_repeats=10)
    manifest = mixed(DEMO, catalogue(DEMO, in_house=30.0), rule)
    (row,) = capped(manifest.mixture)
    assert row.source == "in_house"
    assert row.target_share == pytest.approx(0.9 * 30 / 72)
    assert (row.draws, row.most_repeats, row.realised_share) == (10, 10, 10 / 98)


@pytest.mark.parametrize("rule", [UNCAPPED, EPOCH], ids=lambda rule: rule.policy)
@pytest.mark.parametrize("sizes", [LARGE, SMALL, DEMO, DEMO_PARTS])
def test_without_a_cap_rounding_is_no_reason_to_warn(
    sizes: dict[str, int], rule: MixtureSettings
) -> None:
    assert capped(mixed(sizes, weighted(sizes), rule).mixture) == []


# -- the table and the example -----------------------------------------------------------------


def test_the_table_says_what_is_drawn() -> None:
    sizes = {"in_house": 10, "demo_ky": 30}
    manifest = mixed(sizes, catalogue(sizes, in_house=3.0), PSEUDO_EPOCH)
    seed, in_house = manifest.mixture
    assert (seed.source, in_house.source) == ("demo_ky", "in_house")
    assert (seed.weight, in_house.weight) == (1.0, 3.0)
    assert (seed.examples, in_house.examples) == (30, 10)
    assert in_house.duration_s == 20.0
    assert seed.target_share == seed.realised_share == in_house.realised_share == 0.5
    assert (seed.draws, in_house.draws) == (20, 20)
    assert (seed.most_repeats, in_house.most_repeats) == (1, 2)
    assert mixture_table([], {}, EPOCH) == []


@pytest.mark.parametrize("policy", ["pseudo_epoch", "epoch"])
@pytest.mark.parametrize("sizes", [LARGE, SMALL, DEMO_PARTS, {**SMALL, "in_house": 4}])
@pytest.mark.parametrize("seed", range(5))
def test_the_homework_holds_in_every_epoch(sizes: dict[str, int], policy: str, seed: int) -> None:
    rule = load_settings(HOMEWORK).mixture.model_copy(update={"policy": policy})
    manifest = mixed(sizes, catalogue(sizes, in_house=rule.in_house_weight), rule)
    assert capped(manifest.mixture) == []
    draws = draw_epoch(manifest, np.random.default_rng(seed))
    sources = Counter(row.source for row in draws)
    languages = Counter(row.language for row in draws)
    assert 0.3 < languages["ky"] / len(draws) < 0.5
    assert 0.4 < sources["fleurs_ky"] / languages["ky"] < 0.5
    assert 0.2 < sources["fleurs_ru"] / languages["ru"] < 0.3
    if policy == "pseudo_epoch":
        assert len(draws) == sum(sizes.values())
    else:
        assert len({row.utterance_id for row in draws}) == sum(sizes.values())
