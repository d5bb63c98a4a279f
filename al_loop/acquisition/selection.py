"""The select stage: from a scored pool and all answers so far to a query batch, and its reasons.

Gates, a cheap ranking of the whole pool, a short list, further decodes of it where the acquisition
function needs them, and a greedy choice for the budget, between a random control arm and a few
clips that a gate held back. Pure but for `doubt`, which decodes again and follows from its seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from al_loop.acquisition import effort, predictor, ranking
from al_loop.acquisition.batch import (
    Shortlist,
    acquire,
    control_arm,
    explored_arm,
    interleave,
)
from al_loop.acquisition.budget import NOBODY, Purse
from al_loop.acquisition.gates import (
    DUPLICATE,
    HYPOTHESIS_RULES,
    PROFILE_RULES,
    held_back,
    limits,
)
from al_loop.acquisition.neighbourhood import Neighbourhood
from al_loop.acquisition.space import Space
from al_loop.config import GateSettings, SelectSettings
from al_loop.errors import AlLoopError
from al_loop.records import Answer, Arm, Choice, Gated, ScoredPool, Selection

LISTS = 20
"""Short lists at most, where one after another falls to the gates."""
CAUTION = 2.0
"""How much the chance of junk counts: a clip that half of those around it were unusable is worth a
quarter. Junk takes time, teaches nothing, and costs the annotators' trust. Ours."""
REMAINDER = 0.05
"""Of the budget, below which no further short list is decoded again to fill it. Ours."""
PRESUMED_WER = 0.5
"""Of clips in an estimate of working time, while no predictor exists. Ours."""


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
) -> Selection:
    """The query batch, what the gates held back, and the facts. Independent of the input's order.

    known: (K, D) embeddings of what is labelled or asked about. released: ids that no gate holds
    back. trusted: whether the checkpoint's doubts say anything.

    facts: "acquisition", what ranked; "wanted", what the settings ask for; "reason", a sentence;
    "cold_start"; "pool", "unscored" (clips that ranking had to leave out), "released"; "limits" and
    "gates" (clips held back), by gate; "shortlist", clips that were compared, and "decoded_again";
    "predictor", see `predictor.fit`, or None; "effort"; "budget": {"of", "seconds", "spent_s"};
    "arms": {arm: {"clips", "audio_s"}}; "audio_s"; "annotator_s", predicted; "expected_word_errors"
    or None; "diversity"; "speakers", known ones in the pool; "beyond_quota", clips of the batch
    that a quota would have refused had there been others.

    Raises AlLoopError when no clip is left to choose, or none fits into the budget.
    """
    pool, answers = _sorted(pool), sorted(answers, key=lambda row: row.utterance_id)
    if not len(pool.ids):
        return Selection([], [], {"pool": 0, "reason": "the pool is empty: ingest more audio"})
    work = _Work(pool, answers, known, released, settings, gates, trusted, rng)
    return work.run(doubt, language)


def _sorted(pool: ScoredPool) -> ScoredPool:
    if np.all(pool.ids[:-1] <= pool.ids[1:]):
        return pool
    order = np.argsort(pool.ids)
    return ScoredPool(
        pool.ids[order],
        pool.duration_s[order],
        pool.source[order],
        pool.speaker[order],
        pool.embedding_rows[order],
        pool.embeddings,
        {name: values[order] for name, values in pool.statistics.items()},
    )


@dataclass
class _Tally:
    """What is counted on the way."""

    compared: int = 0
    decoded: int = 0
    beyond_quota: int = 0


