"""Which examples an epoch draws, and how often: target shares, systematic draws. Pure.

Target shares. A language in `language_shares` gets that share of all draws, a source in
`source_shares` that share of its language's draws. Languages without a share divide what is left
by mass, and so do the sources of a language; the mass of a source is its examples times its
weight, that of a language the sum over its sources. Where only languages (or sources) with a
share have examples, they take all, in proportion to their shares. A source counts as what its own
language is, whatever single examples say.

Draws. Where no cap binds, the draws of a source differ from its target by less than one example;
those of two examples of a source always differ by at most one: quotas are rounded by largest
remainder, and inside a source every example is drawn ⌊quota / size⌋ times before any is drawn once
more.

`pseudo_epoch` makes as many draws as there are examples, and draws none of them more than
`max_repeats` times: what a source may not take goes to the others, by their shares. `epoch` makes
the fewest draws that keep the shares and draw every example at least once. It has no cap: to see
all of a large source at a small share, the others must repeat as often as that takes.
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
            most_repeats=-(-draws[name] // len(rows)),
            draws=draws[name],
        )
        for name, rows in grouped.items()
    ]


def capped(mixture: Sequence[MixtureRow]) -> list[MixtureRow]:
    """The sources that `max_repeats` keeps from their target: nothing else costs a whole draw."""
    total = sum(row.draws for row in mixture)
    return [row for row in mixture if row.target_share * total - row.draws >= 1]


def draw_epoch(manifest: Manifest, rng: np.random.Generator) -> list[Example]:
    """One epoch's draws in random order, each source as often as the manifest's mixture says."""
    grouped = _by_source(manifest.examples)
    draws: list[Example] = []
    for part in manifest.mixture:
        rows = grouped[part.source]
        whole, rest = divmod(part.draws, len(rows))
        draws += rows * whole
        draws += [rows[index] for index in rng.permutation(len(rows))[:rest]]
    return [draws[index] for index in rng.permutation(len(draws))]


def _by_source(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """The examples of each source; sources by name, examples in the order given."""
    grouped: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda row: row.source):
        grouped.setdefault(example.source, []).append(example)
    return grouped
