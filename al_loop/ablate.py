"""What each source brings: the same training on more and more sources, and on all less each.

What the lecture's table says of its data, said of one's own: error rates on every evaluation set,
all from one untrained base, with the same seed and the same number of draws. No training stops
early or takes its best epoch, and all accumulate alike. Nothing is promoted, and no weights are
kept. A result is in the database as soon as it is known; what was being trained when the process
was killed goes on from its saves.

Knows the ports and nothing behind them. The caller holds the workspace's lock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from al_loop.ablate_plan import Plan, Variant, even_training, often_drawn, together
from al_loop.ablation_table import added, added_rows, left_out_rows, without
from al_loop.config import Settings
from al_loop.evaluation import group_by_set
from al_loop.leakage import leak_lines
from al_loop.listening import Listening
from al_loop.metrics import count_errors
from al_loop.ports import Engine, Recognizer, Store
from al_loop.records import PSEUDO_LABEL, Utterance, content_hash
from al_loop.simulation.report import text
from al_loop.trial import Trial, run_trials

BASE: Variant = ()


class Book(Protocol):
    """The store that keeps what ablations came to."""

    def start_ablation(self, name: str, settings: Mapping[str, Any]) -> None: ...
    def finish_ablation(self, name: str) -> None: ...
    def put_ablation_results(self, name: str, results: Iterable[Mapping[str, Any]]) -> None: ...
    def ablation_results(self, name: str) -> list[dict[str, Any]]: ...


def ablate(
    plan: Plan,
    settings: Settings,
    store: Store,
    book: Book,
    engine: Engine,
    recognizer: Callable[[], Recognizer],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Train and measure what is still missing; all results of the ablation come back.

    Takes as long as a round's training for each variant and seed. Raises WorkspaceError where an
    ablation of this name was made of other data or settings.
    """
    name = plan.ablation.name
    book.start_ablation(name, plan.settings)
    run = _Run(plan, settings, store, book, engine, recognizer, say)
    missing = list(run.missing())
    for line in beginning(plan, settings, len(missing)):
        say(line)
    if not run.is_measured(BASE, 0):
        run.measure_base()
    if missing:
        scratch = store.scratch_folder(f"ablation-{content_hash(plan.settings)[:12]}")
        asked = {run.trial_name(*row): row for row in missing}
        trials = (run.trial(*row) for row in missing)
        for tried in run_trials(trials, engine, recognizer, scratch, say):
            run.keep(*asked[tried.name], tried.heard)
        shutil.rmtree(scratch)
    book.finish_ablation(name)
    return book.ablation_results(name)


