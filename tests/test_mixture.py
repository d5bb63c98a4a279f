from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from al_loop.config import MixtureSettings, load_settings
from al_loop.mixture import (
    capped,
    draw_epoch,
    expected_draws,
    mixture_table,
    quotas,
    systematic,
    target_shares,
)
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


# -- qualities ---------------------------------------------------------------------------------


def graded(
    sizes: Mapping[str, int],
    rule: MixtureSettings,
    quality: Sequence[float],
    source: str = "in_house",
    weight: float = 3.0,
) -> Manifest:
    """Examples of `source` get these qualities, over and over; the others have 1."""
    rows = examples(sizes)
    own = [place for place, row in enumerate(rows) if row.source == source]
    for number, place in enumerate(own):
        rows[place] = replace(rows[place], quality=quality[number % len(quality)])
    sources = catalogue(sizes, **{source: weight})
    return Manifest("", rows, mixture_table(rows, sources, rule))


def times(manifest: Manifest, seed: int) -> Counter[str]:
    return Counter(row.utterance_id for row in draw_epoch(manifest, np.random.default_rng(seed)))


@pytest.mark.parametrize("quality", [1.0, 0.8])
@pytest.mark.parametrize("rule", [PSEUDO_EPOCH, EPOCH], ids=lambda rule: rule.policy)
def test_equal_qualities_change_no_draw(rule: MixtureSettings, quality: float) -> None:
    sizes = {"demo_ky": 10, "in_house": 7}
    plain, equal = (
        mixed(sizes, catalogue(sizes, in_house=3.0), rule),
        graded(sizes, rule, [quality]),
    )
    assert plain.mixture == equal.mixture
    rng = np.random.default_rng(5)
    drawn: list[str] = []
    for part in plain.mixture:  # what every round and simulation has drawn so far
        names = [row.utterance_id for row in plain.examples if row.source == part.source]
        whole, rest = divmod(part.draws, len(names))
        drawn += names * whole
        drawn += [names[place] for place in rng.permutation(len(names))[:rest]]
    drawn = [drawn[place] for place in rng.permutation(len(drawn))]
    for manifest in (plain, equal):
        found = draw_epoch(manifest, np.random.default_rng(5))
        assert [row.utterance_id for row in found] == drawn


@pytest.mark.parametrize("seed", range(10))
def test_an_example_is_drawn_as_its_quality_says_give_or_take_one(seed: int) -> None:
    sizes = {"demo_ky": 40, "in_house": 20}
    manifest = graded(sizes, UNCAPPED, [1.0, 0.9, 0.8, 0.4, 0.1])
    part = by_name(manifest)["in_house"]
    counts = times(manifest, seed)
    total = sum(row.quality for row in manifest.examples if row.source == "in_house")
    for row in manifest.examples:
        if row.source == "in_house":
            assert abs(counts[row.utterance_id] - part.draws * row.quality / total) < 1
    assert sum(counts[f"in_house-{number}"] for number in range(20)) == part.draws
    assert max(counts[f"in_house-{number}"] for number in range(20)) <= part.most_repeats


def test_over_many_epochs_draws_are_proportional_to_quality() -> None:
    sizes = {"demo_ky": 12, "in_house": 6}
    manifest = graded(sizes, PSEUDO_EPOCH, [1.0, 0.6, 0.2])
    draws = by_name(manifest)["in_house"].draws
    epochs = 1000
    counts = sum((times(manifest, seed) for seed in range(epochs)), Counter())
    for number in range(6):
        quality = (1.0, 0.6, 0.2)[number % 3]
        expected = draws * quality / 3.6
        # a count is the number below or above: its variance is a quarter at most
        assert abs(counts[f"in_house-{number}"] / epochs - expected) < 5 * 0.5 / epochs**0.5


