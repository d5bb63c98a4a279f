"""How far two transcripts differ, and annotators."""

from __future__ import annotations

import pytest

from al_loop.agreement import Disagreement, between, compare, pooled


def test_edits_count_over_the_longer_text() -> None:
    found = compare("бир эки үч төрт", "бир эки беш", "ky")
    assert (found.word_edits, found.words, found.wer) == (2, 4, 0.5)
    assert (found.character_edits, found.characters) == (7, 15)
    assert found.cer == pytest.approx(7 / 15)


@pytest.mark.parametrize(
    ("one", "other"),
    [("бир эки", "бир"), ("бир", ""), ("а б в г", "в г а б"), ("кел кел", "кел кел кел кел")],
)
def test_neither_side_is_the_reference(one: str, other: str) -> None:
    found = compare(one, other, "ky")
    assert found == compare(other, one, "ky")
    assert 0 < found.wer <= 1
    assert 0 < found.cer <= 1


def test_case_punctuation_and_digits_are_no_disagreement() -> None:
    assert compare("Саат 7де, кел!", "саат жетиде кел", "ky").wer == 0


def test_nothing_agrees_with_nothing_and_with_nothing_else() -> None:
    assert compare("…", "", "ky") == Disagreement(clips=1)
    assert compare("…", "", "ky").wer == compare("…", "", "ky").cer == 0
    assert compare("", "бир эки", "ky").wer == compare("", "бир эки", "ky").cer == 1


def test_annotators_are_compared_where_they_heard_the_same_clip() -> None:
    texts = {
        "b": {"u1": "бир эки үч төрт", "u2": "беш"},
        "a": {"u1": "бир эки үч", "u2": "алты", "u3": "жети"},
        "c": {"u3": "жети", "u4": "сегиз"},
        "d": {"u5": "тогуз"},
    }
    found = between(texts, "ky")
    assert list(found) == [("a", "b"), ("a", "c")]
    assert pooled(found["a", "b"]).wer == 2 / 5
    assert pooled(found["a", "c"]).wer == 0
    mean = pooled(row for rows in found.values() for row in rows)
    assert (mean.word_edits, mean.words, mean.clips) == (2, 6, 3)
