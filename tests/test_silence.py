"""The standard silence set: the same on every call, of many kinds, and no speech."""

from itertools import pairwise

import numpy as np
import pytest

from al_loop.audio import SAMPLE_RATE, sample_hash
from al_loop.evaluation import evaluate_silence, silence_set
from al_loop.records import STANDARD_SILENCE, Hypothesis, SilenceEvaluation, Utterance
from al_loop.silence import DURATIONS_S, LEVELS_DBFS, standard_set
from al_loop.silence import SAMPLE_RATE as OURS
from al_loop.sources.silence import ingest_standard_silence
from storage.store import Store

CLIPS = dict(standard_set())


def level_dbfs(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples.astype(float) ** 2))))


def test_the_same_clips_on_every_call() -> None:
    again = dict(standard_set())
    assert list(again) == list(CLIPS)
    assert all(np.array_equal(again[name], CLIPS[name]) for name in CLIPS)


def test_24_different_clips_of_the_lengths_they_name() -> None:
    assert len(CLIPS) == 24
    assert OURS == SAMPLE_RATE
    assert len({sample_hash(samples) for samples in CLIPS.values()}) == 24
    for name, samples in CLIPS.items():
        assert samples.dtype == np.float32
        assert np.abs(samples).max() <= 1
        assert any(
            len(samples) == seconds * SAMPLE_RATE and f" {seconds:g} s" in name
            for seconds in DURATIONS_S
        )


@pytest.mark.parametrize("name", [name for name in CLIPS if "noise" in name or "hum" in name])
def test_noises_have_the_level_that_they_name(name: str) -> None:
    assert min(abs(level_dbfs(CLIPS[name]) - level) for level in LEVELS_DBFS) < 0.5
    assert f" {level_dbfs(CLIPS[name]):.0f} dBFS" in name


@pytest.mark.parametrize(("kind", "slope"), [("white", 0), ("pink", -1), ("brown", -2)])
def test_noises_have_their_colour(kind: str, slope: int) -> None:
    """The slope of log power over log frequency, from 100 to 4000 Hz."""
    samples = next(samples for name, samples in CLIPS.items() if name.startswith(f"{kind} noise 6"))
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    edges = np.geomspace(100, 4000, 12)
    bands = [power[(low <= frequency) & (frequency < high)].mean() for low, high in pairwise(edges)]
    fitted = np.polyfit(np.log(edges[1:]), np.log(bands), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.15)


def test_taken_in_once_and_closed_to_the_pool(store: Store) -> None:
    root = store.workspace.root
    assert ingest_standard_silence("ky", store, root).added == 24
    again = ingest_standard_silence("ky", store, root)
    assert (again.added, again.known, again.refusals) == (0, 24, [])
    silent = store.silence_utterances()
    assert {(row.split, row.language, row.text) for row in silent} == {("silence", "ky", None)}
    assert all((root / row.audio).stem == row.id for row in silent)
    assert store.pool() == store.evaluation_utterances() == []
    assert store.training_examples("in_house") == []


def heard(text: str) -> Hypothesis:
    return Hypothesis("a", text, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def silent(name: str, source: str = "room") -> Utterance:
    return Utterance(name, name, "", 1.0, source, "ky", "silence")


def test_a_word_in_silence_is_hallucinated() -> None:
    said = {"a": heard("Субтитрлер"), "b": heard(""), "c": heard(" … "), "d": heard("5")}
    found = evaluate_silence([silent(name) for name in said], said)
    assert found == SilenceEvaluation(clips=4, hallucinated=2)
    assert evaluate_silence([], {}) == SilenceEvaluation(clips=0, hallucinated=0)


def test_the_standard_clips_count_only_where_there_are_no_others() -> None:
    standard, own = silent("a", STANDARD_SILENCE), silent("b")
    assert silence_set([standard]) == [standard]
    assert silence_set([standard, own]) == [own]
    assert silence_set([]) == []
