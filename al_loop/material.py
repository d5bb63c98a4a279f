"""What a training set is made from as of now, and what has to stay out of it.

Knows the ports and nothing behind them. It writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from al_loop.config import Settings
from al_loop.leakage import check_share, find_leaks
from al_loop.ports import Store
from al_loop.records import IN_HOUSE, PSEUDO_LABEL, Example, Leak, Source, Utterance


@dataclass(frozen=True, slots=True)
class Material:
    """sources: all by their names, those that the loop itself makes among them. made: the latter.

    leaks: what is not among the examples, for an evaluation set holds it too.
    """

    examples: Sequence[Example]
    sources: Mapping[str, Source]
    made: Sequence[Source]
    leaks: Sequence[Leak]


def gather(settings: Settings, store: Store, evaluation: Sequence[Utterance]) -> Material:
    """The train splits, the in-house labels and, where they are wanted, the pseudo-labels as they
    were made last; less what `evaluation` holds too.

    Raises WorkspaceError where more is left out than `mixture.max_leak_share` allows.
    """
    language, rule = settings.model.language, settings.mixture
    made = [Source(IN_HOUSE, "in_house", language, rule.in_house_weight)]
    examples = store.training_examples(IN_HOUSE)
    if settings.pseudo_labels.enabled:
        weight = settings.pseudo_labels.weight
        made.append(Source(PSEUDO_LABEL, "pseudo_label", language, weight))
        examples = [*examples, *store.pseudo_examples(PSEUDO_LABEL)]
    leaks = find_leaks(examples, store.sample_hashes(), evaluation)
    check_share(leaks, len(examples), rule.max_leak_share)
    leaked = {row.utterance_id for row in leaks}
    return Material(
        [row for row in examples if row.utterance_id not in leaked],
        {row.name: row for row in [*store.sources(), *made]},
        made,
        leaks,
    )
