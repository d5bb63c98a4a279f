"""What is said of a select stage: its facts as JSON, its reason in words. Pure.

Knows nothing of how the batch came about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from al_loop.acquisition import ranking
from al_loop.acquisition.budget import NOBODY
from al_loop.acquisition.forecast import Forecast
from al_loop.acquisition.predictor import Predictor
from al_loop.config import SelectSettings
from al_loop.errors import AlLoopError
from al_loop.records import Arm, Gated, ScoredPool

MUCH_LEFT = 0.1
"""Of the budget, from which on it is said that it was left. Ours."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a select stage came to. Rows are rows of the pool.

    arms: by row, what is in the batch. passed: rows that are scored and that no gate on one number
    holds back; free: those of them that no gate at all was seen to hold back. first, scores: (N,)
    float64, what made the short lists and what chose from them. compared, decoded: (N,) bool, what
    was in a short list and what was decoded again. waiting: how many clips wait for a later round
    to score them. released: how many clips of the pool no gate may hold back.
    """

    pool: ScoredPool
    settings: SelectSettings
    trusted: bool
    ranking: ranking.Ranking
    predictor: Predictor | None
    limits: Mapping[str, float]
    forecast: Forecast
    arms: Mapping[int, Arm]
    gated: Sequence[Gated]
    passed: np.ndarray
    free: np.ndarray
    first: np.ndarray
    scores: np.ndarray
    compared: np.ndarray
    decoded: np.ndarray
    beyond_quota: int
    waiting: int
    released: int

    @property
    def gates_tried_only(self) -> bool:
        """Whether nothing is in the batch, but what a gate held back."""
        return not set(self.arms.values()) - {"explored"}

    @property
    def scored(self) -> np.ndarray:
        """Rows that may be acquired."""
        return self.free[np.isfinite(self.first[self.free])]


def check_fits(outcome: Outcome) -> None:
    """Raises AlLoopError when nothing was chosen because no clip fits into the budget.

    Not while others wait to be scored: one of them may fit.
    """
    if outcome.waiting or not outcome.gates_tried_only or not len(outcome.scored):
        return
    budget, least = outcome.forecast.budget, outcome.forecast.costs[outcome.scored].min()
    if least <= budget:
        return
    setting, unit = "budget_s", 1
    if outcome.forecast.budget_of == "annotator":
        setting, unit = "budget_minutes", 60
    raise AlLoopError(
        f"no clip fits into select.{setting} = {budget / unit:g}; the shortest that may be chosen "
        f"needs {least / unit:.2g}: raise it"
    )


def facts(outcome: Outcome) -> dict[str, Any]:
    """JSON.

    "acquisition", what ranked; "wanted", what the settings ask for; "reason", a sentence;
    "trusted", whether the checkpoint's doubts say anything, and "cold_start", whether diversity
    ranked because they do not; "pool", "scored" (clips that were looked at as far as they need,
    those that a gate holds back among them), "waiting" (the others, for a later round), "unscored"
    (clips that ranking had to leave out), "released"; "limits" and "gates" (clips held back), by
    gate; "shortlist", clips that were compared, and "decoded_again"; "predictor", see
    `predictor.fit`, or None; "effort"; "budget": {"of", "seconds", "spent_s"}; "arms": {arm:
    {"clips", "audio_s"}}; "audio_s"; "annotator_s", predicted; "expected_word_errors" or None;
    "diversity"; "speakers", known ones in the pool; "beyond_quota", clips of the batch that a quota
    would have refused had there been others.
    """
    pool, found, arms = outcome.pool, outcome.forecast, outcome.arms
    rows = np.array(list(arms), dtype=np.int64)
    predicted = found.wer[rows] * found.words[rows]
    known = None if outcome.predictor is None else outcome.predictor
    return {
        "acquisition": outcome.ranking.name,
        "wanted": outcome.settings.acquisition,
        "reason": _reason(outcome),
        "trusted": outcome.trusted,
        "cold_start": outcome.ranking.name == ranking.DIVERSITY,
        "pool": len(pool.ids),
        "scored": len(pool.ids) - outcome.waiting,
        "waiting": outcome.waiting,
        "unscored": _unscored(outcome),
        "released": outcome.released,
        "limits": {gate: float(limit) for gate, limit in outcome.limits.items()},
        "gates": dict(sorted(Counter(row.gate for row in outcome.gated).items())),
        "shortlist": int(outcome.compared.sum()),
        "decoded_again": int(outcome.decoded.sum()),
        "predictor": None if known is None else dict(known.quality),
        "effort": asdict(found.effort),
        "budget": {
            "of": found.budget_of,
            "seconds": float(found.budget),
            "spent_s": float(found.costs[rows].sum()),
        },
        "arms": {
            arm: {
                "clips": sum(of == arm for of in arms.values()),
                "audio_s": float(sum(pool.duration_s[row] for row in arms if arms[row] == arm)),
            }
            for arm in get_args(Arm)
        },
        "audio_s": float(pool.duration_s[rows].sum()),
        "annotator_s": float(found.annotator_s[rows].sum()),
        "expected_word_errors": None if known is None else float(np.nansum(predicted)),
        "diversity": outcome.settings.diversity,
        "speakers": int((np.unique(pool.speaker) != NOBODY).sum()),
        "beyond_quota": outcome.beyond_quota,
    }


def _unscored(outcome: Outcome) -> int:
    return int((~np.isfinite(outcome.first[outcome.passed])).sum())


def _reason(outcome: Outcome) -> str:
    if outcome.gates_tried_only:
        return "; ".join([_why_nothing(outcome), *_waiting(outcome)])
    return "; ".join([outcome.ranking.reason, *_waiting(outcome), *_notes(outcome)])


def _waiting(outcome: Outcome) -> list[str]:
    if not outcome.waiting:
        return []
    pool = len(outcome.pool.ids)
    scored = f"{pool - outcome.waiting:,} of {pool:,} clips are scored"
    return [f"{scored}, the rest waits for later rounds"]


def _notes(outcome: Outcome) -> list[str]:
    """What else is worth a look: clips without a score, a budget that was not used."""
    notes = []
    if outcome.beyond_quota:
        notes.append(f"{outcome.beyond_quota} clips are beyond a quota, as there were no others")
    if unscored := _unscored(outcome):
        notes.append(f"{unscored} clips have no score by {outcome.ranking.first} and were left out")
    failed = outcome.decoded & ~np.isfinite(outcome.scores)
    if failed.any():
        notes.append(
            f"decoding again gave {failed.sum()} of {outcome.decoded.sum()} clips no score by "
            f"{outcome.ranking.name}"
        )
    found = outcome.forecast
    spent = float(found.costs[list(outcome.arms)].sum())
    others = np.setdiff1d(outcome.free, list(outcome.arms))
    fitting = others[found.costs[others] <= found.budget - spent]
    if len(fitting) and found.budget - spent > MUCH_LEFT * found.budget:
        notes.append(
            f"{found.budget - spent:.0f} of {found.budget:.0f} s of the budget are left, though "
            f"{len(fitting)} more clips would fit"
        )
    return notes


def _why_nothing(outcome: Outcome) -> str:
    """Why a pool that is not empty gave nothing to acquire, and no control arm."""
    if outcome.waiting and not len(outcome.passed) and not outcome.gated:
        return "nothing that is scored so far can be asked about"
    if not len(outcome.free):
        counts = Counter(row.gate for row in outcome.gated)
        shown = ", ".join(f"{gate} {count}" for gate, count in counts.most_common())
        clips = len(outcome.pool.ids) - outcome.waiting
        return (
            f"the gates hold back all {clips} clips of the pool ({shown}): release some "
            "with `al-loop gates release`, change the limits under [gates], or ingest more audio"
        )
    clips, name = len(outcome.free), outcome.ranking.first
    if outcome.decoded.any():
        clips, name = int(outcome.decoded.sum()), outcome.ranking.name
        what = f"none of the {clips} clips that were decoded again has a score by {name}"
    elif not len(outcome.scored):
        what = f"none of the {clips} clips that the gates let through has a score by {name}"
    else:
        what = f"none of the {clips} clips that the gates let through fits into what was left"
    return f"{what}: choose another select.acquisition, or set select.control_share above 0"
