"""What the loop asks its annotators and hears from them, through the ports alone.

Everything here may be killed at any instant and repeated: what is planned is committed before it is
pushed, each chunk and page when it is done. Knows no stage, no Label Studio and no SQL; what
answers are worth is the judge's to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from al_loop.config import Settings
from al_loop.errors import AlLoopError, OracleRefused
from al_loop.listening import Listening
from al_loop.ports import Judge, Oracle, Store
from al_loop.records import (
    EVALUATION_PROJECT,
    EVALUATION_ROUND,
    MAIN_PROJECT,
    Choice,
    Place,
    PlannedTask,
    Round,
    Selection,
    Task,
    TaskKey,
)
from al_loop.showing import Showing

if TYPE_CHECKING:
    import numpy as np

LOG = logging.getLogger("al_loop")
SWEEP_EVERY = timedelta(hours=1)
OF_A_ROUND = "round "
"""Before the number, in the name of a round's own project."""


def project_name(key: TaskKey, projects: str) -> str:
    """The name of the project that a task belongs to. projects: as the setting says."""
    if key.round == EVALUATION_ROUND:
        return EVALUATION_PROJECT
    return MAIN_PROJECT if projects == "one" else f"{OF_A_ROUND}{key.round}"


class Asking:
    """`say` takes lines about progress. Whatever talks to the oracle raises what it raises."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        listening: Listening,
        oracle: Callable[[], Oracle],
        judge: Judge,
        say: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.store = store
        self.oracle = oracle
        self.judge = judge
        self.say = say
        self.showing = Showing(store, listening, settings.label_studio.doubt_below > 0)
        self._found: dict[str, Place] = {}

    # -- planning ----------------------------------------------------------------------------------

    def plan(
        self, current: Round, choices: Sequence[Choice], rng: np.random.Generator
    ) -> list[PlannedTask]:
        """The tasks of a batch that was chosen, with gold tasks and blind repeats among them.

        Nothing is kept but what is heard for it.
        """
        from al_loop.asking_plan import draw, how_many, interleaved

        rule, size = self.settings.labels, len(choices)
        gold = repeats = 0
        if rule.gold_share:
            gold = how_many(rule.gold_share, size, rng)
        if rule.repeat_share:
            repeats = how_many(rule.repeat_share, size, rng)
        known = self.store.known_answers(self.settings.model.language) if gold else []
        drafts = self.showing.wrong_drafts(current.checkpoint_id, draw(known, gold, rng), rng)
        again = dict(draw(self.store.repeatable() if repeats else [], repeats, rng))
        chosen = [row.utterance_id for row in sorted(choices, key=lambda row: row.rank)]
        copies = self.store.next_copies([*chosen, *drafts, *again], current.number)

        def key(name: str) -> TaskKey:
            return TaskKey(name, current.number, copies[name])

        others = [
            *(
                PlannedTask(key(name), "gold", 0, "its answer is known", text)
                for name, text in drafts.items()
            ),
            *(
                PlannedTask(key(name), "repeat", 0, "to see whether the answer is the same", text)
                for name, text in again.items()
            ),
        ]
        return interleaved([PlannedTask(key(name), "query", 0) for name in chosen], others, rng)

    def follow_ups(self) -> int:
        """Plan what the judge wants asked again; returns how many tasks that makes.

        What was asked for the same reason and waits for an answer, or was closed, is passed over,
        and so is what became part of an evaluation set or of the training data. Of a set that is
        being drawn nothing is ever shown, so that nobody is led to an answer.
        """
        last, drawn = self.store.last_round(), self.store.being_drawn()
        cases = {case.utterance.id: case for case in self.store.cases()}
        asked = self.store.unanswered_reasons()
        wanted: dict[int, list[PlannedTask]] = {}  # by round
        for row in self.judge.follow_ups(list(cases.values())):
            blank = row.utterance_id in drawn
            in_pool = cases[row.utterance_id].utterance.split == "pool" and last is not None
            if not (blank or in_pool) or (row.utterance_id, row.kind, row.reason) in asked:
                continue
            asked.add((row.utterance_id, row.kind, row.reason))
            number = EVALUATION_ROUND if blank or last is None else last.number
            text = "" if blank else row.hypothesis
            key = TaskKey(row.utterance_id, number, 0)
            wanted.setdefault(number, []).append(PlannedTask(key, row.kind, 0, row.reason, text))
        planned = [row for number, rows in wanted.items() for row in self._behind(number, rows)]
        self.store.plan_follow_ups(planned)
        return len(planned)

    def _behind(self, number: int, planned: Sequence[PlannedTask]) -> list[PlannedTask]:
        """These tasks as further ones of their utterances, behind all others of the round."""
        copies = self.store.next_copies([row.key.utterance_id for row in planned], number)
        rank = self.store.next_rank(number)
        found = []
        for place, row in enumerate(planned):
            name = row.key.utterance_id
            found.append(replace(row, key=TaskKey(name, number, copies[name]), rank=rank + place))
            copies[name] += 1
        return found

    def top_up(self, current: Round, choose: Callable[[], Selection]) -> None:
        """Have annotators asked enough to be busy while the model trains, once a round.

        choose: what else the round would ask about. No failure here keeps the model from training,
        whatever it is: what happened is said and logged.
        """
        try:
            self._choose_more(current, choose)
            self.push_missing()
        except Exception as exc:
            LOG.exception("the top-up of round %d failed", current.number)
            message = str(exc) if isinstance(exc, AlLoopError) else repr(exc)
            self.say(f"  annotators may run out of tasks: {message}")

    def _choose_more(self, current: Round, choose: Callable[[], Selection]) -> None:
        number, store = current.number, self.store
        missing = self.settings.label_studio.low_water - store.open_tasks()
        if missing <= 0 or store.is_topped_up(number):
            return
        if not store.arms(number) or not store.has_pool():
            return
        selection = choose()
        choices = sorted(selection.choices, key=lambda row: row.rank)[:missing]
        if not choices:
            return
        planned = [PlannedTask(TaskKey(row.utterance_id, number, 0), "query", 0) for row in choices]
        with store.transaction():
            store.top_up(number, replace(selection, choices=choices))
            store.add_tasks(self._behind(number, planned))
        self.say(f"  {len(choices)} more tasks, so that annotators need not wait for the model")

    # -- the oracle --------------------------------------------------------------------------------

    def push_missing(self) -> int:
        """Push what Label Studio is not known to hold; returns how many tasks that were.

        Each shows what the open round's checkpoint heard, unless it was planned with a text.
        """
        self.showing.show_missing()
        for name in self._names(self.store.unpushed()):
            self._place(name)  # where it is another one than before, more is missing
        tasks, pushed = self.store.unpushed(), set[TaskKey]()
        for name in self._names(tasks):
            place = self._place(name)
            wanted = [row for row in tasks if self._name(row) == name]
            for task_ids in self.oracle().push(place, wanted):
                self.store.mark_pushed(place, task_ids)
                pushed |= task_ids.keys()
        return len(pushed)

    def pull(self, thorough: bool = False) -> int:
        """Take what annotators did since the last pull; returns how many answers changed.

        At most hourly it also looks for tasks that are gone. A project of a round that is not the
        newest is read as rarely, and so is any other in which nothing waits for an answer, unless
        it was found last. thorough: all of it, whatever the clock says. Raises what the oracle
        raised; a project that it refuses keeps no other from being read.
        """
        changed, refused = 0, list[OracleRefused]()
        places = self.store.places()
        often = self._read_often(places)
        for name, known in places.items():
            due = thorough or self._is_due(known)
            if not (due or name in often):
                continue
            try:
                changed += self._pull(name, known, due)
            except OracleRefused as exc:
                refused.append(exc)
        if refused:
            raise refused[0]
        return changed

    def _read_often(self, places: Mapping[str, Place]) -> set[str]:
        """The projects that are read whatever the clock says."""
        rounds = [name for name in places if name.startswith(OF_A_ROUND)]
        newest = max(rounds, key=lambda name: int(name.removeprefix(OF_A_ROUND)), default=None)
        last = next(reversed(list(places)), None)
        others = places.keys() - rounds
        found = {name for name in others if name == last or self.store.is_busy(places[name])}
        return found if newest is None else found | {newest}

    def _pull(self, name: str, known: Place, due: bool) -> int:
        """Read one project. due: look also for tasks that are gone."""
        place = self._place(name) if self.store.is_busy(known) else self._find(name)
        if place is None:
            return 0  # it was deleted, and nothing in it waits for an answer
        changed = 0
        for page in self.oracle().pull(place, self.store.high_water(place)):
            changed += self.store.take(place, page)
        if due or self._is_due(place):
            self._sweep(place)
        return changed

    def _is_due(self, place: Place) -> bool:
        swept_at = self.store.swept_at(place)
        return swept_at is None or _now() >= datetime.fromisoformat(swept_at) + SWEEP_EVERY

    def _sweep(self, place: Place) -> None:
        again = self.settings.label_studio.deleted_tasks == "push_again"
        lost = self.store.sweep(place, self.oracle().task_ids(place), again)
        if lost:
            fate = "they are pushed again" if again else "they are closed"
            self.say(f"  {lost} unanswered tasks were deleted in Label Studio; {fate}")

    def refresh(self) -> int:
        """Have unanswered tasks show what the checkpoint in use hears; returns how many do.

        Tried once for each checkpoint: what somebody has begun to correct then stays as it is.
        """
        in_use = self.store.current_checkpoint_id()
        if in_use is None:
            return 0
        refreshed = 0
        for name, known in self.store.places().items():
            if name == EVALUATION_PROJECT or self.store.refreshed_for(known) == in_use:
                continue
            place = self._place(name) if self.store.outdated(known, in_use) else known
            if tasks := self.store.outdated(place, in_use):
                fresh = self.showing.anew(in_use, tasks)
                by_key = {task.key: task for task in fresh.values()}
                for keys in self.oracle().refresh(place, fresh):
                    self.store.mark_shown(by_key[key] for key in keys)
                    refreshed += len(keys)
            self.store.set_refreshed_for(place, in_use)
        if refreshed:
            self.say(f"  {refreshed} unanswered tasks show what the checkpoint in use hears")
        return refreshed

    def sync(self, thorough: bool = True) -> str:
        """Everything that can be done with Label Studio; says what it came to.

        thorough: as in `pull`; without it, what nothing has changed of is not looked at.
        """
        pushed = self.push_missing()
        changed = self.pull(thorough)
        asked_again = self.follow_ups() if thorough or self.store.follow_ups_due() else 0
        pushed += self.push_missing()
        refreshed = self.refresh()
        return (
            f"{changed} answers came or changed, {pushed} tasks were pushed, {asked_again} of them "
            f"to ask again, {refreshed} show a newer hypothesis"
        )

    def _place(self, name: str) -> Place:
        if name not in self._found:
            self._found[name] = self.oracle().place(name)
            self.store.put_place(name, self._found[name])
        return self._found[name]

    def _find(self, name: str) -> Place | None:
        """As `_place`, but nothing is made."""
        if name not in self._found:
            found = self.oracle().find(name)
            if found is None:
                return None
            self._found[name] = found
            self.store.put_place(name, found)
        return self._found[name]

    def _name(self, task: Task) -> str:
        return project_name(task.key, self.settings.label_studio.projects)

    def _names(self, tasks: Iterable[Task]) -> list[str]:
        return list(dict.fromkeys(map(self._name, tasks)))


def _now() -> datetime:
    return datetime.now(UTC)
