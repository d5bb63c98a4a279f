"""The select stage as a whole: on a pool in kinds, on bad input, and what it says of itself."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from al_loop.acquisition.selection import needs_scores, select
from al_loop.config import GateSettings, SelectSettings
from al_loop.errors import AlLoopError
from al_loop.records import Alternatives, Answer, Choice, Doubt, ScoredPool, Selection
from tests.acquisition.rows import (
    DIMENSION,
    JUNK,
    RARE,
    Clip,
    answer,
    clip,
    field,
    pool_of,
    reordered,
)

NOTHING_KNOWN = np.zeros((0, DIMENSION), np.float32)
OPEN = GateSettings(enabled=False)
ARMS_OFF = {"control_share": 0.0, "explore_share": 0.0}


def settings(**values: Any) -> SelectSettings:
    return SelectSettings(**{"budget_s": 110.0, **values})


def no_doubt(ids: Sequence[str], doubt: Doubt) -> Mapping[str, Alternatives]:
    raise AssertionError("nothing was to be decoded again")


def run(
    pool: ScoredPool,
    rule: SelectSettings,
    gates: GateSettings | None = None,
    answers: Sequence[Answer] = (),
    known: np.ndarray = NOTHING_KNOWN,
    released: Collection[str] = (),
    trusted: bool = True,
    doubt: Any = no_doubt,
    seed: int = 0,
) -> Selection:
    rng = np.random.default_rng(seed)
    gates = GateSettings() if gates is None else gates
    return select(pool, answers, known, released, rule, gates, trusted, doubt, "ky", rng)


def kinds(selection: Selection, clips: Sequence[Clip]) -> Counter[str]:
    of = {row.id: row.kind for row in clips}
    return Counter(of[row.utterance_id] for row in selection.choices)


def share(counts: Counter[str], names: Collection[str]) -> float:
    return sum(counts[name] for name in names) / counts.total()


def arm(selection: Selection, name: str) -> list[Choice]:
    return [row for row in selection.choices if row.arm == name]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return field()


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    labelled = [clip("easy", number, seed=9) for number in range(60)]
    labelled += [clip(RARE[number % 4], number, seed=9) for number in range(24)]
    labelled += [clip("reversed", number, seed=9) for number in range(4)]
    return [answer(row) for row in labelled]


# -- what is chosen --------------------------------------------------------------------------------


def test_the_default_finds_the_rare_kinds_and_leaves_the_junk(clips: list[Clip]) -> None:
    """Three rounds of about 25 clips, each learning from the last, against random choice."""
    found: Counter[str] = Counter()
    for seed in range(3):
        left, answered = list(clips), []
        for number in range(1, 4):
            known = np.array([row.profile.embedding for row in answered if row.profile])
            chosen = run(
                pool_of(left), settings(), None, answered,
                known if len(known) else NOTHING_KNOWN, seed=10 * seed + number,
            )  # fmt: skip
            names = {row.utterance_id for row in chosen.choices}
            taken = [row for row in left if row.id in names]
            found.update(row.kind for row in taken)
            assert number > 1 or {row.kind for row in taken} >= {"easy", *RARE}
            answered = [*answered, *(answer(row, number) for row in taken)]
            left = [row for row in left if row.id not in names]
    assert share(found, RARE) > 0.25  # of a tenth in the pool, which is nearly all of them
    assert share(found, JUNK) < 0.1  # a fifth in the pool; most of this is backward speech


def test_a_random_fill_without_gates_is_uniform() -> None:
    clips = [clip("easy", number, duration_s=4.0) for number in range(30)]
    rule = settings(acquisition="random", diversity="none", budget_s=40.0, **ARMS_OFF)
    pool = pool_of(clips)
    drawn = Counter(
        row.utterance_id for seed in range(300) for row in run(pool, rule, OPEN, seed=seed).choices
    )
    assert drawn.total() == 300 * 10
    assert len(drawn) == 30
    assert 65 < min(drawn.values()) <= max(drawn.values()) < 140  # 100 expected, sd 8


def test_a_cold_start_spreads_over_the_pool_whatever_the_scores(clips: list[Clip]) -> None:
    silent = [
        replace(row, hypothesis=replace(row.hypothesis, mean_token_entropy=9.0)) for row in clips
    ]
    rule = settings(budget_s=200.0)
    first = run(pool_of(clips), rule, trusted=False)
    assert first.facts["cold_start"]
    assert first.facts["acquisition"] == "diversity"
    assert set(kinds(first, clips)) >= {"easy", *RARE}
    second = run(pool_of(silent), rule, trusted=False)
    assert [row.utterance_id for row in second.choices] == [
        row.utterance_id for row in first.choices
    ]


def test_a_cold_start_without_diversity_is_random(clips: list[Clip]) -> None:
    rule = settings(diversity="none")
    pool = pool_of(clips)
    one, other = (run(pool, rule, trusted=False, seed=seed) for seed in (1, 2))
    names = [{row.utterance_id for row in found.choices} for found in (one, other)]
    assert len(names[0] & names[1]) < 10


def test_the_predictor_ranks_once_it_is_better(clips: list[Clip], answers: list[Answer]) -> None:
    pool = pool_of(clips)
    rule = settings(fallback="random")
    before, after = run(pool, rule), run(pool, rule, None, answers)
    assert before.facts["acquisition"] == "random"
    assert before.facts["predictor"] is None
    assert before.facts["expected_word_errors"] is None
    assert after.facts["predictor"]["took_over"]
    assert after.facts["acquisition"] == "predicted_wer"
    assert "better than random" in after.facts["reason"]
    assert after.facts["expected_word_errors"] > 0


def doubts(clips: Sequence[Clip], calls: list[Doubt]) -> Any:
    texts = {row.id: row for row in clips}

    def decode(ids: Sequence[str], doubt: Doubt) -> Mapping[str, Alternatives]:
        calls.append(doubt)
        return {
            name: Alternatives(
                name,
                [texts[name].text] * doubt.count,
                [-1.0] * doubt.count,
                float(len(texts[name].text)) if doubt.kind == "gradient" else None,
                texts[name].hypothesis.text,
            )
            for name in ids[1:]  # one could not be decoded
        }

    return decode


@pytest.mark.parametrize(
    ("acquisition", "kinds_of_calls"),
    [
        ("n_best_risk", ["sampled"]),
        ("perturbation_disagreement", ["perturbed"]),
        ("gradient_length", ["gradient"]),
    ],
)
def test_a_short_list_is_decoded_again(
    clips: list[Clip], acquisition: str, kinds_of_calls: list[str]
) -> None:
    rule = settings(acquisition=acquisition, shortlist=60)
    calls: list[Doubt] = []
    found = run(pool_of(clips), rule, doubt=doubts(clips, calls))
    assert [row.kind for row in calls] == kinds_of_calls
    assert found.facts["acquisition"] == acquisition
    assert found.facts["decoded_again"] <= 60
    assert arm(found, "acquired")
    again: list[Doubt] = []
    assert run(pool_of(clips), rule, doubt=doubts(clips, again)) == found
    assert calls == again


# -- order, seeds, arms, budget --------------------------------------------------------------------


@pytest.mark.parametrize("diversity", ["facility_location", "k_center", "none"])
@pytest.mark.parametrize("trusted", [True, False])
def test_the_order_of_the_input_does_not_matter(
    clips: list[Clip], answers: list[Answer], diversity: str, trusted: bool
) -> None:
    pool, rule = pool_of(clips), settings(diversity=diversity)
    order = np.random.default_rng(3).permutation(len(clips))
    shuffled = run(reordered(pool, order), rule, None, answers[::-1], trusted=trusted)
    assert shuffled == run(pool, rule, None, answers, trusted=trusted)
    assert shuffled.choices != run(pool, rule, None, answers, trusted=trusted, seed=1).choices


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shortlist", [30, 2000])
@pytest.mark.parametrize("budget_s", [15.0, 110.0, 900.0])
def test_batches_are_distinct_ranked_within_the_budget_and_full(
    clips: list[Clip], budget_s: float, shortlist: int, seed: int
) -> None:
    found = run(pool_of(clips), settings(budget_s=budget_s, shortlist=shortlist), seed=seed)
    names = [row.utterance_id for row in found.choices]
    assert len(set(names)) == len(names)
    assert [row.rank for row in found.choices] == list(range(len(names)))
    spent_s = sum(row.duration_s for row in clips if row.id in names)
    assert spent_s == pytest.approx(found.facts["audio_s"])
    assert budget_s - 7 <= spent_s <= budget_s + 1e-6
    assert not {row.utterance_id for row in found.gated} & {
        row.utterance_id for row in found.choices if row.arm != "explored"
    }
    json.dumps(found.facts, allow_nan=False)


def test_the_arms_have_their_shares(clips: list[Clip]) -> None:
    rule = settings(budget_s=400.0, control_share=0.2, explore_share=0.05)
    spent: Counter[str] = Counter()
    for seed in range(20):
        found = run(pool_of(clips), rule, seed=seed)
        held = {row.utterance_id for row in found.gated}
        assert {row.utterance_id for row in arm(found, "explored")} <= held
        for name, row in found.facts["arms"].items():
            assert row["clips"] == len(arm(found, name))
            spent[name] += row["audio_s"]
    assert spent["control"] / (20 * 400) == pytest.approx(0.2, abs=0.02)
    assert spent["explored"] / (20 * 400) == pytest.approx(0.05, abs=0.01)


def test_the_control_arm_asks_no_score(clips: list[Clip]) -> None:
    pool = pool_of(clips)
    high, low = (run(pool, settings(acquisition=name)) for name in ("mean_token_entropy", "margin"))
    names = [{row.utterance_id for row in arm(found, "control")} for found in (high, low)]
    assert names[0] == names[1] != set()


def test_annotator_minutes_take_the_place_of_audio_once_they_can_be_told(
    clips: list[Clip], answers: list[Answer]
) -> None:
    rule = settings(budget_minutes=5.0, **ARMS_OFF)
    assert run(pool_of(clips), rule).facts["budget"]["of"] == "audio"
    facts = run(pool_of(clips), rule, None, answers).facts
    assert facts["budget"]["of"] == "annotator"
    assert 250 < facts["budget"]["spent_s"] <= 300
    assert facts["annotator_s"] == pytest.approx(facts["budget"]["spent_s"])
    assert facts["effort"]["answers"] >= 20


# -- gates -----------------------------------------------------------------------------------------


def test_what_is_gated_is_named_and_counted(clips: list[Clip]) -> None:
    found = run(pool_of(clips), settings(**ARMS_OFF))
    silence = {row.id for row in clips if row.kind == "silence"}
    assert {row.utterance_id for row in found.gated if row.gate == "no_speech"} == silence
    assert found.facts["gates"]["no_speech"] == len(silence)
    assert run(pool_of(clips), settings(**ARMS_OFF), OPEN).gated == []


def test_a_released_clip_is_ranked(clips: list[Clip]) -> None:
    silence = [row for row in clips if row.kind == "silence"]
    pool = pool_of(silence[:3])
    found = run(pool, settings(), released={silence[0].id})
    assert [row.utterance_id for row in found.choices if row.arm != "explored"] == [silence[0].id]
    assert found.facts["released"] == 1


def test_a_duplicate_of_a_labelled_clip_is_gated(clips: list[Clip]) -> None:
    twin = next(row for row in clips if row.kind == "noisy")
    known = twin.profile.embedding[None]
    found = run(pool_of(clips), settings(budget_s=5000.0, **ARMS_OFF), known=known)
    gated = {row.utterance_id: row for row in found.gated}
    assert gated[twin.id].gate == "duplicate"
    assert gated[twin.id].value > 0.98
    assert twin.id not in {row.utterance_id for row in found.choices}
    free = run(pool_of(clips), settings(**ARMS_OFF), known=known, released={twin.id})
    assert twin.id not in {row.utterance_id for row in free.gated}


def test_a_released_duplicate_is_taken_beside_its_twin() -> None:
    rows = [clip("easy", number) for number in range(20)]
    twin = replace(rows[0].profile, utterance_id=rows[1].id)
    rows[1] = replace(rows[1], profile=twin)
    held = run(pool_of(rows), settings(budget_s=1000.0, **ARMS_OFF))
    assert held.facts["gates"] == {"duplicate": 1}
    both = {rows[0].id, rows[1].id}
    free = run(pool_of(rows), settings(budget_s=1000.0, **ARMS_OFF), released=both)
    assert both <= {row.utterance_id for row in free.choices}
    assert free.gated == []


def test_what_is_left_of_a_pool_is_seen_from_what_is_known_too(clips: list[Clip]) -> None:
    """Copies of one labelled clip are all that is left."""
    known = np.array([row.profile.embedding for row in clips])
    rng = np.random.default_rng(0)
    copies = []
    for row in [clip("fast", number) for number in range(5)]:
        near = clips[0].profile.embedding + 0.01 * rng.standard_normal(DIMENSION)
        profile = replace(row.profile, embedding=near.astype(np.float32))
        copies.append(replace(row, profile=profile))
    found = run(pool_of(copies), settings(**ARMS_OFF), known=known)
    assert found.choices == []
    assert found.facts["gates"] == {"duplicate": 5}


def test_every_gate_is_tried_however_few_clips_it_holds_back() -> None:
    rows = [clip("silence", number) for number in range(200)]
    quiet = clip("easy", 0)
    rows.append(replace(quiet, profile=replace(quiet.profile, loudness_dbfs=-80.0)))
    rule = settings(explore_share=0.1)
    tried = [run(pool_of(rows), rule, seed=seed) for seed in range(20)]
    assert sum(quiet.id in {row.utterance_id for row in found.choices} for found in tried) > 10


def test_clips_like_rejected_ones_are_gated(clips: list[Clip]) -> None:
    """Every noisy clip but three was found unusable."""
    noisy = [clip("noisy", number, seed=8) for number in range(6)]
    answered = [replace(answer(row), text=None, verdict="bad_audio") for row in noisy]
    answered += [answer(clip("easy", number, seed=8)) for number in range(20)]
    found = run(pool_of(clips), settings(budget_s=5000.0), None, answered)
    held = {row.utterance_id for row in found.gated if row.gate == "like_rejected"}
    assert held >= {row.id for row in clips if row.kind == "noisy"}
    kept = {row.utterance_id for row in found.choices if row.arm != "explored"}
    assert kept >= {row.id for row in clips if row.kind == "fast"}


def test_hypotheses_of_an_untrained_checkpoint_gate_nothing(clips: list[Clip]) -> None:
    loops = [
        replace(row, hypothesis=replace(row.hypothesis, compression_ratio=9.0)) for row in clips
    ]
    assert "looping" not in run(pool_of(loops), settings(), trusted=False).facts["gates"]
    found = run(pool_of(loops), settings(explore_share=0.3))
    assert {row.arm for row in found.choices} == {"explored"}
    assert "looping 3" in found.facts["reason"]


# -- bad input -------------------------------------------------------------------------------------


def test_an_empty_pool_gives_an_empty_batch() -> None:
    found = run(pool_of([]), settings())
    assert (found.choices, found.gated) == ([], [])
    assert "empty" in found.facts["reason"]


def test_a_pool_smaller_than_the_budget_is_taken_whole() -> None:
    few = [clip("easy", number) for number in range(4)]
    found = run(pool_of(few), settings())
    assert {row.utterance_id for row in found.choices} == {row.id for row in few}


def test_a_single_clip() -> None:
    assert len(run(pool_of([clip("easy", 0)]), settings(control_share=0.0)).choices) == 1


def test_all_gated_says_by_which_gates_and_what_to_do() -> None:
    pool = pool_of([clip("silence", number) for number in range(3)])
    found = run(pool, settings(explore_share=0.0))
    assert found.choices == []
    assert {row.gate for row in found.gated} == {"no_speech"}
    reason = found.facts["reason"]
    assert re.search(r"all 3 clips.*\(no_speech 3\).*`al-loop gates release`", reason)
    tried = run(pool, settings(explore_share=1.0))
    assert [row.arm for row in tried.choices] == ["explored"] * 3
    assert tried.facts["reason"] == reason


def test_a_budget_that_no_clip_fits_into() -> None:
    pool = pool_of([clip("easy", number, duration_s=4.0) for number in range(3)])
    with pytest.raises(AlLoopError, match=r"select.budget_s = 3.*needs 4"):
        run(pool, settings(budget_s=3.0))


def test_clips_without_statistics_are_counted_and_never_acquired(clips: list[Clip]) -> None:
    pool = pool_of(clips)
    for name, values in pool.statistics.items():
        if name not in ("loudness_dbfs", "speech_share"):
            values[::2] = np.nan
    blank = {name.decode() for name in pool.ids[::2]}
    found = run(pool, settings(budget_s=5000.0, control_share=0.02))
    assert not {row.utterance_id for row in arm(found, "acquired")} & blank
    assert arm(found, "acquired")
    held = {row.utterance_id for row in found.gated if row.gate == "no_speech"}
    assert found.facts["unscored"] == len(blank - held)
    assert all(np.isfinite(row.acquisition_score) for row in found.choices)


def test_a_pool_without_any_statistics_says_so() -> None:
    pool = pool_of([clip("easy", number) for number in range(3)])
    for values in pool.statistics.values():
        values[:] = np.nan
    found = run(pool, settings(control_share=0.0))
    assert found.choices == []
    assert "none of the 3 clips" in found.facts["reason"]
    assert "score by word_surprisal" in found.facts["reason"]


def test_what_decoding_again_gave_no_score_is_said(clips: list[Clip]) -> None:
    few = clips[:20]
    rule = settings(acquisition="n_best_risk", explore_share=0.0)
    deaf = run(pool_of(few), rule, doubt=lambda ids, doubt: {}).facts
    assert deaf["arms"]["acquired"]["clips"] == 0 < deaf["arms"]["control"]["clips"]
    assert "decoding again gave 17 of 17 clips no score by n_best_risk" in deaf["reason"]
    alone = run(pool_of(few), settings(acquisition="n_best_risk", **ARMS_OFF), doubt=lambda *_: {})
    assert alone.choices == []
    assert "none of the 20 clips that were decoded again" in alone.facts["reason"]


def test_clips_left_out_and_a_budget_that_is_left_are_said(clips: list[Clip]) -> None:
    pool = pool_of(clips)
    pool.statistics["mean_log_prob"][10:] = np.nan
    reason = run(pool, settings(budget_s=400.0)).facts["reason"]
    assert re.search(r"; \d+ clips have no score by word_surprisal and were left out; ", reason)
    assert re.search(r"; \d+ of 400 s of the budget are left, though \d+ more clips", reason)
    assert ";" not in run(pool_of(clips), settings()).facts["reason"]


def test_a_pool_without_embeddings_is_ranked_by_worth(clips: list[Clip]) -> None:
    pool = replace(pool_of(clips), embedding_rows=np.full(len(clips), -1))
    pool = replace(pool, embeddings=np.zeros((0, DIMENSION), np.float16))
    assert len(arm(run(pool, settings()), "acquired")) > 10


def test_a_quota_binds_until_the_last_short_list() -> None:
    """The best are one speaker's copies of one clip, then another's clips, then everybody's."""
    rows = [replace(clip("noisy", number, duration_s=5.0), speaker=0) for number in range(40)]
    rows += [
        replace(clip("easy", number, duration_s=5.0), speaker=number) for number in range(1, 41)
    ]
    rule = settings(
        budget_s=50.0, shortlist=10, max_speaker_share=0.5, diversity="none", **ARMS_OFF
    )
    found = run(pool_of(rows), rule)
    speakers = {row.id: row.speaker for row in rows}
    assert Counter(speakers[row.utterance_id] for row in found.choices)[0] == 5
    assert (len(found.choices), found.facts["beyond_quota"]) == (10, 0)


