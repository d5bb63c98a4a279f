"""What the rounds of the dashboard's workspace choose, and what they say of it. Pure.

Scores know how difficult a clip is, but not exactly. Knows neither the database nor the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from al_loop.records import Arm, Choice, Selection
from benchmarks.dashboard_clips import Clip, Clips, Size

CONTROL, EXPLORED = 0.1, 0.02
LEARNED_FROM = 4
"""The first round that ranks by predicted WER."""


def choose(
    number: int, candidates: Sequence[Clip], clips: Clips, size: Size, rng: np.random.Generator
) -> Selection:
    """The most difficult of what the gates let through, a control arm, and some of the gated."""
    count = size.batch
    free = [clip for clip in candidates if clip.gated is None]
    junk = [clip for clip in candidates if clip.gated is not None]
    scores = {
        clip.id: max(3 * clip.difficulty + 0.4 * rng.standard_normal(), 0.01) for clip in free
    }
    explored = [clip.id for clip in junk[: max(round(EXPLORED * count), 1)]]
    drawn = rng.permutation(len(free))[: round(CONTROL * count)]
    control = [free[place].id for place in drawn]
    rest = sorted(scores.keys() - control, key=lambda name: (-scores[name], name))
    acquired = rest[: count - len(control) - len(explored)]
    arms: dict[str, Arm] = {}
    arms |= dict.fromkeys(acquired, "acquired")
    arms |= dict.fromkeys(control, "control")
    arms |= dict.fromkeys(explored, "explored")
    ranks: dict[str, float] = {name: place for place, name in enumerate(acquired)}
    ranks |= {name: rng.uniform(0, len(acquired)) for name in (*control, *explored)}
    choices = [
        Choice(name, rank, scores.get(name, 0.0), arms[name])
        for rank, name in enumerate(sorted(arms, key=lambda name: (ranks[name], name)))
    ]
    lengths = {clip.id: clip.utterance.duration_s for clip in candidates}
    return Selection(choices, clips.gated, _facts(number, choices, lengths, clips, size))


def _facts(
    number: int, choices: Sequence[Choice], lengths: Mapping[str, float], clips: Clips, size: Size
) -> dict[str, Any]:
    """As `al_loop.acquisition.facts` says it."""
    learned = number >= LEARNED_FROM
    audio_s = sum(lengths[row.utterance_id] for row in choices)
    held = [row.gate for row in clips.gated]
    limits = {row.gate: row.limit for row in clips.gated}
    arms = {
        arm: {
            "clips": sum(row.arm == arm for row in choices),
            "audio_s": sum(lengths[row.utterance_id] for row in choices if row.arm == arm),
        }
        for arm in ("acquired", "control", "explored")
    }
    pool = size.utterances - len(clips.learned) - (number - 1) * size.batch
    return {
        "acquisition": "predicted_wer" if learned else "word_surprisal",
        "wanted": "predicted_wer",
        "reason": "predicted WER orders the answers better than word_surprisal does"
        if learned
        else "word_surprisal ranks until the answers tell more",
        "trusted": True,
        "cold_start": False,
        "pool": pool,
        "scored": pool,
        "waiting": 0,
        "unscored": 0,
        "released": 0,
        "limits": limits,
        "gates": {gate: held.count(gate) for gate in sorted(limits)},
        "shortlist": 2000,
        "decoded_again": 0,
        "predictor": None,
        "effort": {"seconds": 4.0, "per_audio_s": 1.3, "per_word_error": 2.5},
        "budget": {"of": "audio", "seconds": 1.02 * audio_s, "spent_s": audio_s},
        "arms": arms,
        "audio_s": audio_s,
        "annotator_s": 2.4 * audio_s,
        "expected_word_errors": 0.5 * audio_s,
        "diversity": "facility_location",
        "speakers": 1600,
        "beyond_quota": 0,
    }