class _Work:
    """One select stage. Rows are rows of the sorted pool; costs are seconds of what is budgeted."""

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
    ) -> None:
        # a stream each: what one part draws does not depend on the others
        self.rng = dict(
            zip(("fit", "centre", "rank", "control", "explore"), rng.spawn(5), strict=True)
        )
        self.pool, self.settings, self.gates = pool, settings, gates
        self.limits = limits(gates, answers)
        self.predictor = predictor.fit(answers, settings.fallback, self.rng["fit"])
        self.ranking = ranking.choose(settings, trusted, self.predictor)
        rules = (*PROFILE_RULES, *HYPOTHESIS_RULES) if trusted else PROFILE_RULES
        held = held_back(pool, self.limits, released, rules) if gates.enabled else []
        held_ids = np.array([row.utterance_id for row in held], dtype="S64")
        self.tally = _Tally()
        self.held_rows = np.searchsorted(pool.ids, held_ids)
        self.held = held
        passed = np.ones(len(pool.ids), bool)
        passed[self.held_rows] = False
        self.passed = np.flatnonzero(passed)
        if not len(self.passed):
            raise AlLoopError(_all_gated(len(pool.ids), held))
        space = Space(pool, self.passed, self.rng["centre"])
        bounds = self.limits if gates.enabled else None
        self.around = Neighbourhood(pool, space, known, answers, released, bounds)
        self.words = ranking.spoken_words(pool)
        self.wer = (
            np.full(len(pool.ids), np.nan)
            if self.predictor is None
            else self.predictor.wer(pool.statistics, pool.duration_s)
        )
        self.effort = effort.fit(answers)
        errors = self.words * np.where(np.isfinite(self.wer), self.wer, PRESUMED_WER)
        self.annotator_s = self.effort.seconds(pool.duration_s, errors)
        timed = settings.budget_minutes is not None and self.effort.answers > 0
        self.budget_of = "annotator" if timed else "audio"
        self.budget = 60 * (settings.budget_minutes or 0) if timed else settings.budget_s
        self.costs = self.annotator_s if timed else pool.duration_s
        # not worth decoding another short list for
        self.remainder = REMAINDER * self.budget if self.ranking.decodes else 0.0
        name = self.ranking.first
        self.first = ranking.cheap_scores(name, pool, self.predictor, self.rng["rank"])
        self.scores = np.full(len(pool.ids), np.nan) if self.ranking.decodes else self.first.copy()

    # -- the stage -------------------------------------------------------------------------------

    def run(self, doubt: ranking.Decoder, language: str) -> Selection:
        settings = self.settings
        order = self.rng["control"].permutation(self.passed)
        control = control_arm(
            self.around.let_through(order), self.costs, self.budget, settings.control_share
        )
        purse = Purse(self.budget, settings.max_speaker_share, settings.max_source_share)
        self._spend(purse, control)
        explored = self._explore(purse)
        self._spend(purse, explored)
        acquired = self._acquire(purse, control, doubt, language)
        if not acquired and not control:
            raise AlLoopError(self._why_nothing())
        arms = dict.fromkeys(acquired, "acquired")
        arms |= dict.fromkeys(control, "control") | dict.fromkeys(explored, "explored")
        spread = [*control, *explored]
        spread = [spread[place] for place in self.rng["explore"].permutation(len(spread))]
        ranked = interleave(acquired, spread, self.rng["control"])
        choices = [
            Choice(
                self.pool.ids[row].decode(),
                rank,
                float(np.nan_to_num(self.scores[row])),
                arms[row],  # type: ignore[arg-type]
            )
            for rank, row in enumerate(ranked)
        ]
        gated = [*self.held, *(self.around.gated[row] for row in sorted(self.around.gated))]
        return Selection(choices, gated, self._facts(arms, gated))

    def _spend(self, purse: Purse, rows: Sequence[int]) -> None:
        for row in rows:
            purse.spend(self.costs[row], self.pool.speaker[row], self.pool.source[row])

    def _explore(self, purse: Purse) -> list[int]:
        """Clips that a gate holds back. A duplicate's answer could not show that its gate is wrong;
        what is only like rejected clips is drawn from those that the control arm met."""
        doubtful = [row for row, gated in self.around.gated.items() if gated.gate != DUPLICATE]
        rows = np.sort(np.concatenate([self.held_rows, np.array(doubtful, dtype=np.int64)]))
        rng = self.rng["explore"]
        share = self.settings.explore_share * self.budget
        return explored_arm(rng.permutation(rows).tolist(), self.costs, share, purse.left, rng)

    def _acquire(
        self, purse: Purse, control: Sequence[int], doubt: ranking.Decoder, language: str
    ) -> list[int]:
        chosen: list[int] = []
        limit = self.limits[DUPLICATE] if self.gates.enabled else None
        cheapest = float(self.costs[self.passed].min())
        for rows, part in self._lists(purse, control):
            purse.reserved = 0.0
            if not purse.holds(max(cheapest, self.remainder if chosen else 0.0)):
                break
            purse.reserved = (1 - part) * purse.left
            short, rows_left = self._short(rows, [*control, *chosen], doubt, language)
            found = acquire(short, self.settings.diversity, purse, limit)
            chosen += [int(rows_left[row]) for row in found.chosen]
            self.tally.beyond_quota += found.beyond_quota
            for row, cosine in found.duplicates.items():
                self.around.hold(int(rows_left[row]), DUPLICATE, cosine)
        return chosen

    def _lists(self, purse: Purse, control: Sequence[int]) -> Iterator[tuple[np.ndarray, float]]:
        """Short lists, best first, and the part of the budget that is left to spend on each.

        Where one is too short for the budget, the best are dealt over several.

        A speaker or source has no more of a list than its quota as long as there are others.
        """
        worth = self.first
        if self.ranking.first == ranking.DIVERSITY:
            worth = self.rng["rank"].random(len(worth))
        elif self.settings.diversity != "none":
            worth = self.first * self.words / self.costs
        rows = self.passed[np.isfinite(worth[self.passed]) & ~np.isin(self.passed, control)]
        rows = rows[np.argsort(-worth[rows], kind="stable")]
        size = self.settings.shortlist
        late = np.zeros(len(rows), bool)
        for codes, share in (
            (self.pool.speaker, self.settings.max_speaker_share),
            (self.pool.source, self.settings.max_source_share),
        ):
            late |= _beyond(codes[rows], max(int(share * size), 1)) & (share < 1)
        rows = np.concatenate([rows[~late], rows[late]])
        # twice what the budget holds, so that there is a choice
        mean_cost = float(np.mean(self.costs[rows[:size]])) if len(rows) else 1.0
        parts = min(max(int(np.ceil(2 * purse.left / mean_cost / size)), 1), LISTS)
        parts = max(min(parts, int(np.ceil(len(rows) / size))), 1)
        for part in range(parts):
            yield rows[: parts * size][part::parts], 1 / (parts - part)
        for start in range(parts * size, min((parts + LISTS) * size, len(rows)), size):
            yield rows[start : start + size], 1.0

    def _short(
        self, rows: np.ndarray, taken: Sequence[int], doubt: ranking.Decoder, language: str
    ) -> tuple[Shortlist, np.ndarray]:
        """These rows as a short list without what gates hold back, and which rows are left.

        taken: rows that are in the batch already.
        """
        found, kept = self.around.look(rows, taken)
        rows, found = rows[kept], found.only(kept)
        self.tally.compared += len(rows)
        if self.ranking.decodes and len(rows):
            name, settings = self.ranking.name, self.settings
            self.scores[rows] = ranking.scores_by_decoding(
                name, self.pool, rows, settings, doubt, language, self.rng["rank"]
            )
            self.tally.decoded += len(rows)
        known = np.isfinite(self.scores[rows])
        rows, found = rows[known], found.only(known)
        scores = self.scores[rows]
        rates = np.maximum(scores, 0) * found.usable**CAUTION
        if self.ranking.name in ranking.PER_CLIP:
            rates = rates / self.words[rows]
        short = Shortlist(
            scores,
            rates,
            self.words[rows],
            np.asarray(self.costs[rows], np.float64),
            found.embeddings,
            found.covered,
            found.known,
            self.pool.speaker[rows],
            self.pool.source[rows],
        )
        return short, rows

    # -- what is said about it -------------------------------------------------------------------

    def _facts(self, arms: Mapping[int, str], gated: Sequence[Gated]) -> dict[str, Any]:
        rows = np.array(list(arms), dtype=np.int64)
        predicted = self.wer[rows] * self.words[rows]
        unscored = ~np.isfinite(self.first[self.passed])
        speakers = np.unique(self.pool.speaker)
        reason = self.ranking.reason
        if self.tally.beyond_quota:
            reason += (
                f"; {self.tally.beyond_quota} clips are beyond a quota, as there were no others"
            )
        return {
            "acquisition": self.ranking.name,
            "wanted": self.settings.acquisition,
            "reason": reason,
            "cold_start": self.ranking.name == ranking.DIVERSITY,
            "pool": len(self.pool.ids),
            "unscored": int(unscored.sum()),
            "released": int(np.isin(self.pool.ids, self.around.released).sum()),
            "limits": {gate: float(limit) for gate, limit in self.limits.items()},
            "gates": dict(sorted(Counter(row.gate for row in gated).items())),
            "shortlist": self.tally.compared,
            "decoded_again": self.tally.decoded,
            "predictor": None if self.predictor is None else dict(self.predictor.quality),
            "effort": asdict(self.effort),
            "budget": {
                "of": self.budget_of,
                "seconds": float(self.budget),
                "spent_s": float(self.costs[rows].sum()),
            },
            "arms": {
                arm: {
                    "clips": sum(of == arm for of in arms.values()),
                    "audio_s": float(
                        sum(self.pool.duration_s[row] for row, of in arms.items() if of == arm)
                    ),
                }
                for arm in get_args(Arm)
            },
            "audio_s": float(self.pool.duration_s[rows].sum()),
            "annotator_s": float(self.annotator_s[rows].sum()),
            "expected_word_errors": (
                None if self.predictor is None else float(np.nansum(predicted))
            ),
            "diversity": self.settings.diversity,
            "speakers": int((speakers != NOBODY).sum()),
            "beyond_quota": self.tally.beyond_quota,
        }

    def _why_nothing(self) -> str:
        """Why a pool that is not empty gave no batch."""
        scored = self.passed[np.isfinite(self.first[self.passed])]
        left = np.setdiff1d(scored, list(self.around.gated))
        if len(self.around.gated) and not len(left):
            gated = [*self.held, *self.around.gated.values()]
            return _all_gated(len(self.pool.ids), gated)
        if not len(scored):
            return (
                f"none of the {len(self.passed)} clips that the gates let through has a score by "
                f"{self.ranking.first}: score the pool again, or set select.control_share above 0"
            )
        setting, unit = "budget_s", 1
        if self.budget_of == "annotator":
            setting, unit = "budget_minutes", 60
        return (
            f"no clip fits into select.{setting} = {self.budget / unit:g}; the shortest that may "
            f"be chosen needs {self.costs[left].min() / unit:.2g}: raise it"
        )


def _all_gated(clips: int, gated: Sequence[Gated]) -> str:
    counts = Counter(row.gate for row in gated)
    shown = ", ".join(f"{gate} {count}" for gate, count in counts.most_common())
    return (
        f"the gates hold back all {clips} clips of the pool ({shown}): release some with "
        "`al-loop gates release`, or change the limits under [gates]"
    )


def _beyond(codes: np.ndarray, most: int) -> np.ndarray:
    """Which of the codes (N,) came `most` times before, in order; never that of an unknown one."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-2))
    position = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    found = np.empty(len(codes), bool)
    found[order] = position >= most
    return found & (codes != NOBODY)
