"""When clips were heard last, with several checkpoints that each heard some of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from al_loop.records import Checkpoint, Label
from storage import hypotheses
from storage.hypotheses import OF_THE_HYPOTHESIS
from storage.store import Store

from .rows import hypothesis, ids, profile, selection, utterance

NAN = pytest.approx(math.nan, nan_ok=True)


@pytest.fixture
def rounds(filled: Store) -> Store:
    """Round 1 began with the base, 2 and 4 with the first checkpoint, 3 with the second."""
    for name in ("first", "second"):
        filled.put_checkpoint(Checkpoint(name, f"checkpoints/{name}", "base", {}))
    for number, name in enumerate(("first", "second", "first"), 2):
        filled.start_round(number, 99, "score", name)
    return filled


def last_heard(store: Store, names: str = "abc") -> tuple[list[int], dict[str, list[float]]]:
    rounds, statistics = store.last_heard(np.array(list(names), "S64"))
    assert rounds.dtype == np.int32
    assert {column.dtype for column in statistics.values()} == {np.dtype(np.float32)}
    return rounds.tolist(), {name: column.tolist() for name, column in statistics.items()}


@pytest.mark.parametrize("chunk", [1, 20_000])
def test_the_newest_round_that_began_with_a_checkpoint_says_how_old_its_hypotheses_are(
    rounds: Store, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypotheses, "CHUNK", chunk)
    rounds.add([utterance("d")], [])
    for checkpoint_id, names in {"base": "abc", "second": "bc", "first": "c"}.items():
        rounds.add_hypotheses(
            checkpoint_id, [hypothesis(name, f"{checkpoint_id} бир") for name in names]
        )
    rounds.add_hypotheses("second", [hypothesis("b", "бир", mean_log_prob=-9.0)])
    found, statistics = last_heard(rounds, "abcd")
    assert found == [1, 3, 4, -1]
    assert list(statistics) == list(OF_THE_HYPOTHESIS)
    assert statistics["mean_log_prob"] == [-0.5, -9.0, -0.5, NAN]
    assert statistics["character_count"] == [8, 3, 9, NAN]


def test_what_is_not_asked_about_is_passed_over(rounds: Store) -> None:
    rounds.add_hypotheses("base", [hypothesis(name) for name in "abc"])
    assert last_heard(rounds, "b")[0] == [1]
    assert last_heard(rounds, "bx")[0] == [1, -1]
    assert last_heard(rounds, "")[0] == []


def test_a_number_that_is_none_stays_none_though_an_older_hypothesis_had_one(
    rounds: Store,
) -> None:
    rounds.add_hypotheses("base", [hypothesis("a")])
    rounds.add_hypotheses("second", [hypothesis("a", mean_log_prob=math.nan)])
    found, statistics = last_heard(rounds, "a")
    assert (found, statistics["mean_log_prob"]) == ([3], [NAN])


def test_beyond_the_pool_is_what_others_may_be_duplicates_of(filled: Store) -> None:
    filled.add([utterance(name, split=name) for name in ("train", "test", "validation")], [])
    filled.add([utterance("d")], [])
    assert ids(filled.unprofiled_beyond_pool("whisper")) == "train"
    filled.put_selection(1, selection("b"))
    filled.put_labels([Label("c", None, "bad_audio", ["1"])])
    assert ids(filled.unprofiled_beyond_pool("whisper")) == "bctrain"
    filled.add_profiles("whisper", [profile("b"), profile("train")])
    assert ids(filled.unprofiled_beyond_pool("whisper")) == "c"
    assert ids(filled.unprofiled_beyond_pool("hubert")) == "bctrain"
