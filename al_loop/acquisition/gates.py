"""What is kept from ranking: no speech, broken sound, another language, loops, duplicates. Pure.

A gate compares one number with a limit. What was not measured (nan) is never held back, and neither
is what somebody released. Annotators' verdicts move the limits. Knows nothing of what clips are
worth, nor whether a gated one is tried nevertheless.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.config import GateSettings
from al_loop.records import Answer, Gated, ScoredPool, Verdict

QUIET, CLIPPED, NO_SPEECH = "quiet", "clipped", "no_speech"
OTHER_LANGUAGE = "other_language"
LOOPING, TOO_SHORT, TOO_LONG = "looping", "too_short_text", "too_long_text"
DUPLICATE, LIKE_REJECTED = "duplicate", "like_rejected"

DESCRIPTIONS: Mapping[str, str] = {
    QUIET: "too quiet (dBFS)",
    CLIPPED: "clipped (share of the samples)",
    NO_SPEECH: "no speech (share of the clip with voice activity)",
    OTHER_LANGUAGE: "another language (probability of the likeliest that is not related)",
    LOOPING: "the hypothesis repeats itself (compression ratio)",
    TOO_SHORT: "too little text for the length of the clip (characters a second)",
    TOO_LONG: "too much text for the length of the clip (characters a second)",
    DUPLICATE: "like a clip that is labelled or asked about (cosine of the embeddings)",
    LIKE_REJECTED: "like clips that annotators found unusable (share of the clips around it)",
}
"""What each gate says of a clip, and in brackets what its value is."""

VIRTUAL = 5.0
"""Answers that the configured limit counts for, against those that annotators gave: it takes about
as many to move a limit by its rule's `scale`. Ours."""
NEIGHBOURS = 5
"""So many answered clips around a clip say whether it is like rejected ones. Ours."""
NEAR = 0.5
"""The cosine from which a rejected clip is near. In whisper-base's centred embeddings clips of one
rare condition have 0.5 to 0.8 with one another, unrelated ones 0.2 at most; backward speech, which
keeps its speaker's voice, 0.2 to 0.5. Ours."""
REJECTED_NEAR = 2
"""One verdict is no pattern."""
REJECTED_SHARE = 0.5
"""The limit of `like_rejected`, of the answers around a clip, each by its squared cosine."""
USABLE_BEFORE = 0.95
"""How many of the clips are usable as far as nothing near was answered. Ours."""
PRIOR = 0.25
"""The weight of that, in answers at cosine 1: one at 0.5 counts as much. Ours."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One gate on a number. above: it holds back what is over the limit, else what is under.

    setting: of `GateSettings`. scale: a distance that is a large one for a limit to move. lowest,
    highest: it never moves beyond. verdicts: those that say the gate should have held a clip back.
    """

    gate: str
    statistic: str
    above: bool
    setting: str
    scale: float
    lowest: float
    highest: float
    verdicts: tuple[Verdict, ...] = ("bad_audio",)


UNUSABLE: tuple[Verdict, ...] = ("bad_audio", "other_language")
PROFILE_RULES = (
    Rule(QUIET, "loudness_dbfs", False, "min_loudness_dbfs", 15.0, -70.0, -30.0),
    Rule(CLIPPED, "clipped_share", True, "max_clipped_share", 0.05, 0.005, 0.3),
    Rule(NO_SPEECH, "speech_share", False, "min_speech_share", 0.2, 0.0, 0.5),
    Rule(
        OTHER_LANGUAGE,
        "other_language_prob",
        True,
        "max_other_language_prob",
        0.3,
        0.5,
        1.0,
        ("other_language",),
    ),
)
HYPOTHESIS_RULES = (
    Rule(LOOPING, "compression_ratio", True, "max_compression_ratio", 1.0, 1.8, 6.0, UNUSABLE),
    Rule(TOO_SHORT, "characters_per_s", False, "min_characters_per_s", 2.0, 0.0, 4.0, UNUSABLE),
    Rule(TOO_LONG, "characters_per_s", True, "max_characters_per_s", 15.0, 25.0, 80.0, UNUSABLE),
)


def limits(settings: GateSettings, answers: Sequence[Answer]) -> dict[str, float]:
    """The limit of every gate, by its name.

    The rule, ours: of the configured limit and those between the values that were answered, the
    one with the least loss. A transcribed clip that the limit would hold back loses 1, and so does
    a clip with a verdict that it would let through; moving away from what is configured loses
    `VIRTUAL` for each `scale`. So a few verdicts do not swing a limit, a verdict on a clip that
    sounds like transcribed ones does not move it, and transcribed clips of the explored arm loosen
    it.
    """
    found = {rule.gate: float(getattr(settings, rule.setting)) for rule in _RULES}
    if settings.learn:
        found = {rule.gate: _learned(rule, found[rule.gate], answers) for rule in _RULES}
    return {**found, DUPLICATE: settings.max_similarity, LIKE_REJECTED: REJECTED_SHARE}


