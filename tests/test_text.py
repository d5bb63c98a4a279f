import pytest

from al_loop.text import normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Эртең, саат ЖЕТИДЕ!", "эртең саат жетиде"),
        ("  соода-сатык\tменен ", "соода сатык менен"),
        ("Ещё ёлка", "еще елка"),
        ("за́мок", "замок"),
        ("саат 7:30", "саат жети отуз"),
        ("1991-жылы", "миң тогуз жүз токсон биринчи жылы"),
        ("1991\u2013жылы, 5\u2011август", "миң тогуз жүз токсон биринчи жылы бешинчи август"),
        ("Он-бир миң, бир миңге", "он бир миң миңге"),
        ("«Манас» — эпос…", "манас эпос"),
        ("й", "й"),
        ("?!…", ""),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text, "ky") == expected
    assert normalise(expected, "ky") == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("В 1991 году", "ru", "в тысяча девятьсот девяносто один году"),
        ("12 000 рублей", "ru", "двенадцать тысяч рублей"),
        ("21 cats", "en", "twenty one cats"),
        ("ЖЕР 21", "kk", "жер жиырма бір"),
        ("e 21 ki", "haw", "e 21 ki"),
    ],
)
def test_numbers_become_words_where_somebody_knows_the_language(
    text: str, language: str, expected: str
) -> None:
    assert normalise(text, language) == expected
    assert normalise(expected, language) == expected
