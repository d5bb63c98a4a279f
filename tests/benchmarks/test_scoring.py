"""What `make bench` says of scoring, and the parts of a side that need no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.audio import SAMPLE_RATE
from al_loop.config import ModelSettings
from al_loop.errors import AlLoopError
from al_loop.records import ErrorCounts, Example, Utterance
from benchmarks import scoring_checkpoint
from benchmarks.floor import Floor, Machine
from benchmarks.reference import mean_scores
from benchmarks.scoring import Side, correlation, judge
from benchmarks.scoring_checkpoint import identity_of
from benchmarks.scoring_report import NAMES, Correlation, Measured, about, table, targets
from benchmarks.scoring_side import FOLLOWS, SIDES, Hear, Heard, by_clip, choices, fastest, join
from benchmarks.training_side import Plan

CLIPS = [
    Utterance(f"id{row}", "", f"/clips/{row}.flac", 4.0, "corpus_ky", "ky", "test", text)
    for row, text in enumerate(["бир эки", "үч төрт", "беш алты"])
]
COUNTS = [ErrorCounts(20, 100, 0, 1)]


def side(seconds: float, errors: int = 20, ranked: float | None = None) -> Measured:
    counts = [replace(COUNTS[0], word_errors=errors)]
    log_prob = None if ranked is None else Correlation(ranked, 1)
    entropy = Correlation(0.9 if ranked is None else ranked, 1)
    return Measured(
        {"batch_size": 4}, [seconds, 2 * seconds, seconds], 2**30, counts, log_prob, entropy
    )


def test_every_target_is_met_at_its_bound_and_missed_behind_it() -> None:
    met = {"pipeline": side(15.0), "faster_whisper": side(5.0), "al_loop": side(1.0, 20, 0.95)}
    assert [(row.name, row.passed) for row in targets(met)] == [
        ("scoring_vs_pipeline", True),
        ("scoring_vs_faster_whisper", True),
        ("scoring_wer", True),
        ("scoring_spearman_log_probability", True),
        ("scoring_spearman_entropy", True),
    ]
    missed = {"pipeline": side(14.9), "faster_whisper": side(4.9), "al_loop": side(1.0, 21, 0.949)}
    assert [row.passed for row in targets(missed)] == [False] * 5
    assert [row.measured for row in targets(missed)][2:] == [
        "+1.00 (+1.00 to +1.00) points against the pipeline",
        "0.949 over 1 of 1 clips",
        "0.949 over 1 of 1 clips",
    ]
    unscored = targets({**met, "al_loop": side(1.0)})[3]
    assert (unscored.measured, unscored.passed) == ("none over 0 of 1 clips", False)


def test_the_table_has_speed_memory_errors_and_the_floor() -> None:
    sides = {"pipeline": side(6.0), "faster_whisper": side(3.0), "al_loop": side(1.0, 20, 0.97)}
    floor = Floor("own", torch.bfloat16, 1e9, 1e6, seconds=0.01)
    columns, rows = table(sides, [floor], CLIPS)
    assert rows[0] == [
        "transformers' pipeline, 30 s, float32 (4)",
        *("2.0", "1.0 to 2.0", "1.0", "20.0", "none", "0.900"),
    ]
    assert rows[3][:2] == ["floor: own windows, bfloat16", "100.0 at most"]
    assert {len(row) for row in rows} == {len(columns)}
    machine = Machine({torch.float32: 2e11, torch.int8: 9e11}, 3e10)
    told = about(sides, CLIPS, {"ky": 40, "ru": 7}, 2, machine)
    assert "3 Kyrgyz test clips" in told
    assert "on 40 Kyrgyz and 7 Russian other clips" in told
    assert "float32 200 Gop/s, int8 900 Gop/s, memory 30 GB/s" in told


def test_a_side_is_judged_by_what_it_heard_first() -> None:
    heard = [Heard("бир эки", -0.1, 0.3), Heard("үч беш", -0.3, 0.2), Heard("", -0.2, 0.1)]
    answers = [
        {"seconds": 2.0, "peak_bytes": 1, "heard": [asdict(row) for row in heard]},
        {"seconds": 3.0, "peak_bytes": 2, "heard": None},
    ]
    reference = [Heard("", -0.2, 0.1), Heard("", -0.9, 0.2), Heard("", -0.4, 0.3)]
    found = judge({}, answers, CLIPS, reference)
    assert (found.seconds, found.peak_bytes, found.wer) == ([2.0, 3.0], 2, 0.5)
    assert found.log_prob == Correlation(pytest.approx(1), 3)
    assert found.entropy == Correlation(pytest.approx(-1), 3)


def test_clips_without_a_score_are_left_out_of_a_correlation() -> None:
    assert correlation([None] * 3, [0.1, 0.2, 0.3]) is None
    assert correlation([0.1, None, 0.2, 0.3], [1.0, 9.0, 2.0, 3.0]) == Correlation(
        pytest.approx(1), 3
    )


def test_joined_clips_begin_on_whole_seconds_behind_silence() -> None:
    clips = [np.full(round(SAMPLE_RATE * seconds), 0.5, np.float32) for seconds in (1.2, 1.6, 1.0)]
    recording, spans = join(clips)
    assert spans == [(0.0, 1.2), (2.0, 3.6), (5.0, 6.0)]
    for samples, (start, end) in zip(clips, spans, strict=True):
        heard = recording[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        assert heard.tolist() == samples.tolist()
    assert np.count_nonzero(recording) == sum(map(len, clips))


def test_segments_find_their_clips() -> None:
    spans = [(0.0, 1.2), (2.0, 3.6), (5.0, 6.0)]
    found = by_clip([(0.0, " бир", -0.1), (5.0, " үч", -0.3), (5.5, "төрт", -0.4)], spans)
    assert found == [Heard("бир", -0.1), Heard("", None), Heard("үч төрт", -0.4)]


def test_the_fastest_choice_is_taken_and_a_single_one_not_tried() -> None:
    now = iter(count())
    lasting = {"slow": 9, "quick": 1, "middling": 5}

    def make(choice: object) -> Hear:
        def hear(clips: Sequence[Utterance]) -> list[Heard]:
            assert isinstance(choice, dict)
            for _ in range(lasting[choice["name"]]):
                next(now)
            return [Heard("") for _ in clips]

        return hear

    possible = [{"name": name} for name in lasting]
    assert fastest(possible, make, CLIPS, lambda: next(now)) == {"name": "quick"}

    def never(choice: object) -> Hear:
        raise AssertionError("there is nothing to choose")

    assert fastest([{}], never, CLIPS) == {}


def test_a_side_that_dies_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlLoopError, match="the side nobody ended with status 1"):
        Side("nobody", tmp_path, {})


def test_the_reference_counts_tokens_up_to_the_first_end() -> None:
    logits = torch.tensor([[[0.0, 0.0, -torch.inf], [9.0, 0.0, -torch.inf], [5.0, 5.0, 5.0]]])
    logits = logits.repeat(2, 1, 1)
    tokens = torch.tensor([[0, 1, 1], [0, 0, 0]])  # 1 is the end
    (mean, entropy, length), (_, _, whole) = mean_scores(logits, tokens, end=1)
    log_probs = logits[0].log_softmax(-1)
    assert (length, whole) == (2, 3)
    assert mean == pytest.approx(float(log_probs[0, 0] + log_probs[1, 1]) / 2)
    p = log_probs[1, :2].exp()
    assert entropy == pytest.approx((np.log(2) - float((p * p.log()).sum())) / 2, rel=1e-5)


def test_another_plan_other_clips_or_other_sources_make_another_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draws(text: str, audio: str = "/a.flac") -> Plan:
        return Plan([[Example("a", audio, 1.0, "corpus_ky", "ky", text)]], 1e-4, 8, 0)

    made = identity_of(draws("бир"), CLIPS)
    assert made == identity_of(draws("бир", "/elsewhere/a.flac"), CLIPS)
    assert made != identity_of(draws("эки"), CLIPS)
    assert made != identity_of(replace(draws("бир"), learning_rate=1e-5), CLIPS)
    assert made != identity_of(draws("бир"), CLIPS[:2])
    assert made["model"] == ModelSettings().model_dump()
    assert json.loads(json.dumps(made)) == made  # or what is kept would never be taken
    edited = tmp_path / "audio.py"
    edited.write_text("# another decoder\n", encoding="utf-8")
    monkeypatch.setattr(scoring_checkpoint, "SOURCES", (edited, *scoring_checkpoint.SOURCES[1:]))
    assert made != identity_of(draws("бир"), CLIPS)


def test_every_side_has_a_name_in_the_table_and_something_to_choose() -> None:
    assert set(SIDES) == set(NAMES)
    assert all(choices(FOLLOWS.get(name, name)) for name in SIDES)
    assert {row["compute_type"] for row in choices("faster_whisper")} <= {"float32", "int8"}
