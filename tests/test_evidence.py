import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from al_loop.evidence import longest_lead_s, round_report
from al_loop.evidence_lines import lines
from al_loop.evidence_sums import CHUNK
from al_loop.records import Answer, Arm, CurvePoint, Hypothesis, Verdict

TEXT = "бир эки үч төрт беш алты жети сегиз тогуз он"


def heard(text: str) -> Hypothesis:
    return Hypothesis("x", text, 10, -0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.0, 1.0)


def answer(
    arm: Arm, errors: int, number: int = 1, lead_time_s: float | None = 30.0, **rest: Any
) -> Answer:
    """A label of ten words, of which so many were heard wrongly."""
    words = ["жок"] * errors + TEXT.split()[errors:]
    row = Answer("x", number, arm, "ky", 4.0, TEXT, None, heard(" ".join(words)), None, lead_time_s)
    return replace(row, **rest)


def junk(arm: Arm, verdict: Verdict = "bad_audio") -> Answer:
    return answer(arm, 0, text=None, verdict=verdict, lead_time_s=10.0)


def report(answers: list[Answer], number: int = 1, points: Any = ()) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found = round_report(answers, number, points, "ky", rng, 300, 1800.0)
    json.dumps(found, allow_nan=False)
    return found


ROUND = [
    *(answer("acquired", errors) for errors in (4, 5, 6, 5, 4, 6, 5, 5)),
    *(answer("control", errors) for errors in (2, 1, 3, 2, 2, 2)),
    junk("control"),
    junk("control", "other_language"),
]


def test_arms_are_counted_and_measured() -> None:
    arms = report(ROUND)["round"]["arms"]
    assert (arms["acquired"]["tasks"], arms["acquired"]["labelled"]) == (8, 8)
    assert (arms["acquired"]["word_errors"], arms["acquired"]["words"]) == (40, 80)
    assert arms["acquired"]["wer"] == 0.5
    assert 0.4 < arms["acquired"]["wer_low"] < 0.5 < arms["acquired"]["wer_high"] < 0.6
    assert arms["acquired"]["audio_s"] == 32
    assert arms["acquired"]["annotator_s"] == 240
    assert arms["acquired"]["edits_per_minute"] == 10  # 40 in four minutes
    control = arms["control"]
    assert (control["bad_audio"], control["other_language"], control["junk_share"]) == (1, 1, 0.25)
    assert control["wer"] == pytest.approx(0.2)  # junk has no words
    assert control["edits_per_minute"] == pytest.approx(12 / (200 / 60))  # but takes time
    assert arms["explored"]["tasks"] == 0
    assert arms["explored"]["wer"] is None


def test_acquired_minus_control() -> None:
    difference = report(ROUND)["round"]["difference"]
    assert difference["wer"] == pytest.approx(0.3)
    assert 0.2 < difference["wer_low"] < 0.3 < difference["wer_high"] < 0.4
    assert difference["edits_per_minute"] == pytest.approx(10 - 3.6)
    assert difference["wer_reason"] is None


def test_minutes_saved_are_those_that_random_choice_would_have_needed() -> None:
    found = report(ROUND)
    saved = found["round"]["saved"]
    assert saved["minutes"] == pytest.approx(40 / 3.6 - 4)
    assert 3 < saved["minutes_low"] < saved["minutes"] < saved["minutes_high"]
    assert saved["method"] == "equal errors found"
    said = "\n".join(lines(found))
    assert "acquired: 8 clips, 8 labelled, WER of the hypotheses 50.0% (" in said
    assert "control: 8 clips, 6 labelled, 25% junk (1 bad audio, 1 other language)" in said
    assert "acquired minus control: WER 30.0 (" in said
    assert "about 7.1 minutes (" in said
    assert "saved against random choice" in said
    assert "is not yet a lower WER" in said


def test_choosing_badly_costs_minutes() -> None:
    swapped: dict[Arm, Arm] = {"acquired": "control", "control": "acquired"}
    found = report([replace(row, arm=swapped[row.arm]) for row in ROUND])
    saved = found["round"]["saved"]
    assert saved["minutes"] == pytest.approx(12 / 10 - 200 / 60)
    (said,) = [row for row in lines(found) if "against random choice" in row]
    assert said.startswith("  about 2.1 minutes (")
    assert "lost" in said


def test_a_small_arm_is_said_to_be_too_small() -> None:
    found = report([*ROUND[:8], answer("control", 2)])["round"]
    assert found["arms"]["control"]["wer"] == 0.2
    assert found["difference"]["wer"] is None
    assert found["saved"]["minutes"] is None
    assert found["saved"]["reason"] == ("1 timed answers in the control arm, at least 5 are needed")


def test_a_control_arm_without_errors_gives_no_rate() -> None:
    found = report([*ROUND[:8], *(answer("control", 0) for _ in range(6))])["round"]
    assert found["difference"]["wer"] == 0.5
    assert "held no word errors" in found["saved"]["reason"]


def test_a_control_arm_with_hardly_an_error_gives_no_upper_bound() -> None:
    found = report([*ROUND[:8], answer("control", 1), *(answer("control", 0) for _ in range(6))])
    saved = found["round"]["saved"]
    assert saved["minutes"] == pytest.approx(40 / (1 / 3.5) - 4)
    assert saved["minutes_high"] is None
    assert "to unbounded) were saved" in "\n".join(lines(found))


