"""A training set from labelled examples: pure, hashed, and closed to evaluation sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from al_loop.config import MixtureSettings
from al_loop.errors import ConfigError, WorkspaceError
from al_loop.mixture import mixture_table
from al_loop.records import Example, Manifest, Source, content_hash


def build_manifest(
    examples: Sequence[Example],
    sources: Mapping[str, Source],
    rule: MixtureSettings,
    evaluation_ids: Set[str],
) -> Manifest:
    """The manifest of `examples`, mixed as `rule` says.

    sources: every source that is known, by name. The manifest's id covers all that its draws
    depend on but the seed: where qualities are not 1, they and the cap on repeats too. Raises
    WorkspaceError when an utterance of an evaluation set is among the examples, ConfigError when
    the target shares do not fit the sources.
    """
    leaked = sorted(row.utterance_id for row in examples if row.utterance_id in evaluation_ids)
    if leaked:
        raise WorkspaceError(
            f"{len(leaked)} utterances of an evaluation set are among the training examples "
            f"(the first is {leaked[0]}); training on them would make every WER a lie"
        )
    _check_shares({row.source for row in examples}, sources, rule)
    mixture = mixture_table(examples, sources, rule)
    graded = {row.source for row in examples if row.quality != 1}
    content = {
        "examples": sorted(
            [row.utterance_id, row.source, row.text, *([row.quality] if row.quality != 1 else [])]
            for row in examples
        ),
        "mixture": [
            [
                *(row.source, row.weight, row.target_share, row.draws),
                *([row.most_repeats] if row.source in graded else []),
            ]
            for row in mixture
        ],
    }
    return Manifest(content_hash(content), examples, mixture)


def _check_shares(used: Set[str], sources: Mapping[str, Source], rule: MixtureSettings) -> None:
    """Refuse shares of what is not known, above a whole, or that leave a used source nothing."""
    languages: dict[str, set[str]] = {}
    for source in sources.values():
        languages.setdefault(source.language, set()).add(source.name)
    spoken = {sources[name].language for name in used}
    _check_known("language_shares", rule.language_shares, languages.keys())
    _check_whole("language_shares", rule.language_shares, languages.keys(), spoken)
    _check_known("source_shares", rule.source_shares, sources.keys())
    for names in languages.values():
        _check_whole("source_shares", rule.source_shares, names, used & names)


def _check_known(key: str, shares: Mapping[str, float], known: Set[str]) -> None:
    if unknown := shares.keys() - known:
        raise ConfigError(
            f"mixture.{key} names {_listed(unknown)}, of which nothing was ingested; "
            f"known here: {_listed(known)}"
        )


def _check_whole(key: str, shares: Mapping[str, float], group: Set[str], used: Set[str]) -> None:
    """`group` divides one whole; `used`: those of it that have examples."""
    given = shares.keys() & group
    total = round(math.fsum(shares[name] for name in given), 9)  # decimals are not exact
    if total > 1:
        raise ConfigError(
            f"mixture.{key}: the shares of {_listed(given)} sum to {total:g}, expected 1 at most"
        )
    if total == 1 and (others := used - given):
        raise ConfigError(
            f"mixture.{key}: the shares of {_listed(given)} sum to 1, and nothing is left for "
            f"{_listed(others)}; lower them"
        )


def _listed(names: Set[str]) -> str:
    return ", ".join(sorted(names))
