"""What an ablation came to, as rows and as lines of text. Pure.

Error rates are means over the seeds that every trained row of the same table has. Their intervals
are those of `al_loop.simulation.intervals`: they cover which clips the test set holds and, from two
seeds on, how the seeds differ. Both rows of a change are resampled alike, so that it is paired; the
base was not trained, so it is the same for every seed. Knows not how anything was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from al_loop.metrics import Interval
from al_loop.paired import SEED
from al_loop.simulation.intervals import Draws, interval, rate
from al_loop.simulation.report import Table, aligned, text

Groups = Sequence[tuple[str, Sequence[str]]]
"""Label and sources of each, in the order in which they are added."""
Results = Sequence[Mapping[str, Any]]
"""As `storage.ablations` has them: a row a variant, seed and evaluation set."""
UNTRAINED = "untrained base"
WHOLE = "all of them"


@dataclass(frozen=True, slots=True)
class Row:
    """A variant on one evaluation set.

    label: of the group that is added or left out; empty for the other two steps. variant: the
    sources that were trained on; examples, audio_s: what they held. draws: of one epoch. seeds:
    trainings that the figures are the mean of. wer: a fraction. change: minus the row before, where
    a group is left out minus the whole; None where that is not measured.
    """

    step: Literal["untrained", "added", "whole", "left_out"]
    label: str
    variant: Sequence[str]
    evaluation_set: str
    language: str
    examples: int
    audio_s: float
    draws: int
    seeds: int
    wer: Interval
    change: Interval | None

    @property
    def title(self) -> str:
        """What people call the step."""
        if self.step in ("untrained", "whole"):
            return UNTRAINED if self.step == "untrained" else WHOLE
        return added(self.label) if self.step == "added" else without(self.label)


def added(label: str) -> str:
    return f"+ {label}"


def without(label: str) -> str:
    return f"without {label}"


def added_rows(results: Results, groups: Groups, samples: int) -> list[Row]:
    """The untrained base, then the groups one after another; by step, then evaluation set.

    What is not measured is left out; what follows it is compared with what was measured before.
    """
    labels = [label for label, _ in groups]
    steps = [frozenset(labels[:length]) for length in range(len(labels) + 1)]
    rows: list[tuple[int, Row]] = []
    for of_set in _by_set(results, groups):
        before: frozenset[str] | None = None
        table = of_set.shown(steps)
        for place, step in enumerate(steps):
            if step not in table.cells:
                continue
            kind: Any = "added" if step else "untrained"
            label = labels[place - 1] if step else ""
            rows.append((place, table.row(step, before, kind, label, samples)))
            before = step
    return _in_order(rows)


def left_out_rows(results: Results, groups: Groups, samples: int) -> list[Row]:
    """The whole, then without each group; by step, then evaluation set.

    Empty until the whole is measured and something without a group.
    """
    labels = [label for label, _ in groups]
    whole = frozenset(labels)
    rows: list[tuple[int, Row]] = []
    for of_set in _by_set(results, groups):
        parts = [
            (place, label)
            for place, label in enumerate(labels, 1)
            if len(labels) > 1 and whole - {label} in of_set.cells
        ]
        if whole not in of_set.cells or not parts:
            continue
        table = of_set.shown([whole, *(whole - {label} for _, label in parts)])
        rows.append((0, table.row(whole, None, "whole", "", samples)))
        for place, label in parts:
            found = table.row(whole - {label}, whole, "left_out", label, samples)
            rows.append((place, found))
    return _in_order(rows)


def _in_order(rows: Iterable[tuple[int, Row]]) -> list[Row]:
    """By step; the sort keeps what is of one step in its order."""
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


# -- one evaluation set ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _OneSet:
    """Results of one evaluation set: of every variant, by the labels of its groups, by seed.

    seeds: those that all trained variants in it have.
    """

    cells: Mapping[frozenset[str], Mapping[int, Mapping[str, Any]]]

    @property
    def seeds(self) -> list[int]:
        trained = [set(by_seed) for labels, by_seed in self.cells.items() if labels]
        return sorted(set.intersection(*trained)) if trained else [0]

    def shown(self, steps: Iterable[frozenset[str]]) -> _OneSet:
        """The part that one table shows: seeds of what it does not show are not asked for."""
        return _OneSet({step: self.cells[step] for step in steps if step in self.cells})

    def row(
        self,
        labels: frozenset[str],
        before: frozenset[str] | None,
        step: Literal["untrained", "added", "whole", "left_out"],
        label: str,
        samples: int,
    ) -> Row:
        errors, words = self._counts(labels)
        draws = Draws(len(errors), len(words), samples, np.random.default_rng(SEED))
        change = None
        if before is not None:
            others, same = self._counts(before)
            if np.array_equal(words, same):
                change = interval(_rates(draws, errors - others, words))
        any_seed = next(iter(self.cells[labels].values()))
        return Row(
            step,
            label,
            any_seed["variant"],
            any_seed["evaluation_set"],
            any_seed["language"],
            any_seed["examples"],
            any_seed["audio_s"],
            any_seed["draws"],
            len(self.seeds) if labels else 1,
            rate(_rates(draws, errors, words)),
            change,
        )

    def _counts(self, labels: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
        """Errors (seeds, N) and words (N,) of the test utterances, float64."""
        by_seed = self.cells[labels]
        base = next(iter(by_seed.values()))
        pairs = np.array(
            [by_seed.get(seed, base)["utterance_errors"] for seed in self.seeds], dtype=float
        ).reshape(len(self.seeds), -1, 2)
        return pairs[:, :, 0], pairs[0, :, 1]


def _rates(draws: Draws, errors: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Mean rates of errors (seeds, N) over words (N,): (samples + 1,), the sample itself first."""
    return draws.of_rates(errors[:, None, :], np.broadcast_to(words, errors.shape)[:, None, :])[
        :, 0
    ]


