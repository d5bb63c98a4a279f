"""How far readings of a clip agree, and what they vote for."""

from __future__ import annotations

import math
from itertools import permutations

import pytest

from al_loop.pseudo.readings import Reading, agreement, vote


def readings(*texts: str) -> list[Reading]:
    return [Reading(f"model-{place}", text) for place, text in enumerate(texts)]


# -- agreement -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["бала китеп алды", "Бала китеп алды."], 1.0),
        (["бала китеп алды", "бала кетип алды"], 2 / 3),
        (["бала китеп алды", "бала китеп"], 2 / 3),
        (["бала", "кыз китеп алды эле"], 0.0),
        (["саат 7де", "саат жетиде"], 1.0),
        (["бала китеп алды", ""], 0.0),
        (["", ""], 0.0),
        (["...", "!"], 0.0),
        (["бала алды", "бала алды", "бала берди"], (1 + 0.5 + 0.5) / 3),
        (["бала алды", "", ""], 0.0),
    ],
)
def test_agreement(texts: list[str], expected: float) -> None:
    for order in permutations(readings(*texts)):
        assert agreement(order, "ky") == pytest.approx(expected)


@pytest.mark.parametrize("texts", [[], ["бала китеп алды"]])
def test_nobody_agrees_alone(texts: list[str]) -> None:
    assert agreement(readings(*texts), "ky") == 0.0


def test_a_recogniser_does_not_confirm_itself() -> None:
    twice = [Reading("ctc", "бала алды"), Reading("ctc", "бала алды")]
    assert agreement(twice, "ky") == 0.0
    assert agreement([*twice, Reading("whisper", "бала берди")], "ky") == 0.5


def test_agreement_falls_with_every_word_that_is_changed() -> None:
    words = ["бүгүн", "бала", "жаңы", "китеп", "сатып", "алды"]
    found = [
        agreement(readings(" ".join(words), " ".join(["жок"] * wrong + words[wrong:])), "ky")
        for wrong in range(len(words) + 1)
    ]
    assert found == pytest.approx([1 - wrong / 6 for wrong in range(7)])


# -- voting ----------------------------------------------------------------------------------------


def test_the_lectures_letters() -> None:
    letters = [" ".join(text) for text in ("ACEFJFRT", "ACEFJFOST", "EFJFRT")]
    assert vote(readings(*letters), "en").replace(" ", "") == "ACEFJFRT"


def test_words_are_taken_where_most_have_them() -> None:
    texts = ["бала кетип алды", "кала китеп алды", "бала китеп берди"]
    assert vote(readings(*texts), "ky") == "бала китеп алды"


def test_a_word_is_spelled_as_the_heaviest_spells_it() -> None:
    heard = [
        Reading("ctc", "бала китеп алды", 1.0),
        Reading("whisper", "Бала, кетип алды!", 3.0),
        Reading("older", "Бала китеп Алды", 2.5),
    ]
    assert vote(heard, "ky") == "Бала, китеп алды!"


def test_who_has_all_the_words_is_taken_as_it_stands() -> None:
    heard = [Reading("ctc", "бала менен апа", 1.0), Reading("whisper", "Бала  – менен «апа».", 2.0)]
    assert vote(heard, "ky") == "Бала – менен «апа»."


def test_a_number_in_digits_is_its_words() -> None:
    texts = ["Бала 25 кат алды.", "кыз жыйырма беш кат алды", "кыз жыйырма беш кат берди"]
    assert vote(readings(*texts), "ky") == "кыз 25 кат алды."
    partly = ["Бала 25 кат алды.", "кыз жыйырма үч кат алды", "кыз жыйырма үч кат берди"]
    assert vote(readings(*partly), "ky") == "кыз жыйырма үч кат алды."


def test_a_number_in_groups_loses_no_word() -> None:
    texts = ["Бала 12 000 сом алды", "кыз он эки миң сом алды", "кыз он эки миң сом берди"]
    assert vote(readings(*texts), "ky") == "кыз он эки миң сом алды"


def test_a_word_that_comes_twice_keeps_both_spellings() -> None:
    texts = ["Алма, кызыл алма!", "алма кызыл алма", "алма кызыл нан"]
    assert vote(readings(*texts), "ky") == "Алма, кызыл алма!"


def test_of_two_the_heavier_decides() -> None:
    heard = [Reading("ctc", "бала китеп", 1.0), Reading("whisper", "Кала кетип", 1.5)]
    assert vote(heard, "ky") == vote(heard[::-1], "ky") == "Кала кетип"


@pytest.mark.parametrize("texts", [[], [""], ["", "..."], ["", "", "бала"]])
def test_silence_wins(texts: list[str]) -> None:
    assert vote(readings(*texts), "ky") == ""


def test_one_reading_is_itself() -> None:
    assert vote(readings("Бала 12 000 сом – алды."), "ky") == "Бала 12 000 сом – алды."


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_a_weight_that_is_none_is_an_error(weight: float) -> None:
    with pytest.raises(ValueError, match="'ctc' has the weight"):
        vote([Reading("whisper", "бала"), Reading("ctc", "бала", weight)], "ky")
