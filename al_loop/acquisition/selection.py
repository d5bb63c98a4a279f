"""The select stage: from a scored pool and all answers so far to a query batch, and its reasons.

Gates, a cheap ranking of the whole pool, a short list, further decodes of it where the acquisition
function needs them, and a greedy choice for the budget, between a random control arm and a few
clips that a gate held back. Pure but for `doubt`, which decodes again and follows from its seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from al_loop.acquisition import predictor, ranking
from al_loop.acquisition.batch import (
    Shortlist,
    acquire,
    control_arm,
    explored_arm,
    in_turns,
    interleave,
)
from al_loop.acquisition.budget import Purse
from al_loop.acquisition.facts import Outcome, check_fits, facts
from al_loop.acquisition.forecast import forecast
from al_loop.acquisition.gates import (
    DUPLICATE,
    HYPOTHESIS_RULES,
    PROFILE_RULES,
    held_back,
    limits,
)
from al_loop.acquisition.lists import short_lists
from al_loop.acquisition.neighbourhood import Neighbourhood
from al_loop.acquisition.space import Space
from al_loop.acquisition.turns import profiled, scored
from al_loop.config import GateSettings, SelectSettings
from al_loop.records import Answer, Arm, Choice, ScoredPool, Selection

CAUTION = 2.0
"""How much the chance of junk counts: a clip that half of those around it were unusable is worth a
quarter. Junk takes time, teaches nothing, and costs the annotators' trust. Ours."""
REMAINDER = 0.05
"""Of the budget, below which no further short list is decoded again to fill it. Ours."""


def needs_scores(settings: SelectSettings, gates: GateSettings) -> bool:
    """Whether `select` looks at any statistic or embedding at all."""
    return gates.enabled or settings.acquisition != "random" or settings.diversity != "none"


def select(
    pool: ScoredPool,
    answers: Sequence[Answer],
    known: np.ndarray,
    released: Collection[str],
    settings: SelectSettings,
    gates: GateSettings,
    trusted: bool,
    doubt: ranking.Decoder,
    language: str,
    rng: np.random.Generator,
    number: int | None = None,
    in_parts: bool = False,
) -> Selection:
    """The query batch, what the gates held back, and the facts. Independent of the input's order.

    known: (K, D) embeddings of what is labelled or asked about. released: ids that no gate holds
    back. trusted: whether the checkpoint's doubts say anything. number: the round's; by default
    the one after the newest answer's. in_parts: whether a budget left clips without a profile or a
    hypothesis, which then wait for a later round: they are neither ranked nor held back.

    The control arm of a pool that is scored in parts is drawn from every clip with a profile that
    no gate holds back, heard or not: half of what was heard is heard for what it promised, while
    clips get their profiles in a random order. A clip without a profile cannot be gated, and is not
    drawn. What was not heard has passed no gate on hypotheses either, so the arm may hold some junk
    that these would have kept from it.

    The batch is empty, or of the explored arm alone, when the gates hold back all that is left, or
    no clip has a score; the facts' "reason" says so. `al_loop.acquisition.facts` has the others.

    Raises AlLoopError when no clip that may be chosen fits into the budget.
    """
    pool, answers = _sorted(pool), sorted(answers, key=lambda row: row.utterance_id)
    if not len(pool.ids):
        reason = "the pool is empty: ingest more audio"
        return Selection([], [], {"pool": 0, "trusted": trusted, "reason": reason})
    work = _Work(pool, answers, known, released, settings, gates, trusted, rng, number, in_parts)
    return work.run(doubt, language)


def _sorted(pool: ScoredPool) -> ScoredPool:
    if np.all(pool.ids[:-1] <= pool.ids[1:]):
        return pool
    order = np.argsort(pool.ids)
    return replace(
        pool,
        ids=pool.ids[order],
        duration_s=pool.duration_s[order],
        source=pool.source[order],
        speaker=pool.speaker[order],
        embedding_rows=pool.embedding_rows[order],
        statistics={name: values[order] for name, values in pool.statistics.items()},
    )


