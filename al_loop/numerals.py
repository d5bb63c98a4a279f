"""Numbers in digits, spelled out in words: pure. num2words knows many languages, but no Kyrgyz.

The rule is ours, one for all languages:

- A number is a run of digits, or groups of three joined by one and the same space, dot, comma or
  apostrophe: `12 000`, `12.000` and `12,000` are twelve thousand.
- It is read as a cardinal in its plain form. One with a leading zero (`0555`), or of more than
  twelve digits, is read digit by digit.
- What else stands between two numbers parts them: `7:30`, `3,5` and `12.05.1991` are the numbers
  one after another.
- Kyrgyz `бир` is left out before hundred and thousand, Russian `одна` before thousand, where that
  is the same number, in words too: `бир миң` and `миң` both are 1000. This is for text without
  punctuation, where `он-бир миң` and `он бир миң` are the same.

A hyphen behind digits, or an en dash, means an ordinal in Kyrgyz spelling, and is read as one:
`1991-жылы`, `5-август`; so do `5-чи` and `5чи`. A case ending joins the last word: `10-дон` and
`10дон` are `ондон`. In other languages, what follows the digits is a word of its own.
"""

from __future__ import annotations

import re

from num2words import CONVERTER_CLASSES, num2words

MOST_DIGITS = 12
UNITS = ["нөл", "бир", "эки", "үч", "төрт", "беш", "алты", "жети", "сегиз", "тогуз"]
TENS = ["он", "жыйырма", "отуз", "кырк", "элүү", "алтымыш", "жетимиш", "сексен", "токсон"]
POWERS = {10**9: "миллиард", 10**6: "миллион", 10**3: "миң", 100: "жүз"}
SPOKEN_WITHOUT_ONE = {1000, 100}
LINKS = {"аы": "ы", "оу": "у", "эеи": "и", "өү": "ү"}
"""Vowel harmony: which vowel an ordinal's ending takes after a last vowel of each group."""

NUM2WORDS_CODES = {"kk": "kz"}
"""Where its code is not Whisper's."""
TOO_SLOW = {"am"}
"""Its Amharic did not come to an end at twelve digits."""

_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013", "-"))
"""Hyphen, non-breaking hyphen, figure dash, en dash."""
_CASE = "[гкдтн][аеоөыиуү]н?"
_NUMBER = re.compile(r"(?<!\d)[1-9]\d{0,2}(?P<mark>[ .,'’])\d{3}(?:(?P=mark)\d{3})*(?!\d)|\d+")
_WITH_TAIL = re.compile(
    rf"(?P<number>{_NUMBER.pattern})"
    rf"(?:-?(?P<ordinal>[ыиуү]?н?ч[ыиуү])\b|-?(?P<case>{_CASE})\b|(?P<hyphen>-)(?=[^\W\d]))?"
)
_REDUNDANT_ONE = {
    "ky": re.compile(
        rf"\b(?P<kept>(?:{'|'.join(TENS)}|жүз) )?"
        rf"бир (?=(?:миң|жүз)(?:{_CASE}|[иү]нч[иү])?\b)"
    ),
    "ru": re.compile(
        r"\b(?P<kept>(?:\w+дцать|сорок|\w+десят|девяносто|сто|\w+ста|двести|\w+сот) )?"
        r"одна (?=тысяча\b)"
    ),
}


def spell_out(text: str, language: str) -> str:
    """`text`, in lower case, with its numbers as words; unchanged where nobody knows the language.

    >>> spell_out("1991-жылы 12 000 сом", "ky")
    'миң тогуз жүз токсон биринчи жылы он эки миң сом'
    """
    if language == "ky":
        text = _WITH_TAIL.sub(_in_kyrgyz, text.translate(_DASHES))
    elif language not in TOO_SLOW and _code(language) in CONVERTER_CLASSES:
        text = _NUMBER.sub(lambda found: f" {_read(found[0], language)} ", text)
    return " ".join(text.split())


def without_redundant_one(text: str, language: str) -> str:
    """`text`, in lower case and without punctuation, without a one that says nothing.

    >>> without_redundant_one("бир миң он бир миңге", "ky")
    'миң он бир миңге'
    """
    if language not in _REDUNDANT_ONE:
        return text
    return _REDUNDANT_ONE[language].sub(lambda found: found[0] if found["kept"] else "", text)


def cardinal(number: int, language: str) -> str:
    """The words of a number from 0 to 10^12 - 1. Raises OverflowError where that is too large."""
    if language != "ky":
        return num2words(number, lang=_code(language)).lower()
    words = []
    for power, name in POWERS.items():
        count, number = divmod(number, power)
        if count and not (count == 1 and power in SPOKEN_WITHOUT_ONE):
            words.append(cardinal(count, "ky"))
        if count:
            words.append(name)
    if number >= 10:
        words.append(TENS[number // 10 - 1])
    if number % 10 or not (words or number):
        words.append(UNITS[number % 10])
    return " ".join(words)


def ordinal(words: str) -> str:
    """A Kyrgyz cardinal's words as an ordinal: `бир` becomes `биринчи`, `алты` `алтынчы`."""
    last = next(letter for letter in reversed(words) if any(letter in group for group in LINKS))
    link = next(link for group, link in LINKS.items() if last in group)
    return f"{words}{'' if words.endswith(last) else link}нч{link}"


def _in_kyrgyz(found: re.Match[str]) -> str:
    words = _read(found["number"], "ky")
    if found["ordinal"] or found["hyphen"]:
        words = ordinal(words)
    return f" {words}{found['case'] or ''} "


def _read(number: str, language: str) -> str:
    digits = re.sub(r"\D", "", number)
    if len(digits) <= MOST_DIGITS and (digits == "0" or not digits.startswith("0")):
        try:
            return cardinal(int(digits), language)
        except OverflowError:  # some languages of num2words end early
            pass
    return " ".join(cardinal(int(digit), language) for digit in digits)


def _code(language: str) -> str:
    return NUM2WORDS_CODES.get(language, language)
