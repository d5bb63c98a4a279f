"""What the arms are compared on: two training sets that differ in the in-house labels alone.

Knows the store's port, and no training. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from al_loop.config import MixtureSettings, Settings
from al_loop.errors import WorkspaceError
from al_loop.leakage import find_leaks
from al_loop.manifest import build_manifest
from al_loop.ports import Store
from al_loop.records import (
    IN_HOUSE,
    Answer,
    Checkpoint,
    Example,
    Manifest,
    Source,
    Utterance,
    content_hash,
)
from al_loop.trial import leave_a_training_alone, tested, untrained_base

SIDES = ("acquired", "control")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained and measured. manifests, labels: by arm; labels are those in the manifest.

    key: a hash of all that the results depend on.
    """

    key: str
    base: Checkpoint
    seed: int
    labels: Mapping[str, Sequence[Example]]
    manifests: Mapping[str, Manifest]
    validation: Sequence[Example]
    utterances: Sequence[Utterance]


def make_plan(settings: Settings, store: Store) -> Plan:
    """The two training sets, and all else that both trainings share.

    Raises WorkspaceError where an arm or the evaluation would be empty, or a round is training.
    """
    language = settings.model.language
    leave_a_training_alone(store)
    utterances = tested(store, language)
    wanted = [row for row in utterances if row.language == language]
    base = untrained_base(store)

    examples = store.training_examples(IN_HOUSE)
    leaked = {row.utterance_id for row in find_leaks(examples, store.sample_hashes(), utterances)}
    examples = [row for row in examples if row.utterance_id not in leaked]
    shared = [row for row in examples if row.source != IN_HOUSE]
    by_arm = _by_arm(examples, store.answers(settings.embedding.encoder))
    seed = int(content_hash([settings.seed, "arms"])[:8], 16)
    labels = equal_seconds(by_arm, np.random.default_rng(seed))
    for arm, rows in labels.items():
        if not rows:
            raise WorkspaceError(
                f"every label of the {arm} arm is longer than all of the other arm together; label "
                "another batch first"
            )
    known = {row.name: row for row in store.sources()}
    in_house = Source(IN_HOUSE, "in_house", language, settings.mixture.in_house_weight)
    manifests = {
        arm: build_manifest(
            sorted([*shared, *rows], key=lambda row: row.utterance_id),
            {**known, IN_HOUSE: in_house},
            settings.mixture,
            {row.id for row in utterances},
        )
        for arm, rows in labels.items()
    }
    manifests = _equal_draws(manifests, settings.mixture)
    validation = store.validation_examples()
    key = content_hash(
        {
            "base": base.id,
            "manifests": [manifests[arm].id for arm in SIDES],
            "train": settings.train.model_dump(exclude={"save_minutes", "processes"}),
            "model": settings.model.model_dump(),
            "seed": seed,
            "validation": [[row.utterance_id, row.text] for row in validation],
            "evaluation": sorted([row.id, row.text] for row in wanted),
        }
    )
    return Plan(key, base, seed, labels, manifests, validation, wanted)


def _by_arm(
    examples: Sequence[Example], answers: Sequence[Answer]
) -> dict[str, dict[int, list[Example]]]:
    """The in-house examples of each arm, by round. Raises WorkspaceError where one has none."""
    asked = {row.utterance_id: row for row in answers}
    found: dict[str, dict[int, list[Example]]] = {arm: {} for arm in SIDES}
    for row in examples:
        answer = asked.get(row.utterance_id)
        if row.source == IN_HOUSE and answer is not None and answer.arm in found:
            found[answer.arm].setdefault(answer.round, []).append(row)
    for arm, rounds in found.items():
        if not rounds:
            raise WorkspaceError(
                f"the {arm} arm has no labels to train on, and both arms need some: label a batch "
                "with select.control_share above 0 and below 1"
            )
    return found


def equal_seconds(
    by_arm: Mapping[str, Mapping[int, Sequence[Example]]], rng: np.random.Generator
) -> dict[str, list[Example]]:
    """The labels of each arm, the larger one cut to the seconds of the smaller, or just below.

    by_arm: examples by round. Of every round the same share stays, drawn at random.
    """
    seconds = {
        arm: sum(row.duration_s for rows in rounds.values() for row in rows)
        for arm, rounds in by_arm.items()
    }
    least_s = min(seconds.values())
    return {
        arm: _cut(rounds, least_s, seconds[arm], rng)
        if seconds[arm] > least_s
        else [row for number in sorted(rounds) for row in rounds[number]]
        for arm, rounds in by_arm.items()
    }


def _cut(
    rounds: Mapping[int, Sequence[Example]],
    wanted_s: float,
    there_s: float,
    rng: np.random.Generator,
) -> list[Example]:
    """Examples of at most `wanted_s` seconds, of `there_s` in all, rounds in proportion."""
    taken: list[Example] = []
    left_out: list[Example] = []
    taken_s = passed_s = 0.0
    for number in sorted(rounds):
        rows = sorted(rounds[number], key=lambda row: row.utterance_id)
        passed_s += sum(row.duration_s for row in rows)
        quota_s = wanted_s * passed_s / there_s
        full = False  # the first clip that does not fit ends a round, or short ones would win
        for index in rng.permutation(len(rows)):
            row = rows[index]
            # half of it may lie beyond the round's quota, which the next round gives back
            full = full or taken_s + row.duration_s / 2 > quota_s
            full = full or taken_s + row.duration_s > wanted_s
            (left_out if full else taken).append(row)
            taken_s += 0 if full else row.duration_s
    for index in rng.permutation(len(left_out)):
        row = left_out[index]
        if taken_s + row.duration_s <= wanted_s:
            taken.append(row)
            taken_s += row.duration_s
    return taken


def _equal_draws(manifests: Mapping[str, Manifest], rule: MixtureSettings) -> dict[str, Manifest]:
    """Both manifests under one mixture: equal seconds may be unequally many clips.

    It is the one of which both can keep the rule's promise: that no example is drawn too often
    (`pseudo_epoch`), or that every one is drawn (`epoch`).
    """

    def draws(manifest: Manifest) -> int:
        return sum(row.draws for row in manifest.mixture)

    pick = max if rule.policy == "epoch" else min
    mixture = pick((manifests[arm] for arm in SIDES), key=draws).mixture
    return {arm: replace(manifests[arm], mixture=mixture) for arm in SIDES}
