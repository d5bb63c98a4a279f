"""Word differences as HTML: read by eye and by ear, and nothing of a text is markup."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from al_loop.confusions import Part, word_parts
from ui.differences import as_html
from ui.language import Say

from .workspaces import HOSTILE

SAY = Say("en")


class Parsed(HTMLParser):
    """The elements of a page, and its text by the element that it stands in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.words: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(("/".join(self.open[1:]), data))


def test_each_word_stands_in_the_element_that_tells_what_it_is() -> None:
    parsed = Parsed(as_html(SAY, word_parts("бир эки үч", "бир ики үч төрт", "ky"), "before"))
    assert parsed.words == [
        ("bdi", "бир"),
        ("del/span", "heard: "),
        ("del/bdi", "ики"),
        ("ins/span", "said: "),
        ("ins/bdi", "эки"),
        ("bdi", "үч"),
        ("del/span", "heard: "),
        ("del/bdi", "төрт"),
    ]
    assert not parsed.open
    tag, paragraph = parsed.tags[0]
    assert (tag, paragraph["dir"], paragraph["aria-label"]) == ("p", "auto", "before")
    assert paragraph["tabindex"] == "0"
    assert "overflow-y:auto" in paragraph["style"]


def test_wrong_words_are_told_by_more_than_colour() -> None:
    parsed = Parsed(as_html(SAY, [Part("changed", "эки", "ики")], ""))
    styles = {tag: attributes["style"] for tag, attributes in parsed.tags if tag in ("del", "ins")}
    assert "line-through" in styles["del"]
    assert "underline" in styles["ins"]
    assert all("background:rgba" in style for style in styles.values())
    # the text keeps the page's own colour
    assert not any(";color" in style.replace(" ", "") for style in styles.values())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_a_text_is_markup(text: str) -> None:
    parts = [Part("same", text, text), Part("changed", text, text), Part("added", "", text)]
    parsed = Parsed(as_html(SAY, parts, text))
    assert {tag for tag, _ in parsed.tags} == {"p", "del", "ins", "span", "bdi"}
    assert {name for _, attributes in parsed.tags for name in attributes} == {
        "dir", "tabindex", "role", "aria-label", "style",
    }  # fmt: skip
    assert [word for place, word in parsed.words if place.endswith("bdi")] == [text] * 4
    assert parsed.tags[0][1]["aria-label"] == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_aligned_holds_words_alone(text: str) -> None:
    parsed = Parsed(as_html(SAY, word_parts(text, "жок", "ky"), ""))
    assert {tag for tag, _ in parsed.tags} <= {"p", "del", "ins", "span", "bdi"}
    for place, word in parsed.words:
        if place.endswith("bdi"):
            assert word.isalnum()


def test_no_words_at_all_are_said_to_be_none() -> None:
    assert "(no words)" in as_html(SAY, word_parts("", "", "ky"), "")
