"""What recognisers beside the checkpoints have learned stays written down."""

from __future__ import annotations

from al_loop.records import Example
from storage.store import Store


def example(name: str, text: str) -> Example:
    return Example(name, f"audio/{name}.flac", 2.0, "radio", "ky", text)


def test_a_learner_is_replaced_when_it_is_trained_again(filled: Store) -> None:
    filled.put_learned("ctc/spelling", [example("a", "бир"), example("b", "эки")])
    filled.put_learned("ctc/other", [example("a", "үч")])
    filled.put_learned("ctc/spelling", [example("b", "төрт")])
    assert filled.learned_by("ctc/spelling") == {"b": "төрт"}
    assert filled.learned_by("ctc/other") == {"a": "үч"}


def test_a_moved_learner_takes_the_place_of_all_that_was_begun_there(filled: Store) -> None:
    work = "ctc/.training/a_b"
    filled.put_learned("ctc/a_b", [example("a", "бир")])
    filled.put_learned(f"{work}/1", [example("b", "эки")])
    filled.put_learned(f"{work}/2", [example("c", "үч")])
    filled.put_learned("ctc/.training/axb/1", [example("a", "алты")])
    assert {text for _, text, _ in filled.learned_texts()} == {"бир", "эки", "үч", "алты"}
    filled.move_learner(f"{work}/2", "ctc/a_b", work)
    assert filled.learned_by("ctc/a_b") == {"c": "үч"}
    assert {text for _, text, _ in filled.learned_texts()} == {"үч", "алты"}
