"""What is found odd in a transcript, what is repaired, and that each says why."""

from __future__ import annotations

import time

import pytest

from labeling.text_checks import LOOK_ALIKES, Checked, check
from labeling.transcripts import cleaned


def checked(
    text: str, duration_s: float = 2.0, language: str = "ky", digits: bool = False
) -> Checked:
    return check(text, duration_s, language, digits)


def names(text: str, duration_s: float = 2.0, language: str = "ky") -> list[str]:
    return [flag.name for flag in checked(text, duration_s, language).flags]


@pytest.mark.parametrize(
    "text",
    [
        "Саламатсызбы, кандайсыз?",
        "«Манас» — эпос, ооба…",
        "соода-сатык",
        "за́мок",
        "жок, жок, жок",
        "Ал: «Кел!» — деди.",
    ],
)
def test_a_plain_transcript_has_no_flag(text: str) -> None:
    assert checked(text) == Checked(text)


# -- repairs ---------------------------------------------------------------------------------------


def test_look_alikes_are_latin_letters_for_cyrillic_ones() -> None:
    assert not any("\u0400" <= letter <= "\u04ff" for letter in LOOK_ALIKES)
    assert all("\u0400" <= letter <= "\u04ff" for letter in LOOK_ALIKES.values())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Cалaм", "Салам"),  # C, a
        ("мeнин үйүм", "менин үйүм"),
        ("көп сɵз", "көп сөз"),  # the Latin barred o
        ("биз «Kыргызстан» дедик", "биз «Кыргызстан» дедик"),
        ("соoда-сатык", "соода-сатык"),
    ],
)
def test_a_mixed_word_becomes_cyrillic(typed: str, meant: str) -> None:
    found = checked(typed)
    assert found.text == meant
    (flag,) = found.flags
    assert flag.name == "repaired"
    assert str(flag).startswith("repaired: Latin letters in `")
    assert not flag.grave


@pytest.mark.parametrize(
    "text",
    [
        "Facebook",  # Latin as a whole
        "COP",  # … though all of it has look-alikes
        "салzм",  # z has none
        "Yй",  # У or Ү?
        "cалzм",  # one that has, one that has not
        "Caлам",  # two in a row may be the beginning of a name
        "OPPOнун",
        "HBOдон",
        "XBOXто",
        "кyн",  # кун or күн?
        "бoлyп",  # one that could be repaired, one that could not
        "αлма",  # Greek
    ],
)
def test_what_may_be_meant_otherwise_is_flagged_and_left(text: str) -> None:
    found = checked(f"{text} келди")
    assert found.text == f"{text} келди"
    (flag,) = found.flags
    assert (flag.name, flag.grave) == ("other_script", True)
    assert text in flag.reason


def test_whole_letters_one_line_and_nothing_invisible() -> None:
    found = checked("и\u0306ок\u2060 \n келди\ufeff\ud800")
    assert found.text == "йок келди"
    assert [flag.name for flag in found.flags] == ["repaired"]
    assert "put together" in found.flags[0].reason
    assert "invisible" in found.flags[0].reason
    assert checked("  бир\n эки ") == Checked("бир эки")  # white space is nobody's mistake


def test_what_is_left_says_why() -> None:
    (flag,) = checked("OPPOнун кyн Facebook").flags
    assert str(flag) == (
        "other_script: `OPPOнун`: letters in a row that are not Cyrillic may be a name; "
        "`кyн`: a Latin y may stand for у or ү; `Facebook`: not in Cyrillic letters alone"
    )
    assert checked("кyн", language="ru").text == "кун"  # Russian has no other


def test_joiners_that_shape_a_script_stay_and_a_space_of_no_width_is_one() -> None:
    persian = "می\u200cروم"
    assert checked(persian, language="fa") == Checked(persian)
    assert checked("салам\u200bдос").text == "салам дос" == cleaned("салам\u200bдос")


@pytest.mark.parametrize("text", ["салам <эээ>", "салам < күлөт >", "салам <3>"])
def test_what_stands_in_angle_brackets_is_grave(text: str) -> None:
    assert {flag.name: flag.grave for flag in checked(text).flags}["markup"]


@pytest.mark.parametrize("text", ["Cалaм", "и\u0306ок\u200b", "OPPOнун", "cалzм [шум] 12 %"])
def test_what_is_repaired_stays_as_it_is(text: str) -> None:
    once = checked(text).text
    assert checked(once).text == once


def test_other_languages_have_other_letters() -> None:
    assert names("Facebook page", language="en") == []
    assert names("кітап қайда", language="kk") == []
    assert names("кітап", language="ru") == []  # nobody has said which letters Russian lacks


# -- flags -----------------------------------------------------------------------------------------


def test_letters_that_only_kazakh_has() -> None:
    (flag,) = checked("Сәлам, қандай күн").flags
    assert str(flag) == "foreign_letters: `Сәлам`, `қандай`: the alphabet has no қ ә"
    assert flag.grave


def test_digits_are_flagged_unless_they_are_allowed() -> None:
    (flag,) = checked("саат 12де 5 адам 1 2 келди").flags
    assert flag.name == "digits"
    assert "`12де`, `5`, `1` and 1 more" in flag.reason
    assert checked("саат 12де", digits=True).flags == ()


@pytest.mark.parametrize("text", ["", "  ", "…", "— ?!", "\u200b"])
def test_a_text_without_a_word_is_empty(text: str) -> None:
    assert names(text)[-1] == "empty"


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("[шум] салам", "markup", "`[шум]`"),
        ("салам <i>", "markup", "`<i>`"),
        ("салам (күлөт)", "markup", "`(күлөт)`"),
        ("салам &quot;", "markup", "`&quot;`"),
        ("он %", "symbols", "`%`"),
        ("салам ❤", "symbols", "`❤`"),
        ("салам_дос", "symbols", "`_`"),
    ],
)
def test_what_nobody_says(text: str, name: str, reason: str) -> None:
    found = {flag.name: flag.reason for flag in checked(text).flags}
    assert reason in found[name]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("жок жок, жок жок жок", "`жок` stands there 5 times"),
        ("мен келем мен келем, мен келем", "`мен келем` stands there 3 times"),
        ("оооооой", "`о` stands there 6 times"),
    ],
)
def test_a_loop(text: str, reason: str) -> None:
    (flag,) = checked(text).flags
    assert (flag.name, flag.grave) == ("loop", True)
    assert reason in flag.reason


@pytest.mark.parametrize("text", ["жок жок жок жок", "мен келем, мен келем", "ооооу", "ал ал алма"])
def test_people_repeat_themselves(text: str) -> None:
    assert names(text) == []


def test_more_text_than_anybody_can_say_and_less_than_is_likely() -> None:
    text = "Кыргызстан Япониядагы эл аралык көргөзмөгө катышты."  # 50 characters
    assert names(text, 1.0) == ["too_long"]
    assert names(text, 1.5) == []
    assert names("ооба", 9.0) == []
    assert names("ооба", 11.0) == ["too_short"]
    assert names(text, 0.0) == []  # nobody knows how long the clip is
    (flag,) = checked(text, 1.0).flags
    assert str(flag) == "too_long: 50 characters in 1.0 s: nobody speaks as fast"


def test_numbers_are_as_long_as_they_are_spoken() -> None:
    assert names("1991-жылы 12 345 678", 1.0) == ["digits", "too_long"]


@pytest.mark.parametrize("text", ["аб вг " * 20_000, "а" * 100_000, "(" * 50_000, "1 " * 30_000])
def test_no_text_takes_long(text: str) -> None:
    started = time.monotonic()
    checked(text)
    assert time.monotonic() - started < 5
