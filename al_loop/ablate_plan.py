"""What an ablation trains: which sources together, on how many draws. Nothing is written.

The sources of the target language come in groups, by kind in the order of `ORDER` or each alone.
Variants are the groups added one after another, and the whole less each. Sources of other languages
are in every variant: they keep the model from forgetting these, and languages that came and went
would change how much of the draws is left for the one that is asked about.

Every variant is drawn by the settings' mixture, as if a round had no other data, and in every epoch
as often as all others: one with less data goes through its own pseudo-epochs more often. Where
other languages are kept, every variant gives each language the share of the draws that all sources
together give it: by mass, a source would bring its language draws too, and its gain be partly
theirs.

Knows the store's port, and no training.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain, count, islice
from typing import Any, Literal

import numpy as np

from al_loop.config import MixtureSettings, Settings, TrainSettings
from al_loop.errors import WorkspaceError
from al_loop.manifest import build_manifest
from al_loop.material import gather
from al_loop.mixture import draw_epoch, target_shares
from al_loop.ports import Store
from al_loop.records import (
    Checkpoint,
    Example,
    Leak,
    Manifest,
    Source,
    SourceKind,
    Utterance,
    content_hash,
)
from al_loop.simulation.settings import source_hash
from al_loop.trial import in_one_worker, leave_a_training_alone, tested, untrained_base

By = Literal["kind", "source"]
Variant = tuple[str, ...]
"""Sources; () is the untrained base."""
ORDER: tuple[SourceKind, ...] = (
    "open_source",
    "forced_alignment",
    "synthetic",
    "in_house",
    "pseudo_label",
)
"""From what is cheap to have to what is made last: pseudo-labels need all before them."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """What is asked for under one name. draws: of one epoch; None for as many as the variant has
    that has the most. seeds: trainings of each variant."""

    name: str
    by: By = "kind"
    seeds: int = 1
    draws: int | None = None
    leave_one_out: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Sources that come and go together. label: their kind, or the source's name."""

    label: str
    sources: Variant


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained and measured. manifests: of every trained variant, in the order of work.

    kept: the other languages' sources. absent: the kinds of which there is nothing. settings: all
    that results depend on, by keys that a message can name.
    """

    ablation: Ablation
    base: Checkpoint
    kept: Variant
    groups: Sequence[Group]
    absent: Sequence[SourceKind]
    manifests: Mapping[Variant, Manifest]
    draws: int
    validation: Sequence[Example]
    utterances: Sequence[Utterance]
    leaks: Sequence[Leak]
    settings: Mapping[str, Any]

    def epochs(
        self, variant: Variant, number: int, rng: np.random.Generator
    ) -> list[list[Example]]:
        """The draws of `number` epochs: all variants have equally many."""
        return equal_epochs(self.manifests[variant], self.draws, number, rng)


def make_plan(ablation: Ablation, settings: Settings, store: Store) -> Plan:
    """The variants, and all else that their trainings share.

    Raises WorkspaceError where there are not two groups, no evaluation set, no checkpoint, or a
    round that is training.
    """
    language = settings.model.language
    leave_a_training_alone(store)
    utterances = tested(store, language)
    base = untrained_base(store)
    found = gather(settings, store, utterances)
    examples, sources, leaks = found.examples, found.sources, found.leaks
    used = {row.source for row in examples}
    kept = tuple(sorted(name for name in used if sources[name].language != language))
    own = [sources[name] for name in sorted(used.difference(kept))]
    groups = grouped(own, ablation.by)
    _check(groups, own, language, leaks)
    evaluation_ids = {row.id for row in utterances}
    whole = build_manifest(examples, sources, settings.mixture, evaluation_ids)
    manifests = {}
    for variant in variants(kept, groups, ablation.leave_one_out):
        part = [row for row in examples if row.source in variant]
        rule = settings.mixture
        if kept and len(part) < len(examples):
            rule = even_mixture(rule, whole, part, sources)
        manifests[variant] = build_manifest(part, sources, rule, evaluation_ids)
    plan = Plan(
        ablation,
        base,
        kept,
        groups,
        [kind for kind in ORDER if kind not in {row.kind for row in own}],
        manifests,
        ablation.draws or max(map(draws_of, manifests.values())),
        store.validation_examples(),
        utterances,
        leaks,
        {},
    )
    return replace(plan, settings=_identity(plan, settings, sources, examples))


def even_training(settings: Settings) -> TrainSettings:
    """The training that every variant gets: an equal budget, and the last epoch's weights.

    Without patience none stops early or takes its best epoch; "auto" accumulation is the default's.
    """
    rule = in_one_worker(settings)
    changes: dict[str, Any] = {"patience": 0}
    if rule.accumulation == "auto":
        changes["accumulation"] = TrainSettings.model_fields["accumulation"].default
    return rule.model_copy(update=changes)


def even_mixture(
    rule: MixtureSettings, whole: Manifest, part: Sequence[Example], sources: Mapping[str, Source]
) -> MixtureSettings:
    """The rule by which `part` of the whole is drawn, its languages as often as in the whole.

    `max_repeats` is as high as that takes: what it kept from a source another language would get.
    """
    shares: dict[str, float] = {}
    for row in whole.mixture:
        shares[row.language] = shares.get(row.language, 0.0) + row.realised_share
    sizes = Counter(row.source for row in part)
    rule = rule.model_copy(update={"language_shares": shares})
    wanted = target_shares(sizes, sources, rule)
    most = max(math.ceil(wanted[name] * len(part) / size) for name, size in sizes.items())
    return rule.model_copy(update={"max_repeats": max(rule.max_repeats, most)})


def grouped(sources: Sequence[Source], by: By) -> list[Group]:
    """The sources in groups, in the order in which they are added."""
    ordered = sorted(sources, key=lambda row: (ORDER.index(row.kind), row.name))
    if by == "source":
        return [Group(row.name, (row.name,)) for row in ordered]
    return [
        Group(kind, names)
        for kind in ORDER
        if (names := tuple(row.name for row in ordered if row.kind == kind))
    ]


def variants(kept: Variant, groups: Sequence[Group], leave_one_out: bool) -> list[Variant]:
    """The groups added one after another, then the whole less each; no two are the same."""
    parts = [groups[: length + 1] for length in range(len(groups))]
    if leave_one_out:
        parts += [[row for row in groups if row != left] for left in groups]
    return list(dict.fromkeys(together(kept, part) for part in parts))


def together(kept: Variant, groups: Sequence[Group]) -> Variant:
    return (*kept, *chain.from_iterable(row.sources for row in groups))


def equal_epochs(
    manifest: Manifest, draws: int, number: int, rng: np.random.Generator
) -> list[list[Example]]:
    """`number` times so many draws, cut out of the manifest's own epochs one after another.

    So every example is drawn as often as its mixture says, up to the one epoch that is cut off.
    """
    stream = chain.from_iterable(draw_epoch(manifest, rng) for _ in count())
    return [list(islice(stream, draws)) for _ in range(number)]


def draws_of(manifest: Manifest) -> int:
    """Draws of one of its own epochs."""
    return sum(row.draws for row in manifest.mixture)


def often_drawn(plan: Plan, most: int) -> dict[Variant, int]:
    """The variants of which an epoch draws an example more than `most` times: how often then."""
    found = {}
    for variant, manifest in plan.manifests.items():
        in_its_own = max(row.most_repeats for row in manifest.mixture)
        times = math.ceil(in_its_own * plan.draws / draws_of(manifest))
        if times > most:
            found[variant] = times
    return found


def _check(
    groups: Sequence[Group], own: Sequence[Source], language: str, leaks: Sequence[Leak]
) -> None:
    left_out = f"; {len(leaks)} examples are in an evaluation set too" if leaks else ""
    if not groups:
        raise WorkspaceError(
            f"there is nothing in {language} to train on{left_out}: bring data in with "
            "`al-loop ingest` or `al-loop import`, or label a batch"
        )
    if len(groups) > 1:
        return
    names = ", ".join(row.name for row in own)
    way = "`al-loop ablate --by source` compares its sources, or bring" if len(own) > 1 else "bring"
    raise WorkspaceError(
        f"all that there is to train on in {language} is {groups[0].label} ({names}), and an "
        f"ablation compares two parts or more; {way} in data of another kind{left_out}"
    )


def _identity(
    plan: Plan, settings: Settings, sources: Mapping[str, Source], examples: Sequence[Example]
) -> dict[str, Any]:
    """All that results depend on, but for how many seeds and variants were asked for."""
    rule = even_training(settings)
    train = rule.model_dump(mode="json", exclude={"save_minutes", "processes"})
    mixture = settings.mixture.model_dump(mode="json", exclude={"max_leak_share"})
    used = {row.source for row in examples}
    return {
        "by": plan.ablation.by,
        "kept": list(plan.kept),
        "groups": [[row.label, list(row.sources)] for row in plan.groups],
        "draws": plan.draws,
        "seed": settings.seed,
        "the base": plan.base.id,
        "the labelled data": content_hash(
            sorted([row.utterance_id, row.source, row.text, row.quality] for row in examples)
        ),
        "the validation split": content_hash(
            sorted([row.utterance_id, row.text] for row in plan.validation)
        ),
        "the evaluation sets": content_hash(
            sorted([row.id, row.source, row.text] for row in plan.utterances)
        ),
        "weights": {name: sources[name].weight for name in sorted(used)},
        **{f"train.{key}": value for key, value in train.items()},
        **{f"mixture.{key}": value for key, value in mixture.items()},
        **{f"model.{key}": value for key, value in settings.model.identity().items()},
        "al-loop's version": version("al-loop"),
        "al-loop's code": source_hash(),
    }
