from pathlib import Path

from al_loop.records import Example
from benchmarks.training_side import Plan, read_plan, write_plan


def test_both_sides_read_the_plan_that_was_written(tmp_path: Path) -> None:
    draws = [Example(id_, f"/clips/{id_}.flac", 1.5, "corpus_ky", "ky", "өмүр") for id_ in "ab"]
    plan = Plan([draws, draws[::-1]], 1e-4, 8, 0)
    write_plan(plan, tmp_path)
    assert read_plan(tmp_path) == plan
