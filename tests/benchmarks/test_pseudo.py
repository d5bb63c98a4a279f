"""The parts of `make bench-pseudo` that need no model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from al_loop.config import MixtureSettings
from al_loop.manifest import build_manifest
from al_loop.pseudo_labels import Made
from al_loop.records import ErrorCounts, Example, Source
from benchmarks.corpus import CORPUS
from benchmarks.pseudo import (
    ALONE,
    BESIDE,
    FULL,
    Result,
    Sizes,
    divide,
    equal_epochs,
    right,
    targets,
    verdict,
)


def result(kept: list[ErrorCounts], alone: int, beside: int) -> Result:
    counts = {
        ALONE: [ErrorCounts(alone, 10, 0, 1)] * 5,
        BESIDE: [ErrorCounts(beside, 10, 0, 1)] * 5,
    }
    return Result(Made([], {"target": 0.9}), kept, [], counts, {}, FULL)


def test_a_precision_that_is_missed_or_of_nothing_fails() -> None:
    good, bad = ErrorCounts(0, 10, 0, 1), ErrorCounts(5, 10, 0, 1)
    assert [row.passed for row in targets(result([good] * 9, 3, 3))] == [True, True]
    assert [row.passed for row in targets(result([good, bad], 3, 3))] == [False, True]
    precision, error = targets(result([], 3, 3))
    assert not error.passed
    assert error.measured.startswith("nothing was compared")
    assert (precision.passed, precision.measured) == (False, "no clip is kept")
    assert right([]) is None


@pytest.mark.parametrize(
    ("alone", "beside", "passed", "said"),
    [(3, 2, True, "gain: -10.0"), (3, 3, True, "no gain: 0.0"), (3, 4, False, "loss: 10.0")],
)
def test_wer_may_not_rise(alone: int, beside: int, passed: bool, said: str) -> None:
    found = result([ErrorCounts(0, 10, 0, 1)], alone, beside)
    assert targets(found)[1].passed is passed
    assert verdict(found).startswith(said)


@pytest.mark.parametrize(("beside", "passed"), [([5, 3, 3, 3], False), ([1, 3, 3, 3], True)])
def test_what_lies_within_the_interval_is_no_gain(beside: list[int], passed: bool) -> None:
    """And a rise fails there too."""
    found = result([ErrorCounts(0, 10, 0, 1)], 3, 3)
    counts = {
        ALONE: [ErrorCounts(3, 10, 0, 1)] * 4,
        BESIDE: [ErrorCounts(errors, 10, 0, 1) for errors in beside],
    }
    found = replace(found, counts=counts)
    error = targets(found)[1]
    assert (error.passed, error.measured) == (passed, verdict(found))
    assert verdict(found).startswith("no gain: ")


def test_both_sides_draw_equally_often() -> None:
    examples = [Example(str(number), "", 1.0, "a", "ky", "бир") for number in range(7)]
    sources = {"a": Source("a", "open_source", "ky")}
    manifest = build_manifest(examples, sources, MixtureSettings(), frozenset())
    epochs = equal_epochs(manifest, 17)
    assert [len(draws) for draws in epochs] == [7, 7, 3]
    assert set(Counter(row.utterance_id for draws in epochs[:2] for row in draws).values()) == {2}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="there is no corpus here")
def test_the_corpus_is_divided_without_overlap() -> None:
    sizes = Sizes(labelled=5, known=4, pool=3, test=2)
    clips = divide(sizes)
    assert Counter(row.split for row in clips) == {
        "train": 5, "validation": 4, "pool": 3, "test": 2,
    }  # fmt: skip
    assert len({row.id for row in clips}) == len(clips)
    assert all((row.text is None) == (row.split == "pool") for row in clips)
    assert divide(sizes) == clips
    assert divide(replace(sizes, labelled=6))[:5] == clips[:5]
