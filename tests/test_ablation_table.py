"""The rows of an ablation, their intervals, and the lines that a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from al_loop.ablation_table import UNTRAINED, Row, added_rows, left_out_rows, report
from al_loop.records import content_hash

GROUPS = [("open_source", ["a", "b"]), ("in_house", ["c"])]


def result(
    variant: Sequence[str], errors: Sequence[int], seed: int = 0, tested: str = "test"
) -> dict[str, Any]:
    return {
        "variant": list(variant),
        "seed": seed,
        "evaluation_set": tested,
        "language": "ky",
        "examples": 10 * len(variant),
        "audio_s": 90.0 * len(variant),
        "draws": 40 if variant else 0,
        "utterance_errors": [[wrong, 10] for wrong in errors],
    }


def test_a_change_is_paired() -> None:
    """Each clip has one error less: the interval of the difference has no width."""
    results = [result("ab", [6, 1, 9]), result("abc", [5, 0, 8])]
    first, second = added_rows(results, GROUPS, 300)
    assert second.change is not None
    assert (second.change.low, second.change.high) == (-0.1, -0.1)
    assert first.wer.low < first.wer.value < first.wer.high
    assert first.change is None


def test_other_clips_are_not_compared() -> None:
    rows = added_rows([result("ab", [6, 5]), result("abc", [5, 4, 6])], GROUPS, 50)
    assert [row.change for row in rows] == [None, None]


def test_what_is_not_measured_is_left_out() -> None:
    results = [result("", [9, 9, 9]), result("abc", [5, 4, 6])]
    untrained, whole = added_rows(results, GROUPS, 50)
    assert (untrained.title, whole.title) == (UNTRAINED, "+ in_house")
    assert whole.change is not None
    assert whole.change.value == pytest.approx(-0.4)
    assert left_out_rows(results, GROUPS, 50) == []
    assert added_rows([], GROUPS, 50) == []


def test_what_is_left_out_is_compared_with_the_whole() -> None:
    results = [result(part, errors) for part, errors in (("abc", [5, 4]), ("c", [7, 7]))]
    whole, without = left_out_rows(results, GROUPS, 50)
    assert (whole.step, without.label) == ("whole", "open_source")
    assert without.change is not None
    assert without.change.value == pytest.approx(0.25)


def test_sources_of_other_languages_count_to_no_group() -> None:
    results = [result(["ru", "a", "b"], [5, 4]), result(["ru", "a", "b", "c"], [3, 4])]
    assert [row.title for row in added_rows(results, GROUPS, 50)] == [
        "+ open_source",
        "+ in_house",
    ]


def test_seeds_widen_an_interval() -> None:
    def width(rows: list[Row]) -> float:
        (row,) = rows
        return row.wer.high - row.wer.low

    clips_errors = list(np.random.default_rng(0).integers(0, 6, 80))
    alike = [result("ab", clips_errors, seed) for seed in range(3)]
    apart = [result("ab", [row + shift for row in clips_errors], seed)
             for seed, shift in enumerate((0, 1, 2))]  # fmt: skip
    (row,) = added_rows(apart, GROUPS, 500)
    assert row.seeds == 3
    assert row.wer.value == pytest.approx((sum(clips_errors) + 80) / 800)
    assert width(added_rows(apart, GROUPS, 500)) > 2 * width(added_rows(alike, GROUPS, 500))


def test_only_seeds_that_all_rows_have_count() -> None:
    results = [result("ab", [6, 6]), result("ab", [0, 0], 1), result("abc", [4, 4])]
    first, second = added_rows(results, GROUPS, 50)
    assert (first.wer.value, first.seeds) == (0.6, 1)
    assert second.change is not None
    assert second.change.value == pytest.approx(-0.2)


def test_seeds_of_one_table_do_not_wait_for_the_other() -> None:
    """As after a run of one seed, and then one with `--seeds 3 --no-leave-one-out`."""
    added = [result(part, [6 - seed] * 2, seed) for part in ("ab", "abc") for seed in range(3)]
    results = [result("", [9, 9]), *added, result("c", [8, 8])]
    assert [row.seeds for row in added_rows(results, GROUPS, 50)] == [1, 3, 3]
    whole, without, _ = left_out = left_out_rows(results, GROUPS, 50)
    assert [row.seeds for row in left_out] == [1, 1, 1]
    assert whole.wer.value == pytest.approx(0.6)
    assert without.change is not None
    assert without.change.value == pytest.approx(0.2)
    lines = report(results, GROUPS, 50)
    second = lines.index("WER % with all of them, and without each:")
    assert "means over 3 seeds" in lines[second - 2]
    assert lines[-1].startswith("95% intervals cover the choice of test clips only")
    assert "means over 3 seeds" in report(results, GROUPS, 50, left_out=False)[-1]


def test_the_report_has_a_column_an_evaluation_set() -> None:
    results = [
        result(part, errors, 0, tested)
        for tested in ("radio", "books")
        for part, errors in (("", [9, 9]), ("ab", [5, 5]), ("abc", [5, 3]), ("c", [6, 6]))
    ]
    lines = report(results, GROUPS, 100)
    head = lines[1]
    assert head.split()[:6] == ["step", "examples", "hours", "draws", "of", "each"]
    assert head.index("books (ky)") < head.index("radio (ky)")
    assert lines[2].split() == [
        "untrained", "base", "0", "0.00", "0", "–", *["90.0", "(90.0", "to", "90.0)"] * 2,
    ]  # fmt: skip
    assert lines[3].split()[:6] == ["+", "open_source", "20", "0.05", "40", "2.0"]
    assert "WER % with all of them, and without each:" in lines
    assert sum(line.startswith("without open_source") for line in lines) == 2
    assert lines[-1].startswith("95% intervals cover the choice of test clips only")


def test_names_may_be_anything() -> None:
    label = content_hash("x") + " | ] 日本"
    (row,) = added_rows([result([label], [1, 2])], [(label, [label])], 20)
    assert row.title == f"+ {label}"
