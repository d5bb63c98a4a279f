"""The select stage on a pool of which only a part is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import pytest

from al_loop.acquisition.selection import select
from al_loop.acquisition.turns import only_waits
from al_loop.config import GateSettings, SelectSettings
from al_loop.records import Alternatives, Doubt, ScoredPool, Selection
from tests.acquisition.rows import (
    DIMENSION,
    HYPOTHESIS_NAMES,
    JUNK,
    PROFILE_NAMES,
    Clip,
    field,
    pool_of,
)

OF_THE_HYPOTHESIS = (*HYPOTHESIS_NAMES, "word_count", "character_count")


def no_doubt(ids: Sequence[str], doubt: Doubt) -> Mapping[str, Alternatives]:
    raise AssertionError("nothing was to be decoded again")


def run(pool: ScoredPool, in_parts: bool = True, trusted: bool = True, **rule: Any) -> Selection:
    seed, values = rule.pop("seed", 0), {"budget_s": 110.0, **rule}
    return select(
        pool,
        [],
        np.zeros((0, DIMENSION), np.float32),
        (),
        SelectSettings(**values),
        GateSettings(),
        trusted,
        no_doubt,
        "ky",
        np.random.default_rng(seed),
        in_parts=in_parts,
    )


@pytest.fixture
def clips() -> list[Clip]:
    return field()


@pytest.fixture
def part(clips: list[Clip]) -> ScoredPool:
    """A third has no profile, a third a profile alone, and the most doubtful third is scored."""
    pool = pool_of(clips)
    by_doubt = np.argsort(-pool.statistics["mean_token_entropy"])
    third = len(clips) // 3
    scored, others = by_doubt[:third], np.random.default_rng(3).permutation(by_doubt[third:])
    unprofiled = others[:third]
    for name in OF_THE_HYPOTHESIS:
        pool.statistics[name][others] = nan
    for name in PROFILE_NAMES:
        pool.statistics[name][unprofiled] = nan
    rows = pool.embedding_rows.copy()
    rows[unprofiled] = -1
    assert np.array_equal(np.flatnonzero(pool.heard), np.sort(scored))
    return replace(pool, embedding_rows=rows)


def ids(pool: ScoredPool, rows: np.ndarray) -> set[str]:
    return {name.decode() for name in pool.ids[rows]}


def arm(selection: Selection, name: str) -> set[str]:
    return {row.utterance_id for row in selection.choices if row.arm == name}


@pytest.mark.parametrize(
    "rule", [{}, {"acquisition": "random"}, {"acquisition": "random", "diversity": "none"}]
)
def test_what_is_not_heard_is_neither_acquired_nor_held_back(
    part: ScoredPool, rule: dict[str, Any]
) -> None:
    found = run(part, **rule)
    heard, profiled = ids(part, part.heard), ids(part, part.embedding_rows >= 0)
    assert arm(found, "acquired")
    assert arm(found, "acquired") <= heard
    held = {row.utterance_id for row in found.gated}
    assert held <= profiled
    by_profile = {
        row.utterance_id for row in found.gated if row.gate in ("no_speech", "quiet", "clipped")
    }
    waiting = len(part.ids) - len(heard | by_profile)
    assert (found.facts["waiting"], found.facts["unscored"]) == (waiting, 0)
    assert found.facts["scored"] == len(part.ids) - waiting
    assert f"{len(part.ids) - waiting} of {len(part.ids)} clips are scored" in found.facts["reason"]


def test_the_control_arm_is_drawn_from_all_that_has_a_profile(
    part: ScoredPool, clips: list[Clip]
) -> None:
    """As often from the doubtful clips that were heard as from the others."""
    silent = ids(part, part.statistics["speech_share"] < 0.05)
    heard, profiled = ids(part, part.heard) - silent, ids(part, part.embedding_rows >= 0) - silent
    drawn: Counter[bool] = Counter()
    for seed in range(40):
        control = arm(run(part, control_share=0.5, explore_share=0.0, seed=seed), "control")
        assert control <= profiled
        drawn.update(name in heard for name in control)
    assert drawn.total() > 300
    expected = len(heard) / len(profiled)
    assert drawn[True] / drawn.total() == pytest.approx(expected, abs=0.08)
    junk = {row.id for row in clips if row.kind in JUNK}
    assert arm(run(part, explore_share=0.0), "acquired") - junk


def test_a_cold_start_chooses_from_what_has_a_profile(part: ScoredPool) -> None:
    found = run(part, trusted=False)
    profiled = ids(part, part.embedding_rows >= 0)
    assert {row.utterance_id for row in found.choices} <= profiled
    assert arm(found, "acquired") - ids(part, part.heard)
    assert found.facts["waiting"] == len(part.ids) - len(profiled)


def test_a_control_arm_alone_is_a_batch(part: ScoredPool) -> None:
    """Nothing is heard yet, and no clip that only has a profile is said to be held back."""
    for name in OF_THE_HYPOTHESIS:
        part.statistics[name][:] = nan
    found = run(part, explore_share=0.0)
    assert {row.arm for row in found.choices} == {"control"}
    nothing = run(part, control_share=0.0, explore_share=0.0)
    assert nothing.choices == []
    assert nothing.facts["waiting"] > 0
    assert "the rest waits for later rounds" in nothing.facts["reason"]


def test_a_pool_that_is_scored_throughout_is_chosen_from_as_ever(clips: list[Clip]) -> None:
    whole, in_parts = (run(pool_of(clips), in_parts=flag) for flag in (False, True))
    assert in_parts == whole
    assert whole.facts["waiting"] == 0
    assert whole.facts["scored"] == whole.facts["pool"] == len(clips)


def test_scored_clips_that_are_too_long_jam_nothing_while_others_wait(part: ScoredPool) -> None:
    long = np.where(part.heard, 200.0, 3.0).astype(part.duration_s.dtype)
    found = run(replace(part, duration_s=long), control_share=0.0, explore_share=0.0)
    assert not found.choices
    assert only_waits(found)
