"""Which examples an epoch draws, and how often: weighted sources, systematic draws. Pure.

The draws of a source differ from its target by less than one example, and those of two examples
of a source by at most one: quotas are rounded by largest remainder, and inside a source every
example is drawn ⌊quota / size⌋ times before any is drawn once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from al_loop.records import Example, MixtureRow, Source

Policy = Literal["pseudo_epoch", "epoch"]


def quotas(
    sizes: Mapping[str, int], weights: Mapping[str, float], policy: Policy
) -> dict[str, int]:
    """Draws per source and epoch.

    A source's target share is its size times its weight over the sum of all such products.
    `pseudo_epoch` makes as many draws as there are examples; `epoch` makes as many as it takes
    for every example of every source to be drawn at least once.
    """
    names = sorted(sizes)
    mass = np.array([sizes[name] * weights[name] for name in names], dtype=float)
    share = mass / mass.sum()
    total = sum(sizes.values())
    if policy == "epoch":
        total = max(
            int(np.ceil(sizes[name] / part)) for name, part in zip(names, share, strict=True)
        )
    exact = share * total
    counts = np.floor(exact).astype(int)
    if policy == "epoch":
        counts = np.maximum(counts, [sizes[name] for name in names])
    missing = max(total - int(counts.sum()), 0)
    for index in np.argsort(-(exact - np.floor(exact)), kind="stable")[:missing]:
        counts[index] += 1
    return dict(zip(names, counts.tolist(), strict=True))


def draw_epoch(
    examples: Sequence[Example],
    weights: Mapping[str, float],
    policy: Policy,
    rng: np.random.Generator,
) -> list[Example]:
    """One epoch's draws in random order."""
    grouped: dict[str, list[Example]] = {}
    for example in examples:
        grouped.setdefault(example.source, []).append(example)
    counts = quotas({name: len(rows) for name, rows in grouped.items()}, weights, policy)
    draws: list[Example] = []
    for name in sorted(grouped):
        rows = grouped[name]
        whole, rest = divmod(counts[name], len(rows))
        draws += rows * whole
        draws += [rows[index] for index in rng.permutation(len(rows))[:rest]]
    return [draws[index] for index in rng.permutation(len(draws))]


def mixture_table(
    examples: Sequence[Example],
    sources: Mapping[str, Source],
    weights: Mapping[str, float],
    policy: Policy,
) -> list[MixtureRow]:
    """What each source contributes to an epoch, as stored and shown before training."""
    sizes = Counter(example.source for example in examples)
    if not sizes:
        return []
    counts = quotas(sizes, weights, policy)
    mass = {name: size * weights[name] for name, size in sizes.items()}
    return [
        MixtureRow(
            source=name,
            kind=sources[name].kind,
            language=sources[name].language,
            weight=weights[name],
            examples=size,
            duration_s=sum(row.duration_s for row in examples if row.source == name),
            target_share=mass[name] / sum(mass.values()),
            realised_share=counts[name] / sum(counts.values()),
            most_repeats=-(-counts[name] // size),
        )
        for name, size in sorted(sizes.items())
    ]
