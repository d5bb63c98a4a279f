"""Messages and docstrings name commands and options that exist."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from al_loop.cli import main

ROOT = Path(__file__).parent.parent
PACKAGES = ("al_loop", "labeling", "storage", "ui")
NAMED = re.compile(r"`al-loop ([^`]+)`")


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text of a module as it is shown, with X in the place of what is filled in."""
    inside = {
        part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
            yield node.value


def named() -> list[str]:
    found = {
        " ".join(line.split())
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for text in texts(ast.parse(path.read_text(encoding="utf-8")))
        for line in NAMED.findall(text)
    }
    return sorted(found)


def mistake(line: str) -> str | None:
    """What is wrong with a command line, if anything."""
    command: click.Command = main
    for word in shlex.split(line):
        if isinstance(command, click.Group) and not word.startswith("-") and word != "X":
            if word not in command.commands:
                return f"{word} is no command"
            command = command.commands[word]
        elif word.startswith("-"):
            options = {name for row in (*command.params, *main.params) for name in row.opts}
            if word.split("=")[0] not in options:
                return f"{word} is no option"
    return None


@pytest.mark.parametrize("line", named())
def test_every_command_that_is_named_is_one(line: str) -> None:
    assert mistake(line) is None


def test_mistakes_are_found() -> None:
    assert len(named()) > 5
    assert mistake("arms --retrain") == "--retrain is no option"
    assert mistake("retrain") == "retrain is no command"
    assert mistake("-w X gates list --limit 5") is None
