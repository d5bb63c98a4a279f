from __future__ import annotations

import numpy as np
import pytest

from al_loop.alignment.segments import CLAUSE, INSIDE, SENTENCE, SPACE
from al_loop.errors import ModelError
from al_loop.sources.book_text import Paragraph
from al_loop.sources.book_words import read_words, speller

KYRGYZ = "абвгдежзийклмнопрстуфхцчшщъыьэюяңөү"
LATIN = "abcdefghijklmnopqrstuvwxyz'"


def test_units_are_as_printed_and_words_as_spoken() -> None:
    found = read_words([Paragraph("— Эртең, саат 7де — кел! Ооба.", "line 1")], "ky")
    assert list(found.texts) == ["Эртең,", "саат", "жетиде —", "кел!", "Ооба."]
    assert list(found.words) == ["эртең", "саат", "жетиде", "кел", "ооба"]
    assert found.breaks.tolist() == [CLAUSE, SPACE, CLAUSE, SENTENCE, SENTENCE]
    assert found.text(1, 4) == "саат жетиде — кел!"
    assert found.place(2) == "line 1"


def test_a_number_is_one_unit_of_several_words() -> None:
    found = read_words([Paragraph("Бул 1991-жылы, 12 000 сом.", "")], "ky")
    assert list(found.texts) == [
        "Бул",
        "миң тогуз жүз токсон биринчи жылы,",
        "он эки миң",
        "сом.",
    ]
    assert found.unit_of.tolist() == [0, *[1] * 6, *[2] * 3, 3]
    inside = [SPACE, *[INSIDE] * 5, CLAUSE, INSIDE, INSIDE, SPACE, SENTENCE]
    assert found.breaks.tolist() == inside
    assert found.text(1, 7) == "миң тогуз жүз токсон биринчи жылы,"


def test_a_sentence_ends_where_it_ends() -> None:
    text = "Ал А. Осмонов эле. Ж. б. у. с. Деди… бирок «Жок!» деп. Аягы"
    found = read_words([Paragraph(text, "1"), Paragraph("Башы", "2")], "ky")
    ends = [found.texts[row] for row in found.unit_of[found.breaks == SENTENCE]]
    assert ends == ["эле.", "«Жок!»", "деп.", "Аягы", "Башы"]
    assert found.place(len(found.words) - 1) == "2"


def test_a_paragraph_without_words_is_passed_over() -> None:
    found = read_words([Paragraph("* * *", "1"), Paragraph("бир", "2")], "ky")
    assert (list(found.texts), list(found.words)) == (["бир"], ["бир"])
    assert len(read_words([], "ky").words) == 0
    assert read_words([], "ky").breaks.dtype == np.int8


def test_letters_that_the_recogniser_has_stay() -> None:
    book = [Paragraph("Көп уюлдуулукка каршы, Windows", "")]
    spell = speller(KYRGYZ, book, "ky")
    assert spell("көп") == "көп"


def test_a_latin_recogniser_gets_latin_letters() -> None:
    pytest.importorskip("uroman")
    spell = speller(LATIN, [Paragraph("Көргөзмөгө катышты.", "")], "ky")
    word = spell("көргөзмөгө")
    assert set(word) <= set(LATIN)
    assert word.startswith("k")
    assert len(word) >= 8
    found = read_words([Paragraph("Көргөзмөгө катышты.", "")], "ky", spell)
    assert list(found.texts) == ["Көргөзмөгө", "катышты."]


def test_letters_that_fit_nothing_are_refused() -> None:
    with pytest.raises(ModelError, match=r"knows 0 of the text's 8 letters; it lacks α β"):
        speller(KYRGYZ, [Paragraph("αβγδ αβγδ", "")], "el")