class _Run:
    """One call of `ablate`."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        store: Store,
        book: Book,
        engine: Engine,
        recognizer: Callable[[], Recognizer],
        say: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.store = store
        self.book = book
        self.listening = Listening(store, engine, recognizer, say)
        self.say = say
        self.titles = titles(plan)
        results = book.ablation_results(plan.ablation.name)
        self.measured = {(tuple(row["variant"]), row["seed"]) for row in results}

    def is_measured(self, variant: Variant, seed: int) -> bool:
        return (variant, seed) in self.measured

    def missing(self) -> Iterator[tuple[Variant, int]]:
        """Variants with their seeds: the whole table once, before any of it is trained again."""
        for seed in range(self.plan.ablation.seeds):
            for variant in self.plan.manifests:
                if not self.is_measured(variant, seed):
                    yield variant, seed

    def measure_base(self) -> None:
        """Rounds may have heard the evaluation sets with it: only what is missing is heard."""
        base, utterances = self.plan.base, self.plan.utterances
        self.listening.listen(base, utterances)
        heard = self.store.hypotheses(base.id, [row.id for row in utterances])
        self.keep(BASE, 0, {name: row.text for name, row in heard.items()})

    def trial_name(self, variant: Variant, seed: int) -> str:
        number = list(self.plan.manifests).index(variant) + 1
        return f"ablate-{self.plan.ablation.name}-{number}-seed-{seed}".replace(".", "-")

    def trial(self, variant: Variant, seed: int) -> Trial:
        drawn = int(content_hash([self.settings.seed, "ablation", seed])[:8], 16)
        title = " = ".join(self.titles[variant])
        return Trial(
            name=self.trial_name(variant, seed),
            title=f"{title}, seed {seed}" if self.plan.ablation.seeds > 1 else title,
            base=self.plan.base.path,
            epochs=self.plan.epochs(
                variant, self.settings.train.epochs, np.random.default_rng(drawn)
            ),
            validation=self.plan.validation,
            settings=even_training(self.settings),
            seed=drawn,
            utterances=self.plan.utterances,
        )

    def keep(self, variant: Variant, seed: int, heard: Mapping[str, str]) -> None:
        """Write down what a variant came to on every evaluation set, and say it."""
        name, examples = self.plan.ablation.name, []
        if variant != BASE:
            examples = list(self.plan.manifests[variant].examples)
        facts = {
            "variant": list(variant),
            "seed": seed,
            "examples": len(examples),
            "audio_s": sum(row.duration_s for row in examples),
            "draws": self.plan.draws if examples else 0,
        }
        sets = group_by_set(self.plan.utterances)
        self.book.put_ablation_results(
            name, [facts | _measured(tested, rows, heard) for tested, rows in sets.items()]
        )
        for line in self._said(variant, seed):
            self.say(line)

    def _said(self, variant: Variant, seed: int) -> Iterator[str]:
        """The rows of the table that a variant is in, as this one seed has them."""
        groups = [(row.label, row.sources) for row in self.plan.groups]
        results = [
            row
            for row in self.book.ablation_results(self.plan.ablation.name)
            if row["seed"] == seed or not row["variant"]
        ]
        samples = self.settings.evaluate.bootstrap_samples
        rows = [*added_rows(results, groups, samples), *left_out_rows(results, groups, samples)]
        for row in rows:
            if tuple(row.variant) == variant and row.step != "whole":
                change = f", change {text(row.change, 100)}" if row.change else ""
                yield (
                    f"  {row.title}: {row.evaluation_set} ({row.language}) WER % "
                    f"{text(row.wer, 100)}{change}"
                )


def _measured(tested: str, rows: Sequence[Utterance], heard: Mapping[str, str]) -> dict[str, Any]:
    counts = [count_errors(row.text or "", heard[row.id], row.language) for row in rows]
    return {
        "evaluation_set": tested,
        "language": rows[0].language,
        "utterance_errors": [[row.word_errors, row.words] for row in counts],
    }


def titles(plan: Plan) -> dict[Variant, list[str]]:
    """What the rows of the table are called that a trained variant is in, one or two."""
    found: dict[Variant, list[str]] = {variant: [] for variant in plan.manifests}
    for place, group in enumerate(plan.groups):
        found[together(plan.kept, plan.groups[: place + 1])].append(added(group.label))
        rest = together(plan.kept, [row for row in plan.groups if row != group])
        if rest in found:
            found[rest].append(without(group.label))
    return found


def beginning(plan: Plan, settings: Settings, trainings: int) -> list[str]:
    """What is about to be done, and what it is to be read with."""
    if not trainings:
        return ["all of it is measured already"]
    epochs, language = settings.train.epochs, settings.model.language
    lines = [f"{trainings} trainings to do, each {epochs} epochs of {plan.draws:,} draws"]
    if plan.kept:
        lines.append(f"in every one, for they are not in {language}: {', '.join(plan.kept)}")
    if plan.absent:
        lines.append(f"there is nothing to train on of: {', '.join(plan.absent)}")
    if not settings.pseudo_labels.enabled:
        lines.append("no round learns pseudo-labels while pseudo_labels.enabled is false, nor this")
    if settings.train.accumulation == "auto":
        passes = even_training(settings).accumulation
        lines.append(f"train.accumulation is auto; here it is {passes}, for equally many steps")
    for line in leak_lines(plan.leaks):
        lines.append(f"left out, for an evaluation set holds it too: {line}")
    rule = settings.mixture
    if rule.policy == "pseudo_epoch":
        for variant, times in often_drawn(plan, rule.max_repeats).items():
            lines.append(
                f"warning: {' = '.join(titles(plan)[variant])}: there is too little for so many "
                f"draws; an epoch draws an example up to {times} times, though mixture.max_repeats "
                f"is {rule.max_repeats}"
            )
    if PSEUDO_LABEL in {name for row in plan.groups for name in row.sources}:
        lines.append(
            "pseudo-labels were written by recognisers that may have learned from every other "
            "source: what they brought from one stays when that one is left out"
        )
    return lines
