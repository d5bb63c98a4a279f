"""A training set from labelled examples: pure, hashed, and closed to evaluation sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from al_loop.errors import WorkspaceError
from al_loop.mixture import Policy, mixture_table
from al_loop.records import Example, Manifest, Source, content_hash


def build_manifest(
    examples: Sequence[Example],
    sources: Mapping[str, Source],
    policy: Policy,
    evaluation_ids: Set[str],
) -> Manifest:
    """The manifest of `examples`, each source at its own weight.

    Raises WorkspaceError when an utterance of an evaluation set is among them.
    """
    leaked = sorted(row.utterance_id for row in examples if row.utterance_id in evaluation_ids)
    if leaked:
        raise WorkspaceError(
            f"{len(leaked)} utterances of an evaluation set are among the training examples "
            f"(the first is {leaked[0]}); training on them would make every WER a lie"
        )
    used = sorted({row.source for row in examples})
    weights = {name: sources[name].weight for name in used}
    content = {
        "examples": sorted([row.utterance_id, row.source, row.text] for row in examples),
        "weights": weights,
        "policy": policy,
    }
    return Manifest(
        content_hash(content), examples, weights, mixture_table(examples, sources, weights, policy)
    )
