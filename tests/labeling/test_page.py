"""The labelling page's parts, as far as they can be told without a browser."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from al_loop.records import VERDICTS
from labeling.page import SHOWN, instructions, interface, marked_words, shown_hypothesis


class Reader(HTMLParser):
    """What a browser would show: the text, the marked words, and the tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.marked, self.tags = "", list[str](), set[str]()
        self._in_mark = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs
        self.tags.add(tag)
        self._in_mark |= tag == "mark"

    def handle_endtag(self, tag: str) -> None:
        self._in_mark &= tag != "mark"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_mark:
            self.marked.append(data)


def tags(name: str) -> list[ET.Element]:
    return list(ET.fromstring(interface()).iter(name))


def test_words_below_the_limit_are_marked() -> None:
    seen = Reader(marked_words("бир эки үч эки", [0.9, 0.1, 0.5, 0.49], 0.5))
    assert seen.text == "бир эки үч эки"
    assert seen.marked == ["эки", "эки"]


@pytest.mark.parametrize(
    ("hypothesis", "word_probs"),
    [("", []), ("бир эки", [0.5, 0.9]), ("бир эки", []), ("бир эки", [0.1]), ("бир", [0.1, 0.1])],
)
def test_nothing_is_marked_without_doubts_or_with_those_of_other_words(
    hypothesis: str, word_probs: list[float]
) -> None:
    assert marked_words(hypothesis, word_probs, 0.5) == ""


@pytest.mark.parametrize(
    "word",
    [
        "<script>alert(1)</script>",
        "<img/src=x/onerror=alert(1)>",
        "</mark></bdi><b>",
        '"onmouseover="alert(1)',
        "'&amp;'",
        "&lt;b&gt;",
        "$hypothesis",
        "\u202eסלאם\u2066",
    ],
)
def test_what_the_model_wrote_stays_text(word: str) -> None:
    seen = Reader(marked_words(f"салам {word} дос", [0.9, 0.1, 0.9], 0.5))
    assert seen.tags == {"mark", "bdi"}
    assert seen.text == f"салам {word} дос"
    assert seen.marked == [word]


def test_white_space_of_any_kind_parts_words() -> None:
    assert Reader(marked_words(" бир\n\u00a0эки ", [0.1, 0.9], 0.5)).text == "бир эки"


@pytest.mark.parametrize(
    ("values", "shown"),
    [(["=салам"], "салам"), (["="], ""), (["==а"], "=а"), ([], None), (["а"], None), ([""], None)],
)
def test_what_was_shown_comes_back(values: list[str], shown: str | None) -> None:
    assert shown_hypothesis(values) == shown


def test_what_was_shown_is_never_guessed() -> None:
    assert shown_hypothesis(["=а", "=б"]) is None
    assert shown_hypothesis([3]) is None  # type: ignore[list-item]


def test_verdicts_are_ours_in_two_languages_with_a_key_each() -> None:
    choices = tags("Choice")
    assert {choice.get("alias") for choice in choices} == set(VERDICTS) - {"skipped"} | {"unsure"}
    assert [choice.get("hotkey") for choice in choices] == ["1", "2", "3", "4"]
    assert all(" · " in choice.get("value", "") for choice in choices)


def test_a_verdict_that_needs_no_text_hides_the_text() -> None:
    boxes = {}
    for view in tags("View"):
        if condition := view.get("visibleWhen"):
            assert set(view.get("whenChoiceValue", "").split(",")) == set(VERDICTS) - {"skipped"}
            boxes[condition] = [box.get("name") for box in view.iter("TextArea")]
    assert boxes == {"choice-unselected": ["transcription"], "choice-selected": []}


def test_the_letters_that_keyboards_lack() -> None:
    shortcuts = tags("Shortcut")
    assert [shortcut.get("value") for shortcut in shortcuts] == list("ңөүҢӨҮ")
    assert len({shortcut.get("hotkey") for shortcut in shortcuts}) == len(shortcuts)


def test_the_interface_wants_little_data() -> None:
    wanted = re.findall(r"\$(\w+)", interface())
    assert set(wanted) == {"audio", "hypothesis", "marked"}


def test_what_is_shown_is_recorded_in_a_hidden_field() -> None:
    hidden = [view for view in tags("View") if "none" in view.get("style", "")]
    assert [box.get("name") for view in hidden for box in view.iter("TextArea")] == [SHOWN]


def test_label_studio_leaves_the_style_sheet_as_it_is() -> None:
    (style,) = tags("Style")
    assert style.text
    assert not set("<>&") & set(style.text)


def test_the_instructions_are_one_line_in_two_languages() -> None:
    text = instructions()
    assert "\n" not in text
    for word in ("жыйырма беш", "двадцать пять", "Ctrl+P", "Ctrl+Enter"):
        assert word in text
