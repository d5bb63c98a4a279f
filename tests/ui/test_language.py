"""The interface's words: none is missing in any language, none is left over."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import ui
from ui.columns import KINDS
from ui.dashboard import VIEWS
from ui.language import LANGUAGES, Say, catalogue

FOLDER = Path(ui.__file__).parent
SOURCES = [path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py")]
USED = re.compile(r"""say\(\s*"([a-z_]+\.[a-z_0-9]+)\"""")
MADE = re.compile(r"""say\(\s*f"([^"]+)\"""")
"""Keys that are put together: each `{…}` stands for part of a name."""


def fields(message: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(message) if name is not None}


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_every_message_is_there_in_all_languages_with_the_same_values(key: str) -> None:
    messages = catalogue()[key]
    assert set(messages) == set(LANGUAGES)
    assert all(text.strip() for text in messages.values())
    assert len({frozenset(fields(text)) for text in messages.values()}) == 1, messages


def test_every_key_in_the_code_has_a_message() -> None:
    used = {key for text in SOURCES for key in USED.findall(text)}
    assert used
    assert used <= set(catalogue())


def test_every_message_is_used() -> None:
    used = {key for text in SOURCES for key in USED.findall(text)}
    made = [
        re.compile("[a-z_0-9]+".join(map(re.escape, re.split(r"\{[^}]+\}", pattern))))
        for text in SOURCES
        for pattern in MADE.findall(text)
    ]
    left = {
        key
        for key in set(catalogue()) - used
        if not key.startswith("columns.") and not any(row.fullmatch(key) for row in made)
    }
    assert not left


def test_columns_and_their_headings_are_the_same() -> None:
    headings = {key.removeprefix("columns.") for key in catalogue() if key.startswith("columns.")}
    assert {name for name in headings if not name.endswith("_help")} == set(KINDS)
    assert {name.removesuffix("_help") for name in headings} == set(KINDS)


def test_every_column_is_in_a_table() -> None:
    others = [path for path in FOLDER.rglob("*.py") if path != FOLDER / "columns.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in others)
    ends = ("_low", "_high")
    named = {
        name
        for name in KINDS
        if f'"{name}"' in text
        # tables put the names of an interval's ends together: "wer" and "_low"
        or (name.endswith(ends) and f'"{name.rsplit("_", 1)[0]}"' in text)
    }
    assert set(KINDS) - named == set()


def test_every_view_has_a_name() -> None:
    assert {f"{name}.page" for name in VIEWS} <= set(catalogue())


def test_a_message_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"common\.nothing"):
        Say("en")("common.nothing")