def test_qualities_do_not_move_draws_between_sources() -> None:
    sizes = {"demo_ky": 40, "in_house": 20}
    plain, low = graded(sizes, PSEUDO_EPOCH, [1.0]), graded(sizes, PSEUDO_EPOCH, [0.2, 0.1])
    assert [row.draws for row in plain.mixture] == [row.draws for row in low.mixture]
    # nor does one source's change what another one's examples get
    for name in range(40):
        assert times(low, 1)[f"demo_ky-{name}"] <= 1


@pytest.mark.parametrize("max_repeats", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_no_quality_lifts_an_example_over_the_cap(max_repeats: int, seed: int) -> None:
    rule = MixtureSettings(max_repeats=max_repeats)
    manifest = graded({"demo_ky": 60, "in_house": 10}, rule, [1.0, 0.1], weight=30.0)
    part = by_name(manifest)["in_house"]
    assert part.draws == 10 * max_repeats  # so that every example must take all it may
    assert part.most_repeats == max_repeats
    assert {times(manifest, seed)[f"in_house-{n}"] for n in range(10)} == {max_repeats}
    manifest = graded({"demo_ky": 60, "in_house": 10}, rule, [1.0, 0.1], weight=2.5)
    counts = times(manifest, seed)
    assert max(counts[f"in_house-{number}"] for number in range(10)) <= max_repeats


@pytest.mark.parametrize("sizes", [SMALL, DEMO, DEMO_PARTS, {"in_house": 9}])
@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_draws_every_example_whatever_its_quality(
    sizes: dict[str, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = [replace(row, quality=float(rng.choice([1, 0.5, 0.1]))) for row in examples(sizes)]
    manifest = Manifest("", rows, mixture_table(rows, weighted(sizes), EPOCH))
    counts = times(manifest, seed)
    assert set(counts) == {row.utterance_id for row in rows}
    for part in manifest.mixture:
        own = [counts[row.utterance_id] for row in rows if row.source == part.source]
        assert sum(own) == part.draws
        assert max(own) <= part.most_repeats


def test_beyond_the_first_time_an_epoch_draws_by_quality() -> None:
    sizes = {"demo_ky": 100, "in_house": 10}
    manifest = graded(sizes, EPOCH, [1.0, 0.1], weight=5.0)
    assert by_name(manifest)["in_house"].draws == 50
    counts = times(manifest, 0)
    # five with 1 and five with 0.1 in 50 draws: 9 each for the good, 1 for the others
    assert [counts[f"in_house-{number}"] for number in range(4)] == [9, 1, 9, 1]


def test_a_source_that_is_not_drawn_needs_no_quality() -> None:
    sizes = {"demo_ky": 200, "in_house": 2}
    rule = MixtureSettings(source_shares={"in_house": 0.0001})
    manifest = graded(sizes, rule, [1.0, 0.5])
    assert by_name(manifest)["in_house"].draws == by_name(manifest)["in_house"].most_repeats == 0
    assert len(draw_epoch(manifest, np.random.default_rng(0))) == 202


@pytest.mark.parametrize("seed", range(20))
def test_expected_draws_sum_up_and_keep_their_limits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quality = rng.choice([1.0, 0.8, 0.33, 0.1, 0.05], 50)
    least, most = [(0, 4), (1, 4), (1, 1000), (0, 1)][seed % 4]
    draws = int(rng.integers(50 * least, min(50 * most, 400) + 1))
    expected = expected_draws(quality, draws, least, most)
    assert expected.sum() == pytest.approx(draws)
    assert expected.min() >= least
    assert expected.max() <= most
    between = (expected > least + 1e-9) & (expected < most - 1e-9)
    levels = (expected / quality)[between]
    assert np.ptp(levels) < 1e-6 if len(levels) else True


@pytest.mark.parametrize("seed", range(20))
def test_systematic_counts_are_next_to_their_expectations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = rng.dirichlet(np.ones(30)) * 47
    counts = systematic(expected, rng)
    assert counts.sum() == 47
    assert (np.abs(counts - expected) < 1).all()
    assert systematic(np.array([2.0, 0.0, 3.0]), rng).tolist() == [2, 0, 3]


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