def test_no_answers_at_all() -> None:
    found = report([])
    assert found["all"]["arms"]["acquired"]["tasks"] == 0
    assert "  no answers, so nothing to compare" in lines(found)


def test_rounds_are_told_apart_and_put_together() -> None:
    later = [replace(row, round=2) for row in ROUND]
    assert report([*ROUND, *later]) == report(ROUND)  # what came later is not known yet
    found = report([*ROUND, *later], number=2)
    assert found["round"]["arms"]["acquired"]["tasks"] == 8
    assert found["all"]["arms"]["acquired"]["tasks"] == 16
    width = {
        part: found[part]["arms"]["acquired"]["wer_high"]
        - found[part]["arms"]["acquired"]["wer_low"]
        for part in ("round", "all")
    }
    assert width["all"] < width["round"]
    assert "in all 2 rounds that asked:" in lines(found)
    first = report(ROUND)
    assert first["round"] == first["all"]


def test_breaks_are_cut_off() -> None:
    times = [20.0, 25, 30, 35, 40, 30, 28, 3600]
    rows = [answer("acquired", 5, lead_time_s=time) for time in times]
    most_s = longest_lead_s(rows)
    assert most_s is not None
    assert 40 < most_s < 120
    arm = report(rows)["round"]["arms"]["acquired"]
    assert arm["annotator_s"] == pytest.approx(208 + most_s)


@pytest.mark.parametrize("time", [None, 0.0, float("nan"), float("inf")])
def test_an_answer_without_a_time_counts_for_wer_alone(time: float | None) -> None:
    arm = report([answer("acquired", 5), answer("acquired", 1, lead_time_s=time)])["round"]["arms"][
        "acquired"
    ]
    assert arm["wer"] == pytest.approx(0.3)
    assert (arm["timed"], arm["without_time"]) == (1, 1)
    assert arm["edits_per_minute"] == 10


def test_an_answer_without_a_hypothesis_counts_for_neither() -> None:
    arm = report([answer("acquired", 5), answer("acquired", 5, hypothesis=None)])["round"]["arms"][
        "acquired"
    ]
    assert (arm["labelled"], arm["compared"], arm["timed"]) == (2, 1, 1)
    assert (arm["words"], arm["edits_per_minute"]) == (10, 10)


def test_a_label_without_a_word_makes_errors_of_what_was_heard() -> None:
    arm = report([answer("acquired", 5), answer("acquired", 3, text="…")])["round"]["arms"][
        "acquired"
    ]
    assert (arm["word_errors"], arm["words"]) == (15, 10)


def test_many_answers_are_resampled_in_pieces() -> None:
    rows = [answer("acquired", number % 5) for number in range(700)]
    most = CHUNK // len(rows)
    found = round_report(rows, 1, (), "ky", np.random.default_rng(0), most + 100, 1800.0)
    arm = found["all"]["arms"]["acquired"]
    assert arm["wer"] == pytest.approx(0.2)
    half = 1.96 * np.sqrt(2 / 700) / 10
    assert arm["wer_high"] - arm["wer"] == pytest.approx(half, rel=0.1)
    assert arm["wer"] - arm["wer_low"] == pytest.approx(half, rel=0.1)


def test_the_learning_curve_is_part_of_the_report() -> None:
    points = [
        CurvePoint(number, "a", "ky", 900, 600.0 * number, 0, wer, wer - 0.02, wer + 0.02)
        for number, wer in enumerate((0.6, 0.5, 0.44, 0.1))
    ]
    curve = report(ROUND, number=2, points=points)["curve"]
    assert [row["round"] for row in curve["points"]] == [0, 1, 2]
    assert curve["advice"]["verdict"] == "keep_labelling"


def test_arms_that_are_alike_in_every_round_are_alike_in_all() -> None:
    """The control arm's share falls while there is ever less to find: Simpson's paradox."""
    rows = [
        answer(arm, errors, number, lead_time_s=10.0 + 2 * errors)
        for number, errors, acquired, control in ((1, 8, 50, 50), (2, 2, 90, 10))
        for arm, count in (("acquired", acquired), ("control", control))
        for _ in range(count)
    ]
    found = report(rows, number=2)["all"]
    assert found["difference"]["wer"] == pytest.approx(0)
    assert found["difference"]["edits_per_minute"] == pytest.approx(0)
    assert found["saved"]["minutes"] == pytest.approx(0)


def test_rounds_add_up() -> None:
    later = [replace(row, round=2) for row in ROUND]
    first, both = report(ROUND)["all"], report([*ROUND, *later], number=2)["all"]
    assert both["difference"]["wer"] == pytest.approx(first["difference"]["wer"])
    assert both["saved"]["minutes"] == pytest.approx(2 * first["saved"]["minutes"])


def test_arms_of_different_rounds_are_not_compared() -> None:
    rows = [*ROUND[:8], *(replace(row, round=2) for row in ROUND[8:])]
    found = report(rows, number=2)["all"]
    assert found["difference"]["wer"] is None
    assert found["saved"]["minutes"] is None
    assert "compared within rounds" in found["saved"]["reason"]
    assert "compared within rounds" in found["difference"]["wer_reason"]


def test_what_is_within_noise_is_said_to_be() -> None:
    alike = [replace(row, arm=arm) for row in ROUND[:8] for arm in ("acquired", "control")]
    said = [row for row in lines(report(alike)) if "no difference beyond noise" in row]
    assert len(said) == 3
    assert not [row for row in lines(report(ROUND)) if "beyond noise" in row]
