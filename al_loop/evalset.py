"""An evaluation set of the pool's own audio: what is drawn for it, and what of it is fit to freeze.

A recogniser is measured too well on speakers and recordings that it has learned from, so a set
takes whole groups out of the pool: what is not drawn of them is reserved with it. And it is drawn
at random before anything is chosen, for what was left over after choosing is easier than the rest.
Pure but for the store that is handed in; knows no Label Studio.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from al_loop.errors import WorkspaceError
from al_loop.groups import By, group_of, joined
from al_loop.leakage import Sentences
from al_loop.records import (
    EVALUATION_ROUND,
    RESERVED,
    Case,
    Label,
    PlannedTask,
    TaskKey,
    TaskKind,
    content_hash,
)
from al_loop.text import normalise

MOST_SHARE = 0.5
"""Of the pool's seconds, above which a set would cost more audio than it is worth. Ours."""
FEWEST_GROUPS = 10
"""No group gives more than this part of a set, so that it is of several voices. Ours."""
FIT = ("agreed", "adjudicated", "voted")
KINDS: tuple[TaskKind, ...] = ("evaluation", "repeat", "adjudication")


class Candidate(NamedTuple):
    """A clip that a set may be drawn of, or that shares a group with such a clip.

    use: `free`, in the pool, and nobody has asked about it; `asked`, in the pool, chosen or
    labelled; `beside`, in the pool in another language than the set's; `learned`, in the training
    or validation data.
    """

    id: str
    duration_s: float
    speaker: str | None
    origin: str
    use: str