def _by_set(results: Results, groups: Groups) -> list[_OneSet]:
    """Every evaluation set, by name."""
    found: dict[str, dict[frozenset[str], dict[int, Mapping[str, Any]]]] = {}
    for row in results:
        sources = set(row["variant"])
        labels = frozenset(label for label, names in groups if sources.intersection(names))
        cells = found.setdefault(row["evaluation_set"], {})
        cells.setdefault(labels, {})[row["seed"]] = row
    return [_OneSet(cells) for _, cells in sorted(found.items())]


# -- lines of text ---------------------------------------------------------------------------------


def report(results: Results, groups: Groups, samples: int, left_out: bool = True) -> list[str]:
    """Both tables, and what their intervals cover; ready for a terminal.

    left_out: whether the second one is wanted. Where they have unlike many seeds, each says so.
    """
    steps = added_rows(results, groups, samples)
    parts = left_out_rows(results, groups, samples)
    found = ["WER % as sources are added:", *aligned(wer_table(steps)), ""]
    found += ["Its change to the row before, in points:", *aligned(change_table(steps)), ""]
    of_steps, of_parts = (max((row.seeds for row in rows), default=1) for rows in (steps, parts))
    if parts and left_out:
        if of_parts != of_steps:
            found += [covered(of_steps), ""]
        found += [f"WER % with {WHOLE}, and without each:", *aligned(wer_table(parts)), ""]
        found += [f"Its change to {WHOLE}, in points:", *aligned(change_table(parts)), ""]
        return [*found, covered(of_parts)]
    return [*found, covered(of_steps)]


def wer_table(rows: Sequence[Row]) -> Table:
    """One line a step, with what it was trained on; one column an evaluation set."""
    about = ["step", "examples", "hours", "draws", "of each"]

    def begin(row: Row) -> list[str]:
        each = f"{row.draws / row.examples:.1f}" if row.examples else "–"
        return [row.title, f"{row.examples:,}", f"{row.audio_s / 3600:.2f}", f"{row.draws:,}", each]

    return _table(rows, about, begin, lambda row: text(row.wer, 100))


def change_table(rows: Sequence[Row]) -> Table:
    """The same of changes, where there are any."""
    changed = [row for row in rows if row.change is not None]
    return _table(changed, ["step"], lambda row: [row.title], _change)


def _change(row: Row) -> str:
    return "–" if row.change is None else text(row.change, 100)


def _table(
    rows: Sequence[Row],
    about: Sequence[str],
    begin: Callable[[Row], list[str]],
    cell: Callable[[Row], str],
) -> Table:
    sets = {row.evaluation_set: row.language for row in rows}
    columns = [*about, *(f"{name} ({language})" for name, language in sorted(sets.items()))]
    lines: dict[str, list[str]] = {}
    cells = {(row.title, row.evaluation_set): cell(row) for row in rows}
    for row in rows:
        lines.setdefault(row.title, begin(row))
    return columns, [
        [*line, *(cells.get((title, name), "–") for name in sorted(sets))]
        for title, line in lines.items()
    ]


def covered(seeds: int) -> str:
    """What intervals cover, in a sentence."""
    if seeds == 1:
        return (
            "95% intervals cover the choice of test clips only, not a training's luck: more --seeds"
            " tell of that"
        )
    return (
        f"means over {seeds} seeds; 95% intervals cover the choice of test clips, resampled, and "
        f"how the seeds differ, on a t scale ({seeds - 1} degrees of freedom)"
    )
