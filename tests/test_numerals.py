"""Cardinals by the rule of `al_loop.numerals`: known values, and what holds of all numbers."""

import pytest

from al_loop.numerals import TENS, UNITS, cardinal, ordinal, spell_out, without_redundant_one
from al_loop.text import normalise


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "нөл"),
        (1, "бир"),
        (10, "он"),
        (11, "он бир"),
        (20, "жыйырма"),
        (99, "токсон тогуз"),
        (100, "жүз"),
        (101, "жүз бир"),
        (200, "эки жүз"),
        (1000, "миң"),
        (1991, "миң тогуз жүз токсон бир"),
        (2026, "эки миң жыйырма алты"),
        (21_000, "жыйырма бир миң"),
        (100_000, "жүз миң"),
        (101_000, "жүз бир миң"),
        (1_000_000, "бир миллион"),
        (1_001_001, "бир миллион миң бир"),
        (7_000_000_000, "жети миллиард"),
    ],
)
def test_kyrgyz_cardinals(number: int, words: str) -> None:
    assert cardinal(number, "ky") == words


def test_every_number_has_words_of_its_own() -> None:
    numbers = [*range(10_000), *range(10_000, 10**6, 997), *range(10**6, 10**12, 10**9 + 12_347)]
    assert len({spell_out(str(number), "ky") for number in numbers}) == len(numbers)


def test_words_say_their_number() -> None:
    """Read back by another rule than they were made by."""
    values = {word: value for value, word in enumerate(UNITS)}
    values |= {word: 10 * value for value, word in enumerate(TENS, start=1)}
    scales = {"жүз": 100, "миң": 1000, "миллион": 10**6, "миллиард": 10**9}

    def read(words: str) -> int:
        whole, part = 0, 0
        for word in words.split():
            if word == "жүз":
                part = max(part, 1) * 100 if part < 10 else part + 100
            elif word in scales:
                whole, part = whole + max(part, 1) * scales[word], 0
            else:
                part += values[word]
        return whole + part

    for number in [*range(10_000), 10**12 - 1, 123_456_789_012, 100_100_100, 21_021_021]:
        assert read(cardinal(number, "ky")) == number


@pytest.mark.parametrize(
    ("cardinal_words", "expected"),
    [
        ("нөл", "нөлүнчү"),
        ("бир", "биринчи"),
        ("эки", "экинчи"),
        ("үч", "үчүнчү"),
        ("төрт", "төртүнчү"),
        ("алты", "алтынчы"),
        ("тогуз", "тогузунчу"),
        ("он", "онунчу"),
        ("жыйырма", "жыйырманчы"),
        ("кырк", "кыркынчы"),
        ("элүү", "элүүнчү"),
        ("сексен", "сексенинчи"),
        ("миң", "миңинчи"),
        ("эки миллион", "эки миллионунчу"),
        ("үч миллиард", "үч миллиардынчы"),
    ],
)
def test_kyrgyz_ordinals(cardinal_words: str, expected: str) -> None:
    assert ordinal(cardinal_words) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 000", "он эки миң"),
        ("12.000", "он эки миң"),
        ("12,000", "он эки миң"),
        ("1 234 567", "бир миллион эки жүз отуз төрт миң беш жүз алтымыш жети"),
        ("12 0000", "он эки нөл нөл нөл нөл"),
        ("1 234.567", "миң эки жүз отуз төрт . беш жүз алтымыш жети"),
        ("0555 12 34", "нөл беш беш беш он эки отуз төрт"),
        ("007", "нөл нөл жети"),
        ("1" * 13, " ".join(["бир"] * 13)),
        ("3,5", "үч , беш"),
        ("5-август", "бешинчи август"),
        ("2-3-класс", "эки - үчүнчү класс"),
        ("1991\u2013жылы", "миң тогуз жүз токсон биринчи жылы"),
        ("5\u2011август", "бешинчи август"),
        ("10\u2010дон", "ондон"),
        ("2\u20133", "эки - үч"),
        ("5-чи", "бешинчи"),
        ("20нчы", "жыйырманчы"),
        ("10-дон", "ондон"),
        ("10дон", "ондон"),
        ("5кг", "беш кг"),
        ("covid19", "covid он тогуз"),
        ("5 май", "беш май"),
        ("5-", "беш -"),
    ],
)
def test_numbers_in_kyrgyz_text(text: str, expected: str) -> None:
    assert spell_out(text, "ky") == expected


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("бир миң тогуз жүз", "1900", "ky"),
        ("эки миң бир жүз", "2100", "ky"),
        ("бир миллион бир миң", "1001000", "ky"),
        ("он-бир миң", "11000", "ky"),
        ("Жыйырма-бир миң", "21 000", "ky"),
        ("бир миңге", "1000ге", "ky"),
        ("бир жүздөн", "100-дөн", "ky"),
        ("бир миңинчи үй", "1000-үй", "ky"),
        ("двадцать-одна тысяча", "21000", "ru"),
        ("одна тысяча девятьсот", "1900", "ru"),
        ("тысяча", "1000", "ru"),
    ],
)
def test_both_ways_to_say_a_thousand_are_one_number(one: str, other: str, language: str) -> None:
    assert normalise(one, language) == normalise(other, language)


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("жүз бир миң", "ky"),
        ("он бир миңге", "ky"),
        ("бир жүзүк", "ky"),
        ("сто одна тысяча", "ru"),
        ("one thousand", "en"),
    ],
)
def test_a_one_that_counts_stays(words: str, language: str) -> None:
    assert without_redundant_one(words, language) == words


def test_russian_numbers_differ_too() -> None:
    assert len({spell_out(str(number), "ru") for number in range(10_000)}) == 10_000


def test_a_language_whose_words_end_early_gets_digits() -> None:
    assert spell_out("999999999999", "te") == " ".join([spell_out("9", "te")] * 12)


@pytest.mark.parametrize("language", ["haw", "am"])
def test_a_language_that_nobody_knows_keeps_its_digits(language: str) -> None:
    assert spell_out("12 000 5", language) == "12 000 5"
