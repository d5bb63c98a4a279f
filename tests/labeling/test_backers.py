"""Who says what a label says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from al_loop.config import LabelSettings
from al_loop.records import UNKNOWN_ANNOTATOR, Annotation, Case, Label
from labeling.backers import backers
from tests.storage.rows import annotation, utterance


def said(**texts: str) -> list[Annotation]:
    """What each annotator wrote, in this order."""
    return [
        replace(annotation(number, "a", text), annotator=name)
        for number, (name, text) in enumerate(texts.items())
    ]


def of(rows: list[Annotation], text: str | None) -> int:
    label = Label("a", text, None if text else "bad_audio", [])
    return backers(Case(utterance("a"), [], rows), label, LabelSettings(), "ky")


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        ({"one": "бир эки үч", "two": "беш алты"}, 1),
        ({"one": "бир эки үч", "two": "Бир, эки үч!"}, 2),
        ({"one": "бир эки", "two": "эки үч", "three": "беш"}, 0),
    ],
)
def test_annotators_whose_texts_are_the_label_s(texts: dict[str, str], count: int) -> None:
    assert of(said(**texts), "бир эки үч") == count


def test_a_verdict_has_no_text_to_agree_on() -> None:
    assert of(said(one="бир", two="бир"), None) == 0


def test_two_who_are_unknown_may_be_one() -> None:
    rows = [replace(row, annotator=UNKNOWN_ANNOTATOR) for row in said(one="бир", two="бир")]
    assert of(rows, "бир") == 1