_RULES = (*PROFILE_RULES, *HYPOTHESIS_RULES)


def _learned(rule: Rule, default: float, answers: Sequence[Answer]) -> float:
    sign = 1.0 if rule.above else -1.0  # the gate holds back what is above, after this
    good, bad = [], []
    for row in answers:
        value = _value(rule, row)
        if value is None:
            continue
        if row.verdict is None:
            good.append(sign * value)
        elif row.verdict in rule.verdicts:
            bad.append(sign * value)
    values = np.unique([*good, *bad])
    between = (values[:-1] + values[1:]) / 2
    ends = [values[0] - 1e-6, values[-1] + 1e-6] if len(values) else []
    low, high = sorted([sign * rule.lowest, sign * rule.highest])
    candidates = np.array([sign * default, *np.clip([*between, *ends], low, high)])
    held_good = (np.array(good)[None] > candidates[:, None]).sum(axis=1)
    let_bad = (np.array(bad)[None] <= candidates[:, None]).sum(axis=1)
    moved = np.abs(candidates - candidates[0]) / rule.scale
    best = int((held_good + let_bad + VIRTUAL * moved).argmin())  # the configured one if equal
    return float(sign * candidates[best])


def _value(rule: Rule, answer: Answer) -> float | None:
    if rule in PROFILE_RULES:
        value = None if answer.profile is None else getattr(answer.profile, rule.statistic)
    elif answer.hypothesis is None or not answer.trusted:
        value = None  # untrained checkpoints loop on speech that is easy to write down
    elif rule.statistic == "characters_per_s":
        value = len(answer.hypothesis.text) / answer.duration_s
    else:
        value = getattr(answer.hypothesis, rule.statistic)
    return float(value) if value is not None and np.isfinite(value) else None


# -- gates on one number ---------------------------------------------------------------------------


def profile_gates(
    pool: ScoredPool, limits: Mapping[str, float], released: Collection[str]
) -> list[Gated]:
    """What is held back for its sound alone, before anything decodes it; one gate for each."""
    return held_back(pool, limits, released, PROFILE_RULES)


def hypothesis_gates(
    pool: ScoredPool, limits: Mapping[str, float], released: Collection[str]
) -> list[Gated]:
    """What is held back for what was heard in it. Says something only of a trained checkpoint."""
    return held_back(pool, limits, released, HYPOTHESIS_RULES)


def held_back(
    pool: ScoredPool,
    limits: Mapping[str, float],
    released: Collection[str],
    rules: Sequence[Rule],
) -> list[Gated]:
    """What `rules` hold back, each clip by the first of them that does."""
    left: np.ndarray = np.ones(len(pool.ids), bool)
    if released:
        left = ~np.isin(pool.ids, np.array(sorted(released), dtype="S64"))
    found: list[Gated] = []
    for rule in rules:
        values, limit = _statistic(pool, rule.statistic), limits[rule.gate]
        # nan compares as false either way
        held = left & ((values > limit) if rule.above else (values < limit))
        left &= ~held
        found += [
            Gated(name.decode(), rule.gate, float(value), limit)
            for name, value in zip(pool.ids[held], values[held].tolist(), strict=True)
        ]
    return found


def _statistic(pool: ScoredPool, name: str) -> np.ndarray:
    if name == "characters_per_s":
        return pool.statistics["character_count"] / np.maximum(pool.duration_s, 1e-3)
    return pool.statistics[name]


# -- gates on embeddings ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was answered, as far as it has an embedding: (A, D) float32 of length 1, (A,) bool."""

    embeddings: np.ndarray
    rejected: np.ndarray


def rejected_share(embeddings: np.ndarray, verdicts: Verdicts) -> tuple[np.ndarray, np.ndarray]:
    """Of the `NEIGHBOURS` answers nearest to each clip, the share that rejected it; and usability.

    embeddings: (V, D) of length 1. Shares (V,) float64, each answer by its squared cosine; 0 where
    fewer than `REJECTED_NEAR` rejected clips are near. Usability (V,) float64: the probability that
    an annotator can transcribe the clip, by the same neighbours and a prior.
    """
    size = len(embeddings)
    if not len(verdicts.rejected):
        return np.zeros(size), np.full(size, USABLE_BEFORE)
    cosines = np.maximum(embeddings @ verdicts.embeddings.T, 0).astype(np.float64)  # (V, A)
    # a stable sort: ties go to the same answer in every run
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEIGHBOURS]
    cosines = np.take_along_axis(cosines, nearest, axis=1)
    weights, rejected = cosines**2, verdicts.rejected[nearest]
    bad, total = (weights * rejected).sum(axis=1), weights.sum(axis=1)
    enough = (rejected & (cosines >= NEAR)).sum(axis=1) >= REJECTED_NEAR
    usable = (total - bad + PRIOR * USABLE_BEFORE) / (total + PRIOR)
    return np.where(enough, bad / np.maximum(total, 1e-9), 0.0), usable