class Drawing(Protocol):
    """What is asked of the store."""

    def drawable(self, language: str) -> list[tuple[str, float, str | None, str, str]]: ...
    def check_free(self, name: str) -> None: ...
    def put_draw(
        self,
        name: str,
        groups: Mapping[str, str],
        reserved: Collection[str],
        planned: Iterable[PlannedTask],
        by: By,
        language: str,
    ) -> None: ...
    def draws(self) -> dict[str, str | None]: ...
    def drawn(self, name: str) -> dict[str, float]: ...
    def waiting(self, name: str) -> int: ...
    def cases(
        self, kinds: Collection[TaskKind], utterance_ids: Iterable[str] | None
    ) -> list[Case]: ...
    def learned_texts(self) -> list[tuple[str, str, str]]: ...
    def put_labels(self, labels: Iterable[Label]) -> None: ...
    def freeze(self, name: str, language: str, texts: Mapping[str, str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a set takes out of the pool. groups: by drawn utterance, in the order in which they are
    asked about, what it is grouped by. reserved: the rest of these groups."""

    groups: Mapping[str, str]
    reserved: Sequence[str]
    drawn_s: float
    reserved_s: float


@dataclass(frozen=True, slots=True)
class Sorted:
    """A set by what its answers settle on. texts: of what is fit to measure on, by utterance.
    left_out: of the others, why. labels: of all that are settled."""

    texts: Mapping[str, str]
    left_out: Mapping[str, str]
    labels: Sequence[Label]


def draw(
    rows: Sequence[tuple[str, float, str | None, str, str]], wanted_s: float, seed: int, by: By
) -> Drawn:
    """A random set of `wanted_s` seconds, by whole groups.

    rows: as the store's `drawable` gives them. Groups come in a random order, clips of a group too;
    one gives a tenth of the seconds at most, unless that leaves too few. Parts of one recording
    are one group where the speaker of some is unknown. What the training or validation data holds
    of a group makes it unfit. Raises WorkspaceError where there is too little, where the groups
    would take too much of the pool with them, or where something of a group was chosen already.
    """
    rng = np.random.default_rng([seed, int(content_hash("evaluation set")[:8], 16)])
    groups: dict[str, list[Candidate]] = {}
    together = joined(((row[2], row[3], row[0]) for row in rows), by)
    for row in map(Candidate._make, rows):
        group = together[group_of(row.speaker, row.origin, row.id, by)]
        groups.setdefault(group, []).append(row)
    asked_of = {name for name, held in groups.items() if {"free", "asked"} & {r.use for r in held}}
    learned = {name for name in asked_of if any(row.use == "learned" for row in groups[name])}
    pool_s = sum(row.duration_s for held in groups.values() for row in held if row.use != "learned")
    names = sorted(asked_of - learned)
    order = [names[place] for place in rng.permutation(len(names))]
    found: dict[str, str] = {}
    taken: list[str] = []
    drawn_s = 0.0
    for name in order:
        if drawn_s >= wanted_s:
            break
        taken.append(name)
        left_s = min(wanted_s / FEWEST_GROUPS, wanted_s - drawn_s)
        clips = [row for row in groups[name] if row.use != "beside"]
        for place in rng.permutation(len(clips)):
            if left_s <= 0:
                break
            row = clips[place]
            found[row.id] = group_of(row.speaker, row.origin, row.id, by)
            left_s -= row.duration_s
            drawn_s += row.duration_s
    if drawn_s < wanted_s:
        besides = f" beside {len(learned)} that models learn from" if learned else ""
        raise WorkspaceError(
            f"the pool has {len(names)} groups by {by}{besides}, which give {drawn_s / 60:.1f} min "
            f"when none gives more than a tenth of the set; expected {wanted_s / 60:.1f} min: ask "
            "for less, or group by something smaller with --by"
        )
    held = [row for name in taken for row in groups[name]]
    held_s = sum(row.duration_s for row in held)
    if held_s > MOST_SHARE * pool_s:
        raise WorkspaceError(
            f"these {len(taken)} groups by {by} are {held_s / 60:.1f} of the pool's "
            f"{pool_s / 60:.1f} min, and nothing of them could be learned from; ask for less, or "
            "group by something smaller with --by"
        )
    if chosen := sum(row.use == "asked" for row in held):
        raise WorkspaceError(
            f"{chosen} clips of the groups that were drawn are chosen or labelled already, so a "
            "set would hold voices that models learn from; a set is drawn before the first batch: "
            "do it in a fresh workspace, or ingest a test split"
        )
    asked = list(found)
    shuffled = [asked[place] for place in rng.permutation(len(asked))]
    return Drawn(
        {name: found[name] for name in shuffled},
        [row.id for row in held if row.id not in found],
        drawn_s,
        held_s - drawn_s,
    )


def draw_set(store: Drawing, name: str, wanted_s: float, language: str, seed: int, by: By) -> Drawn:
    """Draw a set and have it asked about, in empty boxes. Raises as `draw` does."""
    store.check_free(name)
    found = draw(store.drawable(language), wanted_s, seed, by)
    planned = [
        PlannedTask(TaskKey(id_, EVALUATION_ROUND, 0), "evaluation", rank, f"of the set {name}", "")
        for rank, id_ in enumerate(found.groups)
    ]
    store.put_draw(name, found.groups, found.reserved, planned, by, language)
    return found


def sort_out(
    store: Drawing,
    name: str,
    settle: Callable[[Case], Label | None],
    backers: Callable[[Case, Label], int],
    language: str,
) -> Sorted:
    """What is fit to measure on, and why the rest is not. Raises WorkspaceError for no such set.

    backers: how many annotators say what a label says.
    """
    drawn = store.drawn(name)
    if not drawn:
        known = ", ".join(store.draws()) or "none; `al-loop evalset draw` makes one"
        raise WorkspaceError(f"no set {name!r} was drawn; known here: {known}")
    settled = [(case, settle(case)) for case in store.cases(KINDS, drawn)]
    texts_asked = {normalise(label.text, language) for _, label in settled if label and label.text}
    asked = Sentences((language, said, said) for said in texts_asked)
    learned = {
        said
        for told, text, _ in store.learned_texts()
        if told == language
        for said in asked.find(language, normalise(text, language))
    }
    texts: dict[str, str] = {}
    labels = []
    left_out = dict.fromkeys(drawn, "not answered")
    for case, label in settled:
        id_ = case.utterance.id
        if label is None:
            left_out[id_] = "no answer counts"
            continue
        labels.append(label)
        said = normalise(label.text or "", language)
        if label.settled == "single":
            left_out[id_] = "answered by one annotator only"
        elif label.settled not in FIT:
            apart = len({row.text for row in case.annotations}) > 1
            left_out[id_] = "annotators disagree" if apart else "what they agree on is not believed"
        elif case.utterance.split != RESERVED:
            left_out[id_] = f"it is in the {case.utterance.split} split by now"
        elif label.text is None:
            left_out[id_] = str(label.verdict).replace("_", " ")
        elif not said:
            left_out[id_] = "its text holds no word"
        elif backers(case, label) < 2:
            left_out[id_] = "no two annotators agree on its text"
        elif said in learned:
            left_out[id_] = "a recogniser has learned the same text"
        else:
            del left_out[id_]
            texts[id_] = label.text
    return Sorted(texts, left_out, labels)


def freeze_set(
    store: Drawing,
    name: str,
    settle: Callable[[Case], Label | None],
    backers: Callable[[Case, Label], int],
    language: str,
    as_it_is: bool = False,
) -> Sorted:
    """Make what is fit an evaluation set, which never changes again.

    as_it_is: without what still waits for answers. Raises WorkspaceError where it is frozen
    already, where answers are awaited, or nothing of it is fit.
    """
    found = sort_out(store, name, settle, backers, language)
    if frozen_at := store.draws()[name]:
        raise WorkspaceError(f"{name!r} is frozen since {frozen_at}, and stays as it is")
    if not as_it_is and (waiting := store.waiting(name)):
        raise WorkspaceError(
            f"{waiting} tasks of {name!r} wait for answers, which could not join it later; label "
            "them first, or leave them out with --as-it-is"
        )
    if not found.texts:
        why = "; ".join(reasons(found))
        raise WorkspaceError(f"nothing of {name!r} is fit to measure on: {why}")
    store.put_labels(found.labels)
    store.freeze(name, language, found.texts)
    return found


def reasons(found: Sorted) -> list[str]:
    """Why so many clips are left out, the most frequent reason first."""
    counted = Counter(found.left_out.values())
    return [f"{number} {why}" for why, number in sorted(counted.items(), key=_most_frequent)]


def set_lines(
    name: str, frozen_at: str | None, seconds: Mapping[str, float], found: Sorted
) -> list[str]:
    """How a set stands. seconds: of all that was drawn, by utterance."""
    fit_s = sum(seconds[id_] for id_ in found.texts)
    lines = [
        f"{name}: {len(seconds)} clips ({sum(seconds.values()) / 60:.1f} min) drawn, "
        + (f"frozen since {frozen_at[:10]}" if frozen_at else "being labelled"),
    ]
    if not frozen_at:
        lines.append(f"  {len(found.texts)} ({fit_s / 60:.1f} min) fit to be frozen")
        lines += [f"  {why}" for why in reasons(found)]
    return lines


def _most_frequent(counted: tuple[str, int]) -> Any:
    why, number = counted
    return -number, why