class _Work:
    """One select stage. Rows are rows of the sorted pool."""

    def __init__(
        self,
        pool: ScoredPool,
        answers: Sequence[Answer],
        known: np.ndarray,
        released: Collection[str],
        settings: SelectSettings,
        gates: GateSettings,
        trusted: bool,
        rng: np.random.Generator,
        number: int | None,
        in_parts: bool,
    ) -> None:
        # a stream each: what one part draws does not depend on the others
        self.rng = dict(
            zip(("fit", "centre", "rank", "control", "explore"), rng.spawn(5), strict=True)
        )
        self.pool, self.settings, self.gates, self.trusted = pool, settings, gates, trusted
        self.limits = limits(gates, answers)
        self.predictor = predictor.fit(answers, settings.fallback, self.rng["fit"], number)
        self.ranking = ranking.choose(settings, trusted, self.predictor)
        rules = (*PROFILE_RULES, *HYPOTHESIS_RULES) if trusted else PROFILE_RULES
        self.held = held_back(pool, self.limits, released, rules) if gates.enabled else []
        held_ids = np.array([row.utterance_id for row in self.held], dtype="S64")
        self.held_rows = np.searchsorted(pool.ids, held_ids)
        passed = np.ones(len(pool.ids), bool)
        passed[self.held_rows] = False
        ready = scored(pool, trusted) if in_parts else passed
        self.waiting = int((passed & ~ready).sum())
        self.passed = np.flatnonzero(passed & ready)
        # what the control arm is drawn from
        self.gateable = np.flatnonzero(passed & profiled(pool)) if in_parts else self.passed
        space = Space(pool, self.gateable, known, self.rng["centre"])
        bounds = self.limits if gates.enabled else None
        self.around = Neighbourhood(pool, space, known, answers, released, bounds)
        self.forecast = forecast(pool, answers, self.predictor, settings)
        self.costs, self.budget = self.forecast.costs, self.forecast.budget
        # not worth decoding another short list for
        self.remainder = REMAINDER * self.budget if self.ranking.decodes else 0.0
        name = self.ranking.first
        self.first = ranking.cheap_scores(name, pool, self.predictor, self.rng["rank"])
        self.scores = np.full(len(pool.ids), np.nan) if self.ranking.decodes else self.first.copy()
        self.compared, self.decoded = np.zeros((2, len(pool.ids)), bool)
        self.beyond_quota = 0

    def run(self, doubt: ranking.Decoder, language: str) -> Selection:
        settings = self.settings
        order = self.around.let_through(self.rng["control"].permutation(self.gateable))
        control = control_arm(
            order, self.costs, self.budget, settings.control_share, self.rng["control"]
        )
        purse = Purse(self.budget, settings.max_speaker_share, settings.max_source_share)
        self._spend(purse, control)
        explored = self._explore(purse)
        self._spend(purse, explored)
        acquired = self._acquire(purse, control, doubt, language)
        arms: dict[int, Arm] = dict.fromkeys(acquired, "acquired")
        arms |= dict.fromkeys(control, "control")
        arms |= dict.fromkeys(explored, "explored")
        outcome = self._outcome(arms)
        check_fits(outcome)
        spread = [*control, *explored]
        spread = [spread[place] for place in self.rng["explore"].permutation(len(spread))]
        ranked = interleave(acquired, spread, self.rng["control"])
        ids, scores = self.pool.ids, np.nan_to_num(self.scores)
        choices = [
            Choice(ids[row].decode(), rank, float(scores[row]), arms[row])
            for rank, row in enumerate(ranked)
        ]
        return Selection(choices, outcome.gated, facts(outcome))

    def _outcome(self, arms: dict[int, Arm]) -> Outcome:
        near = self.around.gated
        free = self.passed[~np.isin(self.passed, list(near))]
        return Outcome(
            self.pool,
            self.settings,
            self.trusted,
            self.ranking,
            self.predictor,
            self.limits,
            self.forecast,
            arms,
            [*self.held, *(near[row] for row in sorted(near))],
            self.passed,
            free,
            self.first,
            self.scores,
            self.compared,
            self.decoded,
            self.beyond_quota,
            self.waiting,
            int(self.around.is_released(np.arange(len(self.pool.ids))).sum()),
        )

    def _spend(self, purse: Purse, rows: Sequence[int]) -> None:
        for row in rows:
            purse.spend(self.costs[row], self.pool.speaker[row], self.pool.source[row])

    def _explore(self, purse: Purse) -> list[int]:
        """Clips that a gate holds back: a gate at random, then a clip of it, or the gate that holds
        back the most would be the only one to learn.

        A duplicate's answer could not show that its gate is wrong; what is only like rejected
        clips is drawn from those that the control arm met.
        """
        held: dict[str, list[int]] = defaultdict(list)
        for row, gated in zip(self.held_rows.tolist(), self.held, strict=True):
            held[gated.gate].append(row)
        for row, gated in sorted(self.around.gated.items()):
            if gated.gate != DUPLICATE:
                held[gated.gate].append(row)
        rng = self.rng["explore"]
        order = in_turns([held[gate] for gate in sorted(held)], rng)
        share = self.settings.explore_share * self.budget
        return explored_arm(order, self.costs, share, purse.left, rng)

    def _acquire(
        self, purse: Purse, control: Sequence[int], doubt: ranking.Decoder, language: str
    ) -> list[int]:
        """The best of one short list after another. Quotas bind as long as there are others; then
        what they refused fills the budget, or a pool of one speaker would make half a batch."""
        chosen: list[int] = []
        refused: list[int] = []
        cheapest = float(self.costs[self.passed].min(initial=np.inf))

        def room() -> bool:
            purse.reserved = 0.0
            return purse.holds(max(cheapest, self.remainder if chosen else 0.0))

        def take(rows: np.ndarray, quotas: bool) -> int:
            short, rows = self._short(rows, [*control, *chosen], doubt, language)
            found = acquire(short, self.settings.diversity, purse, self._too_close(rows), quotas)
            chosen.extend(rows[found.chosen].tolist())
            refused.extend(rows[found.refused].tolist())
            for row, cosine in found.duplicates.items():
                self.around.hold(int(rows[row]), DUPLICATE, cosine)
            return len(found.chosen)

        for rows, part in self._lists(purse, control):
            if not room():
                break
            allowed = purse.open_to(
                self.costs[rows], self.pool.speaker[rows], self.pool.source[rows]
            )
            refused.extend(rows[~allowed].tolist())
            purse.reserved = (1 - part) * purse.left
            take(rows[allowed], quotas=True)
        if refused and room():
            last = np.array(refused[: self.settings.shortlist])
            self.beyond_quota = take(last, quotas=False)
        return chosen

    def _too_close(self, rows: np.ndarray) -> np.ndarray | None:
        """The cosine from which each of these rows is a duplicate of another in the batch."""
        if not self.gates.enabled:
            return None
        return np.where(self.around.is_released(rows), np.inf, self.limits[DUPLICATE])

    def _lists(self, purse: Purse, control: Sequence[int]) -> Iterator[tuple[np.ndarray, float]]:
        worth = self.first
        if self.ranking.first == ranking.DIVERSITY:
            worth = self.rng["rank"].random(len(worth))
        elif self.settings.diversity != "none":
            worth = self.first * self.forecast.words / self.forecast.annotator_s
        rows = self.passed[np.isfinite(worth[self.passed]) & ~np.isin(self.passed, control)]
        rows = rows[np.argsort(-worth[rows], kind="stable")]
        return short_lists(rows, self.pool, self.costs, self.settings, purse.left)

    def _short(
        self, rows: np.ndarray, taken: Sequence[int], doubt: ranking.Decoder, language: str
    ) -> tuple[Shortlist, np.ndarray]:
        """These rows as a short list without what gates hold back, and which rows are left.

        taken: rows that are in the batch already.
        """
        found, kept = self.around.look(rows, taken)
        rows, found = rows[kept], found.only(kept)
        self.compared[rows] = True
        again = rows[~self.decoded[rows]]
        if self.ranking.decodes and len(again):
            name, settings = self.ranking.name, self.settings
            self.scores[again] = ranking.scores_by_decoding(
                name, self.pool, again, settings, doubt, language, self.rng["rank"]
            )
            self.decoded[again] = True
        known = np.isfinite(self.scores[rows])
        rows, found = rows[known], found.only(known)
        scores, words = self.scores[rows], self.forecast.words[rows]
        rates = np.maximum(scores, 0) * found.usable**CAUTION
        if self.ranking.name in ranking.PER_CLIP:
            rates = rates / words
        short = Shortlist(
            scores,
            rates,
            words,
            np.asarray(self.costs[rows], np.float64),
            self.forecast.annotator_s[rows],
            found.embeddings,
            found.covered,
            found.known,
            self.pool.speaker[rows],
            self.pool.source[rows],
        )
        return short, rows