def test_one_speaker_only_fills_the_batch_and_it_is_said(clips: list[Clip]) -> None:
    alone = pool_of([replace(row, speaker=0) for row in clips])
    found = run(alone, settings(max_speaker_share=0.3))
    assert found.facts["audio_s"] > 100
    assert found.facts["speakers"] == 1
    assert found.facts["beyond_quota"] > 0
    assert "beyond a quota" in found.facts["reason"]


def test_a_speakers_quota_holds_beyond_the_short_list() -> None:
    """The best 200 are one speaker's, and the short list holds 40."""
    rows = [replace(clip("noisy", number), speaker=0) for number in range(200)]
    rows += [replace(clip("easy", number), speaker=1 + number % 9) for number in range(200)]
    rule = settings(shortlist=40, max_speaker_share=0.5, **ARMS_OFF)
    found = run(pool_of(rows), rule)
    speakers = {row.id: row.speaker for row in rows}
    taken = [speakers[row.utterance_id] for row in found.choices]
    assert found.facts["beyond_quota"] == 0
    assert 0 < taken.count(0) < 0.75 * len(taken)


def test_nothing_is_looked_at_for_a_random_fill() -> None:
    rule = settings(acquisition="random", diversity="none")
    assert not needs_scores(rule, OPEN)
    assert needs_scores(rule, GateSettings())
    assert needs_scores(settings(diversity="none"), OPEN)
