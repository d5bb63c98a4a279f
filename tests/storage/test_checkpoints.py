"""Checkpoints and their folders."""

from __future__ import annotations

from al_loop.records import Checkpoint, Evaluation, SilenceEvaluation
from storage.store import Store

from .rows import BASE


def test_a_checkpoint_comes_back_as_it_was(filled: Store) -> None:
    candidate = Checkpoint("c", "checkpoints/c", "base", {"loss": [1.5, 0.25], "language": "ky"})
    filled.put_checkpoint(candidate)
    filled.put_checkpoint(candidate)
    assert filled.checkpoint("c") == candidate
    assert filled.checkpoint("base") == BASE
    assert filled.checkpoint("d") is None


def test_a_checkpoint_folder_that_was_never_recorded_is_made_anew(store: Store) -> None:
    for name in ("first", "second"):
        with store.new_checkpoint_folder("round-001") as folder:
            (folder / name).touch()
    (made,) = store.workspace.checkpoints.iterdir()
    assert made.name == "round-001"
    assert [path.name for path in made.iterdir()] == ["second"]


def test_a_training_finds_its_saves_again_until_the_round_is_recorded(store: Store) -> None:
    (store.scratch_folder("round-001") / "save").touch()
    again = store.scratch_folder("round-001")
    assert [path.name for path in again.iterdir()] == ["save"]
    store.prune(3, None)
    assert not again.exists()


def test_the_saves_of_another_training_go(store: Store) -> None:
    left = store.scratch_folder("round-001")
    assert list(store.scratch_folder("round-002").iterdir()) == []
    assert not left.exists()


def test_a_word_error_rate_is_of_all_words_of_a_language_as_measured_last(filled: Store) -> None:
    def measure(number: int, name: str, language: str, words: int, wer: float) -> None:
        rates = (wer, wer, wer, wer, wer, wer)
        row = Evaluation(name, language, 1, words, *rates, *rates, 0, 0, 0, None, "2")
        filled.put_evaluations(number, "base", [row], SilenceEvaluation(0, 0))

    assert filled.word_error_rate("base", "ky") is None
    measure(1, "fleurs", "ky", 300, 0.9)
    with filled.finishing(1, "record", None):
        pass
    filled.start_round(2, 1, "score", "base")
    measure(2, "fleurs", "ky", 300, 0.5)
    measure(1, "calls", "ky", 100, 0.25)
    measure(2, "fleurs_ru", "ru", 100, 0.125)
    assert filled.word_error_rate("base", "ky") == (300 * 0.5 + 100 * 0.25) / 400
    assert filled.word_error_rate("base", "ru") == 0.125
    assert filled.word_error_rate("another", "ky") is None
