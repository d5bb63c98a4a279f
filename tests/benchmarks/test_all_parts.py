"""`make bench` prints every part's lines and fails when any of them does."""

from __future__ import annotations

import sys

import pytest

from benchmarks.__main__ import Outcome, run, run_all, verdicts


def test_target_lines_are_kept_and_other_lines_left_out() -> None:
    printed = "PASS speed 7x >= 6x\na note\nFAIL wer 9 <= 5\n"
    assert verdicts(Outcome("training", 1, printed)) == ["PASS speed 7x >= 6x", "FAIL wer 9 <= 5"]


def test_a_part_that_breaks_off_fails_by_name() -> None:
    broken = run("scoring", [sys.executable, "-c", "print('PASS a 1 1', flush=True); 1 / 0"])
    assert verdicts(broken) == [
        "PASS a 1 1",
        "FAIL scoring broke off with status 1, expected 0",
    ]


def test_a_part_without_targets_says_so() -> None:
    assert verdicts(Outcome("gpu", 0, "")) == ["     gpu has no target here"]


def test_an_early_failure_does_not_keep_later_parts_from_running(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def python(code: str) -> list[str]:
        return [sys.executable, "-c", code]

    good = python("print('PASS speed 7x >= 6x')")
    missed = python("print('FAIL wer 9 <= 5'); raise SystemExit(1)")
    assert run_all({"scoring": python("1 / 0"), "training": missed, "gpu": good}) == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAIL scoring broke off with status 1, expected 0",
        "FAIL wer 9 <= 5",
        "PASS speed 7x >= 6x",
    ]
    assert run_all({"gpu": good}) == 0
