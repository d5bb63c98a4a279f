"""What could be asked although its answer is known, or is there."""

from __future__ import annotations

import pytest

from al_loop.records import Label, Source
from storage.store import Store

from .rows import PLACE, annotation, ask, page, task, utterance


def test_answers_are_known_where_a_text_came_along_or_people_agreed(filled: Store) -> None:
    filled.put_source(Source("guesses", "pseudo_label", "ky"))
    filled.add(
        [
            utterance("train", split="train", text="бир"),
            utterance("validation", split="validation", text="эки"),
            utterance("test", split="test", text="үч"),
            utterance("russian", split="train", text="раз", language="ru"),
            utterance("guessed", split="train", text="төрт", source="guesses"),
            utterance("asked", split="train", text="беш"),
            utterance("reserved", split="reserved"),
        ],
        [],
    )
    filled.add_tasks([task("asked", kind="gold", hypothesis="")])
    filled.put_labels(
        [
            Label("a", "бир", None, ["1", "2"], "agreed"),
            Label("b", "эки", None, ["3"], "single"),
            Label("c", None, "bad_audio", ["4", "5"], "agreed"),
            Label("reserved", "алты", None, ["6", "7"], "agreed"),
        ]
    )
    assert filled.known_answers("ky") == ["a", "train", "validation"]
    assert filled.known_answers("ru") == ["russian"]
    assert filled.known_texts(["a", "c", "train", "unknown"]) == {"a": "бир", "train": "бир"}


@pytest.mark.parametrize("asked_again", [False, True])
def test_a_text_that_one_annotator_gave_can_be_asked_for_again(
    filled: Store, asked_again: bool
) -> None:
    filled.add([utterance("d"), utterance("e")], [])
    names = "abcde"
    filled.add_tasks([task(name, hypothesis=f"{name}?") for name in names])
    ask(filled, *names)
    answers = [annotation(number, name) for number, name in enumerate("abc")]
    twice = annotation(8, "c", annotator="annotator-2")
    filled.take(PLACE, page(*answers, twice, annotation(9, "d", None, verdict="bad_audio")))
    filled.put_labels([Label(name, "бир", None, [name]) for name in "abc"])
    filled.put_labels([Label("d", None, "bad_audio", ["9"])])
    if asked_again:
        filled.add_tasks([task("b", 2, kind="repeat", hypothesis="b?")])
    assert filled.repeatable() == [("a", "a?")] if asked_again else [("a", "a?"), ("b", "b?")]
