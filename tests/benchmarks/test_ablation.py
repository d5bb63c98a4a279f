"""The parts of `make bench-ablation` that need no model."""

from __future__ import annotations

import pytest

from al_loop.ablate_plan import Ablation, make_plan
from al_loop.ablation_table import Row
from al_loop.config import Settings
from al_loop.metrics import Interval
from al_loop.records import IN_HOUSE, Checkpoint
from benchmarks.ablation import (
    GROUPS,
    KILLS,
    QUICK,
    RETENTION,
    SOURCES,
    TESTS,
    WRONG,
    fill,
    lossy,
    targets,
)
from benchmarks.corpus import CORPUS
from storage.store import Store


def row(step: str, label: str, low: float, high: float) -> Row:
    wer, change = Interval(0.5, 0.4, 0.6), Interval((low + high) / 2, low, high)
    return Row(step, label, (), TESTS, "ky", 1, 1.0, 1, 1, wer, change)  # type: ignore[arg-type]


def judged(first: float, wrong: float, trainings: int) -> list[bool]:
    """Whether each target is met, with changes of one point around these."""
    labels = [label for label, _ in GROUPS]
    added = [row("untrained", "", 0, 0), *(row("added", label, -1, 0) for label in labels)]
    added[1] = row("added", labels[0], first - 0.01, first + 0.01)
    left_out = [row("whole", "", 0, 0), *(row("left_out", label, 0, 1) for label in labels)]
    left_out[3] = row("left_out", "synthetic", wrong - 0.01, wrong + 0.01)
    return [target.passed for target in targets(added, left_out, trainings)]


def test_what_misses_a_target_fails_it() -> None:
    trainings = 2 * len(SOURCES) - 1 + KILLS
    assert judged(-0.3, -0.1, trainings) == [True, True, True, True]
    assert judged(-0.005, 0.005, trainings) == [True, True, False, True]
    assert judged(-0.3, 0.1, trainings + 1) == [True, False, True, False]
    assert [target.passed for target in targets([], [], 0)] == [False, True, False, False]


def test_lost_words() -> None:
    assert lossy("а б в г д е") == "а б в г е"
    assert lossy("а") == "а"


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus")
def test_the_clips_are_dealt_out(store: Store) -> None:
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    (store.workspace.root / "checkpoints/base").mkdir()
    store.start_round(0, 0, "merge", "base")
    store.promote("base", "by the test")
    fill(store, QUICK)
    settings = Settings.model_validate({"pseudo_labels": {"enabled": True}})
    plan = make_plan(Ablation("five"), settings, store)
    assert [(row.label, list(row.sources)) for row in plan.groups] == list(GROUPS)
    assert plan.kept == (RETENTION,)
    wrong = [row for row in store.training_examples(IN_HOUSE) if row.source == WRONG]
    texts = {row.id: row.text for row in store.evaluation_utterances()}
    assert len(wrong) == QUICK.each
    assert not {row.utterance_id for row in wrong} & texts.keys()
