"""Scoring a part of the pool: as much as fits into a budget of minutes, by turns.

Goes chunk by chunk: profile what has no profile, gate, listen to the rest. So no minute goes to
profiles of clips that nobody will hear. Works through the ports, and is told the time; knows
nothing of rounds beyond the seed, or of what is chosen from the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from al_loop.acquisition import ranking
from al_loop.acquisition.gates import (
    HYPOTHESIS_RULES,
    PROFILE_RULES,
    Rule,
    held_back,
    limits,
)
from al_loop.acquisition.turns import by_turns, scored
from al_loop.config import Settings
from al_loop.listening import Listening, Pace
from al_loop.ports import Store
from al_loop.records import Checkpoint, Profile, ScoredPool

CHUNK = 512
"""Clips that are profiled and heard together. Blocks hold clips of about one length, so a smaller
chunk would leave blocks half empty; a larger one is more than a tiny budget should have to pay."""


def score_part(
    settings: Settings,
    listening: Listening,
    base: Checkpoint,
    checkpoint: Checkpoint,
    trusted: bool,
    seed: Sequence[int],
    clock: Callable[[], float],
) -> int:
    """Score for `score.minutes`; returns how many clips got a profile or a hypothesis.

    base: makes the profiles. checkpoint: listens, where it is `trusted`; otherwise nothing is
    decoded. clock: seconds. Time is looked at after every block, but the first chunk is always
    finished, so that the smallest budget moves. The train split and what is asked about or labelled
    are no part of the pool: they are profiled first, and cost none of the minutes.
    """
    store, minutes, encoder = listening.store, settings.score.minutes, settings.embedding.encoder
    assert minutes is not None
    related = settings.gates.related_languages
    listening.profile(base, encoder, related, store.unprofiled_beyond_pool(encoder))
    pool = store.scored_pool(checkpoint.id, encoder)
    gate = _gate(settings, store, PROFILE_RULES)  # for its sound alone: nobody hears it
    left = np.flatnonzero(~scored(pool, trusted) & ~gate(pool))
    order_rng, block_rng = np.random.default_rng(seed).spawn(2)
    order = by_turns(left, *_standing(settings, store, pool, trusted), order_rng)
    first, ends = True, clock() + 60 * minutes
    pace = Pace(
        lambda: not first and clock() >= ends,
        lambda blocks: [blocks[place] for place in block_rng.permutation(len(blocks))],
    )
    done = seen = 0
    while chunk := list(islice(order, CHUNK)):
        ids = [name.decode() for name in pool.ids[chunk]]
        utterances, known = store.utterances(ids), store.profiles(encoder, ids)
        missing = [row for row in utterances if row.id not in known]
        done += listening.profile(base, encoder, related, missing, pace)
        if trusted and not pace.over():
            held = gate(_with_profiles(pool, np.array(chunk), store.profiles(encoder, ids)))
            silent = {name for name, is_held in zip(ids, held, strict=True) if is_held}
            heard = [row for row in utterances if row.id not in silent]
            done += listening.listen(checkpoint, heard, pace)
        seen += len(chunk)
        first = False
        if pace.over():
            break
    if len(left):
        listening.say(f"  {seen:,} of the {len(left):,} clips that wait had their turn")
    return done


def _gate(
    settings: Settings, store: Store, rules: Sequence[Rule]
) -> Callable[[ScoredPool], np.ndarray]:
    """(N,) bool of a pool: what the gates with these rules hold back."""
    if not settings.gates.enabled:
        return lambda pool: np.zeros(len(pool.ids), bool)
    bounds = limits(settings.gates, store.answers(settings.embedding.encoder))
    released = store.released()

    def gate(pool: ScoredPool) -> np.ndarray:
        held = [row.utterance_id for row in held_back(pool, bounds, released, rules)]
        return np.isin(pool.ids, np.array(held, dtype="S64"))

    return gate


def _standing(
    settings: Settings, store: Store, pool: ScoredPool, trusted: bool
) -> tuple[np.ndarray, np.ndarray]:
    """When each clip was heard last, and (N,) float64 what it promised then, by the fallback.

    Nothing is promising where choosing is random, or the checkpoint's doubts say nothing; nor is a
    clip that a gate holds back for what was heard in it, for it would lead every round.
    """
    last_heard, statistics = store.last_heard(pool.ids)
    rule = settings.select
    if not trusted or "random" in (rule.acquisition, rule.fallback):
        return last_heard, np.full(len(pool.ids), np.nan)
    then = replace(pool, statistics=statistics)
    drawn_by_nobody = np.random.default_rng(0)
    promise = ranking.cheap_scores(rule.fallback, then, None, drawn_by_nobody)
    promise[_gate(settings, store, HYPOTHESIS_RULES)(then)] = np.nan
    return last_heard, promise


def _with_profiles(
    pool: ScoredPool, rows: np.ndarray, profiles: Mapping[str, Profile]
) -> ScoredPool:
    """These rows of the pool with profiles that were made since, in float32 as a pool has them."""
    ids = [name.decode() for name in pool.ids[rows]]
    return ScoredPool(
        pool.ids[rows],
        pool.duration_s[rows],
        pool.source[rows],
        pool.speaker[rows],
        pool.embedding_rows[rows],
        pool.embeddings,
        {
            rule.statistic: np.array(
                [getattr(profiles[name], rule.statistic) for name in ids], np.float32
            )
            for rule in PROFILE_RULES
        },
    )
