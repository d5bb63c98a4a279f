"""Which examples an epoch draws, and how often: target shares, systematic draws. Pure.

Target shares. A language in `language_shares` gets that share of all draws, a source in
`source_shares` that share of its language's draws. Languages without a share divide what is left
by mass, and so do the sources of a language; the mass of a source is its examples times its
weight, that of a language the sum over its sources. Where only languages (or sources) with a
share have examples, they take all, in proportion to their shares. A source counts as what its own
language is, whatever single examples say.

Draws. Where no cap binds, the draws of a source differ from its target by less than one example:
quotas are rounded by largest remainder. Inside a source an example is expected as often as its
quality says, relative to the others, and its draws differ from that by less than one. Where all
qualities are equal, every example is drawn ⌊quota / size⌋ times before any is drawn once more;
where they are not, by randomised systematic sampling with unequal probabilities (Madow, Annals of
Mathematical Statistics 20, 1949). How much of a source is drawn does not depend on qualities.

`pseudo_epoch` makes as many draws as there are examples, and draws none of them more than
`max_repeats` times: what a source may not take goes to the others, by their shares, and what an
example may not take to the others of its source, by their qualities. `epoch` makes the fewest draws
that keep the shares and draw every example at least once, whatever its quality; what a source is
drawn beyond that goes by quality. It has no cap: to see all of a large source at a small share, the
others must repeat as often as that takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from al_loop.config import MixtureSettings
from al_loop.records import Example, Manifest, MixtureRow, Source

ROUNDING = 1e-6
"""Draws; a difference below it comes from floating point, not from the settings."""


def target_shares(
    sizes: Mapping[str, int], sources: Mapping[str, Source], rule: MixtureSettings
) -> dict[str, float]:
    """The share of all draws that each source should get, by name; they sum to 1.

    sizes: examples per source, none of them 0.
    """
    masses: dict[str, dict[str, float]] = {}
    for name, size in sizes.items():
        masses.setdefault(sources[name].language, {})[name] = size * sources[name].weight
    languages = {language: sum(mass.values()) for language, mass in masses.items()}
    return {
        name: of_all * of_language
        for language, of_all in _divide(languages, rule.language_shares).items()
        for name, of_language in _divide(masses[language], rule.source_shares).items()
    }


def _divide(mass: Mapping[str, float], shares: Mapping[str, float]) -> dict[str, float]:
    """Parts that sum to 1: those with a share get it, the others divide the rest by mass."""
    given = sum(shares[name] for name in mass if name in shares)
    others = sum(mass[name] for name in mass if name not in shares)
    if not others:
        return {name: shares[name] / given for name in mass}
    return {name: shares.get(name, (1 - given) * mass[name] / others) for name in mass}


def quotas(
    sizes: Mapping[str, int], shares: Mapping[str, float], rule: MixtureSettings
) -> dict[str, int]:
    """Draws per source and epoch. shares: as `target_shares` gives them."""
    size = np.array([sizes[name] for name in sizes])
    share = np.array([shares[name] for name in sizes])
    if rule.policy == "epoch":
        total = int(np.ceil((size / share).max() - ROUNDING))
        exact = share * total
    else:
        total = int(size.sum())
        exact = _fill(share, rule.max_repeats * size, total)
    counts = np.floor(exact).astype(int)
    largest_remainders = np.argsort(counts - exact, kind="stable")
    counts[largest_remainders[: total - counts.sum()]] += 1
    return dict(zip(sizes, counts.tolist(), strict=True))


def _fill(share: np.ndarray, cap: np.ndarray, total: int) -> np.ndarray:
    """`total` divided by `share`, and what exceeds a cap divided again among the others.

    share: (S,) float64. cap: (S,) int64, with a sum of `total` or more. Returns (S,) float64.
    """
    full = np.zeros(len(share), dtype=bool)
    while True:
        left = total - cap[full].sum()
        exact = np.where(full, cap, left * share / share[~full].sum())
        over = exact > cap + ROUNDING
        if not over.any():
            return exact
        full |= over


def mixture_table(
    examples: Iterable[Example], sources: Mapping[str, Source], rule: MixtureSettings
) -> list[MixtureRow]:
    """What each source contributes to an epoch, by name: stored, and shown before training."""
    grouped = _by_source(examples)
    if not grouped:
        return []
    sizes = {name: len(rows) for name, rows in grouped.items()}
    shares = target_shares(sizes, sources, rule)
    draws = quotas(sizes, shares, rule)
    return [
        MixtureRow(
            source=name,
            kind=sources[name].kind,
            language=sources[name].language,
            weight=sources[name].weight,
            examples=len(rows),
            duration_s=sum(row.duration_s for row in rows),
            target_share=shares[name],
            realised_share=draws[name] / sum(draws.values()),
            most_repeats=most_repeats(rows, draws[name], rule),
            draws=draws[name],
        )
        for name, rows in grouped.items()
    ]


def most_repeats(rows: Sequence[Example], draws: int, rule: MixtureSettings) -> int:
    """How often one example of a source may come at most, of so many draws."""
    quality = _qualities(rows)
    if _equal(quality):
        return -(-draws // len(rows))
    every = rule.policy == "epoch"
    cap = draws if every else rule.max_repeats
    expected = expected_draws(quality, draws, float(every), cap)
    return int(np.ceil(expected.max() - ROUNDING))


def expected_draws(quality: np.ndarray, draws: int, least: float, most: float) -> np.ndarray:
    """`draws` divided by quality, with no example below `least` or above `most`: (N,) float64.

    quality: (N,) float64, above 0. The parts are proportional to quality but for those at a limit.
    N * least <= draws <= N * most.
    """
    # part i is clip(level * quality[i], least, most); their sum grows with the level, by the
    # qualities of those between their limits
    levels = np.concatenate([least / quality, most / quality])
    order = np.argsort(levels, kind="stable")
    levels = levels[order]
    slopes = np.cumsum(np.concatenate([quality, -quality])[order])
    steps = np.diff(levels) * np.maximum(slopes[:-1], 0)
    sums = least * len(quality) + np.concatenate([[0.0], np.cumsum(steps)])
    return np.clip(np.interp(draws, sums, levels) * quality, least, most)


def capped(mixture: Sequence[MixtureRow]) -> list[MixtureRow]:
    """The sources that `max_repeats` keeps from their target: nothing else costs a whole draw."""
    total = sum(row.draws for row in mixture)
    return [row for row in mixture if row.target_share * total - row.draws >= 1]


def draw_epoch(manifest: Manifest, rng: np.random.Generator) -> list[Example]:
    """One epoch's draws in random order, each source as often as the manifest's mixture says."""
    grouped = _by_source(manifest.examples)
    # a pseudo-epoch has as many draws as examples, and so has an epoch only if each comes once
    every = sum(part.draws for part in manifest.mixture) > len(manifest.examples)
    draws: list[Example] = []
    for part in manifest.mixture:
        rows = grouped[part.source]
        quality = _qualities(rows)
        if _equal(quality):
            whole, rest = divmod(part.draws, len(rows))
            draws += rows * whole
            draws += [rows[index] for index in rng.permutation(len(rows))[:rest]]
        else:
            expected = expected_draws(quality, part.draws, float(every), part.most_repeats)
            counts = systematic(expected, rng)
            draws += [rows[index] for index in np.repeat(np.arange(len(rows)), counts)]
    return [draws[index] for index in rng.permutation(len(draws))]


def systematic(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts (N,) int64 with these expectations (N,), each the number below or above its own.

    Their sum is that of the expectations, which is a whole number. The parts behind the decimal
    point lie on a line one after another, in random order; the counts that a comb with teeth one
    apart hits, laid at a random place, are one higher.
    """
    counts = np.floor(expected + ROUNDING).astype(np.int64)
    rest = np.maximum(expected - counts, 0)
    teeth = round(float(rest.sum()))
    order = rng.permutation(len(rest))
    if teeth:
        ends = np.cumsum(rest[order])
        hits = np.floor(ends * (teeth / ends[-1]) + rng.random()).astype(np.int64)
        hits = np.minimum(hits, teeth)
        hits[-1] = teeth  # which floating point may miss
        counts[order] += np.diff(hits, prepend=0)
    return counts


def _qualities(rows: Sequence[Example]) -> np.ndarray:
    return np.array([row.quality for row in rows])


def _equal(quality: np.ndarray) -> bool:
    return bool(quality.min() == quality.max())


def _by_source(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """The examples of each source; sources by name, examples in the order given."""
    grouped: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda row: row.source):
        grouped.setdefault(example.source, []).append(example)
    return grouped
